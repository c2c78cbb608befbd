"""The segmenter that needs nothing but the shipped VGG-16: both pictures are clustered together.

Tokens of both pictures go into the same merge trees, so the same cluster is the same
region in both. Many trees over varied features vote; their cuts serve every number of regions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from scsa_core.errors import KnobError
from scsa_core.labels import LabelMap
from scsa_core.pairing import Pairing
from scsa_core.segment import consensus, features
from scsa_core.segment.features import GRID, PictureFeatures
from scsa_core.segment.numbering import by_share
from scsa_core.segment.refine import to_pixels

Floats = NDArray[np.float64]
Step = Callable[[str, float], None]

AUTOMATIC = 4  # no criterion tried (gaps of the tree, silhouettes, agreement of the trees) comes near this constant
MOST = 32

TREES = 24
_SPREAD = 0.35  # of the logarithm of every weight below, from tree to tree
_LAYER_WEIGHTS = {"relu4_1": 0.7, "relu5_1": 0.8}
_EVERY_SECOND = {"relu5_3": 0.4}
_WIDTHS = 24, 64  # principal components a layer
_COLOUR, _ROW, _OUTWARD = 0.2, 0.8, 0.5


@dataclass(frozen=True)
class View:
    """The weights of one tree's tokens. width: principal components a layer."""

    layers: dict[str, float]
    colour: float
    row: float
    outward: float
    width: int


@lru_cache(maxsize=1)
def views() -> tuple[View, ...]:
    """The weights of every tree: always the same ones."""
    random = np.random.default_rng(7)

    def near(weight: float) -> float:
        return float(weight * np.exp(random.normal(0, _SPREAD)))

    out = []
    for k in range(TREES):
        layers = {**_LAYER_WEIGHTS, **(_EVERY_SECOND if k % 2 else {})}
        weights = {name: near(w) for name, w in layers.items()}
        out.append(View(weights, near(_COLOUR), near(_ROW), near(_OUTWARD), int(random.integers(*_WIDTHS))))
    return tuple(out)


@dataclass(frozen=True, eq=False)
class JointSegmentation:
    """The trees of one pair: `maps` for any number of regions costs the vote and the refinement only."""

    content: Image.Image
    style: Image.Image
    trees: consensus.Consensus

    def maps(self, regions: int | None = None) -> tuple[LabelMap, LabelMap]:
        """Label maps at the pictures' own sizes, ids from 1 by size; regions 1..32, None: the automatic number.

        Raises KnobError.
        """
        count = AUTOMATIC if regions is None else regions
        if not 1 <= count <= MOST:
            raise KnobError(f"regions must lie between 1 and {MOST}, not {count}", knob="regions")
        votes = self.trees.votes(count).astype(np.float32)
        half = len(votes) // 2
        pictures = (self.content, votes[:half]), (self.style, votes[half:])
        content, style = (LabelMap.from_ids(to_pixels(v.reshape(GRID, GRID, -1), picture, by_colour=True) + 1) for picture, v in pictures)
        return by_share(content, style)[:2]


def analyse(content: Image.Image, style: Image.Image, step: Step | None = None) -> JointSegmentation:
    """Features and trees of a pair. step: called with a stage key and a fraction; may raise to stop."""
    say = step or (lambda stage, fraction: None)
    say("encode_content", 0.0)
    a = features.describe(content)
    say("encode_style", 0.35)
    b = features.describe(style)

    def told() -> Iterator[Floats]:
        for k, tokens in enumerate(joint_tokens(a, b)):
            say("match", 0.7 + 0.2 * k / TREES)
            yield tokens

    trees = consensus.build(told(), most=MOST)
    say("finish", 0.9)
    return JointSegmentation(content, style, trees)


def joint_tokens(content: PictureFeatures, style: PictureFeatures) -> Iterator[Floats]:
    """(2T, D) for every view: content tokens, then style tokens."""
    pair = content, style
    layers = {
        name: features.reduced(np.concatenate([features.centred(p.layers[name]) for p in pair]), max(_WIDTHS))
        for name in (*_LAYER_WEIGHTS, *_EVERY_SECOND)
    }
    colours = np.concatenate([(p.colour - p.colour.mean(0)) / (p.colour.std(0) + 1e-3) for p in pair])
    places = np.tile(features.positions(), (2, 1))
    # Sky is up and ground is down, but left and right are alike: what counts is middle or margin.
    places = np.stack([places[:, 0], 2 * np.abs(places).max(1)], 1)
    for view in views():
        looks = [weight * layers[name][:, : view.width] for name, weight in view.layers.items()]
        yield np.concatenate([*looks, view.colour * colours, places * (view.row, view.outward)], 1)


def pairing(content: LabelMap, style: LabelMap) -> Pairing:
    """Shared ids feed each other; a content region without its own is left to the whole style picture."""
    return Pairing.identity(content, style)
