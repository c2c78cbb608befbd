"""Auto: both maps in one press. What is found is offered as one undoable step of the painter."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from scsa_core import checkpoints
from scsa_core.errors import CheckpointMissing
from scsa_core.labels import LabelMap
from scsa_core.segment import builtin, sam, segment_pair

from .exchange import path_of
from .files import Picture
from .painter import SIDES, from_label_maps, to_label_maps
from .text import t

AUTOMATIC = "auto"
NUMBERS: tuple[str, ...] = (AUTOMATIC, *(str(k) for k in range(2, 10)))
KEPT = 8


class AutoMaps:
    """Finds regions of pairs, one pair at a time. The last few analyses are kept, so another number is quick."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, str], builtin.JointSegmentation] = OrderedDict()
        self._lock = threading.Lock()

    def find(self, content: Picture, style: Picture, by: str, number: str) -> tuple[LabelMap, LabelMap, dict[int, tuple[int, ...]]]:
        """(content map, style map, links). number: one of NUMBERS. Raises ScsaError."""
        count = int(number) if number in NUMBERS[1:] else None
        with self._lock:
            if by == "sam":
                *maps, pairing = segment_pair(content.image, style.image, "sam", count)
                return maps[0], maps[1], dict(pairing.links)
            key = content.sha256, style.sha256
            found = self._kept.pop(key, None) or builtin.analyse(content.image, style.image)
            self._kept[key] = found
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
            a, b = found.maps(count)
            return a, b, dict(builtin.pairing(a, b).links)


def value_with(painter: Mapping[str, Any], content: LabelMap, style: LabelMap, links: Mapping[int, tuple[int, ...]]) -> dict[str, Any]:
    """The painter value that shows found maps over its pictures. A link of a region to its own id goes without saying."""
    paths = [path_of(painter, side) for side in SIDES]
    said = {k: v for k, v in links.items() if v and v != (k,)}
    return from_label_maps(paths[0], paths[1], content, style, by="auto", v=int(painter.get("v") or 0), links=said)


def state_of(painter: Mapping[str, Any] | None) -> str:
    """What the maps of a value are, to tell later whether a person changed them. "" where nothing is painted."""
    maps = [m for m in to_label_maps(painter) if m is not None and set(m.region_ids) - {0}]
    return "-".join(m.digest() for m in maps)


def ways(lang: str) -> list[tuple[str, str]]:
    """Choices of the segmenter: [(words, name)]."""
    try:
        checkpoints.find("sam", sam.FILES["vit_b"])
        words = t("auto.by.sam", lang)
    except CheckpointMissing:
        words = t("auto.by.sam_missing", lang)
    return [(t("auto.by.builtin", lang), "builtin"), (words, "sam")]


def numbers(lang: str) -> list[tuple[str, str]]:
    """Choices of the number of regions: [(words, value)]."""
    return [(t("auto.number.auto", lang) if k == AUTOMATIC else k, k) for k in NUMBERS]
