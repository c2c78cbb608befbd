"""Label maps: a region id for every pixel, shared by content and style.

Colour-coded maps are read for both pictures together, so the same colour becomes the same
id in both. Labels are resized by area vote: a cell takes the region that covers most of
it; colours of two regions are never blended into a third.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from scsa_core.errors import LabelError
from scsa_core.images import open_image

Ids = NDArray[np.uint8]

PALETTE = (
    "#cccccc", "#ff66cc", "#99ff00", "#3300ff", "#990000", "#ffcc99",
    "#996666", "#ff3300", "#663399", "#cc33ff", "#990066", "#33ccff",
)  # fmt: skip
"""Colours of Rest and eleven regions, told apart in normal and colour-blind vision (least CIE76 distance 21)."""

MAX_REGIONS = 64
NAME_LENGTH = 40
SIZES_KEPT = 4
_COLOUR = re.compile(r"#[0-9a-f]{6}")


@dataclass(frozen=True)
class Region:
    """id 0..255; name of 1 to 40 characters; colour "#rrggbb" in lower case. Raises LabelError."""

    id: int
    name: str
    colour: str

    def __post_init__(self) -> None:
        if not 0 <= self.id <= 255:
            raise LabelError(f"region ids lie between 0 and 255, not {self.id}")
        if not 1 <= len(self.name) <= NAME_LENGTH:
            raise LabelError(f"a region's name has 1 to {NAME_LENGTH} characters")
        if not _COLOUR.fullmatch(self.colour):
            raise LabelError(f"a region's colour is written #rrggbb, not {self.colour!r}")

    @property
    def rgb(self) -> tuple[int, int, int]:
        r, g, b = (int(self.colour[k : k + 2], 16) for k in (1, 3, 5))
        return r, g, b


def default_region(region_id: int) -> Region:
    """"Rest" for 0, else "Region N"; palette colours repeat after the eleventh."""
    if region_id == 0:
        return Region(0, "Rest", PALETTE[0])
    return Region(region_id, f"Region {region_id}", PALETTE[1 + (region_id - 1) % (len(PALETTE) - 1)])


@dataclass(frozen=True, eq=False)
class LabelMap:
    """ids: (H, W) uint8, read-only. regions: names and colours; every id in use has one."""

    ids: Ids
    regions: tuple[Region, ...]

    @classmethod
    def from_ids(cls, ids: Any, regions: Iterable[Region] | None = None) -> LabelMap:
        """From any (H, W) integer array with values 0..255. Raises LabelError.

        regions: further names and colours; ids without one get the default.
        """
        array = np.asarray(ids)
        if array.ndim != 2 or not array.size:
            raise LabelError(f"a label map is a picture of (height, width) ids, not of shape {array.shape}")
        if array.dtype != np.uint8 and (array.dtype.kind not in "iub" or int(array.min()) < 0 or int(array.max()) > 255):
            raise LabelError("region ids are whole numbers from 0 to 255")
        own = np.ascontiguousarray(array, dtype=np.uint8)
        if own is array or own.base is not None:
            own = own.copy()
        own.setflags(write=False)
        known = {r.id: r for r in regions or ()}
        for region_id in np.flatnonzero(np.bincount(own.ravel(), minlength=256)).tolist():
            known.setdefault(region_id, default_region(region_id))
        return cls(own, tuple(known[k] for k in sorted(known)))

    @property
    def size(self) -> tuple[int, int]:
        """(width, height)."""
        return self.ids.shape[1], self.ids.shape[0]

    @cached_property
    def region_ids(self) -> tuple[int, ...]:
        """Ids that occur, ascending."""
        return tuple(np.flatnonzero(np.bincount(self.ids.ravel())).tolist())

    def region(self, region_id: int) -> Region:
        """Name and colour of an id, the default where none was given."""
        return next((r for r in self.regions if r.id == region_id), default_region(region_id))

    def colour_of(self, region_id: int) -> str:
        return self.region(region_id).colour

    def shares(self) -> dict[int, float]:
        """Id -> share of the picture, 0..1, for ids that occur."""
        counts = np.bincount(self.ids.ravel())
        return {k: float(counts[k]) / self.ids.size for k in self.region_ids}

    def digest(self) -> str:
        """Changes when an id or the colour of one in use does; names do not count."""
        return self._digest

    @cached_property
    def _digest(self) -> str:
        h = hashlib.blake2b(digest_size=16)
        h.update(repr((self.ids.shape, [(k, self.colour_of(k)) for k in self.region_ids])).encode())
        h.update(self.ids.tobytes())
        return h.hexdigest()

    def to_grid(self, height: int, width: int) -> Ids:
        """(height, width) ids: each cell takes the region covering most of it, ties to the lower id.

        Exact for any ratio, also where a cell covers parts of pixels.
        """
        ids = self.region_ids
        if len(ids) == 1:
            return np.full((height, width), ids[0], dtype=np.uint8)
        whole = self.ids.shape[0] % height == 0 and self.ids.shape[1] % width == 0  # cells of whole pixels: their mean, which is quicker
        if not whole:
            rows, columns = _coverage(self.ids.shape[0], height), _coverage(self.ids.shape[1], width)
        best = np.full((height, width), -1.0, dtype=np.float32)
        out = np.zeros((height, width), dtype=np.uint8)
        for region_id in ids:
            mask = (self.ids == region_id).astype(np.float32)
            share = cv2.resize(mask, (width, height), interpolation=cv2.INTER_AREA) if whole else _product(rows, mask, columns)
            more = share > best + 1e-5
            out[more] = region_id
            best[more] = share[more]
        return out

    def resized(self, size: tuple[int, int]) -> LabelMap:
        """The map at (width, height): area vote when shrinking, nearest pixel when growing."""
        width, height = size
        if size == self.size:
            return self
        found = self._resized.get(size)
        if found is None:
            if width >= self.size[0] and height >= self.size[1]:
                ids = self.ids[_nearest(self.size[1], height)][:, _nearest(self.size[0], width)]
            else:
                ids = self.to_grid(height, width)
            found = LabelMap.from_ids(ids, self.regions)
            if len(self._resized) >= SIZES_KEPT:
                self._resized.clear()
            self._resized[size] = found
        return found

    @cached_property
    def _resized(self) -> dict[tuple[int, int], LabelMap]:
        """By size: a render, its preview and what either is expected to take ask for the same few."""
        return {}

    def to_colour_image(self) -> Image.Image:
        """RGB picture in the regions' colours."""
        table = np.zeros((256, 3), dtype=np.uint8)
        for region_id in self.region_ids:
            table[region_id] = self.region(region_id).rgb
        return Image.fromarray(table[self.ids])

    def to_index_image(self) -> Image.Image:
        """8-bit greyscale picture whose values are the ids."""
        return Image.fromarray(self.ids)


