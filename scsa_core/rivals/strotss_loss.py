"""The losses of STROTSS (Kolkin, Salavon, Shakhnarovich, CVPR 2019, arXiv 1904.12785).

Letters: n positions of the picture, m of the style set, C channels of a hypercolumn. Rows
are positions. The first three channels of a hypercolumn are RGB in 0..1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

DECORRELATE = torch.tensor(
    [[0.577350, 0.577350, 0.577350], [-0.577350, 0.788675, -0.211325], [-0.577350, -0.211325, 0.788675]]
)
"""Rotation of RGB onto grey and two colour axes (the authors' code)."""

FLAT = 1e-4  # mean cosine distance below which a region has no structure to keep


@dataclass(frozen=True)
class StyleSet:
    """A region's style hypercolumns and what does not change while a picture is painted.

    columns: (m, C). unit: the same, scaled to length 1, in the number format of the search.
    palette: (m, 3) rotated colours.
    """

    columns: Tensor
    unit: Tensor
    mean: Tensor
    covariance: Tensor
    palette: Tensor

    @classmethod
    def of(cls, columns: Tensor, dtype: torch.dtype = torch.float32) -> StyleSet:
        mean, covariance = moments(columns)
        return cls(columns, F.normalize(columns, dim=1).to(dtype), mean, covariance, rotated(columns))


def rotated(columns: Tensor) -> Tensor:
    """(n, C) hypercolumns -> (n, 3) their colours on the decorrelated axes."""
    return columns[:, :3] @ DECORRELATE.to(columns).T


def moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (C,) and covariance (C, C) of rows (n, C), divided by n."""
    mean = x.mean(0)
    covariance: Tensor = _Gram.apply(x - mean)  # type: ignore[no-untyped-call]
    return mean, covariance / len(x)


class _Gram(torch.autograd.Function):
    """x^T x. Its derivative as one product instead of the two that PyTorch would take: most of a step's arithmetic."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.T @ x

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # type: ignore[override]
        (x,) = ctx.saved_tensors
        out: Tensor = x @ (gradient + gradient.T)
        return out


def self_similarity(x: Tensor, y: Tensor) -> Tensor:
    """Content loss: (1/n) sum_ij |D_x / column sums - D_y / column sums|, D the cosine distances within rows (n, C)."""
    a, b = (_share(1 - _gram(v)) for v in (x, y))
    return (a - b).abs().sum() / len(x)


def _gram(x: Tensor) -> Tensor:
    unit = F.normalize(x, dim=1)
    return unit @ unit.T


def _share(distances: Tensor) -> Tensor:
    # In a flat region all distances are rounding; without a floor their shares would drown everything else.
    return distances / distances.sum(0, keepdim=True).clamp_min(FLAT * len(distances))


def relaxed_emd(x: Tensor, style: StyleSet) -> Tensor:
    """max(mean_i min_j D, mean_j min_i D) with cosine distances: the relaxed earth mover's distance.

    The n x m table is searched without a gradient; only the pairs that win have one, which
    is the same derivative for a fraction of the arithmetic.
    """
    unit = F.normalize(x, dim=1)
    with torch.no_grad():
        similarity = unit.to(style.unit.dtype) @ style.unit.T  # (n, m)
        nearest, nearest_here = similarity.argmax(1), similarity.argmax(0)
    target = F.normalize(style.columns, dim=1) if style.unit.dtype != style.columns.dtype else style.unit
    forth = 1 - (unit * target[nearest]).sum(1).mean()
    back = 1 - (unit[nearest_here] * target).sum(1).mean()
    return torch.maximum(forth, back)


def palette_emd(x: Tensor, style: StyleSet) -> Tensor:
    """Relaxed earth mover's distance of colours: cosine distance + sqrt(max(|a - b|^2, 1e-5) / 3)."""
    a, b = rotated(x), style.palette
    cosine = 1 - F.normalize(a, dim=1) @ F.normalize(b, dim=1).T
    squared = a.square().sum(1)[:, None] + b.square().sum(1)[None] - 2 * a @ b.T
    cost = cosine + (squared.clamp_min(1e-5) / 3).sqrt()
    return torch.maximum(cost.min(1).values.mean(), cost.min(0).values.mean())


def moment_loss(x: Tensor, style: StyleSet) -> Tensor:
    """Mean absolute difference of means plus that of covariances."""
    mean, covariance = moments(x)
    return (mean - style.mean).abs().mean() + (covariance - style.covariance).abs().mean()


def region_loss(x: Tensor, content: Tensor, style: StyleSet, alpha: float) -> Tensor:
    """(alpha l_C + l_M + l_R + l_P / max(alpha, 1)) / (alpha + 2).

    x, content: (n, C) hypercolumns of the picture and of the content at the same positions.
    """
    total = alpha * self_similarity(x, content) + moment_loss(x, style) + relaxed_emd(x, style)
    return (total + palette_emd(x, style) / max(alpha, 1.0)) / (alpha + 2)
