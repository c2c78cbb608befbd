"""What the segmenter and the matcher see of a picture: VGG-16 layers, colour and position on a grid."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image

from scsa_core.images import to_tensor
from scsa_core.metrics.network import MetricNetwork

SIDE = 384  # pictures are squashed to a square of this side
GRID = SIDE // 16  # tokens a side: relu5_1's own resolution
LAYERS = ("relu4_1", "relu5_1", "relu5_3")

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class PictureFeatures:
    """On GRID x GRID tokens, row by row. layers: {tap: (T, C)} averaged activations, >= 0; colour: (T, 3) in 0..1."""

    layers: dict[str, Floats]
    colour: Floats


@lru_cache(maxsize=1)
def _network() -> MetricNetwork:
    return MetricNetwork(LAYERS[-1])


def describe(picture: Image.Image) -> PictureFeatures:
    """Features of a picture of any size and shape. Raises CheckpointError where the shipped VGG-16 is not whole."""
    x = to_tensor(picture, (SIDE, SIDE))
    taps = _network()(x, LAYERS)
    layers = {name: _tokens(F.adaptive_avg_pool2d(tap[None], GRID)[0].numpy()) for name, tap in taps.items()}
    return PictureFeatures(layers, _tokens(F.adaptive_avg_pool2d(x, GRID)[0].numpy()))


def _tokens(grid: NDArray[np.float32]) -> Floats:
    out: Floats = grid.reshape(grid.shape[0], -1).T.astype(np.float64)
    return out


def centred(activations: Floats) -> Floats:
    """(T, C) -> unit rows: square root (Hellinger), less the picture's own mean.

    The mean carries most of what tells a photograph from a painting; without it the same
    thing in both comes out alike.
    """
    root = np.sqrt(np.maximum(activations, 0))
    root = root - root.mean(0)
    out: Floats = root / np.maximum(np.linalg.norm(root, axis=1, keepdims=True), 1e-6)
    return out


def reduced(rows: Floats, width: int) -> Floats:
    """Principal components of (N, C) rows: (N, min(width, C))."""
    rows = rows - rows.mean(0)
    _, vectors = np.linalg.eigh(rows.T @ rows)
    out: Floats = rows @ vectors[:, ::-1][:, :width]
    return out


def positions() -> Floats:
    """(T, 2) rows and columns of token centres in -0.5..0.5."""
    axis = (np.arange(GRID) + 0.5) / GRID - 0.5
    return np.stack(np.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, 2)
