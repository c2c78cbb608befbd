"""Source features of earlier paintings, kept while a byte budget allows."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable

from scsa_core.backbones.styleid.injection import Features
from scsa_core.backbones.styleid.network import nbytes


class FeatureMemory:
    """Features by owner (one pair's painting) and step.

    Steps are always passed in the same order, so dropping the least recently used step
    would drop every one just before its turn. Instead what is there stays, and only the
    features of other owners make room.
    """

    def __init__(self, budget: int) -> None:
        self.budget, self.held = budget, 0
        self._owners: OrderedDict[Hashable, dict[int, Features]] = OrderedDict()

    def get(self, owner: Hashable, step: int) -> Features | None:
        if owner in self._owners:
            self._owners.move_to_end(owner)
        return self._owners.get(owner, {}).get(step)

    def put(self, owner: Hashable, step: int, features: Features) -> None:
        size = nbytes(features)
        while self.held + size > self.budget and self._owners and next(iter(self._owners)) != owner:
            _, dropped = self._owners.popitem(last=False)
            self.held -= sum(map(nbytes, dropped.values()))
        if self.held + size <= self.budget:
            self._owners.setdefault(owner, {})[step] = features
            self._owners.move_to_end(owner)
            self.held += size

    def clear(self) -> None:
        self._owners.clear()
        self.held = 0
