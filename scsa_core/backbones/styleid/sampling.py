"""Inversion of a picture's latent, and painting: DDIM without noise of its own, in both directions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from scsa_core.attention import semantic_adain
from scsa_core.backbones.base import Checkpoint, no_checkpoint
from scsa_core.backbones.styleid.injection import Features, Grid, Role, Settings
from scsa_core.backbones.styleid.network import Network
from scsa_core.backbones.styleid.schedule import LAST, Schedule

Trajectory = Tensor
"""(steps + 1, 4, h, w): the latent at each time that the network was asked at, then the one at time 999."""


def invert(network: Network, schedule: Schedule, latent: Tensor, steps: int, checkpoint: Checkpoint = no_checkpoint) -> Trajectory:
    """Walk a latent (1, 4, h, w) towards noise. Entry m of the result is the latent at the m-th time."""
    times = schedule.times(steps)
    seen = [latent]
    for m, (time, following) in enumerate(zip(times, (*times[1:], LAST), strict=True)):
        checkpoint(m / steps)
        latent = schedule.move(latent, network.noise(latent, time), time, following)
        seen.append(latent)
    return torch.cat(seen)


def plain_adain(content: Tensor, style: Tensor) -> Tensor:
    """StyleID's AdaIN of the initial latent: per channel, unbiased deviations, no epsilon. (1, C, h, w) each."""
    deviation, mean = torch.std_mean(content, dim=(2, 3), keepdim=True)
    to_deviation, to_mean = torch.std_mean(style, dim=(2, 3), keepdim=True)
    return (content - mean) / deviation * to_deviation + to_mean


@dataclass(frozen=True)
class Painting:
    """All that painting one picture needs.

    sources: trajectories by role. grids: by factor, 1 being the latent's own; empty for the
    baseline. start_step: how many of the last steps are taken. as_reference: begin with the
    latent that inversion left at time 999, also where further steps are skipped than the
    one that the method skips itself.
    """

    network: Network
    schedule: Schedule
    sources: Mapping[Role, Trajectory]
    grids: Mapping[int, Grid]
    settings: Settings
    first_layer: int
    start_step: int
    as_reference: bool = False

    @property
    def steps(self) -> int:
        return len(self.sources["content"]) - 1

    @property
    def executed(self) -> int:
        """Steps that are taken: the start step, but never more than there are."""
        return min(self.start_step, self.steps)

    def initial(self) -> Tensor:
        """The latent that painting starts with: the content's, with the style's statistics (1, 4, h, w).

        One skipped step, the method's default, leaves the latent of time 999 as it is, as
        the reference does. Where more are skipped it would be far too noisy for the time
        it is taken at, so the latents of that time are used instead.
        """
        last = self.as_reference or self.steps - self.executed <= 1
        at = self.steps if last else self.executed - 1
        content, style = (self.sources[role][at : at + 1] for role in ("content", "style"))  # type: ignore[index]
        if self.settings.gamma is not None:
            return plain_adain(content, style)
        if not self.settings.adain:
            return content
        grid = self.grids[1]
        return semantic_adain(content, style, grid.content, grid.style, links=grid.links)

    def paint(
        self,
        recall: Callable[[int], Features | None] = lambda _: None,
        keep: Callable[[int, Features], None] = lambda *_: None,
        checkpoint: Checkpoint = no_checkpoint,
        show: Callable[[Tensor], Tensor] | None = None,
    ) -> Tensor:
        """The finished latent (1, 4, h, w).

        recall, keep: features of a step, by its number, from an earlier painting of the same
        sources. show: makes a picture of a latent for the checkpoint on the way.
        """
        times = self.schedule.times(self.steps)
        x = self.initial()
        for done, m in enumerate(reversed(range(self.executed))):
            kept = recall(m)
            features: Features = {} if kept is None else kept
            sources = {} if kept is not None else {r: self.sources[r][m : m + 1] for r in self.settings.roles}
            noise = self.network.noise_with_sources(
                x, times[m], sources, self.settings, self.first_layer, self.grids, features, checkpoint
            )
            if kept is None:
                keep(m, features)
            picture = None if show is None else show(self.schedule.clean(x, noise, times[m]))
            x = self.schedule.move(x, noise, times[m], times[m - 1] if m else 0)
            checkpoint((done + 1) / self.executed, picture)
        return x
