"""`mast`: the closed-form rival on `lite`'s encoder and decoder (`rivals.mast`). Nothing is trained for it.

Methods: `regions` aligns at relu4_1, paints, encodes again and goes on at relu3_1 and
relu2_1 with the decoder's later stages; `single` stops after relu4_1 (MAST-1);
`baseline` is `regions` without maps.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from scsa_core.attention import Links
from scsa_core.backbones.base import BackboneInfo, Capabilities, Checkpoint, Features, Pair, no_checkpoint
from scsa_core.backbones.lite import FILES, Lite
from scsa_core.knobs import Knobs, Method
from scsa_core.rivals.mast import align

LAYERS = ("relu4_1", "relu3_1", "relu2_1")
__all__ = ["FILES", "INFO", "Mast"]

INFO = BackboneInfo(
    name="mast",
    title="MAST",
    line="A rival to compare with: one linear map between the two pictures' features. Huo et al. 2021, on Lite's encoder and decoder.",
    licence="Apache-2.0; VGG-16 part CC BY 4.0",
    defaults={},
    capabilities=Capabilities(
        multiple_of=8,
        minimum=32,
        knobs=("size", "stroke_size", "keep_colours"),
        methods=("regions", "single", "baseline"),
    ),
)


@dataclass(frozen=True)
class Aligned:
    """The aligned relu4_1, and what the later layers need."""

    first: Tensor
    style: Features
    content_labels: Tensor
    style_labels: Tensor
    links: Links | None

    @property
    def nbytes(self) -> int:
        tensors = (self.first, self.content_labels, self.style_labels, *self.style.values())
        return sum(x.nbytes for x in tensors)


class Mast:
    """See `base.Backbone`."""

    info = INFO

    def __init__(self, lite: Lite) -> None:
        self.lite = lite
        self.fingerprint = f"mast-{lite.fingerprint}"

    @classmethod
    def load(cls, device: torch.device) -> Mast:
        """On Lite's files. Raises CheckpointMissing, -Corrupt or -Mismatch."""
        return cls(Lite.load(device))

    def encode(self, picture: Tensor, *, role: str, checkpoint: Checkpoint = no_checkpoint) -> Features:
        return {} if role == "map" else self.lite.taps(picture, LAYERS if role == "style" else LAYERS[:1], checkpoint)

    def prepare(self, pair: Pair, method: Method, checkpoint: Checkpoint = no_checkpoint) -> Aligned:
        labels = (pair.content_labels, pair.style_labels)
        if method == "baseline":
            labels = (torch.zeros(8, 8, dtype=torch.long), torch.zeros(8, 8, dtype=torch.long))
        assert labels[0] is not None and labels[1] is not None
        links = pair.links if method != "baseline" else None
        content, style = (f[LAYERS[0]] for f in (pair.content, pair.style))
        return Aligned(align(content, style, labels[0], labels[1], links, checkpoint), pair.style, labels[0], labels[1], links)

    def render(self, prepared: Aligned, knobs: Knobs, method: Method, checkpoint: Checkpoint = no_checkpoint) -> Tensor:
        picture = self._decode(prepared.first, 0, checkpoint)
        for k, layer in enumerate(LAYERS[1:] if method != "single" else (), 1):
            now = self.lite.taps(picture.clamp(0, 1), (layer,), checkpoint)[layer]
            p = prepared
            aligned = align(now, p.style[layer], p.content_labels, p.style_labels, p.links, checkpoint)
            picture = self._decode(aligned, k, checkpoint)
        return picture

    def _decode(self, x: Tensor, first: int, checkpoint: Checkpoint) -> Tensor:
        """The decoder from its stage `first` on."""
        x = x.clamp_min(0).contiguous(memory_format=torch.channels_last)
        for k in range(first, len(self.lite.decoder.stages)):
            x = self.lite.stage(k, x, checkpoint)
        return self.lite.picture(x, checkpoint)
