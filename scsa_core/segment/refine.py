"""From a coarse grid of scores to labels at pixel accuracy, along the picture's own edges."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

Array = NDArray[np.float32]

WORKING_SIDE = 512  # scores are filtered at most at this size; the radius refers to it
RADIUS = 48
EPSILON = 1e-2


def to_pixels(scores: Array, picture: Image.Image) -> NDArray[np.uint8]:
    """(h, w, K) scores of a grid over the whole picture -> (H, W) indices 0..K-1 at the picture's size.

    Cubic interpolation, then a guided filter (He et al. 2013) of every score with the
    picture as guide, then the best score.
    """
    scale = min(1.0, WORKING_SIDE / max(picture.size))
    size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    guide: Array = np.asarray(picture.convert("RGB").resize(size, Image.Resampling.BOX)).astype(np.float32) / np.float32(255)
    radius = max(1, round(RADIUS * max(size) / WORKING_SIDE))
    guided = GuidedFilter(guide, radius, EPSILON)
    best: Array = np.full(size[::-1], -np.inf, dtype=np.float32)
    out = np.zeros(size[::-1], dtype=np.uint8)
    for k in range(scores.shape[2]):
        score = guided(np.asarray(cv2.resize(np.ascontiguousarray(scores[:, :, k]), size, interpolation=cv2.INTER_CUBIC), dtype=np.float32))
        better = score > best
        out[better] = k
        best[better] = score[better]
    if size != picture.size:
        out = np.asarray(Image.fromarray(out).resize(picture.size, Image.Resampling.NEAREST))
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
        out: Array = (self._box(a) * self._guide).sum(-1) + self._box(b)
        return out

    def _box(self, x: Array) -> Array:
        out: Array = np.asarray(cv2.blur(x, self._window, borderType=cv2.BORDER_REFLECT), dtype=np.float32)
        return out
