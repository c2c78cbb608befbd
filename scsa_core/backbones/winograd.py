"""3x3 convolutions in half of the multiplications: Winograd's F(4, 3) along rows, the plain sum down columns.

Four outputs side by side see six inputs of a row. Transformed, each of the six needs one
product with the weight's, not twelve in all; the three rows of the kernel are added up by
the products themselves, which are one grouped 3x1 convolution. A tile in both directions,
F(2x2, 3x3), would need 4/9 of the multiplications and F(4x4, 3x3) a quarter, but every
number is then transformed twice and becomes four or 2 1/4: slower than this on two cores.
Roundings are two to three times the plain sum's, at most 2e-5 of an output's deviation. The
weight is transformed at every call: keeping it would be twice the model's memory.

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

FEWEST_CHANNELS, FEWEST_OF_MORE = 128, 256  # of input and output; fewer, and the transforms cost what the products save
FEWEST_POSITIONS = 1 << 11
PIECE = 1 << 21  # transformed numbers at once: 8 MB stay in the cache
LARGEST_BESIDE = 18 << 16  # transformed numbers of a kernel that are few beside a piece

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
    return {"AVX2": math.inf, "AVX512": LARGEST_BESIDE}.get(torch.backends.cpu.get_cpu_capability(), 0)


def worth_it(x: Tensor, weight: Tensor) -> bool:
    """Whether `winograd_conv2d` is the quicker: many channels and positions, float32 on a processor, no gradient."""
    if x.device.type != "cpu" or x.dtype != torch.float32 or (torch.is_grad_enabled() and (x.requires_grad or weight.requires_grad)):
        return False
    outputs, channels = weight.shape[:2]
    if min(outputs, channels) < FEWEST_CHANNELS or max(outputs, channels) < FEWEST_OF_MORE:
        return False
    if x.shape[-2] * x.shape[-1] < FEWEST_POSITIONS or min(x.shape[-2:]) < 8:
        return False
    return not _plainly.get() and 18 * outputs * channels <= _largest_kernel()


def winograd_conv2d(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """3x3 convolution with reflected borders: (B, C, H, W) by (C', C, 3, 3) -> (B, C', H, W), H at least 2, W at least 5, channels last."""
    batch, channels, height, width = x.shape
    outputs = weight.shape[0]
    across = (width + 3) // 4  # tiles; where the last one is cut, what it sees beyond the border changes nothing that is kept
    kernel = transformed_weight(weight)
    if bias is not None:  # the second number of the six goes to all four outputs as it is
        bias = F.pad(bias[None], (0, 0, 1, 4)).flatten()
    rows = min(height, max(1, PIECE // (6 * max(channels, outputs) * across)))
    room = x.new_empty(rows + 2, across, 6, channels)
    out = x.new_empty(batch, height, 4 * across, outputs)
    for picture, result in zip(x[:, None], out, strict=True):
        for first in range(0, height, rows):
            last = min(height, first + rows)
            above, below = int(first == 0), int(last == height)
            seen = picture[:, :, first - 1 + above : last + 1 - below]
            seen = F.pad(seen, (1, 1 + 4 * across - width, above, below), mode="reflect")[0].permute(1, 2, 0)
            tiles = _transform(seen, room[: last - first + 2])
            products = F.conv2d(tiles.flatten(2)[None].permute(0, 3, 1, 2), kernel, bias, groups=6)
            _back(products[0].permute(1, 2, 0).reshape(last - first, across, 6, outputs), result[first:last])
    return out[:, :, :width].permute(0, 3, 1, 2)


def transformed_weight(weight: Tensor) -> Tensor:
    """G g of every row g of the kernel, G's rows being (6, 0, 0), (−4, −4, −4), (−4, 4, −4), (1, 2, 4), (1, −2, 4) and
    (0, 0, 24), each over 24: (C', C, 3, 3) -> (6 C', C, 3, 1), channels last.
    """
    outputs, channels = weight.shape[:2]
    out = weight.new_empty(6, outputs, 3, channels)
    left, centre, right = weight.permute(3, 0, 2, 1)
    torch.mul(left, 1 / 4, out=out[0])
    out[5] = right
    outer = (left + right).mul_(-1 / 6)
    torch.sub(outer, centre, alpha=1 / 6, out=out[1])
    torch.add(outer, centre, alpha=1 / 6, out=out[2])
    torch.mul(left, 1 / 24, out=outer).add_(right, alpha=1 / 6)
    torch.add(outer, centre, alpha=1 / 12, out=out[3])
    torch.sub(outer, centre, alpha=1 / 12, out=out[4])
    return out.view(-1, 3, 1, channels).permute(0, 3, 1, 2)  # with any other stride of the last axis, of size one, oneDNN's sums are wrong


def _transform(x: Tensor, out: Tensor) -> Tensor:
    """Bᵀ d of every tile, B's columns being (4, 0, −5, 0, 1, 0), (0, −4, −4, 1, 1, 0), (0, 4, −4, −1, 1, 0),
    (0, −2, −1, 2, 1, 0), (0, 2, −1, −2, 1, 0) and (0, 4, 0, −5, 0, 1).

    x (h, 4 w + 2, C) -> out (h, w, 6, C), which is returned.
    """
    width = x.shape[1] - 2
    a, b, c, d, e, f = (x[:, k : k + width : 4] for k in range(6))
    even, odd = torch.sub(e, c, alpha=4), torch.sub(d, b, alpha=4)
    torch.add(even, odd, out=out[:, :, 1])
    torch.sub(even, odd, out=out[:, :, 2])
    torch.add(even.sub_(c), a, alpha=4, out=out[:, :, 0])
    torch.sub(e, c, out=even)
    torch.sub(d, b, out=odd)
    torch.add(even, odd, alpha=2, out=out[:, :, 3])
    torch.sub(even, odd, alpha=2, out=out[:, :, 4])
    torch.sub(torch.sub(f, d, out=even), odd, alpha=4, out=out[:, :, 5])
    return out


def _back(x: Tensor, out: Tensor) -> None:
    """Aᵀ m of every tile, A's columns being (1, 1, 1, 1, 1, 0), (0, 1, −1, 2, −2, 0), (0, 1, 1, 4, 4, 0) and
    (0, 1, −1, 8, −8, 1): x (h, w, 6, C') -> out (h, 4 w, C').
    """
    a, b, c, d, e, f = x.unbind(2)
    near, far = b + c, d + e
    torch.add(near, far, alpha=4, out=out[:, 2::4])
    torch.add(near.add_(a), far, out=out[:, 0::4])
    torch.sub(b, c, out=near)
    torch.sub(d, e, out=far)
    torch.add(near, far, alpha=2, out=out[:, 1::4])
    torch.add(near.add_(f), far, alpha=8, out=out[:, 3::4])
