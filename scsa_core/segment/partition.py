"""Masks that overlap and leave gaps -> one label for every pixel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.int64]
Masks = NDArray[np.bool_]

SLIVER = 0.004
"""Connected parts under this share of the picture join a neighbour."""
_SIZE_BONUS = 0.1


@dataclass(frozen=True, eq=False)
class ScoredMask:
    """mask: (H, W) bool. quality: its predicted IoU, 0..1."""

    mask: Masks
    quality: float


def partition(masks: Sequence[ScoredMask], picture: NDArray[np.uint8], regions: int | None = None) -> Labels:
    """(H, W) labels 0.. by size from masks of an (H, W, 3) picture; at most `regions` of them.

    A contested pixel goes to the better and the smaller mask (a part lies on its whole).
    Uncovered areas become regions of their own; slivers of any kind join the neighbour
    across the weakest edge.
    """
    height, width = picture.shape[:2]
    labels = np.zeros((height, width), dtype=np.int64)
    by_priority = sorted(masks, key=lambda m: m.quality + _SIZE_BONUS * (1 - float(m.mask.mean()) ** 0.5))
    for k, scored in enumerate(by_priority, 1):
        labels[scored.mask] = k
    labels = _connected(labels)
    labels = absorb(labels, picture, least=max(1, round(SLIVER * labels.size)))
    if regions is not None:
        labels = absorb(labels, picture, most=regions)
    return by_size(labels)


def _connected(labels: Labels) -> Labels:
    """A new label for every connected part (4 neighbours)."""
    out = np.zeros_like(labels)
    count = 0
    for k in np.unique(labels):
        n, parts = cv2.connectedComponents((labels == k).astype(np.uint8), connectivity=4)
        inside = parts > 0
        out[inside] = parts[inside] + count - 1
        count += n - 1
    return out


def absorb(labels: Labels, picture: NDArray[np.uint8], *, least: int = 0, most: int | None = None) -> Labels:
    """Merge the smallest region across its weakest edge until each has `least` pixels and there are at most `most`."""
    _, dense = np.unique(labels, return_inverse=True)
    dense = dense.reshape(labels.shape)
    areas = dict(enumerate(np.bincount(dense.ravel()).tolist()))
    edges = _edges(dense, picture)
    owner = np.arange(len(areas))
    while len(areas) > 1:
        small = min(areas, key=lambda k: (areas[k], k))
        if areas[small] >= least and (most is None or len(areas) <= most):
            break
        into = min(edges[small], key=lambda k: (edges[small][k][0] / edges[small][k][1], k))
        owner[owner == small] = into
        areas[into] += areas.pop(small)
        for other, (strength, length) in edges.pop(small).items():
            del edges[other][small]
            if other != into:
                known = edges[into].get(other, (0.0, 0))
                edges[into][other] = edges[other][into] = (known[0] + strength, known[1] + length)
    out: Labels = owner[dense]
    return out


def _edges(labels: Labels, picture: NDArray[np.uint8]) -> dict[int, dict[int, tuple[float, int]]]:
    """label -> neighbour -> (sum of colour steps across their border, its length in pixels)."""
    colours = picture.astype(np.float64)
    count = int(labels.max()) + 1
    codes, steps = [], []
    for a, b, x, y in (
        (labels[:, :-1], labels[:, 1:], colours[:, :-1], colours[:, 1:]),
        (labels[:-1], labels[1:], colours[:-1], colours[1:]),
    ):
        at = a != b
        low, high = np.minimum(a[at], b[at]), np.maximum(a[at], b[at])
        codes.append(low * count + high)
        steps.append(np.abs(x[at] - y[at]).sum(1))
    border, index = np.unique(np.concatenate(codes), return_inverse=True)
    strength = np.bincount(index, np.concatenate(steps), minlength=len(border))
    length = np.bincount(index, minlength=len(border))
    out: dict[int, dict[int, tuple[float, int]]] = {k: {} for k in range(count)}
    for code, s, n in zip(border.tolist(), strength.tolist(), length.tolist(), strict=True):
        a, b = divmod(code, count)
        out[a][b] = out[b][a] = (s, n)
    return out


def by_size(labels: Labels) -> Labels:
    """The same regions numbered 0.. from the largest."""
    _, dense, counts = np.unique(labels, return_inverse=True, return_counts=True)
    rank = np.empty(len(counts), dtype=np.int64)
    rank[np.argsort(-counts, kind="stable")] = np.arange(len(counts))
    out: Labels = rank[dense].reshape(labels.shape)
    return out
