"""Training pictures: read once at a fixed short side, random square crops from memory."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}
SCALES = 0.7, 1.3
"""Pictures are painted at more than the training pictures' size: smaller crops alone would teach finer strokes than are seen."""


def picture_files(folder: Path) -> list[Path]:
    """Sorted picture files of a folder. Raises FileNotFoundError when there are none."""
    files = sorted(f for f in folder.iterdir() if f.suffix.lower() in SUFFIXES)
    if not files:
        raise FileNotFoundError(f"no pictures in {folder}")
    return files


def read_short_side(path: Path, side: int) -> np.ndarray:
    """RGB uint8 (H, W, 3) with min(H, W) == side, Lanczos."""
    with Image.open(path) as opened:
        im = opened.convert("RGB")
    k = side / min(im.size)
    size = (max(side, round(im.width * k)), max(side, round(im.height * k)))
    return np.asarray(im.resize(size, Image.Resampling.LANCZOS))


def to_tensor(array: np.ndarray) -> Tensor:
    """uint8 (H, W, 3) -> float (3, H, W) in 0..1."""
    return torch.from_numpy(array.copy()).permute(2, 0, 1).float() / 255


def centre_square(path: Path, side: int) -> Tensor:
    a = read_short_side(path, side)
    y, x = (a.shape[0] - side) // 2, (a.shape[1] - side) // 2
    return to_tensor(a[y : y + side, x : x + side])


class Crops:
    """Random square crops, mirrored half the time, at 0.7 to 1.3 of the stored scale, cut where they are needed."""

    def __init__(self, files: Sequence[Path], side: int, rng: random.Random, device: torch.device | None = None) -> None:
        self.pictures = [torch.from_numpy(read_short_side(f, side).copy()).permute(2, 0, 1).to(device) for f in files]
        self.rng = rng

    def one(self, size: int) -> Tensor:
        """(3, size, size) float in 0..1."""
        a = self.rng.choice(self.pictures)
        cut = min(*a.shape[1:], int(size / self.rng.uniform(*SCALES)))
        y, x = self.rng.randint(0, a.shape[1] - cut), self.rng.randint(0, a.shape[2] - cut)
        square = a[None, :, y : y + cut, x : x + cut].float() / 255
        out = F.interpolate(square, (size, size), mode="bicubic", antialias=True, align_corners=False)[0].clamp(0, 1)
        return out.flip(2) if self.rng.random() < 0.5 else out

    def batch(self, count: int, size: int) -> Tensor:
        """(count, 3, size, size) float in 0..1, channels-last."""
        x = torch.stack([self.one(size) for _ in range(count)])
        return x.contiguous(memory_format=torch.channels_last)
