"""Links that the regions' looks and places suggest, for maps of any origin."""

from __future__ import annotations

import threading
from collections import OrderedDict

from scsa_core.labels import LabelMap
from scsa_core.segment import features, match
from scsa_core.segment.features import PictureFeatures

from .files import Picture

KEPT = 8
"""Pictures whose features are held, about 9 MB each."""


class Suggestions:
    """Suggests links. A picture is looked at once; other maps of it cost the comparison only."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, PictureFeatures] = OrderedDict()
        self._lock = threading.Lock()

    def links(self, content: Picture, style: Picture, content_map: LabelMap, style_map: LabelMap) -> dict[int, tuple[int, ...]]:
        """Content id -> style ids, best first; for a region like none in the style the nearest one."""
        with self._lock:
            described = [self._features(p) for p in (content, style)]
        found = match.compare_regions(described[0], described[1], content_map, style_map)
        nearest = {k: (v,) for k, v in found.nearest.items()}
        return {k: v or nearest[k] for k, v in found.pairing.links.items()}

    def _features(self, picture: Picture) -> PictureFeatures:
        found = self._kept.pop(picture.sha256, None) or features.describe(picture.image)
        self._kept[picture.sha256] = found
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return found
