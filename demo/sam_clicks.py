"""The selection tool's other half: what clicks and boxes on a picture mean.

Segment Anything answers where its weights are here; a picture is embedded once, with
progress, and every question after that costs the small decoder. Without it the browser gets
the areas of the built-in segmenter once, and answers clicks by itself.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import threading
import time
import zlib
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import gradio as gr
import numpy as np
from numpy.typing import NDArray

from scsa_core import registry
from scsa_core.errors import Cancelled, LabelError, ScsaError
from scsa_core.knobs import is_number
from scsa_core.progress import CancelToken
from scsa_core.segment import sam
from scsa_core.segment.areas import Areas, find_areas

from .component import data_of
from .files import Picture, Pictures
from .painter import MAX_MAP_SIDE, SIDES, encode_map
from .session import Session, Sessions

log = logging.getLogger("scsa.demo")

MOST_CLICKS = 64
MOST_BYTES = 16_000_000
"""Areas that are held, about 1 MB a picture."""


@dataclass(frozen=True)
class Question:
    """A checked question. Coordinates are in pixels of the map, (w, h) its size; open: only what answers is asked for."""

    n: int
    side: str
    path: str
    w: int
    h: int
    clicks: tuple[sam.Click, ...] = ()
    box: tuple[float, float, float, float] | None = None
    open: bool = False

    @classmethod
    def of(cls, data: Mapping[str, Any], knows: Callable[[str], bool]) -> Question:
        """From event data, which anybody may have written. knows: whether a path is a picture of this visitor. Raises LabelError."""
        side, path, n = data.get("side"), data.get("path"), _whole(data.get("n"), 0, 2**53)
        if side not in SIDES:
            raise LabelError("a selection belongs to the content or the style")
        if not isinstance(path, str) or not knows(path):
            raise LabelError("this picture is not on this desk")
        w, h = (_whole(data.get(k), 1, MAX_MAP_SIDE) for k in ("w", "h"))
        given, corners = data.get("clicks") or [], data.get("box")
        if not isinstance(given, list) or len(given) > MOST_CLICKS:
            raise LabelError(f"a selection has at most {MOST_CLICKS} clicks")
        clicks = []
        for click in given:
            if not isinstance(click, list) or len(click) != 3:
                raise LabelError("a click is a place and a sign")
            clicks.append(sam.Click(_within(click[0], w), _within(click[1], h), click[2] in (1, True)))
        box = None
        if corners is not None:
            if not isinstance(corners, list) or len(corners) != 4:
                raise LabelError("a box is four numbers")
            x, y = (sorted(_within(v, most) for v in pair) for pair, most in ((corners[::2], w), (corners[1::2], h)))
            box = (x[0], y[0], x[1], y[1])
        return cls(n, side, path, w, h, tuple(clicks), box, data.get("open") is True)

    def answer(self, state: str, **fields: Any) -> dict[str, Any]:
        return {"n": self.n, "side": self.side, "path": self.path, "state": state, **fields}


class Clicks:
    """Answers for all visitors. load: the segmenter, or None where its weights are not here."""

    def __init__(
        self, pictures: Pictures, sessions: Sessions, device: str = "cpu", load: Callable[[], sam.Segmenter | None] | None = None
    ) -> None:
        self.pictures, self.sessions = pictures, sessions
        self._load = load or (lambda: _segmenter(device))
        self._areas: OrderedDict[str, Areas] = OrderedDict()
        self._lock = threading.Lock()

    async def select(self, event: gr.EventData, request: gr.Request) -> AsyncIterator[Any]:
        """The painter's event `select`; every answer is its property `selection`."""
        session = self.sessions.get(request.session_hash)
        async for answer in self.answers(session, data_of(event)):
            yield gr.update(selection=answer)  # type: ignore[arg-type]

    async def answers(self, session: Session, data: Mapping[str, Any]) -> AsyncIterator[dict[str, Any]]:
        """Progress, then what was asked for. A picture of nobody's and a failure are answers too: nothing raises."""
        try:
            question = Question.of(data, session.knows)
        except LabelError as error:
            log.info("a selection was refused: %s", error)
            sides = {k: v for k, v in data.items() if k in ("n", "side", "path") and isinstance(v, int | str)}
            yield {**sides, "state": "failed"}
            return
        told: list[float] = []
        token = CancelToken()

        def step(fraction: float) -> None:
            token.checkpoint()
            told.append(fraction)

        work = asyncio.ensure_future(asyncio.to_thread(self._answer, question, step))
        try:
            shown = -1
            since = time.monotonic()
            while not work.done():
                await asyncio.wait({work}, timeout=0.1)
                percent = round(10 * told[-1]) * 10 if told else 0
                if not work.done() and percent != shown and time.monotonic() - since > 0.3:
                    shown = percent
                    yield question.answer("reading", percent=percent)
            yield await work
        except Cancelled:
            pass
        except Exception as error:
            log.log(logging.INFO if isinstance(error, ScsaError) else logging.ERROR, "a selection failed", exc_info=error)
            yield question.answer("failed")
        finally:
            token.cancel()  # the page may be gone: an embedding under way stops at its next block

    def _answer(self, question: Question, step: Callable[[float], None]) -> dict[str, Any]:
        picture = self.pictures.get(question.path)
        segmenter = self._load()
        if segmenter is None:
            areas = self._areas_of(picture, question)
            missing = registry.state("sam")
            return question.answer(
                "areas", map=encode_map(areas.labels), merges=[list(m) for m in areas.merges],
                missing={"size": f"{missing.megabytes:.0f}", "licence": missing.licence},
            )  # fmt: skip
        if question.open or (not question.clicks and question.box is None):
            segmenter.predictor(picture.image, step, picture.sha256)
            return question.answer("sam")
        size = question.w, question.h
        mask = segmenter.select(picture.image, question.clicks, question.box, size=size, key=picture.sha256, step=step)
        return question.answer("mask", map=_packed(mask))

    def _areas_of(self, picture: Picture, question: Question) -> Areas:
        key = f"{picture.sha256} {question.w} {question.h}"
        with self._lock:
            found = self._areas.pop(key, None) or find_areas(picture.image, (question.w, question.h))
            self._areas[key] = found
            while len(self._areas) > 1 and sum(a.labels.nbytes for a in self._areas.values()) > MOST_BYTES:
                self._areas.popitem(last=False)
        return found


def _segmenter(device: str) -> sam.Segmenter | None:
    """The smallest Segment Anything that is here; it answers soonest."""
    name = next((n for n in sam.FILES if sam.is_here(n)), None)
    return sam.load(name, device) if name else None


def _packed(mask: NDArray[np.bool_]) -> str:
    """base64(zlib(bytes 0 and 1)), as maps travel."""
    return base64.b64encode(zlib.compress(mask.astype(np.uint8).tobytes(), 6)).decode("ascii")


def _whole(value: Any, least: int, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise LabelError(f"a whole number from {least} to {most} is wanted")
    return value


def _within(value: Any, most: int) -> float:
    """A coordinate, brought into the picture."""
    if not is_number(value):
        raise LabelError("a coordinate is a number")
    return float(min(max(value, 0), most - 1e-3))
