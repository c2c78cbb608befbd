"""The painter: both pictures, their semantic maps and the shared legend, as one `gr.HTML` component.

The truth is one array of region ids per picture, kept in the browser and sent as
base64(zlib(ids)); canvases only show it. This module holds the component, the value's
format in both directions, and the component's words. The browser's half is `web/painter*.js`.

Value (a dict; see `PainterModel`)::

    {v, content: {picture, w, h, map}, style: {...}, regions: [{id, name, colour}], links, by,
     error: {side: text} | None, incoming: {side, files} | None}

Events of a `Painter`, each listenable by name:

- ``edited``   an edit is finished; data {by}
- ``picture``  a picture was uploaded; data {side}. It may be of a type the browser cannot show: answer with
  a value whose `picture` is a PNG, or with `error` and `picture` None to refuse it
- ``import``   map files were uploaded (`Painter.on_import`); data {side}; the checked paths are in `value["incoming"]`
- ``invalid``  the browser refused a file; data {side, reason}
- ``render_now``, ``cancel_now``  the keys R and Esc
- ``select``   clicks or a box are to be understood; answered with the prop `selection` (sam_clicks.py)
- ``resume``   the browser brings back what it kept; data {knobs, automatic}; pictures may have been uploaded anew
- ``suggest``  links are wanted for the maps as they are; answer with the prop `suggested`: {v, links}

Listen with ``trigger_mode="always_last"`` or ``"multiple"``: Gradio's default drops what happens while a handler
runs. Event data is not checked by Gradio; files come in the value only, where their paths are.
"""

from __future__ import annotations

import base64
import binascii
import re
import unicodedata
import zlib
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from gradio.data_classes import FileData, GradioModel
from pydantic import Field

from scsa_core.errors import LabelError
from scsa_core.labels import LabelMap, Region, default_region
from scsa_core.pairing import Pairing

from .component import ModelComponent
from .painter_text import TEXT_KEYS
from .theme import script, style

__all__ = [
    "MAX_MAP_SIDE",
    "TEXT_KEYS",
    "Painter",
    "PainterModel",
    "decode_map",
    "empty_value",
    "encode_map",
    "from_label_maps",
    "links_of",
    "regions_of",
    "to_label_maps",
]

MAX_MAP_SIDE = 1024
MAPS_KEPT = 8
MAX_NAME = 40
MAX_REGIONS = 256
SIDES = ("content", "style")

_SCRIPTS = (
    "texts.js",
    "element.js",
    "kept.js",
    "names.js",
    "painter_state.js",
    "painter_shape.js",
    "painter_png.js",
    "painter_draw.js",
    "painter_dom.js",
    "painter_pane.js",
    "painter_fill.js",
    "painter_tools.js",
    "painter_legend.js",
    "painter_files.js",
    "painter_keys.js",
    "painter.js",
    "painter_links.js",
    "painter_sam.js",
    "painter_keep.js",
    "painter_exchange.js",
)
_STYLES = ("painter.css", "painter_helpers.css")
_COLOUR = re.compile(r"#[0-9a-f]{6}")

Whole = Annotated[int, Field(ge=-(2**53), le=2**53)]
"""A number that a browser can count to: a larger one could not be sent back."""


class SideModel(GradioModel):
    """One picture and its map; w, h: the map's size, 0 where the browser shall choose it. of: the upload that the picture is kept from."""

    picture: FileData | None = None
    of: str | None = None
    w: Whole = 0
    h: Whole = 0
    map: str | None = None


class RegionModel(GradioModel):
    """A line of the legend."""

    id: Whole
    name: str
    colour: str


class IncomingModel(GradioModel):
    """Map files waiting to be read, meant for `side` unless their names say otherwise."""

    side: str
    files: list[FileData] = []


class PainterModel(GradioModel):
    """The value as it travels. File fields are `FileData`, so that their paths are checked on the way in."""

    v: Whole = 0
    content: SideModel = SideModel()
    style: SideModel = SideModel()
    regions: list[RegionModel] = []
    links: dict[str, list[Whole]] = {}
    by: str = "load"
    error: dict[str, str] | None = None
    incoming: IncomingModel | None = None