@lru_cache(maxsize=64)
def _coverage(source: int, target: int) -> NDArray[np.float32]:
    """(target, source) shares: how much of cell t pixel s covers; each row sums to 1."""
    edges = np.linspace(0, source, target + 1)
    pixels = np.arange(source)
    overlap = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    shares: NDArray[np.float32] = (np.clip(overlap, 0, None) * (target / source)).astype(np.float32)
    return shares


def _product(rows: NDArray[np.float32], mask: NDArray[np.float32], columns: NDArray[np.float32]) -> NDArray[np.float32]:
    """rows @ mask @ columns.T by torch: NumPy's threads stay awake for a tenth of a second, in the way of the encoder's."""
    out: NDArray[np.float32] = torch.linalg.multi_dot([torch.from_numpy(x) for x in (rows, mask, columns.T)]).numpy()
    return out


def _nearest(source: int, target: int) -> NDArray[np.intp]:
    return np.minimum(((np.arange(target) + 0.5) * source / target).astype(np.intp), source - 1)


# -- colour-coded and integer pictures ------------------------------------------------

_NEAR = 40.0  # RGB distance within which a pixel counts as that colour
_MIN_SHARE = 0.001  # of either picture's pixels, counted inside regions, for a colour to be real


def maps_from_colours(content: Image.Image | None, style: Image.Image | None) -> tuple[LabelMap | None, LabelMap | None]:
    """Label maps of two colour-coded pictures with one palette: the same colour is the same id.

    Ids run from 1, by area over both pictures. Pixels of no real colour (antialiased
    borders, JPEG noise) go to the nearest region in the picture. Raises LabelError.
    """
    pictures = [None if m is None else m.convert("RGB") for m in (content, style)]
    palette = _palette([p for p in pictures if p is not None])
    regions = [Region(k, f"Region {k}", "#{:02x}{:02x}{:02x}".format(*c)) for k, c in enumerate(palette, 1)]
    maps = [None if p is None else LabelMap.from_ids(_assign(p, palette) + 1, regions) for p in pictures]
    return maps[0], maps[1]


