"""Convolution stacks of the VGG family, shared by `sanet` and `lite`.

A stack is described by data (`ConvSpec`), its modules are named by the numbers their
published files use, so a published state dict loads without renaming. Every 3x3
convolution is reflection-padded, as in SANet's and AdaIN's normalised VGG.

Sources: Simonyan & Zisserman 2015 (VGG); Park & Lee 2019 (SANet, the VGG-19 and decoder
layouts); torchvision's numbering of VGG-16.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scsa_core.backbones.reflected import ReflectedConv
from scsa_core.backbones.upsampled import upsampled_conv2d


@dataclass(frozen=True)
class ConvSpec:
    """One convolution of a stack.

    name: the number its published file uses. tap: the layer name its ReLU output has
    (empty: not a tap). pool: 2x2 max-pool before it. upsample: nearest 2x after it.
    """

    name: str
    inputs: int
    outputs: int
    kernel: int = 3
    relu: bool = True
    pool: bool = False
    upsample: bool = False
    tap: str = ""


def _vgg(plan: Iterable[tuple[str, int, str]], first: int, *, stem: tuple[ConvSpec, ...] = ()) -> tuple[ConvSpec, ...]:
    specs, inputs, block = list(stem), 3, "1"
    for name, outputs, tap in plan:
        specs.append(ConvSpec(name, inputs, outputs, pool=tap[0] != block, tap=f"relu{tap}"))
        inputs, block = outputs, tap[0]
    return tuple(specs)


VGG16 = _vgg(
    [
        ("0", 64, "1_1"), ("2", 64, "1_2"), ("5", 128, "2_1"), ("7", 128, "2_2"),
        ("10", 256, "3_1"), ("12", 256, "3_2"), ("14", 256, "3_3"),
        ("17", 512, "4_1"), ("19", 512, "4_2"), ("21", 512, "4_3"),
        ("24", 512, "5_1"), ("26", 512, "5_2"), ("28", 512, "5_3"),
    ],
    3,
)  # fmt: skip

VGG19_NORMALISED = _vgg(
    [
        ("2", 64, "1_1"), ("5", 64, "1_2"), ("9", 128, "2_1"), ("12", 128, "2_2"),
        ("16", 256, "3_1"), ("19", 256, "3_2"), ("22", 256, "3_3"), ("25", 256, "3_4"),
        ("29", 512, "4_1"), ("32", 512, "4_2"), ("35", 512, "4_3"), ("38", 512, "4_4"),
        ("42", 512, "5_1"),
    ],
    3,
    stem=(ConvSpec("0", 3, 3, kernel=1, relu=False),),
)  # fmt: skip

SANET_DECODER = (
    ConvSpec("1", 512, 256, upsample=True),
    ConvSpec("5", 256, 256), ConvSpec("8", 256, 256), ConvSpec("11", 256, 256),
    ConvSpec("14", 256, 128, upsample=True),
    ConvSpec("18", 128, 128), ConvSpec("21", 128, 64, upsample=True),
    ConvSpec("25", 64, 64), ConvSpec("28", 64, 3, relu=False),
)  # fmt: skip

VGG16_DIVISORS = {
    "relu1_1": 20.9, "relu1_2": 112.0, "relu2_1": 180.4, "relu2_2": 197.0, "relu3_1": 235.4, "relu3_2": 249.0,
    "relu3_3": 157.0, "relu4_1": 129.0, "relu4_2": 1.0, "relu4_3": 15.8, "relu5_1": 16.1, "relu5_2": 1.0, "relu5_3": 0.94,
}  # fmt: skip
"""Mean activations of VGG-16's layers over 71 pictures, part of the definition of `vgg16-n`; 1 where none is published."""


def until(specs: tuple[ConvSpec, ...], tap: str) -> tuple[ConvSpec, ...]:
    """The part of a stack that ends with the layer named `tap`."""
    for k, spec in enumerate(specs):
        if spec.tap == tap:
            return specs[: k + 1]
    raise ValueError(f"no layer named {tap!r}")


class ConvStack(nn.Module):
    """Convolutions in a row. Its state dict has the keys `<number>.weight` and `<number>.bias`."""

    def __init__(self, specs: tuple[ConvSpec, ...]) -> None:
        super().__init__()
        self.specs = specs
        for s in specs:
            self.add_module(s.name, ReflectedConv(s.inputs, s.outputs) if s.kernel == 3 else nn.Conv2d(s.inputs, s.outputs, 1))

    def forward(self, x: Tensor, taps: Iterable[str] = (), first: int = 0, last: int | None = None) -> dict[str, Tensor]:
        """(B, C, H, W) float -> {tap: (B, C', H', W')}; the key "" holds the last output.

        Pooling rounds up (ceil mode), as the published networks do. Layers after the
        last wanted tap are not run, nor those before number `first` or from `last` on.
        """
        wanted, out = set(taps), {}
        specs = self.specs[first:last]
        doubled = False  # x stands for the picture of twice its size
        for s, after in zip(specs, (*specs[1:], None), strict=True):
            if s.pool:
                x = F.max_pool2d(x, 2, ceil_mode=True)
            x = self._layer(s, x, doubled)
            doubled = s.upsample and s.tap not in wanted and after is not None and after.kernel == 3 and not after.pool
            if s.upsample and not doubled:
                x = F.interpolate(x, scale_factor=2, mode="nearest")
            if s.tap in wanted:
                out[s.tap] = x
                if len(out) == len(wanted):
                    break
        out[""] = x
        return out

    def layer(self, number: int, x: Tensor) -> Tensor:
        """Convolution and ReLU of one layer, without its pooling or doubling."""
        return self._layer(self.specs[number], x, doubled=False)

    def _layer(self, s: ConvSpec, x: Tensor, doubled: bool) -> Tensor:
        """doubled: x stands for the picture of twice its size."""
        layer = self.get_submodule(s.name)
        x = x.to(layer.get_parameter("weight").dtype)  # the last of a decoder may be in full precision
        x = upsampled_conv2d(x, layer.get_parameter("weight"), layer.get_parameter("bias")) if doubled else layer(x)
        if s.relu:
            x = F.relu_(x) if not x.requires_grad else F.relu(x)
        return x


def caffe_vgg16(weights: Mapping[str, Tensor], scale: Mapping[str, float], last: str) -> ConvStack:
    """VGG-16 up to the layer `last`, taking RGB in 0..1, each tap divided by `scale[tap]`.

    weights: the 13 convolutions under torchvision's keys (`features.0.weight`, ...) in the
    original convention, BGR in 0..255 minus (103.939, 116.779, 123.68). The channel flip
    and the mean are folded into the first convolution; dividing a ReLU layer's output by
    a positive number is folded into the convolutions around it, so it is exact.
    """
    stack = ConvStack(until(VGG16, last))
    before = 1.0
    with torch.no_grad():
        for s in stack.specs:
            w, b = (weights[f"features.{s.name}.{kind}"].float() for kind in ("weight", "bias"))
            if s.inputs == 3:
                mean = torch.tensor([103.939, 116.779, 123.68])
                b = b - (w.sum((2, 3)) * mean).sum(1)
                w = w.flip(1) * 255.0
            after = scale[s.tap]
            conv = stack.get_submodule(s.name)
            conv.get_parameter("weight").copy_(w * (before / after))
            conv.get_parameter("bias").copy_(b / after)
            before = after
    return stack.requires_grad_(False).eval()
