"""Regions for training pairs that have no maps: k-means over both crops together, many pairs at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from scsa_core.attention import mvn

CELL = 8  # pixels: regions are made at relu4_1
ROUNDS = 8


@torch.no_grad()
def joint_regions(content: Tensor, style: Tensor, counts: Sequence[int], generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Labels 0..count-1 for feature maps (B, C, h, w) and (B, C, h', w'): (B, h, w) and (B, h', w'), shared numbering.

    counts: regions of each pair. Each picture's own mean is removed, which brings a
    photograph and a painting together.
    """

    def tokens(f: Tensor) -> Tensor:
        h, w = f.shape[-2:]
        x = F.avg_pool2d(mvn(f), 3, 1, 1, count_include_pad=False).flatten(2).transpose(1, 2)
        y = torch.linspace(-0.5, 0.5, h, device=f.device)[:, None].expand(h, w).reshape(1, -1, 1).expand(len(f), -1, 1)
        return torch.cat([F.normalize(x, dim=2), 0.8 * y], 2)

    a, b = tokens(content), tokens(style)
    x = torch.cat([a, b], 1)  # (B, N, D)
    most = max(counts)
    unused = torch.arange(most, device=x.device) >= torch.tensor(list(counts), device=x.device)[:, None]  # (B, K)
    first = torch.rand(x.shape[:2], generator=generator, device=x.device).argsort(1)[:, :most]
    centres = x.gather(1, first[..., None].expand(-1, -1, x.shape[2]))
    labels = first
    for _ in range(ROUNDS):
        far = torch.cdist(x, centres).masked_fill(unused[:, None], float("inf"))
        labels = far.argmin(2)
        hot = F.one_hot(labels, most).to(x.dtype)
        centres = hot.transpose(1, 2) @ x / hot.sum(1)[..., None].clamp_min(1)
    n = a.shape[1]
    return labels[:, :n].view(-1, *content.shape[-2:]), labels[:, n:].view(-1, *style.shape[-2:])


@dataclass(frozen=True)
class Regions:
    """Which cell of CELL pixels belongs to which region: hot (B, R, h, w), 0 or 1."""

    hot: Tensor

    @classmethod
    def of(cls, labels: Tensor, count: int) -> Regions:
        """From (B, h, w) integers below `count`."""
        return cls(F.one_hot(labels, count).permute(0, 3, 1, 2).float())

    def at(self, factor: int, feather: int = 0) -> Tensor:
        """(B, R, H / factor, W / factor): the share of each cell; `feather` as in `align.masks`."""
        x = self.hot
        if factor < CELL:
            k = CELL // factor
            x = x.repeat_interleave(k, 2).repeat_interleave(k, 3)
        elif factor > CELL:
            x = F.avg_pool2d(x, factor // CELL)
        for _ in range(2 if feather else 0):
            x = F.avg_pool2d(F.pad(x, (feather,) * 4, mode="replicate"), 2 * feather + 1, stride=1)
        return x

    @property
    def there(self) -> Tensor:
        """(B, R) bool."""
        return self.hot.flatten(2).any(2)

    def or_whole(self) -> Regions:
        """Regions that are not there stand for the whole picture."""
        return Regions(torch.where(self.there[..., None, None], self.hot, torch.ones_like(self.hot)))
