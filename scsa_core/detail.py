"""Detail transfer: a picture painted at a smaller size, at the full size with the content's own fine detail.

For families whose attention looks from everywhere to everywhere, and so cannot be had at any size.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from scsa_core.boxes import box_mean
from scsa_core.colours import LUMA
from scsa_core.transfer import upload

REACH = 8
"""Pixels of the painted size to each side, over which it is asked how the painting follows the content."""
FLAT = 1e-3
"""Variance of lightness (0..1) below which the content has nothing that the painting could follow."""
GRAIN = 8.0
"""How much the energy of the fine detail counts against that of the forms it sits on."""


def transfer_detail(painted: Tensor, content: Tensor, full: Tensor, checkpoint: Callable[[], None] = lambda: None) -> Tensor:
    """(1, 3, h, w) painted from a content of that size, and that content at full size (1, 3, H, W) -> (1, 3, H, W), around 0..1.

    The painting is scaled up. To it comes what the content's lightness lost on the way down, times
    the slope of a line that maps lightness to each colour of the painting around that place: where
    the painting turned light into dark the detail turns too, and where it follows the content in
    nothing none comes. Nor does grain, such as gravel or noise, which has little form to sit on: a
    photograph's own texture on a painting looks like dust. The lines are those of the guided filter
    (He, Sun & Tang 2013; scaled up as in their fast guided filter, 2015).
    """
    size = (int(full.shape[2]), int(full.shape[3]))
    light, painted = _lightness(content.to(full)), painted.to(full)
    checkpoint()
    fine = _lightness(full)
    checkpoint()
    fine -= _scaled(light, size)
    checkpoint()
    grain = F.interpolate(fine * fine, size=light.shape[2:], mode="area")
    slopes = _slopes(light, painted, GRAIN * box_mean(grain, REACH), checkpoint)
    made = torch.empty_like(full)
    for channel in range(3):
        one = slice(channel, channel + 1)
        made[:, one] = _scaled(painted[:, one], size)
        checkpoint()
        made[:, one].addcmul_(F.interpolate(slopes[:, one], size=size, mode="bilinear", align_corners=False), fine)
        checkpoint()
    return made


def _lightness(picture: Tensor) -> Tensor:
    weights = upload(torch.tensor(LUMA, dtype=picture.dtype), picture.device)
    return torch.einsum("bchw,c->bhw", picture, weights)[:, None]


def _slopes(light: Tensor, painted: Tensor, grain: Tensor, checkpoint: Callable[[], None]) -> Tensor:
    """(1, 1, h, w), (1, 3, h, w) -> (1, 3, h, w): of the line from lightness to each colour, in -1..1. grain flattens them."""
    mean_light = box_mean(light, REACH)
    spread = (box_mean(light * light, REACH) - mean_light * mean_light).clamp_min(0) + grain + FLAT
    checkpoint()
    slopes = []
    for colour in torch.split(painted, 1, 1):
        together = box_mean(light * colour, REACH) - mean_light * box_mean(colour, REACH)
        checkpoint()
        slopes.append(box_mean(together / spread, REACH).clamp(-1, 1))
        checkpoint()
    return torch.cat(slopes, 1)


def _scaled(x: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(x, size=size, mode="bicubic", align_corners=False)
