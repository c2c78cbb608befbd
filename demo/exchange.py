"""From files that a person drops to a painter value: pictures, map files, and pictures that carry settings."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageColor

from scsa_core.errors import LabelError
from scsa_core.images import open_image
from scsa_core.labels import LabelMap, Region, as_map, default_region, read_maps
from scsa_core.pairing import Pairing
from scsa_core.recipe import Recipe, extract

from .files import MAX_SIDE, Pictures, publish_picture
from .painter import MAX_MAP_SIDE, SIDES, from_label_maps, links_of, regions_of, to_label_maps
from .text import Said

NEAR = 40.0
"""Colours of a map file closer than this (RGB, Euclidean) to a region of the legend mean that region."""
OTHER = {"content": "style", "style": "content"}
SIDE_WORDS = {"content": ("content", "photo"), "style": ("style", "paint")}
"""What tells in a file's name whose map it is: `1_sem.png` beside `1_paint_sem.png`."""
LEGEND_KEYWORD = "scsa-map"
MAX_LEGEND = 512 * 1024
MAX_READ = 2 * MAX_MAP_SIDE
"""Pixels a side that a map file is read at."""
PAINTED = 0.35
"""Share of pixels that have nearly a region's colour below which a file hardly is a map: drawn ones have 0.51 and more, as poor JPEGs
too, and of photographs that can be read as maps at all nine in ten have at most 0.27."""


@dataclass(frozen=True)
class Accepted:
    """An uploaded picture: the published copy without metadata, or the settings that it carries."""

    path: str | None = None
    recipe: Recipe | None = None


def accept(path: str, side: str, pictures: Pictures) -> Accepted:
    """Validate an upload. Raises ImageError, RecipeError."""
    found = open_image(path, pictures.limits)
    if found.format == "PNG" and (recipe := extract(found)) is not None:
        return Accepted(recipe=recipe)
    picture = pictures.get(path, found)
    kept = publish_picture(picture.image, f"{side}.png")
    if max(picture.image.size) <= MAX_SIDE:
        pictures.know(kept, picture)  # or the first render would decode what is decoded already
    return Accepted(path=kept)


def path_of(value: Mapping[str, Any] | None, side: str) -> str | None:
    """The picture's file on one side of a painter value."""
    picture = ((value or {}).get(side) or {}).get("picture") or {}
    path = picture.get("path") if isinstance(picture, Mapping) else None
    return path if isinstance(path, str) and path else None


def restore(
    value: Mapping[str, Any], paths: Mapping[str, str | None], recipe: Recipe, sizes: Mapping[str, tuple[int, int]] | None = None
) -> dict[str, Any]:
    """A painter value with a recipe's maps, regions and links over the given pictures.

    sizes: of those, by side: a map takes the shape of its picture, where the recipe was made with another one.
    """
    sizes = sizes or {}
    maps = fitted(recipe.content_map, sizes.get("content")), fitted(recipe.style_map, sizes.get("style"))
    if recipe.maps_left_out:
        maps = to_label_maps(value)
    return from_label_maps(
        paths.get("content"), paths.get("style"), *maps, by="restore", v=int(value.get("v") or 0), links=recipe.links or {}
    )


def fitted(m: LabelMap | None, size: tuple[int, int] | None) -> LabelMap | None:
    """A map in the shape of a picture of that size, where it has another one by more than 2 %."""
    if m is None or size is None or abs(m.size[0] * size[1] / (m.size[1] * size[0]) - 1) <= 0.02:
        return m
    scale = max(m.size) / max(size)
    return m.resized((max(1, round(size[0] * scale)), max(1, round(size[1] * scale))))


def restored_notes(recipe: Recipe, hashes: Mapping[str, str]) -> tuple[Said, ...]:
    """What to say after settings came back. hashes: of the pictures that are loaded now, by side."""
    known = {"content": recipe.content_sha256, "style": recipe.style_sha256}
    other = [side for side in SIDES if known[side] and hashes.get(side) != known[side]]
    key = {0: "note.restored", 1: f"note.restored_{other[0] if other else ''}", 2: "note.restored_both"}[len(other)]
    return (Said(key), *([Said("note.restored_no_maps")] if recipe.maps_left_out else []))


