"""3x3 convolutions in 4/9 of the multiplications, exact up to rounding: Winograd's F(2x2, 3x3).

A tile of 2x2 outputs sees 4x4 inputs. Transformed, each of its 16 numbers needs one product
with the weight's, not 36 in all: 16 matrix products over all tiles, which are one grouped
1x1 convolution. Transforms are additions and halves only, so the result is as near to the
exact one as the plain sum's. The weight is transformed at every call: one read of it, where
keeping it would be 16/9 of the model's memory.

Source: Lavin & Gray 2016, "Fast Algorithms for Convolutional Neural Networks".
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

FEWEST_CHANNELS = 128  # fewer, and the transforms cost what the products save
FEWEST_POSITIONS = 1 << 11
PIECE = 1 << 20  # transformed numbers at once: 4 MB stay in the cache

_plainly = ContextVar("plainly", default=False)


@contextmanager
def plain_convolutions() -> Iterator[None]:
    """While this lasts, in this thread, every convolution is the plain sum: to count its arithmetic, or to compare."""
    token = _plainly.set(True)
    try:
        yield
    finally:
        _plainly.reset(token)


@lru_cache(maxsize=1)
def _largest_kernel() -> float:
    """Numbers of a transformed kernel up to which this processor gains; 0 where it was not measured.

    Each piece of the picture has oneDNN lay out the kernel anew: at 512 bits, where
    multiplications are cheap, that has to be little beside the piece.
    """
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return 0
    return {"AVX2": math.inf, "AVX512": PIECE}.get(torch.backends.cpu.get_cpu_capability(), 0)


def worth_it(x: Tensor, weight: Tensor) -> bool:
    """Whether `winograd_conv2d` is the quicker: many channels and positions, float32 on a processor, no gradient."""
    if x.device.type != "cpu" or x.dtype != torch.float32 or (torch.is_grad_enabled() and (x.requires_grad or weight.requires_grad)):
        return False
    outputs, channels = weight.shape[:2]
    if min(outputs, channels) < FEWEST_CHANNELS or x.shape[-2] * x.shape[-1] < FEWEST_POSITIONS or min(x.shape[-2:]) < 4:
        return False
    return not _plainly.get() and 16 * outputs * channels <= _largest_kernel()


def winograd_conv2d(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """3x3 convolution with reflected borders: (B, C, H, W) by (C', C, 3, 3) -> (B, C', H, W), H and W at least 3, channels last."""
    batch, channels, height, width = x.shape
    outputs = weight.shape[0]
    down, across = (height + 1) // 2, (width + 1) // 2  # tiles; of an odd side the last one is cut
    padded = F.pad(x, (1, 1 + width % 2, 1, 1 + height % 2), mode="reflect").permute(0, 2, 3, 1)
    kernel = transformed_weight(weight)
    rows = min(down, max(1, PIECE // (16 * max(channels, outputs) * across)))
    room = x.new_empty(rows, across, 16, channels)
    out = x.new_empty(batch, 2 * down, 2 * across, outputs)
    for picture, result in zip(padded, out, strict=True):
        for first in range(0, down, rows):
            last = min(down, first + rows)
            tiles = _transform(picture[2 * first : 2 * last + 2], room[: last - first])
            products = F.conv2d(tiles.flatten(2)[None].permute(0, 3, 1, 2), kernel, groups=16)
            _back(products[0].permute(1, 2, 0).reshape(last - first, across, 4, 4, outputs), bias, result[2 * first : 2 * last])
    return out[:, :height, :width].permute(0, 3, 1, 2)


def transformed_weight(weight: Tensor) -> Tensor:
    """G g Gᵀ with G = (1, 0, 0), (½, ½, ½), (½, −½, ½), (0, 0, 1): (C', C, 3, 3) -> (16 C', C, 1, 1)."""
    out = weight.new_empty(4, 4, *weight.shape[:2])
    top, middle, bottom = weight.permute(2, 3, 0, 1)
    both = (top + bottom).mul_(0.5)
    for of_row, row in zip(out, (top, both.add(middle, alpha=0.5), both.sub(middle, alpha=0.5), bottom), strict=True):
        left, centre, right = row
        of_row[0], of_row[3] = left, right
        torch.add(left, right, out=of_row[1]).mul_(0.5)
        torch.sub(of_row[1], centre, alpha=0.5, out=of_row[2])
        of_row[1].add_(centre, alpha=0.5)
    return out.view(-1, weight.shape[1], 1, 1)


def _transform(x: Tensor, out: Tensor) -> Tensor:
    """Bᵀ d B of every tile, B's columns being (1, 0, −1, 0), (0, 1, 1, 0), (0, −1, 1, 0), (0, 1, 0, −1).

    x (2h + 2, 2w + 2, C) -> out (h, w, 16, C), which is returned.
    """
    height, width = x.shape[0] - 2, x.shape[1] - 2
    a, b, c, d = (x[k : height + k : 2] for k in range(4))
    for number, row in enumerate((a - c, b + c, c - b, b - d)):
        e, f, g, h = (row[:, k : width + k : 2] for k in range(4))
        for k, (first, second, sign) in enumerate(((e, g, -1), (f, g, 1), (g, f, -1), (f, h, -1))):
            torch.add(first, second, alpha=sign, out=out[:, :, 4 * number + k])
    return out


def _back(x: Tensor, bias: Tensor | None, out: Tensor) -> None:
    """Aᵀ m A + bias of every tile, A's columns being (1, 1, 1, 0), (0, 1, −1, −1): x (h, w, 4, 4, C') -> out (2h, 2w, C')."""
    a, b, c, d = x.unbind(2)  # (h, w, 4, C') each
    for k, row in enumerate(((a + b).add_(c), (b - c).sub_(d))):
        e, f, g, h = row.unbind(2)
        for n, value in enumerate(((e + f).add_(g), (f - g).sub_(h))):
            out[k::2, n::2] = value if bias is None else value.add_(bias)
