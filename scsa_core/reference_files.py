"""The reference implementation's own files: its folders of pairs, and the tensors it computes from them beforehand.

Layout, as its published code (github.com/scn-00/SCSA, `sem.py`) writes and reads it::

    sem_data/<id>/<id>.jpg  <id>_paint.jpg  <id>_sem.png  <id>_paint_sem.png
    sem_precomputed_feats/<id>/
        <picture>_masks_<s>.pt         float32 (n, s, s), s = 32, 64, 128: a plane of 0 and 1 for
                                       each of the n labels, numbered alike in both pictures
        <content>_<style>_map_<s>.pt   float64 (s*s, s*s), s = 32, 64: 1 where content token i (row)
                                       and style token j (column) carry the same label

Both are bare tensors saved with `torch.save`. What is written here has exactly that form.
Read is also what says the same: any real dtype and bool, values split at 0.5 (where the
reference splits them), leading axes of length 1, a label picture of whole numbers (s, s)
instead of planes, and a map of two grids of different size. Only tensors are ever loaded.
"""

from __future__ import annotations

import io
import math
import pickle
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from scsa_core.errors import LabelError
from scsa_core.files import write_atomically
from scsa_core.images import encode_png, open_image
from scsa_core.labels import MAX_REGIONS, Ids, LabelMap, Region, default_region, read_maps, reference_labels

MASK_SIZES = (32, 64, 128)
MAP_SIZES = (32, 64)
PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
_NEAR = 40.0  # RGB distance below which two colours of a map file would be read as one
Links = Mapping[int, tuple[int, ...]]


# -- folders of pairs -----------------------------------------------------------------


@dataclass(frozen=True)
class PairFiles:
    """Two pictures and their maps, either of which may be the content. problem: why the pair cannot be used, or ""."""

    id: str
    first: Path
    second: Path
    first_map: Path
    second_map: Path
    problem: str = ""

    @property
    def name(self) -> str:
        """`<content>_<style>`, as the reference names what it makes of a pair."""
        return f"{self.first.stem}_{self.second.stem}"

    def swapped(self) -> PairFiles:
        """The same pair the other way round: the painting painted like the photograph."""
        return replace(self, first=self.second, second=self.first, first_map=self.second_map, second_map=self.first_map)

    def maps(self) -> tuple[LabelMap, LabelMap]:
        """Both maps, read with one palette. Raises LabelError, ImageError."""
        first, second = read_maps(self.first_map, self.second_map)
        assert first is not None and second is not None
        return first, second


def find_pairs(folder: Path) -> list[PairFiles]:
    """Every pair under a folder, one folder each, by number and name; one that lacks a file says so in `problem`.

    Also read: other picture formats, and `content`, `style`, `content_map`, `style_map` as
    names. A folder that holds nothing of a pair is passed over. Raises LabelError where
    there is no pair at all.
    """
    try:
        inside = [p for p in folder.iterdir() if p.is_dir()]
    except OSError as error:
        hint = "Give the folder that holds the folders of the pairs."
        raise LabelError(f"{folder} cannot be read ({error.strerror})", hint=hint) from error
    found = [pair for p in sorted([folder, *inside], key=_natural) if (pair := _pair_in(p)) is not None]
    if not found:
        names = "<id>.jpg, <id>_paint.jpg, <id>_sem.png and <id>_paint_sem.png"
        raise LabelError(f"{folder} holds no pairs", hint=f"Each pair is a folder <id> with {names}.")
    return found


def _natural(path: Path) -> tuple[tuple[int, int, str], ...]:
    return tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.split(r"(\d+)", path.name) if part)


def _pair_in(folder: Path) -> PairFiles | None:
    files = {p.name.lower(): p for p in sorted(folder.iterdir()) if p.is_file() and p.suffix.lower() in PICTURES}
    stems = {p.stem: p for p in files.values()}
    id_ = folder.name
    marks = sorted((s.removesuffix("_sem") for s in stems if s.endswith("_sem")), key=lambda s: (s.endswith("_paint"), s != id_, s))
    if "content" in stems or "style" in stems:
        names, ending = ("content", "style"), "_map"
    elif marks or id_ in stems or f"{id_}_paint" in stems:
        names, ending = (marks[0], marks[1]) if len(marks) == 2 else (id_, f"{id_}_paint"), "_sem"
    else:
        return None
    wanted = [*names, *(name + ending for name in names)]
    missing = [name + (".png" if name.endswith(ending) else ".jpg") for name in wanted if name not in stems]
    one, two, map_one, map_two = (stems.get(name, folder / name) for name in wanted)
    problem = f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing" if missing else ""
    if len(marks) > 2:
        problem = f"more than two maps: {', '.join(m + '_sem' for m in marks)}"
    return PairFiles(id_, one, two, map_one, map_two, problem)


