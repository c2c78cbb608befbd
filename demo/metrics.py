"""What a host watches: render seconds by stage, the queue, the cache, errors by kind, in Prometheus' text format.

Nothing in it tells of a visitor, yet it is off unless SCSA_METRICS says who may read it:
`1` for requests from this very machine, not passed on by a proxy, or a secret that the reader sends as
`Authorization: Bearer …`.
"""

from __future__ import annotations

import hmac
import ipaddress
import logging
import secrets
from collections.abc import Callable, Iterator
from typing import Any

from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from scsa_core import __version__
from scsa_core.engine import Engine, RenderRequest, RenderResult
from scsa_core.progress import CancelToken, ProgressCallback

from .faults import TALLY, Tally
from .line import Line

log = logging.getLogger("scsa.demo")

BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60, 120, 300, 900)
MIN_SECRET = 16
_RUN = secrets.token_hex(8)  # tells a page whether the server that it knew still runs


class Watch:
    """What is known of the running app. `line`: None before the page is built."""

    def __init__(self, tally: Tally = TALLY) -> None:
        self.tally = tally
        self.line: Line | None = None
        self.engine: Engine | None = None
        self.registry = CollectorRegistry()
        self._seconds = Histogram(
            "scsa_render_seconds", "Seconds of a render's stage; total: from request to picture.", ["model", "stage"],
            buckets=BUCKETS, registry=self.registry,
        )  # fmt: skip
        self.registry.register(_Now(self))

    def note(self, result: RenderResult) -> None:
        """A render is done."""
        request, knobs = result.request, result.request.knobs
        for stage, seconds in result.timings.items():
            self._seconds.labels(request.backbone, stage).observe(seconds)
        timings = {stage: round(seconds, 3) for stage, seconds in result.timings.items()}
        fields = {"model": request.backbone, "method": request.method, "size": knobs.size if knobs else 0, "seconds": timings}
        log.info("rendered", extra={"fields": fields})

    @property
    def queue(self) -> int:
        return len(self.line) if self.line is not None else 0

    def health(self) -> dict[str, Any]:
        """For `/healthz`: looks at files, loads nothing. ok: something can be painted with."""
        ready = [state.info.name for state in self.engine.backbones() if state.ready] if self.engine is not None else []
        return {"ok": bool(ready), "version": __version__, "run": _RUN, "models": ready, "queue": self.queue}

    def text(self) -> bytes:
        return generate_latest(self.registry)


class WatchedEngine(Engine):
    """An engine whose renders are noted."""

    def __init__(self, device: str, watch: Watch) -> None:
        super().__init__(device)
        self._watch = watch

    def render(
        self, request: RenderRequest, *, progress: ProgressCallback | None = None, cancel: CancelToken | None = None
    ) -> RenderResult:
        result = super().render(request, progress=progress, cancel=cancel)
        self._watch.note(result)
        return result


class _Now(Collector):
    """Values read at the moment of asking."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch

    def collect(self) -> Iterator[Metric]:
        yield InfoMetricFamily("scsa", "The app.", {"version": __version__})
        yield GaugeMetricFamily("scsa_queue_length", "Renders that run or wait.", self._watch.queue)
        errors = CounterMetricFamily("scsa_errors", "Errors that visitors met.", labels=["kind"])
        for kind, count in sorted(self._watch.tally.seen().items()):
            errors.add_metric([kind], count)
        yield errors
        if self._watch.engine is None:
            return
        cache = self._watch.engine.cache_statistics()
        yield CounterMetricFamily("scsa_cache_hits", "Stages taken from the cache.", cache.hits)
        yield CounterMetricFamily("scsa_cache_misses", "Stages that had to be computed.", cache.misses)
        yield GaugeMetricFamily("scsa_cache_bytes", "Bytes that the cache holds.", cache.bytes)
        yield GaugeMetricFamily("scsa_cache_entries", "Stages that the cache holds.", cache.entries)


def routes(watch: Watch, readers: str) -> list[Route]:
    """`/healthz`, and `/metrics` where somebody may read it. readers: "" or "0", "1", or a secret. Raises ValueError for a short one."""

    async def health(request: Request) -> Response:
        found = await run_in_threadpool(watch.health)
        return JSONResponse(found, headers={"Cache-Control": "no-store"})

    allowed = _allowed(readers)

    async def metrics(request: Request) -> Response:
        if not allowed(request):
            return PlainTextResponse("not found", 404)
        return Response(watch.text(), headers={"Content-Type": CONTENT_TYPE_LATEST, "Cache-Control": "no-store"})

    found = [Route("/healthz", health)]
    return found if readers in ("", "0") else [*found, Route("/metrics", metrics)]


def _allowed(readers: str) -> Callable[[Request], bool]:
    if readers in ("", "0", "1"):
        return _is_local
    if len(readers) < MIN_SECRET:
        raise ValueError(f"SCSA_METRICS is 0, 1 or a secret of at least {MIN_SECRET} characters")
    expected = f"Bearer {readers}".encode()
    return lambda request: hmac.compare_digest(request.headers.get("authorization", "").encode(), expected)


def _is_local(request: Request) -> bool:
    """From this machine itself: a proxy on it, or Gradio's relay, says for whom it asks."""
    if any(name in request.headers for name in ("x-forwarded-for", "forwarded", "x-real-ip")):
        return False
    try:
        return request.client is not None and ipaddress.ip_address(request.client.host).is_loopback
    except ValueError:
        return False
