"""CFSD: content feature structural distance (StyleID, Chung et al., CVPR 2024)."""

from __future__ import annotations

import torch
from torch import Tensor

LAYER = "relu3_1"
REFERENCE_TOKENS = 16384  # 512 x 512 pixels at relu3_1
ROWS = 128  # of logits at a time
TILE = 512  # rows and columns of them: what fits a processor's cache
RANGE = 40.0  # of logits: sums of exponentials stay normal numbers of 32 bits, whatever is subtracted


def cfsd(content: Tensor, result: Tensor) -> float:
    """(16384 / N) * sum_i KL(P_i^content || P_i^result), P = softmax of rows of F F^T / C^2.

    content, result: (C, h, w) features of one network at relu3_1, the same grid. Piece by
    piece, so no N x N matrix is held. Known: equal inputs give 0.
    """
    a, b = (x.flatten(1).T / len(x) for x in (content, result))  # (N, C), their products are the logits
    bound = max(x.square().sum(1).max().item() for x in (a, b))  # no logit is beyond the longest row's with itself
    total = _symmetric(a, b, bound) if bound <= RANGE else _by_rows(a, b)
    return REFERENCE_TOKENS / len(a) * total


def _symmetric(a: Tensor, b: Tensor, bound: float) -> float:
    """Each pair of tokens once, for the rows of both: logits are symmetric, and so is what is summed where all rows subtract the same.

    With x, y the logits of a and b and e = exp(x): KL_i = sum_j e_ij (x_ij - y_ij) / sum_j e_ij - log sum_j e_ij + log sum_j exp(y_ij).
    """
    parts = [slice(i, i + TILE) for i in range(0, len(a), TILE)]
    differences, of_a, of_b = (torch.zeros(len(a), dtype=torch.float64, device=a.device) for _ in range(3))
    for i, rows in enumerate(parts):
        for columns in parts[i:]:
            x, y = (f[rows] @ f[columns].T for f in (a, b))
            d = x - y
            x.sub_(bound).exp_()
            y.sub_(bound).exp_()
            for total, tile in ((differences, d.mul_(x)), (of_a, x), (of_b, y)):
                total[rows] += tile.sum(1)
                if columns is not rows:
                    total[columns] += tile.sum(0)
    return (differences / of_a - of_a.log() + of_b.log()).sum().item()


def _by_rows(a: Tensor, b: Tensor) -> float:
    """Every row by itself, whatever the logits."""
    total = 0.0
    for i in range(0, len(a), ROWS):
        p = torch.log_softmax(a[i : i + ROWS] @ a.T, 1)
        q = torch.log_softmax(b[i : i + ROWS] @ b.T, 1)
        total += (p.exp() * (p - q)).sum().item()
    return total
