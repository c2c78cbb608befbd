"""`PD-vgg16-n`: how far a result's content has moved, on weights that ship. It is not LPIPS and is never named so.

Sum over relu1_2, 2_2, 3_3 and 4_3 of the mean over positions of |y_c - y_x|^2, where y is a
token scaled to unit length. Zhang et al. 2018 (LPIPS) without their learned channel weights.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch.nn.functional as F
from torch import Tensor

LAYERS = ("relu1_2", "relu2_2", "relu3_3", "relu4_3")


def content_distance(content: Mapping[str, Tensor], result: Mapping[str, Tensor]) -> float:
    """Taps {layer: (C, h, w)} of one network on one grid. Known: 0 for equal taps; 2 a layer for orthogonal tokens."""
    total = 0.0
    for layer in LAYERS:
        a, b = (F.normalize(x[layer].flatten(1), dim=0) for x in (content, result))  # (C, N)
        total += (a - b).square().sum(0).mean().item()
    return total
