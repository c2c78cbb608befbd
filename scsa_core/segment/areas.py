"""One picture in many small areas, with the order in which they merge: what a click may mean where no SAM is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from scsa_core.segment import features, merge_tree
from scsa_core.segment.features import GRID
from scsa_core.segment.refine import to_pixels

MOST = 40
_LAYER_WEIGHTS = {"relu4_1": 0.7, "relu5_1": 0.5}
_COLOUR, _PLACE = 1.0, 1.2
_WIDTH = 24


@dataclass(frozen=True, eq=False)
class Areas:
    """labels: (H, W) uint8 area of every pixel. merges: (kept, absorbed) areas, the most alike first, until one is left."""

    labels: NDArray[np.uint8]
    merges: tuple[tuple[int, int], ...]


def find_areas(picture: Image.Image, size: tuple[int, int] | None = None) -> Areas:
    """At most MOST areas of a picture along its own edges; size: (width, height) of the labels, None: the picture's."""
    described = features.describe(picture)
    parts = [weight * features.reduced(features.centred(described.layers[k]), _WIDTH) for k, weight in _LAYER_WEIGHTS.items()]
    colour = (described.colour - described.colour.mean(0)) / (described.colour.std(0).mean() + 1e-3)
    parts += [_COLOUR * 0.3 * colour, _PLACE * features.positions()]
    tokens = np.concatenate(parts, 1)
    tree = merge_tree.build(tokens, leaves=MOST, size_power=0.5)
    hard = np.eye(tree.most)[tree.leaves].reshape(GRID, GRID, -1).astype(np.float32)
    labels = to_pixels(hard, picture if size is None else picture.resize(size, Image.Resampling.LANCZOS))
    return Areas(labels, tree.merges)
