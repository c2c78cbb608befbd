"""The log: one line an event, as text for people or as JSON for machines (SCSA_LOG=text|json), and the id that ties lines together.

A request's id goes back in the header `X-Request-Id`. An error that a visitor sees carries a
reference, which stands in its log line. Passwords in addresses never reach the log.
"""

from __future__ import annotations

import json
import logging
import os
import re
import secrets
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, TextIO

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

VARIABLE = "SCSA_LOG"
_PASSWORD = re.compile(r"(\w+://[^\s:/@]*):[^\s@]*@")
_request: ContextVar[str] = ContextVar("request", default="")


def request_id() -> str:
    """The id of the request that this code runs for, or empty: queued events run outside of theirs."""
    return _request.get()


def reference() -> str:
    """What a visitor quotes and the log line carries: the request's id, else a new one."""
    return request_id() or secrets.token_hex(4)


class RequestIds:
    """ASGI middleware: every request gets an id of its own. One that a client sends is not trusted, so not taken over."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        own = secrets.token_hex(4)
        token = _request.set(own)

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["X-Request-Id"] = own
            await send(message)

        try:
            await self.app(scope, receive, answer)
        finally:
            _request.reset(token)


class TextLines(logging.Formatter):
    """`2025-01-31 12:00:00 INFO scsa.demo: message [reference]`, then the traceback where there is one."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s", "%Y-%m-%d %H:%M:%S")

    def format(self, record: logging.LogRecord) -> str:
        fields = _fields(record)
        if not fields:
            return _safe(super().format(record))
        first, *rest = super().format(record).split("\n")
        return _safe("\n".join([f"{first} [{' '.join(f'{k}={v}' for k, v in fields.items())}]", *rest]))


class JsonLines(logging.Formatter):
    """One JSON object a line: time, level, logger, message, the fields of the event, and error with its traceback."""

    def format(self, record: logging.LogRecord) -> str:
        value: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _safe(record.getMessage()),
            **_fields(record),
        }
        if record.exc_info and record.exc_info[0] is not None:
            value |= {"error": record.exc_info[0].__name__, "traceback": _safe(self.formatException(record.exc_info))}
        return json.dumps(value, default=lambda x: _safe(str(x)), ensure_ascii=False)


def set_up_logs(kind: str | None = None, stream: TextIO | None = None) -> logging.Handler:
    """Send the app's log to `stream` (stderr), in the form that SCSA_LOG names. Raises ValueError for another form."""
    kind = (kind if kind is not None else os.environ.get(VARIABLE, "")).strip().lower() or "text"
    if kind not in ("text", "json"):
        raise ValueError(f"{VARIABLE} is text or json, not {kind!r}")
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines() if kind == "json" else TextLines())
    for name in ("scsa", "scsa_core"):
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.setLevel(logging.INFO)
        logger.propagate = False
    return handler


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    """What `extra={"fields": …}` brings, and the request's id."""
    found = dict(getattr(record, "fields", {}))
    if "reference" not in found and (own := request_id()):
        found["request"] = own
    return found


def _safe(text: str) -> str:
    return _PASSWORD.sub(r"\1:…@", text)
