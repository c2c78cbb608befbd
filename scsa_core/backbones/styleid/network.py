"""diffusers' UNet as this family uses it: noise predictions, plain or with the sources' features taken in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from scsa_core.backbones.base import Checkpoint, no_checkpoint
from scsa_core.backbones.styleid.injection import Call, Features, Grid, RegionAttention, Role, Settings, Switch


class Network:
    """A UNet with our processors in its decoder's self-attention, and the empty prompt's embedding (1, tokens, C). It owns the UNet."""

    def __init__(self, unet: Any, context: Tensor, rows: int | None = None) -> None:
        """rows: most rows in one run of the network; None: all that there are."""
        self.unet, self.context, self.rows = unet, context, rows
        self._switch = Switch()
        self.factors: dict[int, int] = {}  # layer number -> latent size / grid size
        blocks = unet.up_blocks
        for level, block in enumerate(blocks):
            for place, attention in enumerate(getattr(block, "attentions", ())):
                layer = level * len(block.resnets) + place
                self.factors[layer] = 2 ** (len(blocks) - 1 - level)
                for transformer in attention.transformer_blocks:
                    processor = RegionAttention(layer, self.factors[layer], transformer.norm1, self._switch)
                    transformer.attn1.set_processor(processor)

    @property
    def dtype(self) -> torch.dtype:
        found: torch.dtype = self.unet.dtype
        return found

    def noise(self, latent: Tensor, time: int) -> Tensor:
        """The plain network: (B, 4, h, w) float32 -> its noise (B, 4, h, w) float32."""
        return self._run(latent, time)

    def noise_with_sources(
        self,
        latent: Tensor,
        time: int,
        sources: Mapping[Role, Tensor],
        settings: Settings,
        first_layer: int,
        grids: Mapping[int, Grid],
        features: Features,
        checkpoint: Checkpoint = no_checkpoint,
    ) -> Tensor:
        """Noise of the picture being painted, (1, 4, h, w), while it takes the sources' features.

        sources: their latents at this time, (1, 4, h, w) each; empty where `features` has
        been filled for this time and these layers before. `features` is filled here.
        """
        runs = self._runs(latent, sources)
        out = latent
        for roles, rows in runs:
            self._switch.call = Call(roles, settings, first_layer, grids, features, checkpoint)
            try:
                out = self._run(torch.cat(rows), time)[-1:]
            finally:
                self._switch.call = None
            checkpoint()
        return out

    def _runs(self, latent: Tensor, sources: Mapping[Role, Tensor]) -> list[tuple[tuple[Role, ...], list[Tensor]]]:
        """Rows that go through the network together: of one size, at most `rows`, the picture in the last."""
        limit = self.rows or 1 + len(sources)
        beside = [(role, x) for role, x in sources.items() if x.shape == latent.shape]
        apart = [(role, x) for role, x in sources.items() if x.shape != latent.shape]
        groups = [apart[k : k + limit] for k in range(0, len(apart), limit)]
        while len(beside) >= limit:
            groups.append(beside[:limit])
            beside = beside[limit:]
        groups.append([*beside, ("picture", latent)])
        return [(tuple(role for role, _ in g), [x for _, x in g]) for g in groups]

    def _run(self, latent: Tensor, time: int) -> Tensor:
        context = self.context.to(self.dtype).expand(len(latent), -1, -1)
        out: Tensor = self.unet(latent.to(self.dtype), time, encoder_hidden_states=context).sample
        return out.float()


def nbytes(features: Features) -> int:
    """Bytes of kept features."""
    return sum(x.nbytes for layer in features.values() for x in layer.values())
