"""A 3x3 convolution of a picture doubled by nearest neighbour, worked out before the doubling.

Three rows of a doubled picture are two rows of it, one of them twice: each of the four
pixels that a pixel becomes is a 2x2 convolution whose weights are sums of the 3x3 ones.
That is 4/9 of the arithmetic, and the doubled picture is never in memory.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from scsa_core.backbones.reflected import reflected_conv2d


def upsampled_conv2d(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """`reflected_conv2d(F.interpolate(x, scale_factor=2), weight, bias)`: (B, C, h, w) by (C', C, 3, 3) -> (B, C', 2h, 2w).

    Equal up to rounding. Reflection around the doubled picture repeats the outermost rows and columns of x.
    """
    exact = x.dtype in (torch.float32, torch.float64)  # in less, sums of weights would be rounded once more
    if not exact or x.device.type != "cpu" or (torch.is_grad_enabled() and (x.requires_grad or weight.requires_grad)):
        return reflected_conv2d(F.interpolate(x, scale_factor=2, mode="nearest"), weight, bias)
    height, width = x.shape[-2:]
    four = F.conv2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), _summed(weight), None if bias is None else bias.repeat(4))
    shape = (x.shape[0], weight.shape[0], 2 * height, 2 * width)
    out = torch.empty(shape, dtype=x.dtype, device=x.device, memory_format=torch.channels_last)
    for k, part in enumerate(four.chunk(4, 1)):
        row, column = divmod(k, 2)
        out[:, :, row::2, column::2] = part[:, :, row : row + height, column : column + width]
    return out


def _summed(weight: Tensor) -> Tensor:
    """(C', C, 3, 3) -> (4 C', C, 2, 2), the four pixels one after another, row by row."""
    rows = [torch.stack(pair, -2) for pair in _pairs(*weight.unbind(-2))]
    return torch.cat([torch.stack(pair, -1) for r in rows for pair in _pairs(*r.unbind(-1))]).contiguous(memory_format=torch.channels_last)


def _pairs(first: Tensor, second: Tensor, third: Tensor) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """What falls on the two rows that the even and the odd row of the doubled picture see."""
    return (first, second + third), (first + second, third)
