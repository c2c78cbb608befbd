"""Matrix products by convolution, where that is the faster of the two.

On AMD's processors with AVX-512 the library behind torch's matrix products in float32 (MKL)
stays with AVX2, and the one behind its convolutions (oneDNN) does not: a 1x1 convolution is
the same arithmetic at two to three times the rate. Elsewhere nothing is gained, and nothing
changes.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

FEWEST_NUMBERS, FEWEST_COLUMNS = 1 << 18, 64  # of the rows; below, setting up costs what is gained
WIDTH = 8  # of the picture that rows are laid out as


def by_convolution(rows: Tensor, columns: int) -> bool:
    """Whether `linear` of rows (n, K) to so many columns goes by convolution: large, float32, such a processor, no gradient."""
    large = rows.numel() >= FEWEST_NUMBERS and rows.shape[0] % WIDTH == 0 and min(rows.shape[1], columns) >= FEWEST_COLUMNS
    plain = rows.device.type == "cpu" and rows.dtype == torch.float32 and not rows.requires_grad
    return large and plain and convolves_faster()


@lru_cache(maxsize=1)
def convolves_faster() -> bool:
    """Whether this is such a processor and both libraries are there."""
    libraries = torch.backends.mkl, torch.backends.mkldnn
    if torch.backends.cpu.get_cpu_capability() != "AVX512" or not all(x.is_available() for x in libraries):  # type: ignore[attr-defined]
        return False
    try:
        return "AuthenticAMD" in Path("/proc/cpuinfo").read_text()
    except OSError:  # not Linux
        return False


def linear(rows: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """rows (n, K) times weight (C, K) transposed, plus bias (C,): (n, C), as `torch.nn.functional.linear` gives it."""
    if not by_convolution(rows, len(weight)):
        return F.linear(rows, weight, bias)
    picture = rows.contiguous().view(1, -1, WIDTH, rows.shape[1]).permute(0, 3, 1, 2)
    out = F.conv2d(picture, weight[:, :, None, None], bias)
    return out.permute(0, 2, 3, 1).reshape(rows.shape[0], -1)
