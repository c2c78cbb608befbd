"""GPUs borrowed for one render: the shared ones of Hugging Face Spaces ("ZeroGPU"), through the package `spaces`.

There a GPU exists only inside functions that `spaces.GPU` has wrapped, and these run in
another process, forked when the GPU is granted. What it costs a visitor is its seconds, so a
render that this machine's own processor does soon borrows none, and one that does asks for
as many seconds as its like took before. Elsewhere the decorator gives the function back
unchanged, and nothing here acts.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import logging
import math
import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any

import torch

from scsa_core.engine import Engine, RenderRequest, RenderResult
from scsa_core.errors import NoGpu, ScsaError
from scsa_core.notes import Note
from scsa_core.plan import megapixels
from scsa_core.progress import CancelToken, Progress, ProgressCallback

from .metrics import Watch, WatchedEngine

log = logging.getLogger("scsa.demo")

WORTH = 12.0
"""Seconds: what the own processor is expected to do sooner borrows no GPU."""
FIRST = {True: 120, False: 40}
"""Seconds asked for, for half a megapixel or less, while nothing was measured: families that take minutes on a processor, and others."""
START = 6.0
"""Seconds on top of the work: the forked process loads the model anew."""
LEAST, MOST = 10, 300
BEAT = 0.5  # seconds between signs of life, at which a cancel gets through

Message = Progress | RenderResult | ScsaError | None
"""What the other process tells: its progress, its result or its error, or only that it lives. All can be pickled."""
Borrowed = Callable[[RenderRequest, int], Iterator[Message]]

_DEVICE = "cuda"
_engine: Engine | None = None  # of the forked process


def engine_for(device: str, watch: Watch) -> WatchedEngine:
    """The page's engine: one that borrows where GPUs are lent, unless `device` says "cpu"."""
    spaces = _spaces() if device != "cpu" else None
    if spaces is not None:
        borrowed = spaces.GPU(duration=_asked)(_paint)
        if borrowed is not _paint:
            return BorrowingEngine(borrowed, watch)
    return WatchedEngine(device, watch)


class BorrowingEngine(WatchedEngine):
    """On the processor, but for renders that are worth a GPU; without one these are painted here, and the result says so.

    Families that take minutes here raise NoGpu instead.
    """

    def __init__(self, borrowed: Borrowed, watch: Watch) -> None:
        super().__init__("cpu", watch)
        self._borrowed = borrowed
        self._speeds: dict[tuple[str, str], float] = {}  # (family, method) -> seconds a megapixel on a borrowed GPU

    def render(
        self, request: RenderRequest, *, progress: ProgressCallback | None = None, cancel: CancelToken | None = None
    ) -> RenderResult:
        request = dataclasses.replace(request, knobs=request.knobs or self.defaults(request.backbone))
        if not self._worth_it(request):
            return super().render(request, progress=progress, cancel=cancel)
        try:
            result = self._borrow(request, progress, cancel)
        except NoGpu as error:
            if self._slow(request):
                raise
            result = super().render(request, progress=progress, cancel=cancel)
            note = Note("no_gpu", f"No shared GPU was to be had ({error}), so this was painted on the processor.")
            return dataclasses.replace(result, notes=(*result.notes, note))
        self._watch.note(result)
        return result

    def estimate_seconds(self, request: RenderRequest, *, preview: bool = False) -> float | None:
        """On the processor or on a GPU, whichever it would be; None where nothing was measured."""
        if preview:
            request = self._smaller(request)
        if not self._worth_it(request):
            return super().estimate_seconds(request)
        speed = self._speeds.get((request.backbone, request.method))
        return None if speed is None else speed * _size(request)

    def _slow(self, request: RenderRequest) -> bool:
        return self.info(request.backbone).capabilities.slow

    def _worth_it(self, request: RenderRequest) -> bool:
        """A first render of a family that takes seconds is tried here, and tells."""
        here = super().estimate_seconds(request)
        return here > WORTH if here is not None else self._slow(request)

    def _borrow(self, request: RenderRequest, progress: ProgressCallback | None, cancel: CancelToken | None) -> RenderResult:
        """Raises NoGpu, Cancelled, and what the render raises."""
        self._check(request)
        key = request.backbone, request.method
        seconds = seconds_to_ask(request, slow=self._slow(request), speed=self._speeds.get(key))
        try:
            with contextlib.closing(self._borrowed(request, seconds)) as messages:  # type: ignore[type-var]
                for message in messages:
                    if cancel is not None:
                        cancel.checkpoint()
                    if isinstance(message, RenderResult):
                        took = message.timings["total"] / _size(request)
                        self._speeds[key] = 0.5 * self._speeds.get(key, took) + 0.5 * took
                        return message
                    if isinstance(message, ScsaError):
                        raise message
                    if isinstance(message, Progress) and progress is not None:
                        progress(message)
        except ScsaError:
            raise
        except Exception as error:  # whatever `spaces` raises: a quota used up, no GPU free, its process killed
            reason = str(getattr(error, "message", error)) or type(error).__name__  # a gr.Error's `str` has quotes around it
            raise NoGpu(reason, hint="Wait a little, or choose Lite, which needs none.") from error
        raise NoGpu("it was taken back before the picture was done", hint="Choose a smaller size, or Lite, which needs none.")


def seconds_to_ask(request: RenderRequest, *, slow: bool, speed: float | None) -> int:
    """How long to borrow for. Short requests are served first; one that is too short is ended in the middle.

    speed: measured seconds a megapixel, or None.
    """
    size = _size(request)
    asked = START + 1.5 * speed * size if speed is not None else FIRST[slow] * max(1.0, size / 0.5)
    return min(MOST, max(LEAST, math.ceil(asked)))


def _asked(request: RenderRequest, seconds: int) -> int:
    """What `spaces` calls with the arguments of `_paint`."""
    return seconds


def _paint(request: RenderRequest, seconds: int) -> Iterator[Message]:
    """In the other process: render, and tell of it. Closed in the middle, it stops the render."""
    token, told = CancelToken(), queue.SimpleQueue[Message]()

    def work() -> None:
        try:
            told.put(_own_engine().render(request, progress=told.put, cancel=token))
        except ScsaError as error:
            told.put(error)
        except BaseException as error:
            log.exception("a render on a borrowed GPU failed")
            told.put(ScsaError(f"unexpected {type(error).__name__}: {error}"))

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        while True:
            try:
                message = told.get(timeout=BEAT)
            except queue.Empty:
                message = None
            yield message
            if isinstance(message, RenderResult | ScsaError):
                return
    finally:
        token.cancel()
        thread.join(30)


def _own_engine() -> Engine:
    """One for the life of the forked process. The page's own would do: but for its locks, which somebody may have held at the fork."""
    global _engine
    if _engine is None:
        torch.set_num_threads(1)  # OpenMP's threads stayed in the other process
        _engine = Engine(_DEVICE)
    return _engine


def _size(request: RenderRequest) -> float:
    """Megapixels of the result."""
    assert request.knobs is not None
    w, h = request.content.size
    side = request.knobs.size
    return max(megapixels((side, max(1, round(side * min(w, h) / max(w, h))))), 0.01)


def _spaces() -> Any | None:
    """The package, or None. It is imported here alone: it must come before the first use of CUDA, and is on Spaces only."""
    try:
        return importlib.import_module("spaces")
    except ImportError:
        return None
