"""The noise schedule of Stable Diffusion 1 and the one step that both inversion and sampling take.

Sources: Ho et al. 2020 (DDPM), Song et al. 2021 (DDIM, eta = 0), Rombach et al. 2022 (the
scaled-linear betas).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

LAST = 999
"""The time that inversion ends at, whatever the number of steps."""


@dataclass(frozen=True)
class Schedule:
    """kept: share of the signal's variance left at each of the 1000 trained times (the papers' cumulative alpha)."""

    kept: tuple[float, ...]

    @classmethod
    def scaled_linear(cls, start: float = 0.00085, end: float = 0.012, times: int = 1000) -> Schedule:
        """Betas that are linear in their square roots, as Stable Diffusion was trained with."""
        betas = torch.linspace(start**0.5, end**0.5, times, dtype=torch.float64) ** 2
        return cls(tuple((1 - betas).cumprod(0).tolist()))

    def times(self, steps: int) -> tuple[int, ...]:
        """The times of `steps` steps, ascending: 1, 1 + c, 1 + 2c, ... with c = 1000 // steps."""
        stride = len(self.kept) // steps
        return tuple(1 + stride * m for m in range(steps))

    def move(self, x: Tensor, noise: Tensor, time: int, to: int) -> Tensor:
        """The latent at another time, if `noise` is what x holds at `time` (DDIM with eta 0, both directions)."""
        kept = self.kept[to]
        moved: Tensor = kept**0.5 * self.clean(x, noise, time) + (1 - kept) ** 0.5 * noise
        return moved

    def clean(self, x: Tensor, noise: Tensor, time: int) -> Tensor:
        """The latent without its noise."""
        kept = self.kept[time]
        clean: Tensor = (x - (1 - kept) ** 0.5 * noise) / kept**0.5
        return clean
