"""Every metric of one directed pair. The style's statistics and the content's features are computed once."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import torch
from PIL import Image

from scsa_core.errors import CheckpointError
from scsa_core.images import to_tensor, working_size
from scsa_core.labels import LabelMap
from scsa_core.metrics import MetricNetwork, RegionTarget, cfsd, colour_distance, content_distance, region_colour_distance
from scsa_core.metrics.content_distance import LAYERS as CONTENT_LAYERS
from scsa_core.metrics.lpips import Lpips
from scsa_core.metrics.network import LAYERS


@dataclass(frozen=True)
class DirectedPair:
    """Pictures at the evaluation's size, with their maps at that size."""

    pair: str
    direction: str
    content: Image.Image
    style: Image.Image
    content_map: LabelMap
    style_map: LabelMap

    @classmethod
    def of(
        cls, pair: str, direction: str, content: Image.Image, style: Image.Image, maps: tuple[LabelMap, LabelMap], size: int
    ) -> DirectedPair:
        """Long sides of `size`, all sides multiples of 8, so that every family works at exactly this size."""
        pictures, labels = [], []
        for picture, m in zip((content, style), maps, strict=True):
            _, inner = working_size(picture.size, size, 8)
            pictures.append(picture.convert("RGB").resize(inner, Image.Resampling.LANCZOS))
            labels.append(m.resized(inner))
        return cls(pair, direction, pictures[0], pictures[1], labels[0], labels[1])


@dataclass
class Instruments:
    """The networks, loaded once. lpips is None where its weights are not here."""

    network: MetricNetwork
    lpips: Lpips | None = None
    device: torch.device | None = None  # LPIPS stays on the processor
    layers: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        own = CONTENT_LAYERS if self.network.name == "vgg16-n" else ()
        self.layers = tuple(dict.fromkeys((*LAYERS, *own)))

    @classmethod
    def load(cls, network: str = "vgg16-n", device: torch.device | None = None) -> Instruments:
        """Raises CheckpointError where the network's weights are not here; LPIPS may be absent."""
        try:
            lpips = Lpips.load()
        except CheckpointError:
            lpips = None
        return cls(MetricNetwork(name=network, device=device), lpips, device)


class Judge:
    """Measures results of one directed pair."""

    def __init__(self, instruments: Instruments, pair: DirectedPair) -> None:
        self._tools, self._pair = instruments, pair
        self._content, self._style = (to_tensor(x).to(instruments.device) for x in (pair.content, pair.style))
        self._of_content = instruments.network(self._content, instruments.layers)
        grids = {layer: (f.shape[1], f.shape[2]) for layer, f in self._of_content.items()}
        of_style = instruments.network(self._style)
        self._target = RegionTarget.of(of_style, pair.content_map.ids, pair.style_map.ids, grids)

    def measure(self, image: Image.Image) -> dict[str, object]:
        """Metric columns of a row, of the 8-bit picture at the content's size."""
        x = to_tensor(image).to(self._tools.device)
        taps = self._tools.network(x, self._tools.layers)
        scores = self._target.score(taps)
        ids = (self._pair.content_map.ids, self._pair.style_map.ids)
        row: dict[str, object] = {
            "ssl": scores.ssl,
            "gram": scores.gram,
            "swd": scores.swd,
            "cfsd": cfsd(self._of_content["relu3_1"], taps["relu3_1"]),
            "colour": colour_distance(x, self._style),
            "colour_regions": region_colour_distance(x, self._style, *ids),
            "regions": json.dumps({str(k): round(v, 5) for k, v in scores.regions.items()}),
            **scores.layers,
        }
        if self._tools.network.name == "vgg16-n":
            row["content_distance"] = content_distance(self._of_content, taps)
        if self._tools.lpips is not None:
            row["lpips"] = self._tools.lpips(self._content.cpu(), x.cpu())
        return row
