"""Which style regions may feed which content region, and what to say about it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from scsa_core.errors import LabelError
from scsa_core.labels import LabelMap, default_region
from scsa_core.notes import Note

AS_IT_IS = -1
"""In place of a style id: the content region is not painted, its pixels stay."""


@dataclass(frozen=True)
class Pairing:
    """links: content id -> style ids, best first.

    A missing id means the same id, () the whole style picture, (AS_IT_IS,) that the region
    keeps its own pixels.
    """

    links: Mapping[int, tuple[int, ...]]

    @classmethod
    def identity(cls, content: LabelMap, style: LabelMap) -> Pairing:
        """Every content region is fed by the style region of its own id, where there is one."""
        there = set(style.region_ids)
        return cls({k: (k,) if k in there else () for k in content.region_ids})

    def sources(self, content_id: int) -> tuple[int, ...]:
        return tuple(self.links.get(content_id, (content_id,)))

    def effective(self, content_ids: Iterable[int], style_ids: Iterable[int]) -> dict[int, tuple[int, ...]]:
        """The links of the given content ids, without style ids that are not there."""
        there = set(style_ids)
        return {k: tuple(s for s in self.sources(k) if s in there) for k in content_ids}

    def unmatched(self, content: LabelMap, style: LabelMap) -> tuple[int, ...]:
        """Content ids that no style region feeds, though one might."""
        alone = self.left_alone(content)
        return tuple(k for k, v in self.effective(content.region_ids, style.region_ids).items() if not v and k not in alone)

    def left_alone(self, content: LabelMap) -> tuple[int, ...]:
        """Content ids that keep their own pixels."""
        return tuple(k for k in content.region_ids if AS_IT_IS in self.sources(k))

    def painted(self) -> Pairing:
        """The same links for the painting itself: what is left alone is painted from the whole style, and then covered."""
        return Pairing({k: () if AS_IT_IS in v else v for k, v in self.links.items()})

    def style_only(self, content: LabelMap, style: LabelMap) -> tuple[int, ...]:
        """Style ids that feed no content region."""
        used = {s for v in self.effective(content.region_ids, style.region_ids).values() for s in v}
        return tuple(k for k in style.region_ids if k not in used)

    def to_json(self) -> str:
        return json.dumps({str(k): list(v) for k, v in sorted(self.links.items())})

    @classmethod
    def from_json(cls, text: str) -> Pairing:
        """Raises LabelError for anything but {"id": [ids]} with ids 0..255."""
        try:
            return cls.from_object(json.loads(text))
        except (ValueError, RecursionError) as error:
            raise LabelError("the links are not JSON") from error

    @classmethod
    def from_object(cls, value: object) -> Pairing:
        """From a decoded {"id": [ids]}; [-1] leaves a region as it is. Raises LabelError."""
        if not isinstance(value, Mapping) or len(value) > 256:
            raise LabelError("links are an object of region ids")
        links = {}
        for key, sources in value.items():
            if not isinstance(sources, (list, tuple)) or len(sources) > 256:
                raise LabelError("each link is a list of region ids")
            alone = any(str(s) == str(AS_IT_IS) for s in sources)
            links[_id(key)] = (AS_IT_IS,) if alone else tuple(dict.fromkeys(_id(s) for s in sources))
        return cls(links)


def _id(value: object) -> int:
    text = str(value) if not isinstance(value, bool) else ""
    if not text.isascii() or not text.isdigit() or len(text) > 3 or int(text) > 255:
        raise LabelError("region ids are whole numbers from 0 to 255")
    return int(text)


def _named(m: LabelMap, region_id: int) -> str:
    """"Region 3 (sea)", or the name alone where it is the default one."""
    name = m.region(region_id).name
    return name if name == default_region(region_id).name else f"Region {region_id} ({name})"


TOKEN = 8
"""Pixels a side of what attention works on in the families' finest level."""


def vanishing(m: LabelMap, size: tuple[int, int]) -> tuple[int, ...]:
    """Ids that fill no token of a picture of that (width, height): their strokes are lost at this size. Rest is never one."""
    width, height = (max(1, -(-side // TOKEN)) for side in size)
    left = set(np.unique(m.to_grid(height, width)).tolist())
    return tuple(k for k in m.region_ids if k and k not in left)


def too_small(content: LabelMap, style: LabelMap, ids: Iterable[int]) -> list[Note]:
    """What to say of ids that vanish in either map."""
    gone = tuple(sorted(set(ids)))
    names = ", ".join(_named(content if k in content.region_ids else style, k) for k in gone)
    return [Note("vanishes", f"{names}: too small at this size to have an effect.", gone)] if gone else []


def notes(content: LabelMap, style: LabelMap, pairing: Pairing) -> list[Note]:
    """What a person should know before they trust the picture."""
    unmatched, spare = pairing.unmatched(content, style), pairing.style_only(content, style)
    if unmatched and len(unmatched) == len(content.region_ids):
        return [Note("no_shared_region", "The maps share no region, so every part uses the whole style picture.", unmatched)]
    out = []
    for k in unmatched:
        text = f"{_named(content, k)} is only in the content: it uses the whole style picture."
        out.append(Note("unmatched", text, (k,)))
    if spare:
        names = ", ".join(_named(style, k) for k in spare)
        out.append(Note("style_only", f"Not used from the style: {names}.", spare))
    return out