def write_pair(
    folder: Path, pair_id: str, content: Image.Image, style: Image.Image, content_map: LabelMap, style_map: LabelMap
) -> PairFiles:
    """Write `<folder>/<id>/` in the reference's layout. Regions whose colours a reader would confuse get others."""
    here = folder / pair_id
    colours = _told_apart(content_map, style_map)
    names = (pair_id, f"{pair_id}_paint")
    for name, picture, m in zip(names, (content, style), (content_map, style_map), strict=True):
        out = io.BytesIO()
        picture.convert("RGB").save(out, "JPEG", quality=95, subsampling=0)
        write_atomically(here / f"{name}.jpg", out.getvalue())
        coloured = LabelMap.from_ids(m.ids, [replace(r, colour=colours[r.id]) for r in m.regions if r.id in colours])
        write_atomically(here / f"{name}_sem.png", encode_png(coloured.to_colour_image()))
    one, two = names
    return PairFiles(pair_id, here / f"{one}.jpg", here / f"{two}.jpg", here / f"{one}_sem.png", here / f"{two}_sem.png")


def _told_apart(*maps: LabelMap) -> dict[int, str]:
    """A colour for every id in use: its own, or the first free one of a 6 x 6 x 6 cube where another id has one like it."""
    used: dict[int, Region] = {k: m.region(k) for m in reversed(maps) for k in m.region_ids}
    if len(used) > MAX_REGIONS:
        raise LabelError(f"these maps have {len(used)} regions; a colour map tells {MAX_REGIONS} apart")
    cube = iter([(r, g, b) for r in range(0, 256, 51) for g in range(0, 256, 51) for b in range(0, 256, 51)])
    taken: list[tuple[int, int, int]] = []
    for region in (used[k] for k in sorted(used)):
        rgb = region.rgb
        while any(math.dist(rgb, other) <= _NEAR for other in taken):
            rgb = next(cube)
        taken.append(rgb)
    return {k: "#{:02x}{:02x}{:02x}".format(*rgb) for k, rgb in zip(sorted(used), taken, strict=True)}


# -- masks ----------------------------------------------------------------------------


def write_masks(path: Path, labels: Ids, ids: Sequence[int]) -> None:
    """Planes of a label grid (s, s), one for each of `ids` in that order, as float32."""
    write_atomically(path, _saved(torch.from_numpy(np.stack([labels == k for k in ids]).astype(np.float32))))


def read_masks(path: Path) -> LabelMap:
    """Labels of a masks file: plane k becomes id k + 1, and what no plane covers Rest. Raises LabelError."""
    x = _squeezed(_loaded(path), 3)
    if x.ndim == 2:  # whole numbers: already labels
        values = x.numpy()
        if not np.array_equal(values, values.round()) or values.min() < 0 or values.max() > 254:
            raise LabelError(f"{path.name} holds neither planes of 0 and 1 nor labels")
        return LabelMap.from_ids(values.astype(np.int64) + 1)
    if x.ndim != 3 or not x.shape[0] or not 0 < x.shape[0] <= 255:
        raise LabelError(f"{path.name} should be planes (labels, height, width), not {tuple(x.shape)}")
    planes = x >= 0.5
    if bool((planes.sum(0) > 1).any()):
        raise LabelError(f"{path.name} gives a token to two labels")
    ids = torch.where(planes.any(0), planes.int().argmax(0) + 1, 0)
    return LabelMap.from_ids(ids.numpy(), [default_region(k + 1) for k in range(x.shape[0])])


# -- maps of which token may look at which --------------------------------------------


def write_map(path: Path, content: Ids, style: Ids, links: Links | None = None) -> None:
    """Which style token (column) a content token (row) may look at, as float64. links: instead of the same id."""
    write_atomically(path, _saved(torch.from_numpy(same_region(content, style, links).astype(np.float64))))


