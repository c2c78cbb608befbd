"""LPIPS v0.1 on AlexNet (Zhang et al., CVPR 2018), where its two files are; else it is not available.

Pictures in -1..1, short side 512, shifted and scaled; tokens of the five ReLU layers scaled
to unit length, squared difference weighted by the learned non-negative channel weights,
averaged over positions, summed over layers.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scsa_core import checkpoints

FILES = (("lpips", "alexnet-owt-7be5be79.pth"), ("lpips", "alex.pth"))
SHIFT = torch.tensor([-0.030, -0.088, -0.188]).view(1, 3, 1, 1)
SCALE = torch.tensor([0.458, 0.448, 0.450]).view(1, 3, 1, 1)
WIDTHS = (64, 192, 384, 256, 256)


def alexnet() -> nn.Module:
    """AlexNet's convolutions under torchvision's names (`features.0` ...)."""
    net = nn.Module()
    net.features = nn.Sequential(
        nn.Conv2d(3, 64, 11, stride=4, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2),
        nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2),
        nn.Conv2d(192, 384, 3, padding=1), nn.ReLU(),
        nn.Conv2d(384, 256, 3, padding=1), nn.ReLU(),
        nn.Conv2d(256, 256, 3, padding=1), nn.ReLU(),
    )  # fmt: skip
    return net.eval().requires_grad_(False)


def channel_weights() -> nn.Module:
    """The learned weights under their published names (`lin0.model.1.weight` ...)."""
    net = nn.Module()
    for k, width in enumerate(WIDTHS):
        lin = nn.Module()
        lin.model = nn.Sequential(nn.Identity(), nn.Conv2d(width, 1, 1, bias=False))
        net.add_module(f"lin{k}", lin)
    return net.eval().requires_grad_(False)


class Lpips:
    """Distance of two pictures of one size."""

    name = "LPIPS (AlexNet, v0.1)"

    def __init__(self, features: nn.Module, lin: nn.Module) -> None:
        self.features, self.lin = features, lin

    @classmethod
    def load(cls) -> Lpips:
        """Raises CheckpointMissing, -Corrupt or -Mismatch."""
        features, lin = alexnet(), channel_weights()
        tensors = {k: v for k, v in checkpoints.read_tensors(checkpoints.find(*FILES[0])).items() if k.startswith("features.")}
        checkpoints.load_into(features, tensors, "AlexNet")
        checkpoints.load_into(lin, checkpoints.read_tensors(checkpoints.find(*FILES[1])), "LPIPS's channel weights")
        return cls(features, lin)

    def taps(self, picture: Tensor) -> dict[int, Tensor]:
        """(1, 3, H, W) in 0..1 -> the five layers, tokens of unit length."""
        scale = 512 / min(picture.shape[-2:])
        size = [round(n * scale) for n in picture.shape[-2:]]
        x = picture if size == list(picture.shape[-2:]) else F.interpolate(picture, size, mode="bilinear", antialias=True)
        x = (x * 2 - 1 - SHIFT) / SCALE
        out: dict[int, Tensor] = {}
        for layer in self.features.get_submodule("features").children():
            x = layer(x)
            if isinstance(layer, nn.ReLU):
                out[len(out)] = x / (x.square().sum(1, keepdim=True).sqrt() + 1e-10)
        return out

    def __call__(self, a: Tensor | Mapping[int, Tensor], b: Tensor | Mapping[int, Tensor]) -> float:
        """Pictures (1, 3, H, W) in 0..1, or their `taps`. Known: 0 for equal pictures."""
        with torch.inference_mode():
            x, y = (v if isinstance(v, Mapping) else self.taps(v) for v in (a, b))
            return sum(self._layer(k, x[k], y[k]) for k in range(len(WIDTHS)))

    def _layer(self, k: int, x: Tensor, y: Tensor) -> float:
        weight = self.lin.get_parameter(f"lin{k}.model.1.weight")
        return float(F.conv2d((x - y).square(), weight).mean())
