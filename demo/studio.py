"""One visitor's renders: the newest request wins, the last good picture stays, nothing raises.

A `Studio` turns a `Job` into a stream of `View`s: queued, preview, stages, result, baseline.
It knows nothing of Gradio; `create.py` shows the views.
"""

from __future__ import annotations

import asyncio
import dataclasses
import io
import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Protocol

from PIL import Image

from scsa_core import __version__
from scsa_core.backbones import FAMILIES
from scsa_core.backbones.base import BackboneInfo, Capabilities
from scsa_core.engine import RenderRequest, RenderResult
from scsa_core.errors import Cancelled, OutOfMemory, ScsaError
from scsa_core.images import encode_png, working_size
from scsa_core.knobs import SIZES, Knobs, Method
from scsa_core.notes import Note
from scsa_core.progress import CancelToken, Progress
from scsa_core.recipe import KEY, MAX_READ, MAX_WRITE, Recipe

from .faults import told
from .line import Line, Place
from .session import Job, Made, Run, Session, State, View
from .text import Said
from .work import POLL, in_thread

log = logging.getLogger("scsa.demo")

SLOW = 1.0
"""Seconds: a render expected to take longer shows a preview first, and is given up for a newer change."""
PREVIEW_ABOVE = 0.35
"""Seconds: a render expected to take longer shows a preview first where that takes less than half as long."""
TELL = 0.3
"""Seconds between two words on a render's way: each is work for the page and its server, which a short render goes without."""
LIVE_LIMIT = 12.0
"""Seconds: a live render expected to take longer stops at the preview."""


class EngineLike(Protocol):
    """What the page needs of an engine."""

    def render(self, request: RenderRequest, *, progress: Any = None, cancel: CancelToken | None = None) -> RenderResult: ...
    def preview(self, request: RenderRequest, *, progress: Any = None, cancel: CancelToken | None = None) -> RenderResult: ...
    def estimate_seconds(self, request: RenderRequest, *, preview: bool = False) -> float | None: ...