def same_region(content: Ids, style: Ids, links: Links | None = None) -> NDArray[np.bool_]:
    """(content tokens, style tokens): True where the style token's region feeds the content token's."""
    allowed = np.zeros((256, 256), dtype=bool)
    for k in np.unique(content).tolist():
        allowed[k, list((links or {}).get(k, (k,)))] = True
    return allowed[content.reshape(-1, 1), style.reshape(1, -1)]


def read_map(
    path: Path, content_grid: tuple[int, int] | None = None, style_grid: tuple[int, int] | None = None
) -> tuple[LabelMap, LabelMap, dict[int, tuple[int, ...]]]:
    """(content map, style map, links) that a map file comes to. Raises LabelError.

    Tokens whose rows (columns) are equal are one region; regions that feed only each other
    share an id, by area from 1; links hold the others. Which of several unfed regions a
    token belongs to is not in such a file: they become one. grids: (height, width), square
    where not given.
    """
    x = _squeezed(_loaded(path), 2)
    if x.ndim != 2:
        raise LabelError(f"{path.name} should be (content tokens, style tokens), not {tuple(x.shape)}")
    allowed = (x >= 0.5).numpy()
    sides = [_grid(n, grid, path) for n, grid in zip(allowed.shape, (content_grid, style_grid), strict=True)]
    rows, row_of = _groups(allowed)
    columns, column_of = _groups(allowed.T)
    if max(len(rows), len(columns)) > MAX_REGIONS:
        raise LabelError(f"{path.name} does not part its tokens into regions: {len(rows)} kinds of rows")
    feeds = allowed[np.ix_(rows, columns)]
    ids, links = _numbered(feeds, row_of)
    content, style = (np.array(k)[of].reshape(grid) for k, of, grid in zip(ids, (row_of, column_of), sides, strict=True))
    return LabelMap.from_ids(content), LabelMap.from_ids(style), links


