"""Parts of `prepare` found again: what depends on one picture, or one region of it, outlives a change elsewhere.

A stroke on the content leaves the style's regions as they are, a link moves one region: what
was worked out for the others is what it would be again, up to the rounding of sums (1 of 255
in a picture), and is found by what it came from.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, TypeVar

from torch import Tensor

from scsa_core.cache import StageCache, digest


class Sized(Protocol):
    """What can be kept: it knows its bytes."""

    @property
    def nbytes(self) -> int: ...


_Part = TypeVar("_Part", bound=Sized)


class Parts:
    """A view of the stage cache. Without one, or for features of unknown origin, nothing is found and nothing kept.

    origins: by the name of a `Pair`'s features, the hash of everything that they came from.
    """

    def __init__(self, cache: StageCache | None = None, origins: Mapping[str, str] | None = None) -> None:
        self._cache, self._origins = cache, dict(origins or {})
        self._own: set[str] = set()
        self.found = 0  # that others had left

    def get(self, kind: type[_Part], features: str, *of: object) -> _Part | None:
        """The part of that kind of those features and of whatever else it depends on (numbers, strings, bytes)."""
        if self._cache is None or features not in self._origins:
            return None
        key = self._key(kind, features, of)
        value = self._cache.get(key)
        if value is None:
            return None
        assert isinstance(value, kind)
        self.found += key not in self._own
        return value

    def put(self, value: Sized, features: str, *of: object) -> None:
        """Keep a part for `get`. Nobody may write into it from here on."""
        if self._cache is not None and features in self._origins:
            key = self._key(type(value), features, of)
            self._own.add(key)
            self._cache.put(key, value, value.nbytes)

    def _key(self, kind: type, features: str, of: tuple[object, ...]) -> str:
        return digest("part", kind.__name__, self._origins[features], of)


def bits(labels: Tensor) -> bytes:
    """What tells integer labels, or a mask, from others: their numbers, by a row's length."""
    flat = labels.cpu().contiguous()
    return repr((tuple(flat.shape), str(flat.dtype))).encode() + flat.numpy().tobytes()
