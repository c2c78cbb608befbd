"""Joint mIoU of a pair of label maps: good regions that are also the same in both pictures.

One assignment of our ids to the true ids serves both pictures, so a segmenter that cuts
each picture well but does not match the parts scores low.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy  # its parts load when they are used: 40 MB that a render does without
from numpy.typing import NDArray

from scsa_core.errors import ShapeError
from scsa_core.labels import LabelMap

Maps = tuple[LabelMap, LabelMap]


def joint_miou(ours: Maps, truth: Maps, least: float = 0.0) -> float:
    """0..1, higher is better; maps as (content, style), each of ours the size of its truth.

    Ids are assigned one to one by the most common area (Hungarian method), content and
    style at equal total weight; then the mean over true ids of intersection over union,
    both counted over both pictures. A true id without a partner counts 0. least: true ids of
    less area (mean share of both pictures) are not asked for. Raises ShapeError.
    """
    overlap = shared_area(ours, truth)
    overlap[:, overlap.sum(0) / 2 < least] = 0
    rows, columns = scipy.optimize.linear_sum_assignment(-overlap)
    union = overlap.sum(1)[rows] + overlap.sum(0)[columns] - overlap[rows, columns]
    iou = np.divide(overlap[rows, columns], union, out=np.zeros(len(rows)), where=union > 0)
    return float(iou.sum() / np.count_nonzero(overlap.sum(0)))


def shared_area(ours: Maps, truth: Maps) -> NDArray[np.float64]:
    """(256, 256) area of every (our id, true id), as shares of a picture, content and style summed."""
    total = np.zeros((256, 256))
    for mine, true in zip(ours, truth, strict=True):
        if mine.size != true.size:
            raise ShapeError("the maps differ in size", expected=f"{true.size}", actual=f"{mine.size}")
        codes: NDArray[Any] = mine.ids.astype(np.int64) * 256 + true.ids
        total += np.bincount(codes.ravel(), minlength=65536).reshape(256, 256) / codes.size
    return total