class Studio:
    """Renders for all visitors of one page. publish(data, file name) -> path that the browser may fetch."""

    def __init__(self, engine: EngineLike, publish: Callable[[bytes, str], str]) -> None:
        self.engine, self.publish = engine, publish
        self.line = Line()
        self._pool = ThreadPoolExecutor(max_workers=4, thread_name_prefix="render")

    async def render(
        self, session: Session, make_job: Callable[[], Job | Said], *, stamp: int, force: bool, live: bool, awaited: bool = False
    ) -> AsyncIterator[View]:
        """The views of a change (force: of the Render button). Never raises but for the generator's own end.

        awaited: the change is one that a person waits for, so it does not stop at the preview, however slow.
        """
        if stamp < session.newest and not force:
            return
        run: Run | None = None
        job: Job | Said | None = None
        arrival = session.arrive()

        def outdated() -> bool:
            """Whether the page has gone on to something newer."""
            return stamp < session.newest and not force if run is None else session.superseded(run)

        try:
            job = await asyncio.to_thread(make_job)
            # Only now: Render may have been pressed, or something else changed, while the job was made.
            if (stamp < session.newest and not force) or not session.answers(arrival, always=force):
                return
            if isinstance(job, Job) and not (force or awaited) and session.finishes(job.mark()):
                return  # Render was pressed right after the change that this is about
            if isinstance(job, Job) and not force:
                # A menu tells its choice once more when it is left: what was pressed for goes on.
                force = live and job.mark() == session.pressed
            session.pressed = job.mark() if isinstance(job, Job) and force else None
            if session.run is not None and not (force or live):
                session.stale = True
                return
            if isinstance(job, Said):
                session.drop()
                yield self._show(session, state="idle", said=job, error=None)
                return
            paints = job.fingerprint()
            same = session.shown == paints and session.full is not None
            self._adopt(session, job)
            if same and not force:
                session.drop()
                yield self._same(session)
                if not live or session.view.baseline:
                    return
            elif not force and (not live or _capabilities(job).slow):
                session.drop()
                notes = session.restored or session.view.notes
                yield self._show(session, state="stale", said=Said("status.stale"), more=False, notes=notes)
                return
            run = session.begin(stamp, job.mark(), whole=force or awaited)
            async for view in self._run(session, run, job, skip_result=same and not force, whole=force or awaited):
                yield view
        except Cancelled:
            if run is None or not run.asked or session.superseded(run):
                return
            yield self._restore(session, state="cancelled", said=Said("status.cancelled", {"seconds": run.seconds}))
        except (ScsaError, MemoryError) as error:
            if not outdated():
                yield self._fail(session, error, job if isinstance(job, Job) else None)
        except Exception as error:
            if outdated():
                log.exception("a render that nobody waits for any more failed")
            else:
                yield self._fail(session, error, job if isinstance(job, Job) else None)
        finally:
            if run is not None and session.run is run:
                session.run = None

    async def _run(self, session: Session, run: Run, job: Job, *, skip_result: bool, whole: bool) -> AsyncIterator[View]:
        place = self.line.enter(session.key)
        try:
            async for view in self._wait(session, run, place):
                yield view
            run.started = time.monotonic()
            if not skip_result:
                async for view in self._paint(session, run, job, whole):
                    yield view
                if session.view.state != "done" or session.superseded(run):
                    return
            async for view in self._baseline(session, run, job):
                yield view
        finally:
            self.line.leave(place, returning=session.superseded(run))

    async def _wait(self, session: Session, run: Run, place: Place) -> AsyncIterator[View]:
        last, entered = 0, time.monotonic()
        while position := self.line.position(place):
            run.token.checkpoint()
            # Not at once: the place ahead may be one's own older render, which is about to stop.
            if position != last and time.monotonic() - entered > 0.5:
                last, seconds = position, round(self.line.seconds_until(position))
                said = Said("status.queued_eta", {"position": position, "seconds": max(1, seconds)})
                yield self._show(session, state="queued", said=said, fraction=0.0, error=None)
            await asyncio.sleep(POLL)
        run.token.checkpoint()

    async def _paint(self, session: Session, run: Run, job: Job, whole: bool) -> AsyncIterator[View]:
        assert job.request.knobs is not None
        expected = await asyncio.to_thread(self.engine.estimate_seconds, job.request)
        slow = expected is None or expected > SLOW
        previews = job.request.knobs.size >= 192 and not _capabilities(job).previews
        sooner = previews and (expected is None or slow or await self._sooner(job.request, expected))
        run.token.checkpoint()  # a newer change may have been answered meanwhile
        if sooner:
            # A preview is soon there: let it finish, so that a slider in motion shows its way.
            run.interruptible = False
            yield self._show(session, state="previewing", said=Said("status.starting"), fraction=0.0, error=None)
            async for step in self._compute(session, run, self.engine.preview, job.request):
                if isinstance(step, Progress):
                    yield self._progress(session, "previewing", step)
                else:
                    path = await asyncio.to_thread(self._publish_preview, step.image)
                    if session.run is not run:
                        return
                    shown = self._picture(job, path, preview=True)
                    yield self._show(session, state="rendering", said=Said("status.starting"), fraction=0.0, **shown)
            run.interruptible = True
            if session.superseded(run):
                return
            expected = await asyncio.to_thread(self.engine.estimate_seconds, job.request)
            if not whole and expected is not None and expected > LIVE_LIMIT:
                said = Said("status.stale_preview", {"seconds": round(expected)})
                yield self._show(session, state="stale", said=said, fraction=0.0)
                return
        else:
            run.interruptible = slow
            yield self._show(session, state="rendering", said=Said("status.starting"), fraction=0.0, error=None)
        request: RenderRequest = job.request
        extra: tuple[Said, ...] = ()
        while True:
            try:
                async for step in self._compute(session, run, self.engine.render, request):
                    if not isinstance(step, Progress):
                        result = step
                        continue
                    if step.picture is not None:
                        path = await asyncio.to_thread(self._publish_preview, step.picture)
                        run.token.checkpoint()
                        self._show(session, **self._picture(job, path, preview=True))
                    yield self._progress(session, "rendering", step)
                break
            except OutOfMemory:
                smaller = [s for s in SIZES if request.knobs is not None and s < request.knobs.size]
                if not smaller:
                    raise
                assert request.knobs is not None
                request = run.used = dataclasses.replace(request, knobs=request.knobs.replace(size=smaller[-1]))
                extra = (Said("note.smaller", {"size": job.request.knobs.size, "used": smaller[-1]}),)
        made = await asyncio.to_thread(self.publish_result, job, result)
        if session.run is not run:
            return
        path, session.made = made.path, made
        notes = extra + tuple(_note(note, job) for note in result.notes)
        previous = session.full if session.full != path else session.view.previous
        session.full, session.shown = path, job.fingerprint()
        session.pressed, notes, session.restored = None, session.restored + notes, ()
        said = Said("status.done_stale" if session.stale else "status.done", {"seconds": run.seconds})
        shown = self._picture(job, path, preview=False)
        yield self._show(session, state="done", said=said, notes=notes, download=path, previous=previous, error=None, **shown)

    async def _sooner(self, request: RenderRequest, expected: float) -> bool:
        """Whether a preview is worth its time: not where it would first have to encode what the full size has already."""
        if expected <= PREVIEW_ABOVE:
            return False
        preview = await asyncio.to_thread(self.engine.estimate_seconds, request, preview=True)
        return preview is not None and preview < expected / 2

    async def _baseline(self, session: Session, run: Run, job: Job) -> AsyncIterator[View]:
        """The picture to compare with, once the result is there. A failure only leaves it out."""
        key = job.baseline_key()
        if session.baseline_key == key and session.view.baseline:
            return
        capable = _capabilities(job)
        if job.request.method != "baseline" and (capable.slow or "baseline" not in capable.methods):
            return
        view = session.view
        run.interruptible = True
        try:
            if job.request.method == "baseline":
                path = session.full
            else:
                said = Said("status.done_baseline", view.said.args) if view.state == "done" else view.said
                yield self._show(session, said=said, more=True)
                request = dataclasses.replace(run.used or job.request, method="baseline", content_map=None, style_map=None, links=None)
                async for step in self._compute(session, run, self.engine.render, request):
                    if isinstance(step, RenderResult):
                        path = await asyncio.to_thread(self._publish_baseline, step.image)
            if session.run is run:
                session.baseline_key, session.baseline_backbone = key, job.request.backbone
                session.view = dataclasses.replace(session.view, baseline=path)
        except Cancelled:
            pass
        except Exception:
            log.exception("the baseline failed")
        if session.run is run:
            yield self._show(session, said=view.said, more=False)

    async def _compute(
        self, session: Session, run: Run, call: Callable[..., RenderResult], request: RenderRequest
    ) -> AsyncIterator[Progress | RenderResult]:
        """Run `call` in a thread; yields its progress, then its result. Raises what it raises."""
        events = deque[Progress](maxlen=1)  # pictures on the way are large
        work = partial(call, request, progress=events.append, cancel=run.token)
        seen: Progress | None = None
        told = time.monotonic()
        async with in_thread(self._pool, work, run.token) as future:
            while not future.done():
                await asyncio.wait({future}, timeout=POLL)
                if session.run is not run:
                    raise Cancelled()
                newer = bool(events) and events[-1] != seen and not future.done()
                if newer and (events[-1].picture is not None or time.monotonic() - told >= TELL):
                    seen, told = events[-1], time.monotonic()
                    yield seen
            yield future.result()

    # -- views ------------------------------------------------------------------------

    def _show(self, session: Session, **changes: Any) -> View:
        session.view = dataclasses.replace(session.view, **changes)
        return session.view

    def _same(self, session: Session) -> View:
        """Nothing to paint: the full result is shown. A result just done keeps its time: one choice may count twice."""
        view = session.view
        notes, session.restored = session.restored + tuple(n for n in view.notes if n not in session.restored), ()
        shown: dict[str, Any] = {"result": session.full, "notes": notes, "preview": False, "more": False, "error": None}
        if view.state == "done" and view.result == session.full:
            return self._show(session, said=Said("status.done", view.said.args), **shown)
        return self._show(session, state="idle", said=Said("status.same"), **shown)

    def _progress(self, session: Session, state: State, step: Progress) -> View:
        return self._show(session, state=state, said=Said(f"status.{step.stage}"), fraction=step.fraction)

    def _picture(self, job: Job, path: str, *, preview: bool) -> dict[str, Any]:
        knobs = job.request.knobs
        assert knobs is not None
        size, _ = working_size(job.request.content.size, knobs.size)
        return {"result": path, "preview": preview, "alt": described(_family(job), job.request.method, knobs, max(size))}

    def _adopt(self, session: Session, job: Job) -> None:
        """Show the job's own pictures to compare with; a baseline of other pictures or another family goes."""
        kept = session.baseline_key == job.baseline_key()
        alike = (session.view.content, session.view.style, session.baseline_backbone) == (
            job.content_path, job.style_path, job.request.backbone,
        )  # fmt: skip
        baseline = session.view.baseline if kept or alike else None  # of another size: good enough until the new one is there
        if not kept:
            session.baseline_key = None
        self._show(session, content=job.content_path, style=job.style_path, baseline=baseline, size=job.request.content.size)

    def _restore(self, session: Session, **changes: Any) -> View:
        """The last full result comes back in place of a preview."""
        back = {"result": session.full, "preview": False} if session.full else {}
        return self._show(session, fraction=0.0, more=False, **back, **changes)

    def _fail(self, session: Session, error: BaseException, job: Job | None) -> View:
        size = job.request.knobs.size if job is not None and job.request.knobs is not None else ""
        session.pressed = None
        words = told(error, "a render", model=job.model if job else "", size=size)
        return self._restore(session, state="failed", said=Said("status.failed"), error=words)

    # -- files ------------------------------------------------------------------------

    def _publish_preview(self, image: Image.Image) -> str:
        """Soon replaced, so quickly written and quickly read: a JPEG takes a fifteenth of a PNG's time, without a fault to be seen."""
        file = io.BytesIO()
        image.save(file, "JPEG", quality=92, subsampling=0)
        return self.publish(file.getvalue(), "preview.jpg")

    def _publish_baseline(self, image: Image.Image) -> str:
        return self.publish(encode_png(image), "baseline.png")

    def publish_result(self, job: Job, result: RenderResult) -> Made:
        """Write a PNG that carries its recipe."""
        request, size = result.request, result.image.size
        recipe = Recipe.of(result, __version__, hashes=(job.content_sha256, job.style_sha256))
        whole = recipe.to_text(MAX_READ)
        text = whole if len(whole) <= MAX_WRITE else recipe.to_text()
        path = self.publish(encode_png(result.image, {KEY: text}), f"scsa-{request.backbone}-{request.method}-{max(size)}.png")
        return Made(job, path, size, f"{result.timings.get('total', 0.0):.1f}", "" if text is whole else whole)


