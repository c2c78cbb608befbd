"""Which region of the style is the same thing as a region of the content.

Regions are described by what they look like (VGG layers, colour), where they lie, which edges of
the picture they touch, how large they are and what surrounds them. One global assignment pairs them; what is left over joins
its nearest partner, so that several regions of either side may share one of the other.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import scipy
from numpy.typing import NDArray
from PIL import Image

from scsa_core.labels import LabelMap
from scsa_core.pairing import Pairing
from scsa_core.segment import features
from scsa_core.segment.features import GRID, PictureFeatures

Floats = NDArray[np.float64]

_DEEP = {"relu4_1": 1.0, "relu5_1": 1.0}
_COLOUR, _PLACE, _SIZE, _AROUND, _FRAME = 0.1, 0.7, 0.1, 0.3, 0.25
FAR = 2.2
"""Distance beyond which two regions are not called the same; the typical one of all pairs of regions is 1."""


@dataclass(frozen=True, eq=False)
class RegionMatch:
    """pairing: the links. nearest: for every unmatched content id, the style id to try first.

    distance: (content regions, style regions) in ascending order of ids, relative to the typical one.
    """

    pairing: Pairing
    nearest: dict[int, int]
    distance: Floats


def match_regions(content: Image.Image, style: Image.Image, content_map: LabelMap, style_map: LabelMap) -> Pairing:
    """Links of every content region, best first; () where the style has nothing like it. Ids need not agree."""
    return compare_regions(features.describe(content), features.describe(style), content_map, style_map).pairing


def compare_regions(content: PictureFeatures, style: PictureFeatures, content_map: LabelMap, style_map: LabelMap) -> RegionMatch:
    """The match from features that are already there."""
    rows, columns = content_map.region_ids, style_map.region_ids
    distance = _distances(content, style, content_map, style_map)
    links: dict[int, list[int]] = {k: [] for k in rows}
    first, second = scipy.optimize.linear_sum_assignment(distance)
    for r, c in zip(first.tolist(), second.tolist(), strict=True):
        if distance[r, c] <= FAR:
            links[rows[r]].append(columns[c])
    used = {s for v in links.values() for s in v}
    for r, k in enumerate(rows):
        c = int(distance[r].argmin())
        if not links[k] and distance[r, c] <= FAR / 2:
            links[k].append(columns[c])
    for c, s in enumerate(columns):
        r = int(distance[:, c].argmin())
        if s not in used and distance[r, c] <= FAR / 2:
            links[rows[r]].append(s)
    nearest = {k: columns[int(distance[r].argmin())] for r, k in enumerate(rows) if not links[k]}
    return RegionMatch(Pairing({k: tuple(v) for k, v in links.items()}), nearest, distance)


def _distances(content: PictureFeatures, style: PictureFeatures, content_map: LabelMap, style_map: LabelMap) -> Floats:
    """(content regions, style regions); 1 is the typical distance of this pair of pictures."""
    cover = coverage(content_map), coverage(style_map)
    pair = content, style
    total = np.zeros((len(cover[0]), len(cover[1])))
    for layer, weight in _DEEP.items():
        a, b = (_means(features.centred(p.layers[layer]), c) for p, c in zip(pair, cover, strict=True))
        look = _between(a, b)
        total += weight * _scaled(look)
        around = [_surroundings(m, c) for m, c in zip((a, b), cover, strict=True)]
        total += _AROUND * weight * _scaled(_between(*around))
    colours = [(p.colour - p.colour.mean(0)) / (p.colour.std(0) + 1e-3) for p in pair]
    total += _COLOUR * _scaled(_between(*(_means(x, c) for x, c in zip(colours, cover, strict=True))))
    place = features.positions() * (1.0, 0.5)
    total += _PLACE * _scaled(_between(*(_means(place, c) for c in cover)))
    total += _FRAME * _scaled(_between(*(_frame(c) for c in cover)))
    sizes = [np.sqrt(c.mean(1))[:, None] for c in cover]
    total += _SIZE * _scaled(_between(*sizes))
    return total / (sum(_DEEP.values()) * (1 + _AROUND) + _COLOUR + _PLACE + _SIZE + _FRAME)


def coverage(label_map: LabelMap) -> Floats:
    """(R, T): the share of every token that each region covers, regions in ascending order of ids."""
    shape = (GRID, GRID)
    out = [cv2.resize((label_map.ids == k).astype(np.float32), shape, interpolation=cv2.INTER_AREA) for k in label_map.region_ids]
    return np.stack(out).reshape(len(out), -1).astype(np.float64) + 1e-9


def _means(values: Floats, cover: Floats) -> Floats:
    out: Floats = cover @ values / cover.sum(1, keepdims=True)
    return out


def _surroundings(means: Floats, cover: Floats) -> Floats:
    """What each region borders on: the mean of the other regions' descriptors by how much they meet it, and their own sizes."""
    grids = cover.reshape(-1, GRID, GRID).astype(np.float32)
    wide = np.stack([cv2.dilate(g, np.ones((3, 3), np.uint8)) for g in grids]).reshape(cover.shape)
    meets = np.minimum(wide[:, None], wide[None]).sum(-1)
    np.fill_diagonal(meets, 0)
    out: Floats = meets @ means / np.maximum(meets.sum(1, keepdims=True), 1e-9)
    return out


def _frame(cover: Floats) -> Floats:
    """(R, 4) share of the picture's top, bottom, left and right edge that each region holds: skies, floors, figures in the middle."""
    grids = cover.reshape(-1, GRID, GRID)
    return np.stack([grids[:, 0].mean(1), grids[:, -1].mean(1), grids[:, :, 0].mean(1), grids[:, :, -1].mean(1)], 1)


def _between(a: Floats, b: Floats) -> Floats:
    out: Floats = np.sqrt(((a[:, None] - b[None]) ** 2).sum(-1))
    return out


def _scaled(distance: Floats) -> Floats:
    """Relative to the mean, so that the parts of a sum count alike in every pair of pictures."""
    mean = float(distance.mean())
    return distance / mean if mean > 1e-9 else distance
