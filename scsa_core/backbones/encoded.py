"""An encoder's layers of a picture, in bounded memory: its finest layers in strips at any size, the others for large pictures.

The finest layers are most of what an encoder holds at once, and a quarter of its arithmetic.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from scsa_core.backbones.base import Checkpoint, no_checkpoint
from scsa_core.backbones.pieces import layer_by_layer
from scsa_core.backbones.strips import PIXELS, STEP, in_strips
from scsa_core.backbones.vgg import ConvStack

FINE_PIXELS = 1 << 16  # of a strip through the layers before the second pooling: small enough to come from the heap
FINE_HALO = 8  # rows: those layers see 7 pixels beyond their own, and pool once


def encoded(
    stack: ConvStack,
    picture: Tensor,
    names: tuple[str, ...],
    halo: int,
    checkpoint: Checkpoint = no_checkpoint,
    dtypes: Mapping[str, torch.dtype] | None = None,
) -> dict[str, Tensor]:
    """Layers (1, C, H / s, W / s) in float32 by name, of a picture (1, 3, H, W) with sides that are multiples of 8.

    halo: pixels, a multiple of 16, that the last layer sees beyond its own. dtypes: what to
    keep a layer in where strips are taken.
    """
    split = [k for k, spec in enumerate(stack.specs) if spec.pool][1]
    between = stack.specs[split - 1].tap
    fine = tuple(n for n in names if n in {s.tap for s in stack.specs[:split]})
    coarse = tuple(n for n in names if n not in fine)

    def first(strip: Tensor) -> dict[str, Tensor]:
        out = stack(strip, (*fine, between), last=split)
        return {name: out[name].float() for name in fine} | {"": out[between]}

    def rest(strip: Tensor) -> dict[str, Tensor]:
        found = layer_by_layer(stack, strip, coarse, first=split, checkpoint=checkpoint)
        return {name: found[name] for name in coarse}

    found = dict(in_strips(first, picture, FINE_HALO, pixels=FINE_PIXELS, dtypes=dtypes, checkpoint=checkpoint))
    x = found.pop("")
    if not coarse:
        return {name: found[name] for name in names}
    kept = {name: (dtypes or {}).get(name, torch.float32) for name in coarse}
    layers = in_strips(rest, x, halo // 2, pixels=PIXELS // 4, step=STEP // 2, dtypes=kept, checkpoint=checkpoint)
    found |= {name: t if t.dtype == kept[name] else t.float() for name, t in layers.items()}
    return {name: found[name] for name in names}
