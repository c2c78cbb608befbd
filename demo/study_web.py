"""The study's own pages and their data, as plain routes: a participant needs no part of the app.

`/vote?study=…` is for participants, `/results?study=…#secret` for the host: what stands behind
the `#` never reaches a log. Pages are static files; data goes as JSON; texts of people reach the
page by textContent only. Nothing here knows of Gradio.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import QueryParams
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from scsa_core.errors import ScsaError, StudyClosed, StudyFull, StudyUnknown

from .faults import told
from .text import LANGUAGES, t, texts

if TYPE_CHECKING:
    from scsa_core.study.records import Progress
    from scsa_core.study.store import Store

log = logging.getLogger("scsa.demo")

MAX_BODY = 16 * 1024
_WEB = Path(__file__).parent / "web"
_TYPES = {".js": "text/javascript", ".css": "text/css", ".html": "text/html"}
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex",
}
_STATUS = {StudyUnknown: ("unknown", 404), StudyClosed: ("closed", 410), StudyFull: ("full", 409)}


class Studies:
    """The store, opened when it is first needed: a page without studies loads no database."""

    def __init__(self, folder: Path, url: str = "") -> None:
        self.folder, self.url = folder, url
        self._store: Store | None = None
        self._lock = threading.Lock()
        self._computed: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {}

    @property
    def store(self) -> Store:
        """Raises StudyError."""
        with self._lock:
            if self._store is None:
                from scsa_core.study.store import Store

                self._store = Store(self.folder, self.url)
            return self._store

    def close(self) -> None:
        with self._lock:
            if self._store is not None:
                self._store.close()
                self._store = None

    def results(self, study: str, secret: str) -> dict[str, Any]:
        """Computed anew only where something changed."""
        from scsa_core.study import report

        records = self.store.records(study, secret)
        state = (records.info.state, len(records.answers), len(records.participants))
        kept = self._computed.get(study)
        if kept is None or kept[0] != state:
            kept = state, report.results(records) | {"thumbnails": self.store.thumbnails(study)}
            if len(self._computed) > 50:
                self._computed.clear()
            self._computed[study] = kept
        return kept[1]


def routes(studies: Studies) -> list[Route]:
    """Routes for `launch(app_kwargs=…)` or any Starlette application."""

    def bound(handler: Callable[[Studies, Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
        return partial(_answered, studies, handler)

    found = []
    for page in ("vote", "results"):
        found.append(Route(f"/{page}", partial(_file, f"{page}.html")))
        found += [Route(f"/{page}/{page}.{kind}", partial(_file, f"{page}.{kind}")) for kind in ("js", "css")]
    return [
        *found,
        Route("/vote/api/{study}", bound(_info)),
        Route("/vote/api/{study}/start", bound(_start), methods=["POST"]),
        Route("/vote/api/{study}/resume", bound(_resume), methods=["POST"]),
        Route("/vote/api/{study}/vote", bound(_vote), methods=["POST"]),
        Route("/vote/picture/{study}/{picture}", bound(_picture)),
        Route("/results/words", _results_words),
        Route("/results/api/{study}", bound(_results), methods=["POST"]),
        Route("/results/api/{study}/{action}", bound(_act), methods=["POST"]),
    ]


class StudyRedirect:
    """`/?study=…` leads to the participant's page."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] in ("/", "") and b"study=" in scope.get("query_string", b""):
            study = QueryParams(scope["query_string"]).get("study")
            if study and all(c.isalnum() or c in "-_" for c in study):
                await RedirectResponse(f"vote?study={study}", 307)(scope, receive, send)
                return
        await self.app(scope, receive, send)


# -- pages ----------------------------------------------------------------------------


async def _file(name: str, request: Request) -> Response:
    body = await run_in_threadpool((_WEB / name).read_bytes)
    return Response(body, media_type=_TYPES[Path(name).suffix], headers={**_HEADERS, "Cache-Control": "no-cache"})


async def _results_words(request: Request) -> Response:
    return _json({"texts": texts(request.query_params.get("lang", "en"), "results.", "vote.same")})


async def _info(studies: Studies, request: Request) -> Response:
    study = request.path_params["study"]
    lang = request.query_params.get("lang", "en")
    words = texts(lang, "vote.")
    try:
        info = await run_in_threadpool(lambda: studies.store.info(study))
        free = await run_in_threadpool(lambda: studies.store.places_left(study))
    except StudyUnknown:
        return _json({"state": "unknown", "texts": words}, 404)
    d = info.design
    return _json(
        {
            "state": info.state, "full": not free, "title": d.title, "question": _said("question", d.question, lang),
            "consent": _said("consent", d.consent, lang), "end": _said("end", d.end_text, lang),
            "trials": d.trials, "ties": d.ties, "shown": d.shown, "texts": words,
        }
    )  # fmt: skip


