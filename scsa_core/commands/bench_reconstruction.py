"""`scsa bench reconstruction`: how much of a picture `lite`'s decoder keeps, without any style."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from scsa_core.backbones.lite import TAP, Lite
from scsa_core.images import load_image, to_tensor
from scsa_core.reference_files import find_pairs


def measure(pairs: Path, size: int = 256, device: str = "cpu") -> dict[str, float]:
    """Pair id -> PSNR in dB of the first picture at size x size, encoded to relu4_1 and decoded again."""
    model = Lite.load(torch.device(device))
    found = {}
    with torch.inference_mode():
        for pair in find_pairs(pairs):
            if pair.problem:
                continue
            x = to_tensor(load_image(pair.first).resize((size, size), Image.Resampling.LANCZOS)).to(device)
            features = model.encode(x, role="map")[TAP]
            out = model.decoder(features.contiguous(memory_format=torch.channels_last)).clamp(0, 1)
            found[pair.id] = float(-10 * np.log10((out - x).square().mean().item()))
    return found


def report(pairs: Path, size: int = 256) -> None:
    """Print mean and worst."""
    found = measure(pairs, size)
    values = np.array(list(found.values()))
    worst = min(found, key=found.__getitem__)
    print(f"reconstruction at {size} px over {len(values)} pictures: {values.mean():.2f} dB mean, {values.min():.2f} worst ({worst})")