def _palette(pictures: list[Image.Image]) -> list[tuple[int, int, int]]:
    """Real colours, most frequent first. A colour is real if it fills area, not only borders."""
    counts: dict[int, float] = {}
    for picture in pictures:
        packed, inside = _packed(picture), _inside(picture)
        values, n = _counted(packed[inside] if inside.any() else packed.ravel())
        for value, count in zip(values.tolist(), (n / packed.size).tolist(), strict=True):
            counts[value] = counts.get(value, 0.0) + count
    values = np.array(sorted(counts, key=lambda v: -counts[v]))
    weights = np.array([counts[v] for v in values.tolist()])
    colours = np.stack([values & 255, values >> 8 & 255, values >> 16], 1).astype(np.float64)
    palette: list[tuple[int, int, int]] = []
    left = np.ones(len(values), dtype=bool)
    while left.any() and weights[left].sum() >= _MIN_SHARE:
        k = int(np.argmax(np.where(left, weights, -1)))
        near = left & (((colours - colours[k]) ** 2).sum(1) <= _NEAR**2)
        if weights[near].sum() >= _MIN_SHARE:
            palette.append((int(colours[k, 0]), int(colours[k, 1]), int(colours[k, 2])))
        left &= ~near
        if len(palette) > MAX_REGIONS:
            raise LabelError(
                f"this map has more than {MAX_REGIONS} colours; it looks like a photograph",
                hint="Use a map in a few flat colours, or paint one.",
            )
    return palette or [(128, 128, 128)]


