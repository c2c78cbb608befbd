"""Auto: both maps in one press. What is found is offered as one undoable step of the painter."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any

from scsa_core.labels import LabelMap, Region
from scsa_core.progress import CancelToken, Progress, ProgressCallback
from scsa_core.segment import builtin, sam, segment_pair

from .exchange import path_of
from .files import Picture
from .painter import SIDES, from_label_maps
from .text import t

AUTOMATIC = "auto"
NUMBERS: tuple[str, ...] = (AUTOMATIC, *(str(k) for k in range(2, 10)))
SIZES = {"vit_b": "ViT-B", "vit_l": "ViT-L", "vit_h": "ViT-H"}
KEPT = 8


class AutoMaps:
    """Finds regions of pairs, one pair at a time. The last few analyses are kept, so another number is quick."""

    def __init__(self, device: str = "cpu") -> None:
        self.device = device
        self._kept: OrderedDict[tuple[str, str], builtin.JointSegmentation] = OrderedDict()
        self._lock = threading.Lock()

    def find(
        self,
        content: Picture,
        style: Picture,
        by: str,
        number: str,
        progress: ProgressCallback | None = None,
        cancel: CancelToken | None = None,
    ) -> tuple[LabelMap, LabelMap, dict[int, tuple[int, ...]]]:
        """(content map, style map, links). by: a name of `ways`. number: one of NUMBERS. Raises ScsaError, Cancelled."""
        count = int(number) if number in NUMBERS[1:] else None

        def step(stage: str, fraction: float) -> None:
            if cancel is not None:
                cancel.checkpoint()
            if progress is not None:
                progress(Progress(stage, fraction))

        while not self._lock.acquire(timeout=0.1):
            if cancel is not None:
                cancel.checkpoint()
        try:
            if by != "builtin":
                name = next((n for n in sam.FILES if by == f"sam_{n}"), "vit_b")
                *maps, pairing = segment_pair(
                    content.image, style.image, "sam", count, progress=progress, cancel=cancel, device=self.device, sam_model=name
                )
                return maps[0], maps[1], dict(pairing.links)
            key = content.sha256, style.sha256
            found = self._kept.pop(key, None) or builtin.analyse(content.image, style.image, step)
            self._kept[key] = found
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
            step("finish", 0.85)
            a, b = found.maps(count)
            return a, b, dict(builtin.pairing(a, b).links)
        finally:
            self._lock.release()


def value_with(
    painter: Mapping[str, Any],
    content: LabelMap,
    style: LabelMap,
    links: Mapping[int, tuple[int, ...]],
    regions: Iterable[Region] | None = None,
) -> dict[str, Any]:
    """The painter value that shows found maps over its pictures. A link of a region to its own id goes without saying."""
    paths = [path_of(painter, side) for side in SIDES]
    said = {k: v for k, v in links.items() if v and v != (k,)}
    return from_label_maps(paths[0], paths[1], content, style, regions, by="auto", v=int(painter.get("v") or 0), links=said)


def ways(lang: str) -> list[tuple[str, str]]:
    """Choices of the segmenter: [(words, name)]. Every size of Segment Anything whose weights are here is one."""
    ready = [(t("auto.by.sam", lang, size=size), f"sam_{name}") for name, size in SIZES.items() if sam.is_here(name)]
    return [(t("auto.by.builtin", lang), "builtin"), *(ready or [(t("auto.by.sam_missing", lang), "sam")])]


def numbers(lang: str) -> list[tuple[str, str]]:
    """Choices of the number of regions: [(words, value)]."""
    return [(t("auto.number.auto", lang) if k == AUTOMATIC else k, k) for k in NUMBERS]