@dataclass(frozen=True)
class Legend:
    """What a map file's numbers and colours mean: regions by id, and links where the file has any."""

    regions: Mapping[int, Region]
    links: Mapping[int, tuple[int, ...]] | None = None


def read_legend(data: bytes) -> Legend:
    """From the JSON that the painter saves ({"schema", "regions", "links"}) or from bare links. Raises LabelError."""
    if len(data) > MAX_LEGEND:
        raise LabelError("the list of regions is too long")
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise LabelError("the list of regions is not JSON") from error
    if not isinstance(value, Mapping):
        raise LabelError("the list of regions is not a JSON object")
    if "regions" not in value:
        return Legend({}, _links(value.get("links", value)))
    records = value["regions"]
    if not isinstance(records, list) or len(records) > 256:
        raise LabelError("the list of regions is not a list of at most 256")
    links = value.get("links")
    return Legend({region.id: region for region in regions_of(records)}, None if links is None else _links(links))


def _links(value: object) -> dict[int, tuple[int, ...]]:
    return {k: tuple(v) for k, v in Pairing.from_object(value).links.items()}


def _open_map(path: str) -> Image.Image:
    """A map file, thinned out to MAX_READ a side: it is painted on at half of that at most. Raises ImageError."""
    found = open_image(path)
    if max(found.size) > MAX_READ:
        scale = MAX_READ / max(found.size)
        info = found.info
        found = found.resize((max(1, round(found.width * scale)), max(1, round(found.height * scale))), Image.Resampling.NEAREST)
        found.info = info
    return found


def _legend_of(pictures: Iterable[Image.Image], texts: Iterable[str]) -> Legend | None:
    """The legend beside the maps, or the one that a map carries; None where there is neither."""
    for path in texts:
        return read_legend(Path(path).read_bytes())
    for picture in pictures:
        text = picture.info.get(LEGEND_KEYWORD)
        if isinstance(text, str):
            return read_legend(text.encode())
    return None


