"""Regions for training pairs that have no maps: k-means over both crops together."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from scsa_core.attention import mvn


@torch.no_grad()
def joint_regions(content: Tensor, style: Tensor, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Labels 0..count-1 for two feature maps (1, C, h, w): (h, w) and (h', w'), shared numbering.

    Each picture's own mean is removed, which brings a photograph and a painting together.
    """

    def tokens(f: Tensor) -> Tensor:
        h, w = f.shape[-2:]
        x = F.avg_pool2d(mvn(f), 3, 1, 1, count_include_pad=False)[0].flatten(1).T
        y = torch.linspace(-0.5, 0.5, h)[:, None].expand(h, w).reshape(-1, 1)
        return torch.cat([F.normalize(x, dim=1), 0.8 * y], 1)

    a, b = tokens(content), tokens(style)
    x = torch.cat([a, b])
    centres = x[torch.randperm(len(x), generator=generator)[:count]]
    for _ in range(8):
        labels = torch.cdist(x, centres).argmin(1)
        hot = F.one_hot(labels, count).float()
        centres = (hot.T @ x) / hot.sum(0)[:, None].clamp_min(1)
    return labels[: len(a)].view(content.shape[-2:]), labels[len(a) :].view(style.shape[-2:])
