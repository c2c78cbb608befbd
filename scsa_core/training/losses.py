"""Losses of the stylisation phase, all on VGG-16 features of mean activation 1."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from scsa_core.backbones.align import masks, moments

LAYERS = {"relu1_1": 1, "relu2_1": 2, "relu3_1": 4, "relu4_1": 8, "relu5_1": 16}
SLICED = ("relu1_1", "relu2_1", "relu3_1", "relu4_1")
DIRECTIONS = 48
QUANTILES = 128


def region_moments_loss(out: Mapping[str, Tensor], style: Mapping[str, Tensor], content_labels: Tensor, style_labels: Tensor) -> Tensor:
    """Squared differences of region means and deviations, weighted by area, summed over five layers.

    The style loss of SANet (mean and deviation over relu1_1..5_1), taken per region.
    Feature maps (1, C, h, w); labels at picture resolution.
    """
    regions = [(r,) for r in torch.unique(content_labels).tolist() if (style_labels == r).any()]
    total = out["relu1_1"].new_zeros(())
    if not regions:
        return total
    for layer, factor in LAYERS.items():
        mine, theirs = masks(content_labels, regions, factor), masks(style_labels, regions, factor)
        a, b = moments(out[layer][0], mine), moments(style[layer][0], theirs)
        per_region = (a.mean - b.mean).square().mean(1) + (a.deviation - b.deviation).square().mean(1)
        area = mine.sum((1, 2))
        total = total + (per_region * area).sum() / area.sum().clamp_min(1e-6)
    return total


def sliced_wasserstein_loss(
    out: Mapping[str, Tensor], style: Mapping[str, Tensor], content_labels: Tensor, style_labels: Tensor
) -> Tensor:
    """Sliced Wasserstein distance per region (Heitz et al. 2021): whole distributions, not only two moments."""
    total = out["relu1_1"].new_zeros(())
    levels = (torch.arange(QUANTILES) + 0.5) / QUANTILES
    for layer in SLICED:
        factor = LAYERS[layer]
        directions = torch.nn.functional.normalize(torch.randn(DIRECTIONS, out[layer].shape[1]), dim=1)
        for region in torch.unique(content_labels).tolist():
            mine = (masks(content_labels, [(region,)], factor)[0] > 0.5).flatten()
            theirs = (masks(style_labels, [(region,)], factor)[0] > 0.5).flatten()
            if mine.sum() < 8 or theirs.sum() < 8:
                continue
            a = _quantiles(directions @ out[layer][0].flatten(1).float()[:, mine], levels)
            b = _quantiles(directions @ style[layer][0].flatten(1).float()[:, theirs], levels)
            total = total + (a - b).square().mean() * (mine.float().mean())
    return total


def _quantiles(x: Tensor, levels: Tensor) -> Tensor:
    """Linear quantiles of each row: (D, n) -> (D, q)."""
    ordered = x.sort(1).values
    at = (levels * x.shape[1] - 0.5).clamp(0, x.shape[1] - 1)
    low = at.floor().long()
    high = (low + 1).clamp_max(x.shape[1] - 1)
    return torch.lerp(ordered[:, low], ordered[:, high], (at - low).to(x.dtype))


def structure_loss(out: Tensor, content: Tensor) -> Tensor:
    """How far the relations between places moved: StyleID's CFSD (Chung et al. 2024) as a loss.

    relu3_1 features (1, C, h, w). Rows of softmax(F Fᵀ / C²), KL from the content's to the
    output's, summed over rows at a fixed 16,384 tokens.
    """
    rows = []
    for x in (content, out):
        f = x.flatten(2)[0].T
        rows.append((f @ f.T / f.shape[1] ** 2).log_softmax(1))
    divergence = (rows[0].exp() * (rows[0] - rows[1])).sum()
    return divergence * 16384 / len(rows[0])
