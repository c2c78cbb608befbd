"""The decoder of `lite`: relu4_1 features back to a picture.

Three stages double the resolution; after stage k the features stand for VGG-16's
relu3_1, relu2_1 and relu1_1. There a caller may align their statistics with the style's,
region by region (`align`), which is what S-AdaIN does before the attention, carried on
to the finer layers as in Avatar-Net's style decorator (Sheng et al. 2018).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from scsa_core.backbones.base import Checkpoint, no_checkpoint
from scsa_core.backbones.reflected import ReflectedConv

WIDTHS = (512, 256, 128, 64)  # relu4_1, 3_1, 2_1, 1_1
HIDDEN = (256, 64, 32)  # inside each residual block: most of the work where it is cheapest


def relu(x: Tensor) -> Tensor:
    """In place where nobody will differentiate: `x` is the caller's own."""
    return F.relu(x) if x.requires_grad else F.relu_(x)


class Residual(nn.Module):
    """x + conv(relu(conv(x))). Starts as the identity: the last convolution is zero."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.reduce, self.expand = ReflectedConv(channels, hidden), ReflectedConv(hidden, channels)
        nn.init.zeros_(self.expand.weight)
        if self.expand.bias is not None:
            nn.init.zeros_(self.expand.bias)

    def forward(self, x: Tensor, checkpoint: Checkpoint = no_checkpoint) -> Tensor:
        hidden = relu(self.reduce(x))
        checkpoint()
        out: Tensor = self.expand(hidden)
        return out + x if out.requires_grad else out.add_(x)


class LiteDecoder(nn.Module):
    """(B, 512, h, w) features -> (B, 3, 8h, 8w) RGB around 0..1, not clamped."""

    def __init__(self) -> None:
        super().__init__()
        self.stages = nn.ModuleList(ReflectedConv(a, b) for a, b in pairwise(WIDTHS))
        self.residuals = nn.ModuleList(Residual(c, h) for c, h in zip(WIDTHS[1:], HIDDEN, strict=True))
        self.picture = ReflectedConv(WIDTHS[-1], 3)

    def stage(self, k: int, x: Tensor, checkpoint: Checkpoint = no_checkpoint) -> Tensor:
        """(B, WIDTHS[k], h, w) -> (B, WIDTHS[k + 1], 2h, 2w), values >= 0, in the input's dtype.

        checkpoint is called between its layers. Convolution first, then bilinear upsampling: a quarter of the arithmetic of the
        other order, and no checkerboard as pixel shuffle leaves.
        """
        dtype, x = x.dtype, x.to(next(self.stages[k].parameters()).dtype)
        x = F.interpolate(self.stages[k](x), scale_factor=2, mode="bilinear", align_corners=False)
        checkpoint()
        return relu(self.residuals[k](relu(x), checkpoint)).to(dtype)

    def forward(self, x: Tensor, align: Sequence[Callable[[Tensor], Tensor]] = ()) -> Tensor:
        for k in range(len(self.stages)):
            x = self.stage(k, x)
            if align:
                x = align[k](x)
        out: Tensor = self.picture(x)
        return out
