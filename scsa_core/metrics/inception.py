"""Inception-v3 features for FID, KID and ArtFID, from files a person adds (`scsa checkpoints list`).

`fid`: the network of the published FID figures, in pytorch-fid's file; 299x299, -1..1.
`art`: ArtFID's network, trained on paintings; short side 512, 0..1, no mean or deviation.
Both give the 2048 pooled features. Module names are torchvision's; `fid` averages without
the padding in its pools and takes a maximum in the last block, as the original graph does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scsa_core import checkpoints

if TYPE_CHECKING:
    from torchvision.models import Inception3
    from torchvision.models import inception as tv

Kind = Literal["fid", "art"]
FILES: dict[Kind, tuple[str, str]] = {
    "fid": ("inception", "pt_inception-2015-12-05-6726825d.pth"),
    "art": ("art_inception", "art_inception.pth"),
}
WIDTH = 2048
ART_SIDE = 512  # short side, pixels
_UNUSED = ("fc.", "AuxLogits.")


def build(kind: Kind) -> Inception3:
    """The module without weights and without its classifiers."""
    from torchvision.models import Inception3  # 200 MB and two seconds, which nothing else needs

    net = Inception3(num_classes=1, aux_logits=False, init_weights=False)
    net.fc = nn.Identity()
    net.dropout = nn.Identity()
    if kind == "fid":
        for name in ("Mixed_5b", "Mixed_5c", "Mixed_5d", "Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e", "Mixed_7b"):
            _pool(net, name, "average")
        _pool(net, "Mixed_7c", "max")
    return net.eval().requires_grad_(False)


def _pool(net: Inception3, name: str, kind: Literal["average", "max"]) -> None:
    """Replace the pooling of an Inception block by the original graph's."""
    block = net.get_submodule(name)
    plain = block._forward

    def forward(x: Tensor) -> list[Tensor]:
        pooled = (
            F.max_pool2d(x, 3, stride=1, padding=1) if kind == "max" else F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)
        )
        branches: list[Tensor] = plain(x)
        branches[-1] = cast("tv.InceptionA", block).branch_pool(pooled)
        return branches

    block._forward = forward  # type: ignore[assignment]


class InceptionFeatures:
    """Pictures (1, 3, H, W) in 0..1 -> 2048 numbers each."""

    def __init__(self, net: Inception3, kind: Kind) -> None:
        self.net, self.kind = net, kind

    @classmethod
    def load(cls, kind: Kind) -> InceptionFeatures:
        """From the file of FILES. Raises CheckpointMissing, -Corrupt or -Mismatch."""
        path = checkpoints.find(*FILES[kind])
        tensors = {k: v for k, v in checkpoints.read_tensors(path).items() if not k.startswith(_UNUSED)}
        net = build(kind)
        for name, own in net.state_dict().items():  # older files have no counters of batches
            if name.endswith("num_batches_tracked"):
                tensors.setdefault(name, own)
        checkpoints.load_into(net, tensors, f"Inception-v3 ({kind})")
        return cls(net, kind)

    def __call__(self, picture: Tensor) -> Tensor:
        """(2048,)."""
        with torch.inference_mode():
            if self.kind == "fid":
                x = F.interpolate(picture, (299, 299), mode="bilinear", align_corners=False, antialias=True) * 2 - 1
            else:
                scale = ART_SIDE / min(picture.shape[-2:])
                size = [round(n * scale) for n in picture.shape[-2:]]
                x = F.interpolate(picture, size, mode="bilinear", align_corners=False, antialias=True)
            out: Tensor = self.net(x)
            return out[0]
