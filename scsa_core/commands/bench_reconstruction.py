"""`scsa bench reconstruction`: how much of a picture `lite`'s decoder keeps, without any style."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from scsa_core.backbones import align
from scsa_core.backbones.level import Attended
from scsa_core.backbones.lite import TAP, Lite, Painted
from scsa_core.images import load_image, to_tensor
from scsa_core.knobs import Knobs
from scsa_core.reference_files import find_pairs

PATHS = {
    "decoder": "relu4_1 alone",
    "share": "with the content's share of relu3_1 (no_sadain at α = 0)",
    "whole": "that, and every layer aligned with the picture itself (scsa, its own style)",
}
Row = dict[str, float]


def measure(pairs: Path, size: int = 256, device: str = "cpu") -> dict[str, Row]:
    """Pair id -> PSNR in dB of the first picture at size x size, encoded and decoded again, on each of PATHS."""
    model = Lite.load(torch.device(device))
    return {
        pair.id: _row(model, to_tensor(load_image(pair.first).resize((size, size), Image.Resampling.LANCZOS)).to(device))
        for pair in find_pairs(pairs)
        if not pair.problem
    }


@torch.inference_mode()
def _row(model: Lite, picture: torch.Tensor) -> Row:
    features = model.encode(picture, role="style")
    x, detail = features[TAP], features[align.LEVELS[align.SHARED]]
    same = Attended(x, x, x)  # whatever α is, it is the picture's own
    whole = torch.zeros(picture.shape[-2:], dtype=torch.long)
    alignment = align.build(partial(model.style_layer, features), whole, whole)
    out = {
        "decoder": model.decoder(x.contiguous(memory_format=torch.channels_last)),
        "share": model.render(Painted(same, detail), Knobs(), "no_sadain"),
        "whole": model.render(Painted(same, detail, alignment=alignment), Knobs(), "scsa"),
    }
    return {name: float(-10 * np.log10((made.clamp(0, 1) - picture).square().mean().item())) for name, made in out.items()}


def report(pairs: Path, size: int = 256) -> None:
    """Print mean and worst of each path."""
    found = measure(pairs, size)
    print(f"reconstruction at {size} px over {len(found)} pictures")
    for name, title in PATHS.items():
        values = np.array([row[name] for row in found.values()])
        worst = min(found, key=lambda k: found[k][name])
        print(f"{values.mean():6.2f} dB mean, {values.min():.2f} worst ({worst}): {title}")
