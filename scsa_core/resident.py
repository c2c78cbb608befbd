"""The models that stay loaded, within a budget: the one that was not asked for longest goes first."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator

import torch
from torch import nn

from scsa_core.backbones.base import Backbone
from scsa_core.memory import given_bytes, total_memory

VARIABLE = "SCSA_MODELS_MB"
SHARE = 0.5  # of the memory there is: renders need the rest


class Resident:
    """Models by name. Safe to call from several threads; one model loads at a time.

    budget: bytes of weights that may stay; one model alone may be larger. A model that is
    dropped lives on until whoever computes with it is done.
    """

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self._models: OrderedDict[str, tuple[Backbone, int]] = OrderedDict()
        self._lock = threading.Lock()

    def __contains__(self, name: str) -> bool:
        return name in self._models

    def get(self, name: str) -> Backbone | None:
        """The model if it is loaded; asking for its sake only does not make it younger."""
        found = self._models.get(name)
        return found[0] if found else None

    def load(self, name: str, make: Callable[[], Backbone]) -> Backbone:
        """The model, from memory or made. Raises what `make` raises, and then nothing has changed."""
        with self._lock:
            if name not in self._models:
                model = make()
                self._models[name] = (model, weights_bytes(model))
                while len(self._models) > 1 and sum(size for _, size in self._models.values()) > self.budget:
                    self._models.popitem(last=False)
            self._models.move_to_end(name)
            return self._models[name][0]

    def keep_only(self, name: str) -> None:
        """Drop all others: where memory has run out, weights that nobody asked for are the first to go."""
        with self._lock:
            for other in [n for n in self._models if n != name]:
                del self._models[other]


def weights_bytes(model: object) -> int:
    """Bytes of the parameters and buffers of a family's networks, a shared one counted once."""
    return sum({id(t): t.nbytes for n in _networks(model) for t in (*n.parameters(), *n.buffers())}.values())


def _networks(owner: object, depth: int = 2) -> Iterator[nn.Module]:
    """The networks that an object has, itself or in what it has."""
    for part in vars(owner).values() if hasattr(owner, "__dict__") else ():
        if isinstance(part, nn.Module):
            yield part
        elif depth > 1:
            yield from _networks(part, depth - 1)


def budget(device: torch.device) -> int:
    """Bytes: SCSA_MODELS_MB, or half of what the GPU or this machine has. Raises ScsaError for what is no number."""
    given = given_bytes(VARIABLE)
    if given is not None:
        return given
    return int(SHARE * (torch.cuda.get_device_properties(device).total_memory if device.type == "cuda" else total_memory()))
