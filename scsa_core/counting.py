"""Which integers a tensor holds, by counting: for labels, much quicker than sorting."""

from __future__ import annotations

import torch
from torch import Tensor

FEW = 4096  # integers below this are counted


def present(labels: Tensor) -> Tensor:
    """The integers in use, ascending, in their own dtype."""
    if not labels.numel():
        return labels.flatten()
    low, high = (int(x) for x in labels.aminmax())
    if low < 0 or high >= FEW:
        ids: Tensor = torch.unique(labels)
    else:
        ids = torch.bincount(labels.flatten()).nonzero().flatten().to(labels.dtype)
    return ids


def numbered(labels: Tensor, ids: Tensor) -> Tensor:
    """Each integer's place in `ids`, which holds all of them in ascending order; int64, of the labels' shape."""
    low, high = int(ids[0]), int(ids[-1])
    if low < 0 or high >= FEW:
        return torch.searchsorted(ids, labels.contiguous())
    table = torch.zeros(high + 1, dtype=torch.long, device=ids.device)
    table[ids.long()] = torch.arange(len(ids), device=ids.device)
    return table[labels.long()]


def members(labels: Tensor, wanted: Tensor) -> Tensor:
    """Places in (N,) whose integer is among `wanted` (n,), ascending, int64."""
    low, high = (int(x) for x in labels.aminmax()) if labels.numel() else (0, 0)
    if low < 0 or high >= FEW:
        return torch.isin(labels, wanted).nonzero().flatten()
    table = torch.zeros(high + 1, dtype=torch.bool, device=labels.device)
    table[wanted[(wanted >= 0) & (wanted <= high)].long()] = True
    return table[labels.long()].nonzero().flatten()
