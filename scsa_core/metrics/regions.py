"""Style distances per region: SSL, Gram and sliced Wasserstein.

w_r(i) is the share of token i's cell that region r covers, 0 where the share is at most a
half. A region counts if it covers at least 1 % of both pictures; regions are averaged by
content area, layers plainly, leaving out layers where a region has no token.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from scsa_core.attention import Links
from scsa_core.metrics.network import LAYERS

MIN_SHARE = 0.01
EPS = 1e-5
DIRECTIONS = 64
MAX_TOKENS = 16384
LEVELS = (torch.arange(256, dtype=torch.float32) + 0.5) / 256


@dataclass(frozen=True)
class RegionScores:
    """Means over regions and layers. `layers`: SSL by layer; `regions`: SSL by content region id."""

    ssl: float
    gram: float
    swd: float
    layers: dict[str, float]
    regions: dict[int, float]


@dataclass(frozen=True)
class _Style:
    """What one region of a style picture has at one layer."""

    mean: Tensor
    deviation: Tensor
    gram: Tensor
    quantiles: Tensor


def cell_weights(ids: np.ndarray, regions: tuple[int, ...], height: int, width: int) -> Tensor:
    """w_r on a grid: (H, W) ids -> (h*w,) float, for the union of the regions."""
    member = torch.from_numpy(np.isin(ids, regions).astype(np.float32))[None, None]
    share = F.adaptive_avg_pool2d(member, (height, width)).flatten()
    return torch.where(share > 0.5, share, torch.zeros(()))


def _statistics(f: Tensor, w: Tensor, layer: str) -> _Style | None:
    """f (C, N), w (N,) -> statistics, or None where no token belongs to the region."""
    keep = w > 0
    if not keep.any():
        return None
    x, w = f[:, keep], w[keep]
    total = w.sum()
    mean = (x * w).sum(1) / total
    deviation = (((x - mean[:, None]).square() * w).sum(1) / total + EPS).sqrt()
    gram = (x * w) @ x.T / total
    if x.shape[1] > MAX_TOKENS:
        x = x[:, :: -(-x.shape[1] // MAX_TOKENS)]
    generator = torch.Generator().manual_seed(LAYERS.index(layer) if layer in LAYERS else 99)
    directions = F.normalize(torch.randn(DIRECTIONS, x.shape[0], generator=generator), dim=1)
    return _Style(mean, deviation, gram, torch.quantile(directions @ x, LEVELS, dim=1))


def region_scores(
    result: Mapping[str, Tensor],
    style: Mapping[str, Tensor],
    content_ids: np.ndarray,
    style_ids: np.ndarray,
    links: Links | None = None,
) -> RegionScores:
    """SSL, Gram and SWD of a result against its style.

    result, style: {layer: (C, h, w)} from `MetricNetwork`; ids (H, W) at any size of the
    same aspect. Raises ValueError when no region counts.
    """
    pairs: list[tuple[int, tuple[int, ...], float]] = []
    for region in np.unique(content_ids).tolist():
        sources = tuple((links or {}).get(region, (region,)))
        area = float((content_ids == region).mean())
        if area >= MIN_SHARE and float(np.isin(style_ids, sources).mean()) >= MIN_SHARE:
            pairs.append((region, sources, area))
    if not pairs:
        raise ValueError("no region covers 1 % of both pictures")
    areas = sum(p[2] for p in pairs)
    sums = np.zeros(3)
    layers: dict[str, list[tuple[float, float]]] = {layer: [] for layer in LAYERS}
    by_region = {}
    for region, sources, area in pairs:
        rows = []
        for layer in LAYERS:
            x, s = result[layer], style[layer]
            a = _statistics(x.flatten(1), cell_weights(content_ids, (region,), *x.shape[1:]), layer)
            b = _statistics(s.flatten(1), cell_weights(style_ids, sources, *s.shape[1:]), layer)
            if a is None or b is None:
                continue
            ssl = ((a.mean - b.mean).square().mean() + (a.deviation - b.deviation).square().mean()).item()
            gram = ((a.gram - b.gram).norm() / b.gram.norm()).item()
            swd = (a.quantiles - b.quantiles).square().mean().item()
            rows.append((ssl, gram, swd))
            layers[layer].append((ssl, area))
        if rows:
            mean = np.mean(rows, axis=0)
            sums += mean * area / areas
            by_region[region] = float(mean[0])
    by_layer = {k: sum(v * a for v, a in x) / sum(a for _, a in x) for k, x in layers.items() if x}
    return RegionScores(float(sums[0]), float(sums[1]), float(sums[2]), by_layer, by_region)
