"""Sample sheets: what the moving average paints now, on the same few pairs every time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from PIL import Image
from torch import Tensor

from scsa_core.attention import RegionIndex, semantic_adain
from scsa_core.backbones import align
from scsa_core.backbones.base import no_checkpoint
from scsa_core.backbones.lite_decoder import LiteDecoder
from scsa_core.backbones.patches import PatchLevel
from scsa_core.backbones.vgg import ConvStack
from scsa_core.images import to_image
from scsa_core.training.regions import joint_regions

REGIONS = 4


@torch.inference_mode()
def sheet(encoder: ConvStack, weights: Mapping[str, Tensor], basis: Tensor, pairs: Sequence[tuple[Tensor, Tensor]]) -> Image.Image:
    """One row a pair: content, its reconstruction, style, the stylised picture.

    weights: a LiteDecoder's parameters. basis: of SSA's windows. pairs: (3, H, W) pictures in 0..1, sides multiples of 16.
    """
    decoder = LiteDecoder().to(pairs[0][0].device).eval()
    decoder.load_state_dict(dict(weights))
    level, rows = PatchLevel(basis, 1.0), []
    for content, style in pairs:
        c, s = (encoder(x[None], align.LEVELS) for x in (content, style))
        generator = torch.Generator(content.device).manual_seed(0)
        labels = [each[0].cpu() for each in joint_regions(c["relu4_1"], s["relu4_1"], [REGIONS], generator)]
        index = RegionIndex.build(labels[0].flatten(), labels[1].flatten()).to(content.device)
        adapted = semantic_adain(c["relu4_1"], s["relu4_1"], labels[0], labels[1])
        swapped = level.sparse(adapted, s["relu4_1"], _tokens(s["relu4_1"]), index, no_checkpoint).transpose(1, 2).reshape(adapted.shape)
        fine = [lab.repeat_interleave(8, 0).repeat_interleave(8, 1) for lab in labels]
        moves = align.build(s.__getitem__, fine[0], fine[1])
        painted = decoder(moves.at(0, (adapted + swapped) / 2), moves.steps(c["relu3_1"]))
        rows.append(torch.cat([content, decoder(c["relu4_1"])[0], style, painted[0]], 2))
    return to_image(torch.cat(rows, 1))


def _tokens(x: Tensor) -> Tensor:
    """(1, C, h, w) -> (1, h * w, C)."""
    return x.flatten(2).transpose(1, 2).contiguous()
