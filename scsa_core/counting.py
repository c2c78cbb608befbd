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


def members(labels: Tensor, wanted: Tensor) -> Tensor:
    """Places in (N,) whose integer is among `wanted` (n,), ascending, int64."""
    if len(wanted) == 1:
        return (labels == wanted).nonzero().flatten()
    low, high = (int(x) for x in labels.aminmax()) if labels.numel() else (0, 0)
    if low < 0 or high >= FEW:
        return torch.isin(labels, wanted).nonzero().flatten()
    table = torch.zeros(high + 1, dtype=torch.bool, device=labels.device)
    table[wanted[(wanted >= 0) & (wanted <= high)].long()] = True
    return table[labels.long()].nonzero().flatten()
