"""Keeping the content's own colours: luminance from the result, chroma from the content."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from scsa_core.transfer import upload

LUMA = (0.299, 0.587, 0.114)
"""Of RGB, after ITU-R BT.601."""
# Luma and the two colour differences, for RGB in 0..1.
_TO_YUV = torch.tensor([LUMA, [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]])
PIXELS = 1 << 20  # of a piece
_TO_RGB = torch.linalg.inv(_TO_YUV)


def keep_colours(result: Tensor, content: Tensor, amount: float, checkpoint: Callable[[], None] | None = None) -> Tensor:
    """Blend the result's chroma towards the content's: (1, 3, H, W) twice, amount 0..1 -> (1, 3, H, W).

    At 1 the result has the content's chroma and its own luminance (Gatys et al. 2016,
    "luminance-only transfer"); at 0 it is unchanged. checkpoint is called between pieces of
    large pictures; it may raise to stop the work.
    """
    if amount == 0:
        return result
    rows = max(1, PIXELS // result.shape[3])
    made = []
    for parts in zip(torch.split(result, rows, 2), torch.split(content, rows, 2), strict=True):
        if checkpoint is not None:
            checkpoint()
        made.append(_kept(*parts, amount))
    return made[0] if len(made) == 1 else torch.cat(made, 2)


def _kept(result: Tensor, content: Tensor, amount: float) -> Tensor:
    forward, back = (upload(m.to(result.dtype), result.device) for m in (_TO_YUV, _TO_RGB))
    yuv = torch.einsum("ij,bjhw->bihw", forward, result)
    wanted = torch.einsum("ij,bjhw->bihw", forward, content)
    mixed = torch.cat([yuv[:, :1], torch.lerp(yuv[:, 1:], wanted[:, 1:], amount)], 1)
    return torch.einsum("ij,bjhw->bihw", back, mixed)
