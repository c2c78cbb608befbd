"""`vgg16-n`: the metric network. Raw VGG-16 convolutions, each tap divided by a constant.

The constants are mean activations over 71 pictures and part of the definition, so that
figures stay comparable; they are not the scale of any model here.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from scsa_core import checkpoints
from scsa_core.backbones.vgg import VGG16, caffe_vgg16

DIVISORS = {
    "relu1_1": 20.9, "relu1_2": 112.0, "relu2_1": 180.4, "relu2_2": 197.0, "relu3_1": 235.4, "relu3_2": 249.0,
    "relu3_3": 157.0, "relu4_1": 129.0, "relu4_3": 15.8, "relu5_1": 16.1, "relu5_3": 0.94,
}  # fmt: skip
LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")


class MetricNetwork:
    """Taps of RGB pictures (1, 3, H, W) in 0..1; reflection padding, 2x2 max-pool."""

    name = "vgg16-n"

    def __init__(self, last: str = "relu5_1") -> None:
        shards = checkpoints.find("vgg16", "vgg16-00001-of-00004.safetensors").parent
        weights = checkpoints.read_shards(shards, "vgg16")
        # Layers without a published constant keep their raw scale: nothing reads them.
        scale = {s.tap: DIVISORS.get(s.tap, 1.0) for s in VGG16}
        self._stack = caffe_vgg16(weights, scale, last).to(memory_format=torch.channels_last)

    def __call__(self, picture: Tensor, taps: Iterable[str] = LAYERS) -> dict[str, Tensor]:
        """{tap: (C, h, w)}."""
        with torch.inference_mode():
            out = self._stack(picture.contiguous(memory_format=torch.channels_last), taps)
        return {k: v[0].contiguous() for k, v in out.items() if k}
