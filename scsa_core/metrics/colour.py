"""RGB-uv histogram distance: whether the palette is the style's.

The picture at 256 px; for each channel as reference u, v are the log ratios to the other
two, 64 bins each on -3..3, weight sqrt(R^2 + G^2 + B^2), inverse-quadratic kernel
1 / (1 + (delta / 0.02)^2). The three histograms together sum to 1; the distance is
|sqrt(H_x) - sqrt(H_s)|_2 / sqrt(2), between 0 and 1. Afifi et al. 2021 (HistoGAN), as StyleID uses it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from scsa_core.attention import Links
from scsa_core.metrics.regions import MIN_SHARE, cell_weights

SIDE = 256
BINS = 64
SIGMA = 0.02
EPS = 1e-6
PIXELS = 16384  # at a time


def histogram(picture: Tensor, weights: Tensor | None = None) -> Tensor:
    """(1, 3, H, W) in 0..1 at any size, weights (N,) of its pixels -> (3, BINS, BINS) that sums to 1."""
    rgb = picture[0].flatten(1).clamp(0, 1)  # (3, N)
    strength = rgb.square().sum(0).sqrt() * (1.0 if weights is None else weights)
    if weights is not None:
        rgb, strength = rgb[:, weights > 0], strength[weights > 0]
    logs = (rgb + EPS).log()
    centres = torch.linspace(-3, 3, BINS, device=picture.device)
    out = picture.new_zeros(3, BINS, BINS)
    for k in range(3):
        others = [c for c in range(3) if c != k]
        for start in range(0, rgb.shape[1], PIXELS):
            part = logs[:, start : start + PIXELS]
            u, v = (1 / (1 + ((part[k] - part[c])[:, None] - centres).div(SIGMA).square()) for c in others)  # (n, BINS)
            out[k] += (u * strength[start : start + PIXELS, None]).T @ v
    return out / out.sum().clamp_min(1e-12)


def small(picture: Tensor) -> Tensor:
    """Long side at most SIDE pixels, averaged by area."""
    scale = SIDE / max(picture.shape[-2:])
    if scale >= 1:
        return picture
    return F.interpolate(picture, [max(1, round(n * scale)) for n in picture.shape[-2:]], mode="area")


def histogram_distance(a: Tensor, b: Tensor) -> float:
    """Hellinger distance of two histograms, 0..1."""
    return float((a.sqrt() - b.sqrt()).norm() / 2**0.5)


def colour_distance(result: Tensor, style: Tensor) -> float:
    """Of whole pictures (1, 3, H, W)."""
    return histogram_distance(histogram(small(result)), histogram(small(style)))


def region_colour_distance(
    result: Tensor, style: Tensor, content_ids: np.ndarray, style_ids: np.ndarray, links: Links | None = None
) -> float:
    """Mean over regions by content area; regions count as in `regions`. NaN where none counts."""
    x, s = small(result), small(style)
    total, areas = 0.0, 0.0
    for region in np.unique(content_ids).tolist():
        sources: Sequence[int] = tuple((links or {}).get(region, (region,)))
        area = float((content_ids == region).mean())
        if area < MIN_SHARE or float(np.isin(style_ids, sources).mean()) < MIN_SHARE:
            continue
        sides = (content_ids, (region,), x), (style_ids, tuple(sources), s)
        masks = [cell_weights(ids, r, y.shape[-2], y.shape[-1], y.device) for ids, r, y in sides]
        if not all((m > 0).any() for m in masks):
            continue
        total += area * histogram_distance(histogram(x, masks[0]), histogram(s, masks[1]))
        areas += area
    return total / areas if areas else float("nan")
