"""From a coarse grid of scores to labels at pixel accuracy, along the picture's own edges."""

from __future__ import annotations

import cv2
import numpy as np
import scipy
from numpy.typing import NDArray
from PIL import Image

Array = NDArray[np.float32]

WORKING_SIDE = 512  # labels are decided at most at this size
FILTER_SIDE = 256  # the filter's coefficients are found at most at this size; the radius refers to it
RADIUS = 24
EPSILON = 1e-2
FINE_RADIUS, FINE_EPSILON = 4, 1e-3  # after colours have decided: no more than ragged borders is left to mend

BINS = 12  # a side of the colour histograms; 8 and 20 come out the same
COLOUR_ROUNDS = 2
SIZE_POWER = 0.25
LEAST_SPAN = 8.0  # of L, a or b: in a picture without contrast a histogram would tell noise apart
LEAST_SHARE, LEAST_COLOUR = 1e-3, 0.02  # nothing is ruled out by votes or by colours alone


def to_pixels(scores: Array, picture: Image.Image, *, by_colour: bool = False) -> NDArray[np.uint8]:
    """(h, w, K) scores of a grid over the whole picture -> (H, W) indices 0..K-1 at the picture's size.

    Cubic interpolation, then a guided filter (He et al. 2013) of every score with the
    picture as guide, then the best score. The filter's coefficients are smooth, so they are
    found small and applied to the larger guide (fast guided filter, He & Sun 2015).
    by_colour: scores are shares of a vote, and the colours that each region has decide with them
    (`with_colours`).
    """
    guide, small = _within(picture, WORKING_SIDE), _within(picture, FILTER_SIDE)
    height, width = guide.shape[:2]
    wide = _filter(small, RADIUS, EPSILON)
    coarse = (np.asarray(_resized(np.ascontiguousarray(scores[:, :, k]), small, cv2.INTER_CUBIC)) for k in range(scores.shape[2]))
    if by_colour:
        shares = with_colours(np.stack([wide(c) for c in coarse], -1), small)
        fine = _filter(small, FINE_RADIUS, FINE_EPSILON)
        planes = (fine.coefficients(np.ascontiguousarray(shares[..., k])) for k in range(shares.shape[2]))
    else:
        planes = (wide.coefficients(c) for c in coarse)
    best: Array = np.full((height, width), -np.inf, dtype=np.float32)
    out = np.zeros((height, width), dtype=np.uint8)
    for k, (slope, offset) in enumerate(planes):
        score = (_resized(slope, guide) * guide).sum(-1) + _resized(offset, guide)
        better = score > best
        out[better] = k
        best[better] = score[better]
    if (width, height) != picture.size:
        out = np.asarray(Image.fromarray(out).resize(picture.size, Image.Resampling.NEAREST))
    return out


def with_colours(scores: Array, picture: Array) -> Array:
    """(H, W, K) shares of a vote and the (H, W, 3) picture in 0..1 -> (H, W, K) shares that know the regions' colours.

    A region's colours are a smoothed histogram, every pixel counted by its share; a pixel's
    share is its vote times how much more that region has of its colour than the others. Found anew
    from the outcome, as GrabCut does (Rother et al. 2004). A region's size counts little, so
    small things keep their colours; if it did not count at all, a few stray votes could claim a far corner.
    """
    votes = np.maximum(scores.reshape(-1, scores.shape[2]), LEAST_SHARE)
    votes = votes / votes.sum(1, keepdims=True)
    cell = _colour_cells(picture)
    shares = votes
    for _ in range(COLOUR_ROUNDS):
        table = np.stack([_histogram(cell, s) * float(s.mean()) ** SIZE_POWER for s in shares.T], -1)
        table = table / np.maximum(table.sum(1, keepdims=True), 1e-12) + LEAST_COLOUR
        shares = votes * table[cell].astype(np.float32)
        shares = shares / shares.sum(1, keepdims=True)
    out: Array = shares.reshape(scores.shape)
    return out


