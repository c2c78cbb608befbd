"""The basis in which lite's SSA compares windows: where features of pictures vary most."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from scsa_core.attention import mvn
from scsa_core.backbones.patches import DIRECTIONS
from scsa_core.backbones.vgg import ConvStack


@torch.inference_mode()
def principal(encoder: ConvStack, batches: Iterable[Tensor], count: int = DIRECTIONS) -> Tensor:
    """(512, count) float32, orthonormal: the principal directions of relu4_1, each picture normalised as for the attention.

    batches: (B, 3, H, W) pictures in 0..1.
    """
    total = torch.zeros(())
    for x in batches:
        for f in encoder(x, ("relu4_1",))["relu4_1"].float().split(1):
            tokens = mvn(f)[0].flatten(1)  # (512, N)
            total = total + tokens @ tokens.T / tokens.shape[1]
    vectors: Tensor = torch.linalg.eigh(total)[1]  # sorted upwards
    return vectors.flip(1)[:, :count].contiguous()
