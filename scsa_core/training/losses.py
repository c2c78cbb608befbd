"""Losses of the stylisation phase, all on VGG-16 features of mean activation 1, for many pairs at once."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from scsa_core.training.batched import statistics
from scsa_core.training.regions import Regions

LAYERS = {"relu1_1": 1, "relu2_1": 2, "relu3_1": 4, "relu4_1": 8, "relu5_1": 16}
DEEPER = {"relu4_1": 1.5, "relu5_1": 3.0}
"""Weights of layers in the moments' loss beside 1: what is left of a region's distance is mostly there."""
SLICED = ("relu1_1", "relu2_1", "relu3_1", "relu4_1")
DIRECTIONS = 48
QUANTILES = 128
TOKENS = 8192  # of a layer that are sorted
FEWEST = 8  # tokens of a region that counts
OUTSIDE = 1e4  # stands for what is not in a region: sorted last, never used


def region_moments_loss(out: Mapping[str, Tensor], style: Mapping[str, Tensor], mine: Regions, theirs: Regions) -> Tensor:
    """Squared differences of region means and deviations, weighted by area and by DEEPER, summed over five layers.

    The style loss of SANet (mean and deviation over relu1_1..5_1), taken per region.
    Feature maps (B, C, h, w). Regions that a style lacks do not count.
    """
    shared = (mine.there & theirs.there).float()
    total = out["relu1_1"].new_zeros(())
    for layer, factor in LAYERS.items():
        weights = mine.at(factor)
        a, b = statistics(out[layer], weights), statistics(style[layer], theirs.at(factor))
        per_region = (a[0] - b[0]).square().mean(2) + (a[1] - b[1]).square().mean(2)  # (B, R)
        area = weights.sum((2, 3)) * shared
        loss = ((per_region * area).sum(1) / area.sum(1).clamp_min(1e-6)).mean()
        total = total + DEEPER.get(layer, 1.0) * loss
    return total


def sliced_wasserstein_loss(out: Mapping[str, Tensor], style: Mapping[str, Tensor], mine: Regions, theirs: Regions) -> Tensor:
    """Sliced Wasserstein distance per region (Heitz et al. 2021): whole distributions, not only two moments."""
    total = out["relu1_1"].new_zeros(())
    for layer in SLICED:
        factor, device = LAYERS[layer], out[layer].device
        directions = F.normalize(torch.randn(DIRECTIONS, out[layer].shape[1], device=device), dim=1)
        step = -(-out[layer][0, 0].numel() // TOKENS)
        sides = []
        for x, regions in ((out, mine), (style, theirs)):
            start = int(torch.randint(step, ()))
            tokens = x[layer].flatten(2)[:, :, start::step].float()
            sides.append((directions @ tokens, regions.at(factor).flatten(2)[:, :, start::step] > 0.5))
        for region in range(mine.hot.shape[1]):
            (a, enough), (b, also) = (_quantiles(x, inside[:, region]) for x, inside in sides)
            share = sides[0][1][:, region].float().mean(1) * (enough & also)
            total = total + ((a - b).square().mean((1, 2)) * share).mean()
    return total


def _quantiles(x: Tensor, inside: Tensor) -> tuple[Tensor, Tensor]:
    """Linear quantiles of (B, D, N) over the tokens inside (B, N): (B, D, Q); and which pairs have enough of those (B,)."""
    count = inside.sum(1)
    ordered = torch.where(inside[:, None], x, x.new_full((), OUTSIDE)).sort(2).values
    levels = (torch.arange(QUANTILES, device=x.device) + 0.5) / QUANTILES
    last = (count - 1).clamp_min(0)[:, None]
    at = torch.minimum((levels * count[:, None] - 0.5).clamp_min(0), last)  # (B, Q)
    low = at.floor().long()
    high = torch.minimum(low + 1, last)
    below, above = (ordered.gather(2, k[:, None].expand(-1, x.shape[1], -1)) for k in (low, high))
    return torch.lerp(below, above, (at - low).to(x.dtype)[:, None]), count >= FEWEST


def structure_loss(out: Tensor, content: Tensor) -> Tensor:
    """How far the relations between places moved: StyleID's CFSD (Chung et al. 2024) as a loss.

    relu3_1 features (B, C, h, w). Rows of softmax(F Fᵀ / C²), KL from the content's to the
    output's, summed over rows at a fixed 16,384 tokens, mean over pairs.
    """
    rows = []
    for x in (content, out):
        f = x.flatten(2).transpose(1, 2)
        rows.append((f @ f.transpose(1, 2) / f.shape[2] ** 2).log_softmax(2))
    divergence = (rows[0].exp() * (rows[0] - rows[1])).sum((1, 2)).mean()
    return divergence * 16384 / rows[0].shape[1]
