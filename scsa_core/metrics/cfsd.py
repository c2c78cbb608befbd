"""CFSD: content feature structural distance (StyleID, Chung et al., CVPR 2024)."""

from __future__ import annotations

import torch
from torch import Tensor

LAYER = "relu3_1"
REFERENCE_TOKENS = 16384  # 512 x 512 pixels at relu3_1
ROWS = 128  # of logits at a time: what fits a processor's cache


def cfsd(content: Tensor, result: Tensor) -> float:
    """(16384 / N) * sum_i KL(P_i^content || P_i^result), P = softmax of rows of F F^T / C^2.

    content, result: (C, h, w) features of one network at relu3_1, the same grid. In row
    blocks, so no N x N matrix is held. Known: equal inputs give 0.
    """
    a, b = (x.flatten(1).T for x in (content, result))  # (N, C)
    n, c = a.shape
    total = 0.0
    for i in range(0, n, ROWS):
        p = torch.log_softmax(a[i : i + ROWS] @ a.T / c**2, 1)
        q = torch.log_softmax(b[i : i + ROWS] @ b.T / c**2, 1)
        total += (p.exp() * (p - q)).sum().item()
    return REFERENCE_TOKENS / n * total