def import_maps(value: Mapping[str, Any], side: str, files: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """A painter value with maps from files, [(path, name), …], meant for `side` unless their names say otherwise.

    A JSON file among them, or one that a map carries, brings names, colours and links. Raises LabelError, ImageError.
    """
    is_json = [f[1].lower().endswith(".json") for f in files]
    named = _by_side(side, [f for f, text in zip(files, is_json, strict=True) if not text])
    chosen = {name: _open_map(path) for name, path in named.items()}
    given = _legend_of(chosen.values(), [f[0] for f, text in zip(files, is_json, strict=True) if text])
    if not chosen and given is None:
        raise LabelError("there is no picture among the chosen files")
    old = dict(zip(SIDES, to_label_maps(value), strict=True))
    legend = {r.id: r for r in map(_region, value.get("regions") or [])} | dict(given.regions if given else {})
    new: dict[str, LabelMap] = {}
    if chosen:
        by_id = [picture.mode in ("L", "1", "I", "I;16") for picture in chosen.values()]
        read = dict(zip(SIDES, read_maps(chosen.get("content"), chosen.get("style")), strict=True))
        new = {name: found for name, found in read.items() if found is not None}
        if all(by_id):
            new = {name: LabelMap.from_ids(m.ids, [legend.get(k, default_region(k)) for k in m.region_ids]) for name, m in new.items()}
        else:
            new = _into_legend(new, legend)
    new = {name: _shaped(m, value.get(name) or {}) for name, m in new.items()}
    maps = {**old, **new}
    legend = {k: r for k, r in legend.items() if r.id == 0 or given or not _vacated(r, old, maps)}
    kept = legend if len(new) < len(SIDES) or given else {k: r for k, r in legend.items() if k == 0}
    regions = {**kept, **{r.id: r for m in new.values() for r in m.regions}}
    links = links_of(value) if len(new) < len(SIDES) else {}
    if given and given.links is not None:
        links = dict(given.links)
    return from_label_maps(
        path_of(value, "content"), path_of(value, "style"), maps["content"], maps["style"], regions.values(),
        by="import", v=int(value.get("v") or 0), links=links,
    )  # fmt: skip


def photographs(side: str, files: Sequence[tuple[str, str]]) -> bool:
    """Whether a file that `import_maps` took for a colour map looks like a photograph: few pixels have a region's colour."""
    chosen = _by_side(side, [f for f in files if not f[1].lower().endswith(".json")])
    return any(_painted(_open_map(path)) < PAINTED for path in chosen.values())


def _painted(picture: Image.Image) -> float:
    """Share of pixels that have nearly the colour of their region; 1 for a map of ids."""
    small = as_map(picture.resize((min(256, picture.width), min(256, picture.height)), Image.Resampling.NEAREST))
    if small.mode == "L":
        return 1.0
    found, _ = read_maps(small, None)
    assert found is not None
    palette = np.zeros((256, 3), np.int32)
    for region in found.regions:
        palette[region.id] = ImageColor.getrgb(region.colour)[:3]
    away = np.asarray(small, np.int32) - palette[found.ids]
    return float((np.square(away).sum(2) <= 16).mean())


def _shaped(m: LabelMap, side: Mapping[str, Any]) -> LabelMap:
    """A map in the shape of the side's picture: of another one it would distort the picture under the brush."""
    width, height = side.get("w"), side.get("h")
    found = fitted(m, (width, height) if width and height else None)
    assert found is not None
    return found


def _vacated(region: Region, old: Mapping[str, LabelMap | None], maps: Mapping[str, LabelMap | None]) -> bool:
    """Whether new maps took the last pixels of a region that nobody gave a name."""
    before, after = (any(m is not None and region.id in m.region_ids for m in each.values()) for each in (old, maps))
    return before and not after and region.name == default_region(region.id).name


def _region(record: Mapping[str, Any]) -> Region:
    number = int(record["id"])
    return Region(number, str(record.get("name") or default_region(number).name)[:40], str(record.get("colour", "")).lower())


def _by_side(side: str, files: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Side -> path. One file is for `side`; two are told apart by what their names say."""
    if len(files) == 1:
        return {side: files[0][0]}
    chosen: dict[str, str] = {}
    rest = []
    for path, name in files:
        named = [s for s in SIDES if any(word in Path(name).stem.lower() for word in SIDE_WORDS[s])]
        if len(named) == 1 and named[0] not in chosen:
            chosen[named[0]] = path
        else:
            rest.append(path)
    for path in rest:
        free = side if side not in chosen else OTHER[side]
        chosen.setdefault(free, path)
    return chosen


def _into_legend(new: Mapping[str, LabelMap], legend: Mapping[int, Region]) -> dict[str, LabelMap]:
    """Regions of a colour map take the legend's id where their colours agree, else a free one."""
    found = {r.id: r for m in new.values() for r in m.regions if any(r.id in each.region_ids for each in new.values())}
    ids: dict[int, Region] = {}
    for region in found.values():
        near = sorted((sum((a - b) ** 2 for a, b in zip(region.rgb, old.rgb, strict=True)) ** 0.5, old.id) for old in legend.values())
        taken = {r.id for r in ids.values()}
        match = next((k for distance, k in near if distance < NEAR and k not in taken), None)
        if match is not None:
            ids[region.id] = legend[match]
            continue
        free = next((k for k in range(1, 256) if k not in legend and k not in taken), None)
        if free is None:
            raise LabelError("there are too many regions")
        ids[region.id] = Region(free, f"Region {free}", region.colour)
    out = {}
    for name, m in new.items():
        table = np.array([ids[k].id if k in ids else 0 for k in range(256)], np.uint8)
        out[name] = LabelMap.from_ids(table[m.ids], ids.values())
    return out
