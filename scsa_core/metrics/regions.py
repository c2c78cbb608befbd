"""Style distances per region: SSL, Gram and sliced Wasserstein, on relu1_1, 2_1, 3_1, 4_1 and 5_1.

    SSL   mean_ch (mu_x - mu_s)^2 + mean_ch (sigma_x - sigma_s)^2    sigma = sqrt(var + 1e-5)
    Gram  |G_x - G_s|_F / |G_s|_F                                    G = sum w f f^T / sum w
    SWD   mean (q_x - q_s)^2 over 64 fixed directions and 256 quantile levels

SSL's name is the SCSA paper's, which prints no formula; this one is the layer-wise style
loss of MicroAST (AAAI 2023) on a region's tokens. SWD: Heitz et al. 2021 (arXiv 2006.07229).

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
Grids = Mapping[str, tuple[int, int]]
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


def cell_weights(ids: np.ndarray, regions: tuple[int, ...], height: int, width: int, device: torch.device | None = None) -> Tensor:
    """w_r on a grid: (H, W) ids -> (h*w,) float, for the union of the regions."""
    member = torch.from_numpy(np.isin(ids, regions).astype(np.float32))[None, None]
    share = F.adaptive_avg_pool2d(member, (height, width)).flatten()
    return torch.where(share > 0.5, share, torch.zeros(())).to(device)


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
    directions = F.normalize(torch.randn(DIRECTIONS, x.shape[0], generator=generator), dim=1).to(x.device)
    return _Style(mean, deviation, gram, torch.quantile(directions @ x, LEVELS.to(x.device), dim=1))


@dataclass(frozen=True)
class _Region:
    """A content region that counts: its share of the picture, its token weights and its style at each layer."""

    region: int
    area: float
    weights: dict[str, Tensor]
    style: dict[str, _Style]


@dataclass(frozen=True)
class RegionTarget:
    """What every result of one directed pair is compared with: the style's statistics, computed once."""

    regions: tuple[_Region, ...]

    @classmethod
    def of(
        cls, style: Mapping[str, Tensor], content_ids: np.ndarray, style_ids: np.ndarray, grids: Grids, links: Links | None = None
    ) -> RegionTarget:
        """style: {layer: (C, h, w)} from the metric network; ids (H, W) at any size of the same aspect.

        grids: {layer: (h, w)} of the results. Raises ValueError when no region covers 1 % of both pictures.
        """
        found = []
        for region in np.unique(content_ids).tolist():
            sources = tuple((links or {}).get(region, (region,)))
            area = float((content_ids == region).mean())
            if area < MIN_SHARE or float(np.isin(style_ids, sources).mean()) < MIN_SHARE:
                continue
            device = style[LAYERS[0]].device
            weights = {layer: cell_weights(content_ids, (region,), *grids[layer], device) for layer in LAYERS}
            sizes = {layer: (style[layer].shape[1], style[layer].shape[2]) for layer in LAYERS}
            there = {
                layer: _statistics(style[layer].flatten(1), cell_weights(style_ids, sources, *sizes[layer], device), layer)
                for layer in LAYERS
            }
            found.append(_Region(region, area, weights, {k: v for k, v in there.items() if v is not None}))
        if not found:
            raise ValueError("no region covers 1 % of both pictures")
        return cls(tuple(found))

    def score(self, result: Mapping[str, Tensor]) -> RegionScores:
        """SSL, Gram and SWD of a result's {layer: (C, h, w)}."""
        sums, areas = np.zeros(3), 0.0
        layers: dict[str, list[tuple[float, float]]] = {layer: [] for layer in LAYERS}
        by_region = {}
        for r in self.regions:
            rows = []
            for layer, b in r.style.items():
                a = _statistics(result[layer].flatten(1), r.weights[layer], layer)
                if a is None:
                    continue
                ssl = ((a.mean - b.mean).square().mean() + (a.deviation - b.deviation).square().mean()).item()
                gram = ((a.gram - b.gram).norm() / b.gram.norm()).item()
                swd = (a.quantiles - b.quantiles).square().mean().item()
                rows.append((ssl, gram, swd))
                layers[layer].append((ssl, r.area))
            if rows:
                mean = np.mean(rows, axis=0)
                sums += mean * r.area
                areas += r.area
                by_region[r.region] = float(mean[0])
        ssl, gram, swd = (sums / areas).tolist()
        by_layer = {k: sum(v * a for v, a in x) / sum(a for _, a in x) for k, x in layers.items() if x}
        return RegionScores(ssl, gram, swd, by_layer, by_region)


def region_scores(
    result: Mapping[str, Tensor],
    style: Mapping[str, Tensor],
    content_ids: np.ndarray,
    style_ids: np.ndarray,
    links: Links | None = None,
) -> RegionScores:
    """SSL, Gram and SWD of one result against its style: `RegionTarget` used once."""
    grids = {layer: (result[layer].shape[1], result[layer].shape[2]) for layer in LAYERS}
    return RegionTarget.of(style, content_ids, style_ids, grids, links).score(result)
