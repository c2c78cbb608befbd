"""A 3x3 convolution with reflected borders that does not copy its input to pad it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scsa_core.backbones.winograd import winograd_conv2d, worth_it

LARGE = 1 << 22  # numbers in the input: below, padding a copy is quicker


class ReflectedConv(nn.Conv2d):
    """`nn.Conv2d(..., 3, padding=1, padding_mode="reflect")`, with a third less memory and time on large pictures."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 3, padding=1, padding_mode="reflect")

    def forward(self, x: Tensor) -> Tensor:
        return reflected_conv2d(x, self.weight, self.bias)


def reflected_conv2d(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """(B, C, H, W) by (C', C, 3, 3) -> (B, C', H, W), H and W at least 2.

    The whole is convolved with zeros around it, then the outermost rows and columns once
    more with what reflection puts there.
    """
    if worth_it(x, weight):
        return winograd_conv2d(x, weight, bias)
    if x.numel() < LARGE or (torch.is_grad_enabled() and (x.requires_grad or weight.requires_grad)):
        return F.conv2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), weight, bias)
    out = F.conv2d(x, weight, bias, padding=1)
    height, width = x.shape[-2:]
    rows = torch.cat([x[:, :, [1, 0, 1]], x[:, :, [height - 2, height - 1, height - 2]]])
    out[:, :, 0], out[:, :, -1] = F.conv2d(F.pad(rows, (1, 1, 0, 0), mode="reflect"), weight, bias)[:, :, 0].chunk(2)
    columns = torch.cat([x[..., [1, 0, 1]], x[..., [width - 2, width - 1, width - 2]]]).mT  # lying: standing ones take three times as long
    out[..., 0], out[..., -1] = F.conv2d(F.pad(columns, (1, 1, 0, 0), mode="reflect"), weight.mT, bias)[:, :, 0].chunk(2)
    return out
