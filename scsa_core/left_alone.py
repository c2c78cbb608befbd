"""Regions that are left as they are: painted with the rest, then covered by the content's own pixels.

The picture is covered and not the features, so it works alike for every family, costs
nothing to switch, and no decoder blurs what was to stay.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from scsa_core.boxes import box_mean
from scsa_core.transfer import upload


def leave_as_it_is(result: Tensor, content: Tensor, labels: Tensor, ids: Iterable[int], softness: float = 0.0) -> Tensor:
    """The result with the content's pixels where the label is one of `ids`: (1, 3, H, W) twice, (H, W) integer.

    The seam is a ramp of a few pixels to either side; softness (tokens of 8 pixels) widens it.
    """
    wanted = torch.as_tensor(sorted(ids), device=labels.device, dtype=labels.dtype)
    kept = torch.isin(labels, wanted).to(result.dtype)[None, None]
    if not kept.any():
        return result
    reach = min(1 + round(4 * softness), min(labels.shape) - 1)
    return torch.lerp(result, content.to(result), upload(box_mean(kept, reach), result.device))