def _counted(values: NDArray[np.int32]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Distinct values and how often each is there. Equal neighbours count as runs: there is little left to sort."""
    starts = np.flatnonzero(np.r_[True, values[1:] != values[:-1]])
    lengths = np.diff(np.r_[starts, len(values)])
    distinct, which = np.unique(values[starts], return_inverse=True)
    return distinct, np.bincount(which, weights=lengths, minlength=len(distinct)).astype(np.int64)


def _inside(picture: Image.Image) -> NDArray[np.bool_]:
    """Pixels whose 3x3 neighbourhood has nearly one colour: blends at borders never do."""
    spread = cv2.morphologyEx(np.asarray(picture), cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
    return np.asarray(np.maximum(np.maximum(spread[..., 0], spread[..., 1]), spread[..., 2]) <= 24)


def _assign(picture: Image.Image, palette: list[tuple[int, int, int]]) -> Ids:
    """Index of the palette colour of every pixel; pixels near none take the nearest sure pixel's."""
    packed = _packed(picture)
    out: Ids = np.zeros(packed.shape, dtype=np.uint8)
    exact = np.zeros(packed.shape, dtype=bool)  # most of a map's pixels: no distance to work out
    for k, (r, g, b) in enumerate(palette):
        own = packed == (r | g << 8 | b << 16)
        out += own.view(np.uint8) * np.uint8(k)
        exact |= own
    at = np.flatnonzero(~exact)
    if not len(at):
        return out
    others = np.asarray(picture).reshape(-1, 3)[at].astype(np.float32)
    distance = np.stack([((others - np.array(c, dtype=np.float32)) ** 2).sum(1) for c in palette])
    out.ravel()[at] = distance.argmin(0)
    sure = exact
    sure.ravel()[at] = distance.min(0) <= _NEAR**2
    if sure.all() or not sure.any():
        return out
    unsure = np.flatnonzero(~sure)
    _, nearest = cv2.distanceTransformWithLabels((~sure).view(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    places = np.flatnonzero(sure)  # of the sure pixels, which the transform numbers from 1 in this order
    out.ravel()[unsure] = out.ravel()[places[nearest.ravel()[unsure] - 1]]
    return out


def _packed(picture: Image.Image) -> NDArray[np.int32]:
    """(H, W): a colour as one number, red lowest."""
    wide: NDArray[np.int32] = np.asarray(picture.convert("RGBX")).view("<i4")[..., 0] & 0xFFFFFF
    return wide


def read_maps(content: Any, style: Any) -> tuple[LabelMap | None, LabelMap | None]:
    """Label maps from files, bytes or PIL pictures, either of which may be None.

    A greyscale picture of at most 64 values holds ids (the value is the id); anything else
    is colour-coded, read with one palette for both. Raises LabelError, ImageError.
    """
    pictures = [None if s is None else as_map(s) for s in (content, style)]
    given = [p for p in pictures if p is not None]
    kinds = {p.mode == "L" for p in given}
    if not given:
        return None, None
    if kinds == {True}:
        maps = [None if p is None else LabelMap.from_ids(np.asarray(p)) for p in pictures]
        return maps[0], maps[1]
    if len(kinds) == 2:
        raise LabelError("one map is in colours and the other in ids", hint="Give both maps in the same form.")
    return maps_from_colours(pictures[0], pictures[1])


def as_map(source: Any) -> Image.Image:
    """A map, from a file, bytes or a PIL picture, as mode "L" (ids) or "RGB" (colours; alpha is dropped, as the reference does).

    Raises LabelError, ImageError.
    """
    im = source if isinstance(source, Image.Image) else open_image(source)
    if im.mode.startswith("I"):
        values = np.asarray(im)
        if values.max() > 255 or values.min() < 0:
            raise LabelError("region ids are whole numbers from 0 to 255")
        return Image.fromarray(values.astype(np.uint8))
    if im.mode in ("L", "1"):
        grey = im.convert("L") if im.mode == "L" else Image.fromarray(np.asarray(im).astype(np.uint8))
        return grey if len(np.unique(np.asarray(grey))) <= MAX_REGIONS else grey.convert("RGB")
    return im.convert("RGB")


def reference_labels(picture: Image.Image, palette: Any, size: int) -> Ids:
    """Labels by the reference implementation's rule: (size, size) indices into the palette.

    picture: a colour map, resized to 512x512; palette: (n, 3) RGB. Bilinear without
    antialiasing, rounded half up, then the colour of least squared distance, ties to the
    first. That is what happens there, though it means to use nearest neighbour.
    """
    array = np.asarray(picture.convert("RGB"))
    if array.shape[:2] != (512, 512):
        array = cv2.resize(array, (512, 512), interpolation=cv2.INTER_LINEAR)
    step = 512 // size
    if step > 1:
        first = step // 2 - 1
        wide = array.astype(np.int32)
        corners = [wide[first + dy :: step, first + dx :: step] for dy in (0, 1) for dx in (0, 1)]
        array = (corners[0] + corners[1] + corners[2] + corners[3] + 2) // 4
    colours = np.asarray(palette, dtype=np.int64)
    distance = ((array[:, :, None].astype(np.int64) - colours) ** 2).sum(-1)
    labels: Ids = distance.argmin(-1).astype(np.uint8)
    return labels
