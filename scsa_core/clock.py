"""Two ideas of time: the wall clock, for stamps, and a careful one, for throwing things away."""

from __future__ import annotations

import time
from collections.abc import Callable

Clock = Callable[[], float]
"""Seconds since 1970."""


def careful(clock: Clock = time.time, *, steady: Clock | None = None) -> Clock:
    """A clock that a jump of the wall clock cannot make late: what it calls old is old.

    Somebody sets the time, or a machine wakes with a wrong one and is corrected: for such a
    moment everything that lives for thirty days seems to be expired. So this is the wall clock,
    but never further on than the seconds that passed since it was made. steady: those seconds,
    for tests; without it a `clock` other than the system's is taken at its word.
    """
    if steady is None and clock is not time.time:
        return clock
    passed = steady or _running
    begin = clock() - passed()
    return lambda: min(clock(), begin + passed())


def _running() -> float:
    """Seconds that only grow; those of a machine asleep count where the system tells them."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()