def _said(name: str, text: str, lang: str) -> str:
    """A text of the study; one that its maker left as it was, in the participant's language."""
    key = f"study.{name}_default"
    return t(key, lang) if text in {t(key, each) for each in LANGUAGES} else text


async def _start(studies: Studies, request: Request) -> Response:
    await _body(request)
    token, progress = await run_in_threadpool(lambda: studies.store.start(request.path_params["study"]))
    return _json({"token": token, **_progress(progress)})


async def _resume(studies: Studies, request: Request) -> Response:
    body = await _body(request)
    progress = await run_in_threadpool(lambda: studies.store.resume(request.path_params["study"], _text(body, "token")))
    return _json(_progress(progress))


async def _vote(studies: Studies, request: Request) -> Response:
    body = await _body(request)
    number, choice, ms = (body.get(k) for k in ("number", "choice", "ms"))
    if type(number) is not int or type(choice) is not int or type(ms) is not int:
        return _json({"error": "bad"}, 400)
    token = _text(body, "token")
    new = await run_in_threadpool(lambda: studies.store.vote(request.path_params["study"], token, number, choice, ms))
    return _json({"kept": True, "new": new})


async def _picture(studies: Studies, request: Request) -> Response:
    path = await run_in_threadpool(lambda: studies.store.picture(request.path_params["study"], request.path_params["picture"]))
    if not path.is_file():
        return _json({"error": "unknown"}, 404)
    return FileResponse(path, media_type="image/jpeg", headers={**_HEADERS, "Cache-Control": "private, max-age=86400, immutable"})


# -- results --------------------------------------------------------------------------


async def _results(studies: Studies, request: Request) -> Response:
    await _body(request)
    return _json(await run_in_threadpool(lambda: studies.results(request.path_params["study"], _secret(request))))


async def _act(studies: Studies, request: Request) -> Response:
    await _body(request)
    study, secret, action = request.path_params["study"], _secret(request), request.path_params["action"]
    if action in ("csv", "json"):
        return await run_in_threadpool(lambda: _export(studies.store, study, secret, action))
    acts: dict[str, Callable[[], None]] = {
        "close": lambda: studies.store.set_closed(study, secret, True),
        "reopen": lambda: studies.store.set_closed(study, secret, False),
        "delete": lambda: studies.store.delete(study, secret),
    }
    if action not in acts:
        return _json({"error": "unknown"}, 404)
    await run_in_threadpool(acts[action])
    return _json({"done": True})


def _export(store: Store, study: str, secret: str, kind: str) -> Response:
    from scsa_core.study import report

    records = store.records(study, secret)
    if kind == "csv":
        return Response("\ufeff" + report.as_csv(records), media_type="text/csv", headers=_HEADERS)
    return _json(report.as_json(records))


# -- requests and answers -------------------------------------------------------------


async def _answered(studies: Studies, handler: Callable[[Studies, Request], Awaitable[Response]], request: Request) -> Response:
    """The handler's answer, or its error as a word that the page knows."""
    try:
        return await handler(studies, request)
    except (_BadRequest, ClientDisconnect):
        return _json({"error": "bad"}, 400)
    except ScsaError as error:
        for kind, (word, status) in _STATUS.items():
            if isinstance(error, kind):
                return _json({"error": word}, status)
        if "database" in str(error) or "folder" in str(error):
            return _unavailable(error)
        return _json({"error": "bad"}, 400)
    except Exception as error:
        return _unavailable(error)


def _unavailable(error: Exception) -> Response:
    return _json({"error": "unavailable", "reference": told(error, "a study request", level=logging.ERROR).reference}, 503)


class _BadRequest(Exception):
    """Not a small JSON object."""


async def _body(request: Request) -> dict[str, Any]:
    """The JSON object of a request. A form of another site cannot send this type."""
    if request.headers.get("content-type", "").split(";")[0].strip() != "application/json":
        raise _BadRequest
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > MAX_BODY:
            raise _BadRequest
    try:
        found = json.loads(bytes(data) or b"{}")
    except (ValueError, RecursionError) as error:
        raise _BadRequest from error
    if not isinstance(found, dict):
        raise _BadRequest
    return found


def _text(body: dict[str, Any], name: str) -> str:
    value = body.get(name)
    return value[:200] if isinstance(value, str) else ""


def _secret(request: Request) -> str:
    return request.headers.get("authorization", "").removeprefix("Bearer ")[:200]


def _progress(progress: Progress) -> dict[str, Any]:
    trials = [
        {"number": t.number, "content": t.content, "style": t.style, "options": list(t.options), "answered": t.answered}
        for t in progress.trials
    ]
    return {"trials": trials, "finished": progress.finished}


def _json(value: Any, status: int = 200) -> Response:
    return JSONResponse(value, status, headers={**_HEADERS, "Cache-Control": "no-store"})
