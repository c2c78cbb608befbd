"""The segmenter that needs nothing but the shipped VGG-16: both pictures are clustered together.

Tokens of both pictures go into one merge tree, so the same cluster is the same region in
both, and the tree serves every number of regions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from scsa_core.errors import KnobError
from scsa_core.labels import LabelMap
from scsa_core.pairing import Pairing
from scsa_core.segment import features, merge_tree
from scsa_core.segment.features import GRID, PictureFeatures
from scsa_core.segment.refine import to_pixels

Floats = NDArray[np.float64]
Step = Callable[[str, float], None]

AUTOMATIC = 4  # no criterion tried (gaps of the tree, silhouettes) comes near this constant
MOST = 32

_LAYER_WEIGHTS = {"relu4_1": 0.7, "relu5_1": 1.0}
_WIDTH = 48  # principal components a layer
_COLOUR, _ROW, _COLUMN = 0.2, 0.8, 0.5
_LEAVES = 150
_SIZE_POWER = 0.0


@dataclass(frozen=True, eq=False)
class JointSegmentation:
    """The tree of one pair: `maps` for any number of regions costs the refinement only."""

    content: Image.Image
    style: Image.Image
    tokens: Floats
    tree: merge_tree.MergeTree

    def maps(self, regions: int | None = None) -> tuple[LabelMap, LabelMap]:
        """Label maps at the pictures' own sizes, ids from 1 by size; regions 1..32, None: the automatic number.

        Raises KnobError.
        """
        count = AUTOMATIC if regions is None else regions
        if not 1 <= count <= MOST:
            raise KnobError(f"regions must lie between 1 and {MOST}, not {count}", knob="regions")
        labels = self.tree.cut(count)
        scores = _scores(self.tokens, labels)
        half = len(scores) // 2
        pictures = (self.content, scores[:half]), (self.style, scores[half:])
        content, style = (
            LabelMap.from_ids(to_pixels(s.reshape(GRID, GRID, -1).astype(np.float32), picture) + 1) for picture, s in pictures
        )
        return content, style


def analyse(content: Image.Image, style: Image.Image, step: Step | None = None) -> JointSegmentation:
    """Features and tree of a pair. step: called with a stage key and a fraction; may raise to stop."""
    say = step or (lambda stage, fraction: None)
    say("encode_content", 0.0)
    a = features.describe(content)
    say("encode_style", 0.35)
    b = features.describe(style)
    say("match", 0.7)
    tokens = joint_tokens(a, b)
    tree = merge_tree.build(tokens, leaves=_LEAVES, size_power=_SIZE_POWER)
    say("finish", 0.85)
    return JointSegmentation(content, style, tokens, tree)


def joint_tokens(content: PictureFeatures, style: PictureFeatures) -> Floats:
    """(2T, D): content tokens, then style tokens."""
    pair = content, style
    parts = []
    for layer, weight in _LAYER_WEIGHTS.items():
        rows = np.concatenate([features.centred(p.layers[layer]) for p in pair])
        parts.append(weight * features.reduced(rows, _WIDTH))
    colours = [(p.colour - p.colour.mean(0)) / (p.colour.std(0) + 1e-3) for p in pair]
    parts.append(_COLOUR * np.concatenate(colours))
    parts.append(np.tile(features.positions() * (_ROW, _COLUMN), (2, 1)))
    return np.concatenate(parts, 1)


def pairing(content: LabelMap, style: LabelMap) -> Pairing:
    """Shared ids feed each other; a content region without its own is left to the whole style picture."""
    return Pairing.identity(content, style)


def _scores(tokens: Floats, labels: NDArray[np.int64]) -> Floats:
    """(N, K): half the hard label, half a softmax of squared distances to the cluster means."""
    hard = np.eye(int(labels.max()) + 1)[labels]
    means = hard.T @ tokens / hard.sum(0)[:, None]
    squares = ((tokens[:, None] - means[None]) ** 2).sum(-1)
    least = squares.min(1, keepdims=True)
    soft = np.exp(-(squares - least) / max(float(least.mean()), 1e-12))
    out: Floats = 0.5 * hard + 0.5 * soft / soft.sum(1, keepdims=True)
    return out