class Painter(ModelComponent):
    """Both painters in one component: one undo stack, one legend.

    texts replaces words by key. suggested: links. selection: what clicks mean.
    """

    root, data_model = "sp-root", PainterModel

    def __init__(
        self,
        value: Mapping[str, Any] | None = None,
        *,
        texts: Mapping[str, str] | str | None = None,
        suggested: Mapping[str, Any] | None = None,
        selection: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        words = texts if isinstance(texts, str) else {**TEXT_KEYS, **(texts or {})}
        super().__init__(value, texts=words, suggested=suggested, selection=selection, **kwargs)

    @classmethod
    def style_sheet(cls) -> str:
        return style(*_STYLES)

    @classmethod
    def program(cls) -> str:
        return script(*_SCRIPTS)

    def preprocess(self, payload: Any) -> Any:
        """The value as a plain dict, or None. Files are dicts with `path`."""
        return payload.model_dump() if isinstance(payload, PainterModel) else None

    def postprocess(self, value: Any) -> Any:
        """A value dict (pictures as path, FileData or dict) or None for an empty painter."""
        if isinstance(value, PainterModel):
            return value
        value = dict(value) if value else empty_value()
        for side in SIDES:
            fields = dict(value.get(side) or {})
            if isinstance(fields.get("picture"), (str, Path)):
                fields["picture"] = FileData(path=str(fields["picture"]))
            value[side] = fields
        return PainterModel.model_validate(value)

    def on_import(self, fn: Callable[..., Any], **kwargs: Any) -> Any:
        """Listen to ``import``, which is no Python attribute name."""
        return getattr(self, "import")(fn, **kwargs)

    def example_payload(self) -> Any:
        return empty_value()

    def example_value(self) -> Any:
        return empty_value()


def encode_map(ids: np.ndarray) -> str:
    """Region ids (H, W) uint8 -> base64 of their zlib stream, row by row."""
    return base64.b64encode(zlib.compress(np.ascontiguousarray(ids, dtype=np.uint8).tobytes(), 6)).decode("ascii")


def decode_map(side: Mapping[str, Any]) -> np.ndarray:
    """The ids of one side of a value: (H, W) uint8. LabelError on anything but w x h bytes in 1..1024 a side."""
    w, h, text = side.get("w"), side.get("h"), side.get("map")
    if not all(isinstance(n, int) and not isinstance(n, bool) and 1 <= n <= MAX_MAP_SIDE for n in (w, h)):
        raise LabelError(f"a painted map is 1 to {MAX_MAP_SIDE} pixels a side, not {w!r} x {h!r}")
    assert isinstance(w, int) and isinstance(h, int)
    if not isinstance(text, str):
        raise LabelError("a painted map has no data")
    # zlib grows incompressible data by under 0.1 %; base64 by a third.
    if len(text) > 1.4 * w * h + 1024:
        raise LabelError("the data of a painted map is longer than its size allows")
    try:
        inflate = zlib.decompressobj()
        raw = inflate.decompress(base64.b64decode(text, validate=True), w * h + 1)
    except (binascii.Error, ValueError, zlib.error) as error:
        raise LabelError("the data of a painted map is damaged") from error
    if len(raw) != w * h:
        raise LabelError(f"a painted map of {w} x {h} holds {'more' if len(raw) > w * h else 'fewer'} pixels than that")
    return np.frombuffer(raw, np.uint8).reshape(h, w)


def empty_value() -> dict[str, Any]:
    """No pictures, and two regions to start painting with."""
    side = {"picture": None, "w": 0, "h": 0, "map": None}
    return {
        "v": 0, "content": dict(side), "style": dict(side), "regions": _records(default_region(i) for i in range(3)),
        "links": {}, "by": "load", "error": None, "incoming": None,
    }  # fmt: skip


def to_label_maps(value: Mapping[str, Any] | None) -> tuple[LabelMap | None, LabelMap | None]:
    """Content and style maps of a value; (None, None) where nothing is painted in either. LabelError if not valid."""
    if not value:
        return None, None
    regions = regions_of(value.get("regions") or [])
    known = {region.id for region in regions}
    maps: list[LabelMap | None] = []
    for name in SIDES:
        side = value.get(name) or {}
        if not isinstance(side, Mapping) or side.get("map") is None:
            maps.append(None)
            continue
        w, h, text = (side.get(key) for key in ("w", "h", "map"))
        if not (isinstance(w, int) and isinstance(h, int) and isinstance(text, str)):
            kinds = ", ".join(type(x).__name__ for x in (w, h, text))
            raise LabelError(f"a painted map is its width, its height and its data, not {kinds}")
        made = _label_map(w, h, text, regions)
        unknown = [i for i in made.region_ids if i not in known]
        if unknown:
            raise LabelError(f"the {name} map uses region {unknown[0]}, which is not in the legend")
        maps.append(made)
    if all(found is None or not found.ids.any() for found in maps):
        return None, None
    return maps[0], maps[1]


@lru_cache(maxsize=MAPS_KEPT)
def _label_map(w: int, h: int, text: str, regions: tuple[Region, ...]) -> LabelMap:
    """One side's map. A stroke changes one of two maps and a knob none: what is known of the same map stays known."""
    return LabelMap.from_ids(decode_map({"w": w, "h": h, "map": text}), regions)


def links_of(value: Mapping[str, Any] | None) -> dict[int, tuple[int, ...]]:
    """A value's links: content id -> style ids. Raises LabelError."""
    return {k: tuple(v) for k, v in Pairing.from_object((value or {}).get("links") or {}).links.items()}


def from_label_maps(
    content_path: str | Path | None,
    style_path: str | Path | None,
    content_map: LabelMap | None = None,
    style_map: LabelMap | None = None,
    regions: Iterable[Region] | None = None,
    by: str = "load",
    v: int = 0,
    links: Mapping[int, Iterable[int]] | None = None,
) -> dict[str, Any]:
    """A value that shows these pictures and maps. regions: None takes those of the maps.

    A map of None is left to the browser: all Rest, at the picture's aspect.
    """
    maps = {"content": content_map, "style": style_map}
    if regions is None:
        merged = {region.id: region for found in (style_map, content_map) if found for region in found.regions}
        regions = merged.values() if merged else [default_region(i) for i in range(3)]
    records = {region.id: region for region in regions}
    records.setdefault(0, default_region(0))
    for found in maps.values():
        for region_id in found.region_ids if found else ():
            records.setdefault(region_id, default_region(region_id))
    value = empty_value()
    value.update(v=v, by=by, regions=_records(records[i] for i in sorted(records)))
    value["links"] = {str(int(key)): [int(i) for i in ids] for key, ids in (links or {}).items()}
    for name, path in (("content", content_path), ("style", style_path)):
        found = maps[name]
        side: dict[str, Any] = {"picture": str(path) if path is not None else None, "w": 0, "h": 0, "map": None}
        if found is not None:
            found = _bounded(found)
            side.update(w=found.size[0], h=found.size[1], map=encode_map(found.ids))
        value[name] = side
    return value


def _bounded(found: LabelMap) -> LabelMap:
    """The map with its long side at most MAX_MAP_SIDE."""
    w, h = found.size
    if max(w, h) <= MAX_MAP_SIDE:
        return found
    scale = MAX_MAP_SIDE / max(w, h)
    return found.resized((max(1, round(w * scale)), max(1, round(h * scale))))


def _records(regions: Iterable[Region]) -> list[dict[str, Any]]:
    return [{"id": region.id, "name": region.name, "colour": region.colour} for region in regions]


def regions_of(records: Iterable[Any]) -> tuple[Region, ...]:
    """The legend of a value, checked: ids 0..255 once each, colours #rrggbb, names cut to 40 characters."""
    found: dict[int, Region] = {}
    for record in records:
        if not isinstance(record, Mapping):
            raise LabelError("a region of the legend is not a record")
        region_id, colour = record.get("id"), str(record.get("colour", "")).lower()
        if isinstance(region_id, bool) or not isinstance(region_id, int) or not 0 <= region_id < MAX_REGIONS:
            raise LabelError(f"region ids are whole numbers from 0 to 255, not {region_id!r}")
        if region_id in found:
            raise LabelError(f"region {region_id} is in the legend twice")
        if not _COLOUR.fullmatch(colour):
            raise LabelError(f"the colour of region {region_id} is not of the form #rrggbb")
        name = "".join(" " if unicodedata.category(c) in ("Cc", "Cf") else c for c in str(record.get("name", "")))
        name = " ".join(name.split())[:MAX_NAME].strip() or default_region(region_id).name
        found[region_id] = Region(region_id, name, colour)
    found.setdefault(0, default_region(0))
    return tuple(found[i] for i in sorted(found))
