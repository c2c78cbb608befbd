"""A cache bounded in bytes that cannot lie: an entry is found by the hash of everything it came from."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from scsa_core.memory import given_bytes, total_memory

VARIABLE = "SCSA_STAGES_MB"
LEAST, SHARE, MOST = 1_500_000_000, 8, 6_000_000_000


def digest(*parts: object) -> str:
    """Hash of strings, numbers, bytes and tuples of them; order and nesting count."""
    h = hashlib.blake2b(digest_size=16)

    def feed(x: object) -> None:
        if isinstance(x, bytes):
            h.update(b"b%d:" % len(x))
            h.update(x)
        elif isinstance(x, tuple):
            h.update(b"t%d:" % len(x))
            for y in x:
                feed(y)
        elif x is None or isinstance(x, (str, int, float, bool)):
            text = f"{type(x).__name__}:{x!r}".encode()
            h.update(b"s%d:" % len(text))
            h.update(text)
        else:
            raise TypeError(f"cannot hash {type(x).__name__}")

    feed(parts)
    return h.hexdigest()


def bound(on_processor: bool = True) -> int:
    """Bytes that a cache may hold: SCSA_STAGES_MB, or an eighth of this machine's memory between LEAST and MOST.

    What both pictures of 2048 pixels leave behind needs more than LEAST. on_processor: its entries lie in the
    machine's own memory; a GPU's is left to the models. Raises ScsaError for what is no number.
    """
    given = given_bytes(VARIABLE)
    if given is not None:
        return given
    return max(LEAST, min(MOST, total_memory() // SHARE)) if on_processor else LEAST


@dataclass(frozen=True)
class CacheStatistics:
    """Counters since the start, and what is held now."""

    hits: int
    misses: int
    entries: int
    bytes: int


class StageCache:
    """Least recently used first out, bounded in bytes; an entry larger than the bound is not kept."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._entries: OrderedDict[str, tuple[Any, int]] = OrderedDict()
        self._lock = threading.Lock()
        self._bytes = self._hits = self._misses = 0

    def get(self, key: str) -> Any | None:
        with self._lock:
            if key in self._entries:
                self._entries.move_to_end(key)
                self._hits += 1
                return self._entries[key][0]
            self._misses += 1
            return None

    def __contains__(self, key: str) -> bool:
        with self._lock:
            return key in self._entries

    def put(self, key: str, value: Any, size: int) -> None:
        """Keep a value of `size` bytes, dropping the least recently used ones to make room."""
        if size > self.limit:
            return
        with self._lock:
            if key in self._entries:
                self._bytes -= self._entries.pop(key)[1]
            self._entries[key] = (value, size)
            self._bytes += size
            while self._bytes > self.limit:
                self._bytes -= self._entries.popitem(last=False)[1][1]

    def get_or_make(self, key: str, make: Callable[[], Any], size: Callable[[Any], int]) -> Any:
        """The entry, or `make()`, kept under the key. An exception in `make` leaves the cache as it was."""
        value = self.get(key)
        if value is None:
            value = make()
            self.put(key, value, size(value))
        return value

    def clear(self) -> None:
        with self._lock:
            self._entries.clear()
            self._bytes = 0

    def statistics(self) -> CacheStatistics:
        with self._lock:
            return CacheStatistics(self._hits, self._misses, len(self._entries), self._bytes)
