"""Large pictures piece by piece: convolutions over horizontal strips, exact, in bounded memory.

A strip is computed with as many rows around it as its outputs can see (the halo), which
are cut off again: the result is that of the whole picture, without a seam.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

import torch
from torch import Tensor

from scsa_core.backbones.base import Checkpoint, no_checkpoint

PIXELS = 1 << 20  # of a strip, in pixels of the finest layer
ON_GPU = 4  # times as many: it has no cache to stay in, and every launch costs
STEP = 16  # strips begin at multiples of it, so that pooling falls where it does in the whole
_Out = TypeVar("_Out", Tensor, Mapping[str, Tensor])


def in_strips(
    f: Callable[[Tensor], _Out],
    x: Tensor,
    halo: int,
    *,
    pixels: int = PIXELS,
    step: int = STEP,
    dtypes: Mapping[str, torch.dtype] | None = None,
    checkpoint: Checkpoint = no_checkpoint,
) -> _Out:
    """f(x) for x (1, C, H, W), computed on strips of at most about `pixels` positions of x.

    f: gives one tensor or several by name, each with rows in a fixed ratio to those it is
    given. halo: rows of x, a multiple of `step`, that an output row may depend on beyond its
    own. dtypes: what to keep a named output in, only where strips are taken. checkpoint is
    called before every strip and before its results are laid down.
    """
    height, width = x.shape[-2:]
    pixels *= ON_GPU if x.is_cuda else 1
    rows = max(1, pixels // width // step) * step
    if height <= rows + halo:
        checkpoint()
        return f(x)
    whole: dict[str, Tensor] = {}
    single = False
    for first in range(0, height, rows):
        checkpoint()
        last = min(height, first + rows)
        low, high = max(0, first - halo), min(height, last + halo)
        part = f(x[:, :, low:high])
        single = isinstance(part, Tensor)
        named: Mapping[str, Tensor] = {"": part} if isinstance(part, Tensor) else part
        for name, t in named.items():
            checkpoint()
            if name not in whole:
                whole[name] = _room(t, height, high - low, (dtypes or {}).get(name, t.dtype))
            begin, skip, count = (n * t.shape[-2] // (high - low) for n in (first, first - low, last - first))
            whole[name][:, :, begin : begin + count] = t[:, :, skip : skip + count]
    return whole[""] if single else whole  # type: ignore[return-value]


def _room(like: Tensor, height: int, part: int, dtype: torch.dtype) -> Tensor:
    """For the whole output of which `like` is that of `part` rows, in its memory layout."""
    shape = (like.shape[0], like.shape[1], height * like.shape[2] // part, like.shape[3])
    last = like.is_contiguous(memory_format=torch.channels_last)
    return torch.empty(shape, dtype=dtype, device=like.device, memory_format=torch.channels_last if last else torch.contiguous_format)
