"""What a content's features along region borders have of the border itself, held back.

A token of relu4_1 sees 26 pixels around itself: next to a border it answers to the border, as
no other token of its region does. Given the style's contrast such answers become outlines, and
glows beside them, that neither picture has. So they are kept within what their region's inside
has. The content's relu3_1 is left as it is, or edges would no longer be where they are.
"""

from __future__ import annotations

import cv2
import numpy as np
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
    near = _near(where)
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


def _near(where: np.ndarray) -> np.ndarray:
    """(h, w) integer -> bool: which positions lie along a border."""
    inner = np.ones(where.shape, np.uint8)
    for one, other in ((np.s_[:, 1:], np.s_[:, :-1]), (np.s_[1:], np.s_[:-1])):
        differ = where[one] != where[other]
        inner[one][differ] = inner[other][differ] = 0
    if inner.all():
        return np.zeros(where.shape, bool)
    near: np.ndarray = cv2.distanceTransform(inner, cv2.DIST_L2, 5) <= REACH
    return near
