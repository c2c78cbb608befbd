"""`strotss`: the strong slow rival behind the one interface (`rivals.strotss`).

There is nothing to encode ahead: `encode` keeps the picture, `prepare` the pair, and
`render` is the whole optimisation. Methods: `regions` paints with the maps, `baseline`
without them.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import torch
from torch import Tensor

from scsa_core import checkpoints
from scsa_core.attention import Links
from scsa_core.backbones.base import BackboneInfo, Capabilities, Checkpoint, Features, Pair, no_checkpoint
from scsa_core.backbones.vgg import VGG16_DIVISORS, ConvStack, caffe_vgg16
from scsa_core.knobs import Knobs, Method
from scsa_core.precision import convolution_dtype
from scsa_core.rivals.strotss import TAPS, Settings, stylize

FILES = tuple(("vgg16", f"vgg16-{k:05d}-of-00004.safetensors") for k in range(1, 5))
INFO = BackboneInfo(
    name="strotss",
    title="STROTSS (slow)",
    line="A rival to compare with: optimises the picture itself, in minutes. Kolkin et al. 2019, on VGG-16, guided by the maps.",
    licence="Apache-2.0; VGG-16 part CC BY 4.0",
    defaults={"size": 256},
    capabilities=Capabilities(
        multiple_of=1,
        minimum=32,
        knobs=("size", "stroke_size", "keep_colours", "seed"),
        methods=("regions", "baseline"),
        slow=True,
        previews=True,
        timeline={
            "load_model": 0.0, "encode_content": 0.004, "encode_style": 0.005, "encode_maps": 0.006, "match": 0.008,
            "paint": 0.01, "finish": 0.999,
        },
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Both:
    """The two pictures, their labels and links."""

    content: Tensor
    style: Tensor
    content_labels: Tensor | None
    style_labels: Tensor | None
    links: Links | None

    @property
    def nbytes(self) -> int:
        return sum(x.nbytes for x in (self.content, self.style, self.content_labels, self.style_labels) if x is not None)


class Strotss:
    """See `base.Backbone`."""

    info = INFO

    def __init__(self, network: ConvStack, fingerprint: str, settings: Settings | None = None) -> None:
        with torch.inference_mode(False):  # weights made in inference mode take no part in gradients
            self.network = network.requires_grad_(False).eval().to(memory_format=torch.channels_last)
        self.fingerprint, self.settings = fingerprint, settings or Settings()

    @classmethod
    def load(cls, device: torch.device) -> Strotss:
        """From the shipped VGG-16. Raises CheckpointMissing, -Corrupt or -Mismatch."""
        files = [checkpoints.find(*file) for file in FILES]
        with torch.inference_mode(False):
            network = caffe_vgg16(checkpoints.read_shards(files[0].parent, "vgg16"), VGG16_DIVISORS, TAPS[-1]).to(device)
            dtype = convolution_dtype(device)
            fingerprint = f"strotss-{checkpoints.fingerprint(files)}-{str(dtype).removeprefix('torch.')}"
            return cls(network.to(dtype), fingerprint, Settings(search=dtype))

    def encode(self, picture: Tensor, *, role: str, checkpoint: Checkpoint = no_checkpoint) -> Features:
        checkpoint()
        return {} if role == "map" else {"picture": picture}

    def prepare(self, pair: Pair, method: Method, checkpoint: Checkpoint = no_checkpoint) -> Both:
        checkpoint()
        content, style = pair.content["picture"], pair.style["picture"]
        if method == "baseline":
            return Both(content, style, None, None, None)
        return Both(content, style, pair.content_labels, pair.style_labels, pair.links)

    def render(self, prepared: Both, knobs: Knobs, method: Method, checkpoint: Checkpoint = no_checkpoint) -> Tensor:
        settings = dataclasses.replace(self.settings, seed=knobs.seed)
        p = prepared
        return stylize(self.network, p.content, p.style, p.content_labels, p.style_labels, p.links, settings, checkpoint)