def _groups(rows: NDArray[np.bool_]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """(index of the first row of each kind, kind of every row)."""
    packed = np.ascontiguousarray(np.packbits(rows, axis=1))
    _, first, of = np.unique(packed.view(np.dtype((np.void, packed.shape[1]))).ravel(), return_index=True, return_inverse=True)
    return first, of.reshape(-1)


def _numbered(feeds: NDArray[np.bool_], row_of: NDArray[np.intp]) -> tuple[tuple[list[int], list[int]], dict[int, tuple[int, ...]]]:
    """Ids of content kinds and style kinds, and links where a content kind is not fed by its own id alone."""
    content, style = [0] * feeds.shape[0], [0] * feeds.shape[1]
    order = np.argsort(-np.bincount(row_of, minlength=feeds.shape[0]), kind="stable").tolist()
    free = 1
    for k in order:
        content[k] = free
        fed_by = np.flatnonzero(feeds[k]).tolist()
        if len(fed_by) == 1 and int(feeds[:, fed_by[0]].sum()) == 1:
            style[fed_by[0]] = free
        free += 1
    for j in range(feeds.shape[1]):
        if not style[j]:
            style[j], free = free, free + 1
    links = {}
    for k in order:
        sources = tuple(style[j] for j in np.flatnonzero(feeds[k]).tolist())
        if sources not in ((content[k],), ()):
            links[content[k]] = sources
    return (content, style), links


def _grid(tokens: int, given: tuple[int, int] | None, path: Path) -> tuple[int, int]:
    side = math.isqrt(tokens)
    grid = given or (side, side)
    if grid[0] * grid[1] != tokens or not tokens:
        raise LabelError(f"{path.name} has {tokens} tokens on a side: no grid of {grid[0]} × {grid[1]}")
    return grid


# -- both files of a pair -------------------------------------------------------------


def write_precomputed(folder: Path, pair: PairFiles, *, sizes: Iterable[int] = MASK_SIZES, rule: str = "reference") -> list[Path]:
    """Masks of both pictures and maps of both directions of a pair, into `<folder>/<id>/`. Returns the files.

    rule: "reference" takes labels as the reference does (bilinear, nearest colour);
    "area": as this library does. Raises LabelError, ImageError.
    """
    if pair.problem:
        raise LabelError(f"pair {pair.id}: {pair.problem}")
    maps = pair.maps()
    ids = sorted({*maps[0].region_ids, *maps[1].region_ids})
    names = (pair.first.stem, pair.second.stem)
    written = []
    for size in sizes:
        grids = _grids(pair, maps, ids, size, rule)
        for name, grid in zip(names, grids, strict=True):
            written.append(folder / pair.id / f"{name}_masks_{size}.pt")
            write_masks(written[-1], grid, ids)
        if size not in MAP_SIZES:
            continue
        for a, b in ((0, 1), (1, 0)):
            written.append(folder / pair.id / f"{names[a]}_{names[b]}_map_{size}.pt")
            write_map(written[-1], grids[a], grids[b])
    return written


def _grids(pair: PairFiles, maps: tuple[LabelMap, LabelMap], ids: Sequence[int], size: int, rule: str) -> list[Ids]:
    if rule == "area":
        return [m.to_grid(size, size) for m in maps]
    pictures = [open_image(path) for path in (pair.first_map, pair.second_map)]
    if 512 % size or any(p.mode in ("L", "1") or p.mode.startswith("I") for p in pictures):
        raise LabelError("the reference's rule is for colour maps, at 32, 64 or 128 tokens a side", hint="Use the rule `area`.")
    regions = {r.id: r for m in reversed(maps) for r in m.regions}
    palette = np.array([regions[k].rgb for k in ids])
    table = np.array(ids, dtype=np.uint8)
    return [table[reference_labels(picture, palette, size)] for picture in pictures]


def precomputed_files(folder: Path, content: str, style: str, size: int = 64) -> list[Path]:
    """The files that `read_precomputed` would read: both masks, else the map, else none."""
    masks = [folder / f"{name}_masks_{size}.pt" for name in (content, style)]
    one = folder / f"{content}_{style}_map_{size}.pt"
    return masks if all(path.is_file() for path in masks) else [one] if one.is_file() else []


def read_precomputed(folder: Path, content: str, style: str, size: int = 64) -> tuple[LabelMap, LabelMap, dict[int, tuple[int, ...]]]:
    """(content map, style map, links) of `<folder>/<content>_masks_<size>.pt` and its like; without masks, of the map file.

    Raises LabelError, naming the files that are not there.
    """
    files = precomputed_files(folder, content, style, size)
    if len(files) == 2:
        first, second = (read_masks(path) for path in files)
        return first, second, {}
    if files:
        return read_map(files[0])
    names = f"neither {content}_masks_{size}.pt and {style}_masks_{size}.pt nor {content}_{style}_map_{size}.pt"
    raise LabelError(f"{folder} has {names}", hint="Check the folder and the size.")


def precomputed_names(folder: Path) -> Iterator[tuple[str, str, int]]:
    """(content, style, largest size) of every pair of masks in a folder, `<id>` before `<id>_paint`."""
    sizes: dict[str, int] = {}
    for path in sorted(folder.glob("*_masks_*.pt")):
        found = re.fullmatch(r"(.+)_masks_(\d+)", path.stem)
        if found:
            sizes[found[1]] = max(int(found[2]), sizes.get(found[1], 0))
    names = sorted(sizes, key=lambda n: (n.endswith("_paint"), n))
    if len(names) == 2:
        yield names[0], names[1], min(sizes.values())


# -- tensors --------------------------------------------------------------------------


def _saved(x: Tensor) -> bytes:
    out = io.BytesIO()
    torch.save(x.contiguous(), out)
    return out.getvalue()


def _loaded(path: Path) -> Tensor:
    """The tensor of a file, on the CPU. Raises LabelError."""
    try:
        x = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise LabelError(f"{path.name} cannot be opened ({error.strerror})") from error
    except pickle.UnpicklingError as error:
        raise LabelError(f"{path.name} holds more than a tensor and was not loaded") from error
    except Exception as error:  # a damaged pickle can fail in any way
        raise LabelError(f"{path.name} is damaged or not a tensor file") from error
    if not isinstance(x, Tensor) or x.is_complex() or x.layout is not torch.strided:
        raise LabelError(f"{path.name} does not hold one plain tensor")
    x = x.to(torch.float32) if x.is_floating_point() else x
    if x.is_floating_point() and not torch.isfinite(x).all():
        raise LabelError(f"{path.name} holds values that are not numbers")
    return x


def _squeezed(x: Tensor, dimensions: int) -> Tensor:
    """Without leading axes of length 1 beyond so many dimensions."""
    while x.ndim > dimensions and x.shape[0] == 1:
        x = x[0]
    return x