def _colour_cells(picture: Array) -> NDArray[np.int64]:
    """(H, W, 3) in 0..1 -> (H·W,) cell of every pixel in a cube of BINS a side over the picture's own range in Lab."""
    lab = cv2.cvtColor(picture, cv2.COLOR_RGB2LAB).reshape(-1, 3)
    low = lab.min(0)
    span = np.maximum(lab.max(0) - low, LEAST_SPAN)
    axes = ((lab - low) / span * BINS).astype(np.int64).clip(0, BINS - 1)
    out: NDArray[np.int64] = np.ravel_multi_index(tuple(axes.T), (BINS,) * 3).astype(np.int64)
    return out


def _histogram(cell: NDArray[np.int64], weights: Array) -> NDArray[np.float64]:
    """(BINS³,) smoothed, its sum 1."""
    counts = np.bincount(cell, weights, BINS**3).reshape((BINS,) * 3)
    out: NDArray[np.float64] = scipy.ndimage.gaussian_filter(counts, 1.0).ravel() / max(float(counts.sum()), 1e-12)
    return out


def _filter(small: Array, radius: int, epsilon: float) -> GuidedFilter:
    """radius: at FILTER_SIDE."""
    return GuidedFilter(small, max(1, round(radius * max(small.shape[:2]) / FILTER_SIDE)), epsilon)


def _within(picture: Image.Image, side: int) -> Array:
    """(h, w, 3) in 0..1, neither side longer than `side`."""
    scale = min(1.0, side / max(picture.size))
    size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    out: Array = np.asarray(picture.convert("RGB").resize(size, Image.Resampling.BOX)).astype(np.float32) / np.float32(255)
    return out


def _resized(values: Array, like: Array, interpolation: int = cv2.INTER_LINEAR) -> Array:
    size = like.shape[1], like.shape[0]
    out: Array = np.asarray(cv2.resize(values, size, interpolation=interpolation), dtype=np.float32)
    return out


class GuidedFilter:
    """Filters single-channel maps so that their steps follow a colour guide's edges.

    guide: (H, W, 3) in 0..1. radius: of the square window, in pixels. epsilon: contrast
    squared below which the guide counts as flat.
    """

    def __init__(self, guide: Array, radius: int, epsilon: float) -> None:
        self._guide, self._window = guide, (2 * radius + 1, 2 * radius + 1)
        self._mean = self._box(guide)
        products = [guide[..., i] * guide[..., j] for i, j in ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))]
        m = self._mean
        rr, rg, rb, gg, gb, bb = (
            self._box(p) - m[..., i] * m[..., j]
            for p, (i, j) in zip(products, ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)), strict=True)
        )
        rr, gg, bb = rr + epsilon, gg + epsilon, bb + epsilon
        # Inverse of the symmetric 3x3 covariance by cofactors: far quicker than a solver for every pixel.
        c00, c01, c02 = gg * bb - gb * gb, gb * rb - rg * bb, rg * gb - gg * rb
        c11, c12, c22 = rr * bb - rb * rb, rg * rb - rr * gb, rr * gg - rg * rg
        determinant = rr * c00 + rg * c01 + rb * c02
        self._inverse = [c / determinant for c in (c00, c01, c02, c11, c12, c22)]

    def __call__(self, values: Array) -> Array:
        """(H, W) -> (H, W)."""
        slope, offset = self.coefficients(values)
        out: Array = (slope * self._guide).sum(-1) + offset
        return out

    def coefficients(self, values: Array) -> tuple[Array, Array]:
        """(H, W) -> slope (H, W, 3) and offset (H, W): the result is slope · guide + offset at every pixel."""
        mean = self._box(values)
        i00, i01, i02, i11, i12, i22 = self._inverse
        v = self._box(self._guide * values[..., None]) - self._mean * mean[..., None]
        a = np.stack(
            [
                i00 * v[..., 0] + i01 * v[..., 1] + i02 * v[..., 2],
                i01 * v[..., 0] + i11 * v[..., 1] + i12 * v[..., 2],
                i02 * v[..., 0] + i12 * v[..., 1] + i22 * v[..., 2],
            ],
            -1,
        )
        b = mean - (a * self._mean).sum(-1)
        return self._box(a), self._box(b)

    def _box(self, x: Array) -> Array:
        out: Array = np.asarray(cv2.blur(x, self._window, borderType=cv2.BORDER_REFLECT), dtype=np.float32)
        return out