def described(family: BackboneInfo, method: Method, knobs: Knobs, side: int) -> Said:
    """A result's settings in words: strengths where they do something. side: the long one, in pixels."""
    acting = family.capabilities.acting(method)
    strengths: dict[str, str] = {name: f"{getattr(knobs, name):g}" for name in ("alpha1", "alpha2") if name in acting}
    key = {0: "plain", 1: next(iter(strengths), ""), 2: "result"}[len(strengths)]
    return Said(f"compare.alt_{key}", {"model": family.title, "method": method, "size": side, **strengths})


def _note(note: Note, job: Job) -> Said:
    """A note in the page's words, with the regions' names."""
    if note.code == "enlarged":
        return Said("note.enlarged", {"model": job.model, "pixels": note.pixels})
    keys = ("no_maps", "unmatched", "style_only", "no_shared_region", "vanishes", "no_gpu")
    if note.code not in keys:
        return Said("note.other", {"text": note.text})
    first = job.request.style_map if note.code == "style_only" else job.request.content_map
    names = ", ".join(first.region(k).name for k in note.regions) if first is not None else ""
    return Said(f"note.{note.code}", {"names": names})


def _family(job: Job) -> BackboneInfo:
    return FAMILIES[job.request.backbone].info


def _capabilities(job: Job) -> Capabilities:
    return _family(job).capabilities
