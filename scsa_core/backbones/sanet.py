"""`sanet`: SANet (Park & Lee, CVPR 2019) with SCSA, on the published weights.

Files, by their published names: `vgg_normalised.pth` (the whole encoder as one Sequential),
`decoder_iter_500000.pth`, `transformer_iter_500000.pth` (keys `sanet4_1.f.weight`, ...,
`merge_conv.weight`).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scsa_core import checkpoints
from scsa_core.backbones.base import (
    BackboneInfo,
    Capabilities,
    Checkpoint,
    Features,
    Pair,
    alphas,
    no_checkpoint,
)
from scsa_core.backbones.encoded import encoded
from scsa_core.backbones.flat import encode_flat
from scsa_core.backbones.level import Attended, AttentionLevel, grid_labels, soften
from scsa_core.backbones.pieces import convolved, layer_by_layer
from scsa_core.backbones.reflected import ReflectedConv
from scsa_core.backbones.strips import PIXELS, in_strips
from scsa_core.backbones.vgg import SANET_DECODER, VGG19_NORMALISED, ConvStack
from scsa_core.compiled import compile_method
from scsa_core.knobs import Knobs, Method
from scsa_core.precision import convolution_dtype

FILES = ("vgg_normalised.pth", "decoder_iter_500000.pth", "transformer_iter_500000.pth")
TAPS = ("relu4_1", "relu5_1")
ENCODER_HALO = 80  # rows: relu5_1 sees 70 pixels beyond its own
DECODER_HALO = 4  # tokens: a picture's row sees less than 4 beyond its own
FINEST_HALO = 2  # rows before the last doubling: what three convolutions see, two of them after it

INFO = BackboneInfo(
    name="sanet",
    title="SANet",
    line="CNN with two attention levels; the paper's own first family.",
    licence="MIT for the repository that publishes the weights; nothing is said of the weights themselves",
    defaults={"alpha1": 0.7, "alpha2": 0.3},
    capabilities=Capabilities(
        multiple_of=16,
        minimum=64,
        knobs=("alpha1", "alpha2", "size", "stroke_size", "keep_colours", "soft_borders"),
    ),
)


class Transform(nn.Module):
    """The two attention levels and the merge convolution, under the published names."""

    def __init__(self, planes: int = 512) -> None:
        super().__init__()
        self.sanet4_1, self.sanet5_1 = AttentionLevel(planes), AttentionLevel(planes)
        self.merge_conv = ReflectedConv(planes, planes)


def joined(fine: Attended, coarse: Attended, checkpoint: Checkpoint = no_checkpoint) -> Attended:
    """Both levels as one, (1, 512, h, w) each: the coarse one doubled, nearest. What `merge_conv` takes is linear in α."""

    def pair(a: Tensor, b: Tensor) -> Tensor:
        checkpoint()
        return (a + F.interpolate(b, scale_factor=2, mode="nearest")).contiguous(memory_format=torch.channels_last)

    return Attended(pair(fine.residual, coarse.residual), pair(fine.sca, coarse.sca), pair(fine.ssa, coarse.ssa))


class SANet:
    """See `base.Backbone`."""

    info = INFO

    def __init__(
        self, encoder: ConvStack, transform: Transform, decoder: ConvStack, fingerprint: str, dtype: torch.dtype = torch.float32
    ) -> None:
        self.encoder, self.transform, self.decoder, self.dtype = encoder.to(dtype), transform, decoder.to(dtype), dtype
        decoder.get_submodule(decoder.specs[-1].name).float()  # the last convolution's rounding would be seen
        self.fingerprint = fingerprint if dtype == torch.float32 else f"{fingerprint}-{str(dtype).removeprefix('torch.')}"
        for module in (encoder, transform, decoder):
            module.requires_grad_(False).eval().to(memory_format=torch.channels_last)
        for stack in (encoder, decoder):
            compile_method(stack, "forward")

    @classmethod
    def load(cls, device: torch.device) -> SANet:
        """From the three published files. Raises CheckpointMissing, -Corrupt or -Mismatch."""
        paths = [checkpoints.find("sanet", name) for name in FILES]
        encoder, transform, decoder = cls.build(*(checkpoints.read_tensors(p) for p in paths))
        dtype = convolution_dtype(device) if device.type == "cuda" else torch.float32
        return cls(encoder.to(device), transform.to(device), decoder.to(device), checkpoints.fingerprint(paths), dtype)

    @staticmethod
    def build(
        vgg: Mapping[str, Tensor], decoder: Mapping[str, Tensor], transform: Mapping[str, Tensor]
    ) -> tuple[ConvStack, Transform, ConvStack]:
        """Modules from state dicts; the encoder's layers beyond relu5_1 are not needed and dropped."""
        encoder, head, tail = ConvStack(VGG19_NORMALISED), Transform(), ConvStack(SANET_DECODER)
        own = set(encoder.state_dict())
        beyond = {f"{n}.{kind}" for n in (45, 48, 51) for kind in ("weight", "bias")}
        checkpoints.load_into(encoder, {k: v for k, v in vgg.items() if k in own or k not in beyond}, "SANet's encoder")
        checkpoints.load_into(head, transform, "SANet's attention")
        checkpoints.load_into(tail, decoder, "SANet's decoder")
        return encoder, head, tail

    def encode(self, picture: Tensor, *, role: str, checkpoint: Checkpoint = no_checkpoint) -> Features:
        checkpoint()
        picture = picture.to(self.dtype).contiguous(memory_format=torch.channels_last)
        out: Mapping[str, Tensor]
        if role == "map":
            out = encode_flat(self.encoder, picture, TAPS, checkpoint, ENCODER_HALO)
        else:
            out = encoded(self.encoder, picture, TAPS, ENCODER_HALO, checkpoint)
        return {tap: out[tap].float() for tap in TAPS}

    def prepare(self, pair: Pair, method: Method, checkpoint: Checkpoint = no_checkpoint) -> Attended:
        fine, coarse = (self._level(pair, tap, method, checkpoint) for tap in TAPS)
        return joined(fine, coarse, checkpoint)

    def _level(self, pair: Pair, tap: str, method: Method, checkpoint: Checkpoint) -> Attended:
        attention: AttentionLevel = self.transform.get_submodule(f"sanet{tap[-3:]}")  # type: ignore[assignment]
        content, style = pair.content[tap], pair.style[tap]
        if method == "baseline":
            residual, attended = attention.baseline(content, style, checkpoint)
            return Attended(residual, attended, torch.zeros_like(attended))
        assert pair.content_map is not None and pair.style_map is not None
        labels = pair_labels(pair, content, style)
        out = attention.attend(
            content,
            style,
            pair.content_map[tap],
            pair.style_map[tap],
            *labels,
            links=pair.links,
            fallback=pair.fallback,
            use_adain=method != "no_sadain",
            checkpoint=checkpoint,
            parts=pair.parts,
        )
        return soften_all(out, labels[0], pair.soft_borders, checkpoint)

    def render(self, prepared: Attended, knobs: Knobs, method: Method, checkpoint: Checkpoint = no_checkpoint) -> Tensor:
        x = weighted(prepared, knobs, method)
        x = convolved(self.transform.merge_conv, x, checkpoint)
        return decode(self.decoder, x, checkpoint)


