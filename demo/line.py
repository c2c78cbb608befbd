"""Who renders next: one job on the machine at a time, first come first served, one place a visitor."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

KEEP_SECONDS = 2.0
"""A place given up for a newer request of the same visitor waits this long for it."""


@dataclass(eq=False)
class Place:
    """A place in the line. left: the moment it was given up, or None."""

    owner: str
    left: float | None = None


class Line:
    """A fair line. `clock` is for tests."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._places: list[Place] = []
        self._lock = threading.Lock()
        self._seconds = 4.0  # a turn's usual length, learned
        self._began: float | None = None

    def enter(self, owner: str) -> Place:
        """The end of the line, or the place that this owner gave up a moment ago."""
        with self._lock:
            self._prune()
            for place in self._places:
                if place.owner == owner and place.left is not None:
                    fresh = Place(owner)
                    self._places[self._places.index(place)] = fresh
                    return fresh
            place = Place(owner)
            self._places.append(place)
            return place

    def position(self, place: Place) -> int:
        """0: it is this place's turn."""
        with self._lock:
            self._prune()
            at = self._places.index(place)
            if at == 0 and self._began is None:
                self._began = self._clock()
            return at

    def seconds_until(self, position: int) -> float:
        """Expected wait of a place, from the length of earlier turns."""
        return position * self._seconds

    def leave(self, place: Place, *, returning: bool = False) -> None:
        """Give the place up. returning: a newer request of the same owner is on its way."""
        with self._lock:
            if place not in self._places:
                return
            at = self._places.index(place)
            if at == 0 and self._began is not None:
                self._seconds += 0.3 * (self._clock() - self._began - self._seconds)
                self._began = None
            if returning and at > 0:
                place.left = self._clock()
            else:
                self._places.remove(place)

    def __len__(self) -> int:
        with self._lock:
            self._prune()
            return len(self._places)

    def _prune(self) -> None:
        now = self._clock()
        self._places = [p for p in self._places if p.left is None or now - p.left < KEEP_SECONDS]
