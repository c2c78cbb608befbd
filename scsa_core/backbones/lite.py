"""`lite`: the model that ships. VGG-16 to relu4_1, one SCSA level, a decoder trained here.

The attention is SANet's with identities for its projections and a fixed logit scale, its SSA on
windows of tokens (patches.py). What the content's tokens along region borders have of the border
is held back first (borders.py). The decoder's input and finer layers take the style's region
statistics, and at relu3_1 a share of the content's own features, so that edges stay where they are
(align.py). A first painting, of half the side where the picture is large, says how far these
statistics miss their aim, and the aim is moved accordingly (correction.py). Pale and coloured rims
along region borders that neither picture has are taken out of the finished painting (rims.py). The
decoder's input is divided by the sum of the weights, so it stays a convex mixture of features
whatever α is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from scsa_core import checkpoints
from scsa_core.backbones import align
from scsa_core.backbones.base import BackboneInfo, Capabilities, Checkpoint, Features, Pair, alphas, no_checkpoint
from scsa_core.backbones.borders import held
from scsa_core.backbones.correction import CORRECTED, corrected
from scsa_core.backbones.encoded import FINE_HALO, FINE_PIXELS, encoded
from scsa_core.backbones.flat import encode_flat
from scsa_core.backbones.level import Attended
from scsa_core.backbones.lite_decoder import LiteDecoder
from scsa_core.backbones.patches import DIRECTIONS, PatchLevel
from scsa_core.backbones.rims import Rims, rims_allowed
from scsa_core.backbones.sanet import pair_labels, soften_all
from scsa_core.backbones.strips import PIXELS, in_strips
from scsa_core.backbones.vgg import ConvStack, caffe_vgg16
from scsa_core.compiled import compile_method, wanted
from scsa_core.knobs import Knobs, Method
from scsa_core.memory import give_back
from scsa_core.precision import convolution_dtype

LOGIT_SCALE = 0.05
ENCODER_HALO = 32  # rows: relu4_1 sees 26 pixels beyond its own
DECODER_HALO = 4  # rows: a stage sees 3 beyond its own
_SPARED = "relu1_1", "relu2_1"
"""A style's largest layers: only their moments are wanted, so they are held in 16 bits, the convolutions' own where those are such."""
TAP = "relu4_1"
PICTURE = "picture"  # itself, beside its layers; of a style's one convolution makes the finest, more than half of what all would weigh
CHANNELS = 512
_HALVED_FROM = 1 << 11  # tokens: a larger picture's first painting, which is only measured, is made at half its side
_TRIM_FROM = 1 << 16  # positions that go into the last stage, where most is held at once: what those before it freed goes back first
VGG_SHARDS = 4
FILES = (
    ("lite", "decoder.safetensors"),
    ("lite", "basis.safetensors"),
    *(("vgg16", f"vgg16-{k:05d}-of-{VGG_SHARDS:05d}.safetensors") for k in range(1, VGG_SHARDS + 1)),
)

INFO = BackboneInfo(
    name="lite",
    title="Lite",
    line="Ships with the app and runs at once; trained by this project on VGG-16.",
    licence="Apache-2.0; VGG-16 part CC BY 4.0",
    defaults={"alpha1": 0.25, "alpha2": 0.75},
    capabilities=Capabilities(
        multiple_of=8,
        minimum=32,
        knobs=("alpha1", "alpha2", "size", "stroke_size", "keep_colours", "soft_borders"),
        timeline={
            "load_model": 0.0, "encode_content": 0.02, "encode_style": 0.19, "encode_maps": 0.36, "match": 0.49,
            "paint": 0.73, "finish": 0.99,
        },
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Painted:
    """Attention summands at relu4_1, the content's relu3_1 (as it is, and wholly aligned), and what works on layers and picture."""

    level: Attended
    detail: Tensor
    aligned: Tensor | None = None
    alignment: align.Alignment | None = None
    rims: Rims | None = None

    def halved(self) -> Painted:
        """What a painting of half the side is made of: means of four positions each, and the same aims."""
        assert self.alignment is not None
        height, width = (n // 2 for n in self.detail.shape[-2:])
        height, width = height - height % 2, width - width % 2  # twice the level's
        summands = (F.adaptive_avg_pool2d(x, (height // 2, width // 2)) for x in (self.level.residual, self.level.sca, self.level.ssa))
        detail = F.adaptive_avg_pool2d(self.detail, (height, width))
        return Painted(Attended(*summands), detail, None, self.alignment.resized(height * 4, width * 4))

    @property
    def nbytes(self) -> int:
        parts = self.level, self.detail, self.aligned, self.alignment, self.rims
        return sum(part.nbytes for part in parts if part is not None)


def read_basis(path: Path) -> Tensor:
    """(512, 24) float32: what SSA compares windows in. Raises CheckpointMissing, -Corrupt or -Mismatch."""
    level = PatchLevel(torch.zeros(CHANNELS, DIRECTIONS), LOGIT_SCALE)
    checkpoints.load_into(level, checkpoints.read_tensors(path), "lite's basis")
    return level.basis


class Lite:
    """See `base.Backbone`."""

    info = INFO

    def __init__(
        self, encoder: ConvStack, decoder: LiteDecoder, basis: Tensor, fingerprint: str, dtype: torch.dtype = torch.float32
    ) -> None:
        self.encoder, self.decoder, self.dtype = encoder.to(dtype), decoder.to(dtype), dtype
        self.fingerprint = f"{fingerprint}-{str(dtype).removeprefix('torch.')}"
        decoder.picture.float()  # the last convolution's rounding would be seen
        self.attention = PatchLevel(basis, LOGIT_SCALE)
        for module in (encoder, decoder, self.attention):
            module.requires_grad_(False).eval().to(memory_format=torch.channels_last)
        compile_method(encoder, "forward")
        compile_method(decoder, "stage")

    @classmethod
    def load(cls, device: torch.device) -> Lite:
        """From the shipped files. Raises CheckpointMissing, -Corrupt or -Mismatch."""
        path = checkpoints.find(*FILES[0])
        scale = json.loads(checkpoints.read_metadata(path)["encoder_scale"])
        basis = read_basis(checkpoints.find(*FILES[1]))
        shards = checkpoints.find(*FILES[2]).parent
        encoder = caffe_vgg16(checkpoints.read_shards(shards, "vgg16"), scale, TAP)
        decoder = LiteDecoder()
        checkpoints.load_into(decoder, checkpoints.read_tensors(path), "Lite's decoder")
        files = [checkpoints.find(*file) for file in FILES]
        fingerprint = checkpoints.fingerprint(files)
        return cls(encoder.to(device), decoder.to(device), basis.to(device), fingerprint, convolution_dtype(device))

    def encode(self, picture: Tensor, *, role: str, checkpoint: Checkpoint = no_checkpoint) -> Features:
        if role == "map":
            picture = picture.to(self.dtype).contiguous(memory_format=torch.channels_last)
            return {TAP: encode_flat(self.encoder, picture, (TAP,), checkpoint, ENCODER_HALO)[TAP].float()}
        if role == "style":
            return {**self.taps(picture, align.LEVELS[:-1], checkpoint, self._spared()), PICTURE: picture}
        return {**self.taps(picture, (align.LEVELS[align.SHARED], TAP), checkpoint), PICTURE: picture}

    def taps(
        self, picture: Tensor, names: tuple[str, ...], checkpoint: Checkpoint, dtypes: Mapping[str, torch.dtype] | None = None
    ) -> Features:
        """Layers of the encoder in float32, by name; those in `dtypes` as told there, unless the picture is small."""
        picture = picture.to(self.dtype).contiguous(memory_format=torch.channels_last)
        return encoded(self.encoder, picture, names, ENCODER_HALO, checkpoint, dtypes)

    def style_layer(self, style: Features, name: str, checkpoint: Checkpoint = no_checkpoint) -> Tensor:
        """A layer of a style, as it was kept or made of the picture."""
        if name in style:
            return style[name]
        picture = style[PICTURE].to(self.dtype).contiguous(memory_format=torch.channels_last)

        def first(strip: Tensor) -> Features:
            return {name: self.encoder(strip, (name,))[name].float()}

        return in_strips(first, picture, FINE_HALO, pixels=FINE_PIXELS, dtypes=self._spared(), checkpoint=checkpoint)[name]

    def _spared(self) -> dict[str, torch.dtype]:
        """Number types of the layers of which only moments are wanted."""
        return dict.fromkeys(_SPARED, torch.float16 if self.dtype == torch.float32 else self.dtype)

    def stage(self, k: int, x: Tensor, checkpoint: Checkpoint = no_checkpoint) -> Tensor:
        """The decoder's stage k."""
        if k == len(self.decoder.stages) - 1 and x.device.type == "cpu" and x.shape[-2] * x.shape[-1] >= _TRIM_FROM:
            give_back()
        # Under torch.compile a stage is one piece: what calls back cannot be part of it.
        stage = partial(self.decoder.stage, k) if wanted() else partial(self.decoder.stage, k, checkpoint=checkpoint)
        return in_strips(stage, x, DECODER_HALO, pixels=PIXELS >> (8 - k), step=DECODER_HALO, checkpoint=checkpoint)

    def picture(self, x: Tensor, checkpoint: Checkpoint = no_checkpoint) -> Tensor:
        """What the decoder makes of its last stage."""
        out: Tensor = in_strips(self.decoder.picture, x, DECODER_HALO, pixels=PIXELS >> 4, step=DECODER_HALO, checkpoint=checkpoint)
        return out

    def prepare(self, pair: Pair, method: Method, checkpoint: Checkpoint = no_checkpoint) -> Painted:
        prepared = self._matched(pair, method, checkpoint)
        if prepared.alignment is None:
            return prepared
        found = None if method == "baseline" else _rims(pair, checkpoint)
        if pair.draft:
            return replace(prepared, rims=found)
        # At the α of every day, whatever the knobs say: one correction serves all of them, and a move of α stays quick.
        checkpoint(0.5)
        small = prepared.halved() if prepared.level.residual[0, 0].numel() >= _HALVED_FROM else prepared
        first = self.render(small, Knobs.for_family(INFO.defaults), method, checkpoint).clamp_(0, 1)
        checkpoint(0.75)
        assert small.alignment is not None
        reached = self.taps(first, CORRECTED, checkpoint, self._spared())
        targets = corrected(small.alignment, reached, checkpoint).targets
        alignment = replace(prepared.alignment, targets=targets)
        aligned = alignment.at(align.SHARED, prepared.detail, checkpoint=checkpoint)
        return replace(prepared, alignment=alignment, aligned=aligned, rims=found)

    def _matched(self, pair: Pair, method: Method, checkpoint: Checkpoint) -> Painted:
        """What attention and alignment make of a pair, before any correction."""
        content, style = pair.content[TAP], pair.style[TAP]
        layer = partial(self.style_layer, pair.style, checkpoint=checkpoint)
        detail = pair.content[align.LEVELS[align.SHARED]]
        if method == "baseline":
            residual, attended = self.attention.baseline(content, style, checkpoint)
            whole = [torch.zeros(x.shape[-2] * 8, x.shape[-1] * 8, dtype=torch.long) for x in (content, style)]
            level = Attended(residual, attended, torch.zeros_like(attended))
            alignment = align.build(layer, whole[0], whole[1], checkpoint=checkpoint, parts=pair.parts)
            return Painted(level, detail, alignment.at(align.SHARED, detail, checkpoint=checkpoint), alignment)
        assert pair.content_map is not None and pair.style_map is not None
        assert pair.content_labels is not None and pair.style_labels is not None
        labels = pair_labels(pair, content, style)
        level = self.attention.attend(
            held(content, labels[0], checkpoint),
            style,
            pair.content_map[TAP],
            pair.style_map[TAP],
            *labels,
            links=pair.links,
            fallback=pair.fallback,
            use_adain=method != "no_sadain",
            checkpoint=checkpoint,
            parts=pair.parts,
        )
        level = soften_all(level, labels[0], pair.soft_borders, checkpoint)
        if method == "no_sadain":
            return Painted(level, detail)
        feather = 1.0 + 2.0 * pair.soft_borders
        alignment = align.build(layer, pair.content_labels, pair.style_labels, pair.links, feather, checkpoint, pair.parts)
        return Painted(level, detail, alignment.at(align.SHARED, detail, checkpoint=checkpoint), alignment)

    def render(self, prepared: Painted, knobs: Knobs, method: Method, checkpoint: Checkpoint = no_checkpoint) -> Tensor:
        a1, a2 = (1.0, 0.0) if method == "baseline" else alphas(knobs, method)
        level = prepared.level
        x = level.residual.add(level.sca, alpha=a1).add_(level.ssa, alpha=a2).div_(1 + a1 + a2)
        strength = min(1.0, a1 + a2)
        if prepared.alignment is not None:
            x = prepared.alignment.at(0, x, strength, own=True, checkpoint=checkpoint)
        x = x.contiguous(memory_format=torch.channels_last)
        for k in range(3):
            x = self.stage(k, x, checkpoint)
            if prepared.alignment is None:
                x = align.blend(x, prepared.detail) if k == 0 else x
            elif k == 0:
                aligned = prepared.aligned
                if aligned is None or strength < 1.0:
                    aligned = prepared.alignment.at(align.SHARED, prepared.detail, strength, checkpoint=checkpoint)
                x = prepared.alignment.blend(x, aligned, strength, checkpoint)
            else:
                x = prepared.alignment.at(k + 1, x, strength, own=True, checkpoint=checkpoint)
        out = self.picture(x, checkpoint)
        return out if prepared.rims is None else prepared.rims.without(out, strength, checkpoint)


def _rims(pair: Pair, checkpoint: Checkpoint) -> Rims | None:
    """Which rims a pair's regions may have."""
    assert pair.content_labels is not None and pair.style_labels is not None
    groups = align.groups_of(pair.content_labels, pair.style_labels, pair.links)
    return rims_allowed(pair.content[PICTURE], pair.style[PICTURE], pair.content_labels, pair.style_labels, groups, checkpoint)
