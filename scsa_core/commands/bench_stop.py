"""`bench stop`: how long a stop may wait: the time between looks for one, through whole cold renders.

`lite` on its own weights, another family on random ones of the true shapes.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from scsa_core import checkpoints
from scsa_core.commands.bench_families import write_weights
from scsa_core.commands.bench_render import picture, quarters, warm_up
from scsa_core.engine import Engine, RenderRequest
from scsa_core.progress import CancelToken, Progress

SIZES = (512, 1024, 2048)


@dataclass(frozen=True)
class Waits:
    """One render: its size in pixels, seconds, and per look how long the one before was ago and in which stage."""

    size: int
    seconds: float
    gaps: tuple[tuple[float, str], ...]

    @property
    def longest(self) -> tuple[float, str]:
        """Seconds, and the stage where the work was done meanwhile."""
        return max(self.gaps)

    @property
    def mean(self) -> float:
        """Seconds that a stop at any moment waits for the next look."""
        return sum(gap**2 for gap, _ in self.gaps) / 2 / self.seconds


class _Watch(CancelToken):
    """Notes every look and never stops anything."""

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__()
        self._clock, self.gaps, self.stage = clock, list[tuple[float, str]](), ""
        self._last = clock()

    def checkpoint(self) -> None:
        now = self._clock()
        self.gaps.append((now - self._last, self.stage))
        self._last = now

    def progress(self, step: Progress) -> None:
        self.stage = step.stage


def measure(engine: Engine, size: int, backbone: str, clock: Callable[[], float] = time.perf_counter) -> Waits:
    """The second of two cold renders of `size` x `size` pixels with 4 equal regions: the first one brings everything in."""
    knobs = engine.defaults(backbone).replace(size=size)
    request = RenderRequest(picture(size, 1), picture(size, 2), quarters(size), quarters(size), backbone=backbone, knobs=knobs)
    engine.render(request)
    engine.clear_cache()
    watch, started = _Watch(clock), clock()
    engine.render(request, progress=watch.progress, cancel=watch)
    watch.checkpoint()
    return Waits(size, clock() - started, tuple(watch.gaps))


def run(backbone: str, largest: int) -> Iterator[Waits]:
    """One row a size up to `largest`, in this process."""
    with _weights(backbone):
        engine = Engine("cpu")
        warm_up(engine, backbone)
        for size in SIZES:
            if size <= largest:
                engine.clear_cache()
                yield measure(engine, size, backbone)


@contextmanager
def _weights(backbone: str) -> Iterator[None]:
    """Random ones for a family that does not ship, while this lasts."""
    if backbone == "lite":
        yield
        return
    before = os.environ.get(checkpoints.VARIABLE)
    with tempfile.TemporaryDirectory(prefix="scsa-bench-") as folder:
        write_weights(backbone, Path(folder))
        os.environ[checkpoints.VARIABLE] = folder
        try:
            yield
        finally:
            if before is None:
                del os.environ[checkpoints.VARIABLE]
            else:
                os.environ[checkpoints.VARIABLE] = before
