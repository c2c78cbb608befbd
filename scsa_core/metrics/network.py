"""The metric networks: frozen, never a model's own, possibly fine-tuned encoder.

`vgg16-n` ships: raw VGG-16 convolutions, each tap divided by a constant that is part of the
definition (`VGG16_DIVISORS`), so that figures stay comparable. `vgg19-n` is the published
normalised VGG-19 (`vgg_normalised.pth`, the encoder of AdaIN, SANet and StyTr²), RGB in
0..1, for comparison with the paper's own numbers; a person adds its file. Their figures
never stand in one column.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor

from scsa_core import checkpoints
from scsa_core.backbones.vgg import VGG16_DIVISORS, VGG19_NORMALISED, ConvStack, caffe_vgg16
from scsa_core.errors import CheckpointMissing, KnobError

NETWORKS = ("vgg16-n", "vgg19-n")
LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
_VGG19 = "vgg_normalised.pth"
_BEYOND = tuple(f"{n}." for n in (45, 48, 51))  # layers after relu5_1, in the whole published file


class MetricNetwork:
    """Taps of RGB pictures (1, 3, H, W) in 0..1; reflection padding, 2x2 max-pool. Raises CheckpointError, KnobError."""

    def __init__(self, last: str = "relu5_1", name: str = "vgg16-n", device: torch.device | None = None) -> None:
        if name not in NETWORKS:
            raise KnobError(f"there is no metric network named {name!r}", knob="network", hint=f"Choose one of: {', '.join(NETWORKS)}.")
        self.name = name
        stack = _vgg19() if name == "vgg19-n" else _vgg16(last)
        self._stack = stack.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def __call__(self, picture: Tensor, taps: Iterable[str] = LAYERS) -> dict[str, Tensor]:
        """{tap: (C, h, w)}, where the network is."""
        picture = picture.to(next(self._stack.parameters()).device)
        with torch.inference_mode():
            out = self._stack(picture.contiguous(memory_format=torch.channels_last), taps)
        return {k: v[0].contiguous() for k, v in out.items() if k}


def _vgg16(last: str) -> ConvStack:
    shards = checkpoints.find("vgg16", "vgg16-00001-of-00004.safetensors").parent
    return caffe_vgg16(checkpoints.read_shards(shards, "vgg16"), VGG16_DIVISORS, last)


def _vgg19() -> ConvStack:
    stack = ConvStack(VGG19_NORMALISED)
    tensors = {k: v for k, v in checkpoints.read_tensors(_find_vgg19()).items() if not k.startswith(_BEYOND)}
    checkpoints.load_into(stack, tensors, "the normalised VGG-19")
    return stack.requires_grad_(False).eval()


def _find_vgg19() -> Path:
    """Wherever a family that uses the file has it."""
    try:
        return checkpoints.find("sanet", _VGG19)
    except CheckpointMissing as missing:
        try:
            return checkpoints.find("stytr2", _VGG19)
        except CheckpointMissing:
            raise missing from None
