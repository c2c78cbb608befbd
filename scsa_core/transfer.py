"""Between the processor and a GPU: uploads that nobody waits for."""

from __future__ import annotations

import torch
from torch import Tensor


def upload(x: Tensor, device: torch.device) -> Tensor:
    """x on `device`; to a GPU by way of pinned memory, so that the processor goes on at once."""
    if device.type != "cuda" or x.device.type == "cuda":
        return x.to(device)
    return x.pin_memory().to(device, non_blocking=True)
