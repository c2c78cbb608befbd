"""Filling in only what a person has not touched: their regions stay to the pixel, the rest is found again."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scsa_core.errors import LabelError
from scsa_core.labels import LabelMap, Region, default_region
from scsa_core.pairing import AS_IT_IS

Maps = tuple[LabelMap | None, LabelMap | None]
Links = Mapping[int, tuple[int, ...]]


@dataclass(frozen=True)
class FoundMaps:
    """A pair of maps as it was found, in a few kB: of each its (width, height) and its ids, deflated; None: none."""

    sides: tuple[tuple[tuple[int, int], bytes] | None, ...]

    @classmethod
    def of(cls, maps: Maps) -> FoundMaps:
        return cls(tuple((m.size, zlib.compress(m.ids.tobytes(), 1)) if m is not None else None for m in maps))

    def ids(self, side: int, size: tuple[int, int]) -> NDArray[np.uint8] | None:
        """(H, W) ids of the content (0) or the style (1), where that has this (width, height)."""
        kept = self.sides[side]
        if kept is None or kept[0] != size:
            return None
        return np.frombuffer(zlib.decompress(kept[1]), np.uint8).reshape(size[1], size[0])


def nearest(now: Maps, found: Iterable[FoundMaps]) -> FoundMaps | None:
    """The found maps that differ least from those that are there: an undo may have brought earlier ones back."""

    def differing(maps: FoundMaps) -> int:
        pixels = 0
        for k, current in enumerate(now):
            if current is not None:
                old = maps.ids(k, current.size)
                pixels += current.ids.size if old is None else int(np.count_nonzero(current.ids != old))
        return pixels

    return min(reversed(list(found)), key=differing, default=None)


def touched(now: Maps, before: FoundMaps | None) -> frozenset[int]:
    """Regions that hold a pixel in either picture that a person gave them.

    before: the maps as they were found; None: every region is a person's. Rest never is.
    """
    found: set[int] = set()
    for k, current in enumerate(now):
        if current is None:
            continue
        old = before.ids(k, current.size) if before is not None else None
        changed = current.ids if old is None else current.ids[current.ids != old]
        found.update(np.unique(changed).tolist())
    return frozenset(found - {0})


def fill(now: Maps, mine: Iterable[int], found: tuple[LabelMap, LabelMap], links: Links, regions: Iterable[Region], kept: Links) -> tuple[
    LabelMap, LabelMap, dict[int, tuple[int, ...]]
]:
    """Maps in which the pixels of `mine` are as now and all others as found, and links for them.

    Found regions take the ids that `mine` leaves free. links: of the found maps; kept: a
    person's, which stay where both ends do. Raises LabelError where there are no ids left.
    """
    own = set(mine)
    taken = {k for m in found for k in m.region_ids}
    free = (k for k in range(1, 256) if k not in own and k not in taken)
    number: dict[int, int] = {}
    for k in sorted(taken):
        number[k] = k if k not in own and k != 0 else next(free, -1)
        if number[k] < 0:
            raise LabelError("there are too many regions")
    legend = {r.id: r for r in regions if r.id in own | {0}}
    table = np.array([number.get(k, 0) for k in range(256)], np.uint8)
    maps = []
    for current, new in zip(now, found, strict=True):
        fitted = new if current is None else new.resized(current.size)
        ids = table[fitted.ids]
        if current is not None:
            stays = np.isin(current.ids, sorted(own))
            ids = np.where(stays, current.ids, ids)
        shown = np.unique(ids).tolist()
        maps.append(LabelMap.from_ids(ids, [legend.get(k, default_region(k)) for k in shown]))
    here = set(maps[1].region_ids)
    joined = {number[k]: tuple(number[s] for s in v if number[s] in here) for k, v in links.items()}
    joined.update({k: v for k, v in kept.items() if k in own and all(s in own or s == AS_IT_IS for s in v)})
    there = set(maps[0].region_ids)
    return maps[0], maps[1], {k: v for k, v in joined.items() if k in there}