def decode(decoder: ConvStack, x: Tensor, checkpoint: Checkpoint = no_checkpoint) -> Tensor:
    """The picture (1, 3, 8h, 8w) of features (1, C, h, w), by SANet's decoder or another of its layout.

    The finest layers are most of its memory and little of its arithmetic: they always go in strips.
    """
    finest = max(k for k, spec in enumerate(decoder.specs) if spec.upsample)

    def part(features: Tensor, first: int, last: int) -> Tensor:
        return layer_by_layer(decoder, features, first=first, last=last, checkpoint=checkpoint)[""]

    x = x.contiguous(memory_format=torch.channels_last)
    x = in_strips(partial(part, first=0, last=finest), x, DECODER_HALO, pixels=PIXELS // 64, step=DECODER_HALO)
    return in_strips(partial(part, first=finest, last=len(decoder.specs)), x, FINEST_HALO, pixels=PIXELS // 64, step=FINEST_HALO)


def pair_labels(pair: Pair, content: Tensor, style: Tensor) -> tuple[Tensor, Tensor]:
    """Labels of a pair at its feature grids, (h, w) and (h', w')."""
    assert pair.content_labels is not None and pair.style_labels is not None
    out = []
    for which, labels, x in (("content", pair.content_labels, content), ("style", pair.style_labels, style)):
        size = (which, x.shape[-2], x.shape[-1])
        out.append(pair.grid_labels[size] if size in pair.grid_labels else grid_labels(labels, *x.shape[-2:]))
    return out[0], out[1]


def soften_all(x: Attended, labels: Tensor, width: float, checkpoint: Checkpoint = no_checkpoint) -> Attended:
    """`soften` on each summand of a level."""
    parts = []
    for part in (x.residual, x.sca, x.ssa):
        checkpoint()
        parts.append(soften(part, labels, width, checkpoint))
    return Attended(*parts)


def weighted(x: Attended, knobs: Knobs, method: Method) -> Tensor:
    """residual + α₁ sca + α₂ ssa; the baseline's attention stands in `sca` with weight 1."""
    if method == "baseline":
        return x.residual + x.sca
    a1, a2 = alphas(knobs, method)
    return x.residual.add(x.sca, alpha=a1).add_(x.ssa, alpha=a2)
