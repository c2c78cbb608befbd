"""What a content's features along region borders have of the border itself, held back.

A token of relu4_1 sees 26 pixels around itself: next to a border it answers to the border, as
no other token of its region does. Given the style's contrast such answers become outlines, and
glows beside them, that neither picture has. So they are kept within what their region's inside
has. The content's relu3_1 is left as it is, or edges would no longer be where they are.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from scsa_core.backbones.align import moments
from scsa_core.backbones.base import Checkpoint, no_checkpoint
from scsa_core.transfer import upload

REACH = 1.0  # tokens beyond those that touch a border: with them, two rows
DEVIATIONS = 2.0  # of a region's inside: as far as a token may be from its mean
LEAST = 16  # tokens that must be an inside, or a region is left alone


def held(x: Tensor, labels: Tensor, checkpoint: Checkpoint = no_checkpoint) -> Tensor:
    """Content features (1, C, h, w), those next to a border of labels (h, w) moved, smoothly, to within their region's inside.

    The picture's edge is no border. Returns x itself where nothing is to be moved; never writes it.
    """
    ids, where = np.unique(labels.cpu().numpy(), return_inverse=True)
    where = where.reshape(tuple(labels.shape))
    far = from_border(where)
    if far is None:
        return x
    near = far <= REACH
    insides = np.bincount(where[~near], minlength=len(ids))
    moved = near & (insides >= LEAST)[where]
    if not moved.any():
        return x
    checkpoint()
    regions = np.unique(where[moved])
    inside = torch.from_numpy(np.stack([(where == r) & ~near for r in regions]))
    there = moments(x[0], upload(inside, x.device).float(), checkpoint)
    at = upload(torch.from_numpy(np.flatnonzero(moved)), x.device)
    which = upload(torch.from_numpy(np.searchsorted(regions, where[moved])), x.device)
    mean, reach = there.mean[which], there.deviation[which] * DEVIATIONS
    out = x.clone(memory_format=torch.channels_last)
    tokens = out.permute(0, 2, 3, 1).flatten(0, 2)  # (h w, C), the same memory
    tokens[at] = mean + reach * torch.tanh((tokens[at] - mean) / reach)
    return out


def from_border(regions: npt.NDArray[np.integer]) -> npt.NDArray[np.float32] | None:
    """How far each position of (h, w) numbers is from the nearest that touches another region; None where none does.

    The picture's edge is no border.
    """
    inner = np.ones(regions.shape, np.uint8)
    for one, other in ((np.s_[:, 1:], np.s_[:, :-1]), (np.s_[1:], np.s_[:-1])):
        differ = regions[one] != regions[other]
        inner[one][differ] = inner[other][differ] = 0
    return None if inner.all() else cv2.distanceTransform(inner, cv2.DIST_L2, 5).astype(np.float32, copy=False)
