"""One render under way: its progress, whether it shall stop, and the seconds of its stages."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from torch import Tensor

from scsa_core import images
from scsa_core.progress import CancelToken, Progress, ProgressCallback

# Share of a cold render that is done when a stage starts (measured at 512 px, rounded).
_DONE_AT_START = {
    "load_model": 0.0, "encode_content": 0.05, "encode_style": 0.25, "encode_maps": 0.45, "match": 0.75, "paint": 0.8, "finish": 0.97,
}  # fmt: skip


class Run:
    """Progress, cancellation and the clock of one render."""

    def __init__(
        self, progress: ProgressCallback | None, cancel: CancelToken | None, timeline: Mapping[str, float], size: tuple[int, int]
    ) -> None:
        self._progress, self._cancel, self._size = progress, cancel, size
        self._starts = _DONE_AT_START | dict(timeline)
        self._stage, self._part = "load_model", (0, 1)
        self.timings: dict[str, float] = {}
        self.started = 0.0  # of the current stage
        self.reused = False  # whether the current stage took something from the cache
        self.cold = False  # whether a picture had to be encoded

    def checkpoint(self, fraction: float | None = None, picture: Tensor | None = None) -> None:
        """What families call between pieces of work: see `backbones.base.Checkpoint`."""
        if self._cancel is not None:
            self._cancel.checkpoint()
        if fraction is None or self._progress is None:
            return
        start = self._starts[self._stage]
        end = min((x for x in (*self._starts.values(), 1.0) if x > start), default=1.0)
        shown = None if picture is None else images.to_image(picture, self._size)
        part, parts = self._part
        self._progress(Progress(self._stage, start + (part + fraction) / parts * (end - start), shown))

    def part(self, part: int, parts: int) -> None:
        """The work that follows is one of several equal parts of the stage."""
        self._part = (part, parts)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        self.checkpoint()
        if self._progress is not None:
            self._progress(Progress(name, self._starts[name]))
        self._stage, self._part = name, (0, 1)
        self.started, self.reused = time.perf_counter(), False
        try:
            yield
        finally:
            self.timings[name] = self.timings.get(name, 0.0) + time.perf_counter() - self.started
