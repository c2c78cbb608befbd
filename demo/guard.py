"""What stands before every request: a limit for each client, addresses that nobody needs, and headers that bound what a page may do.

The page itself decides nothing here: these are ASGI middlewares for `launch(app_kwargs=…)`. SECURITY.md
has the threats that they are for.
"""

from __future__ import annotations

import ipaddress
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from scsa_core.errors import TooMany

FRAMES = "frame-ancestors 'self' https://huggingface.co https://*.huggingface.co https://*.hf.space"
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "strict-origin-when-cross-origin",  # a link `?r=…` is a secret: other sites get the host's name only
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
}
CLIENTS = 10_000
"""Clients remembered; the one that was quiet for longest goes first."""


@dataclass(frozen=True)
class Rate:
    """At most `burst` at once, then `per_second`."""

    burst: float
    per_second: float


RATES: Mapping[str, Rate] = {
    "event": Rate(1500, 30),  # a slider in motion sends two for each move
    "upload": Rate(60, 1),
    "answer": Rate(600, 10),  # a class behind one address votes
    "make": Rate(30, 1 / 60),  # links and studies: they stay on the disk
}
"""For one client; what one person does by hand stays far below."""


class Limiter:
    """Token buckets by client and kind. scale: of all rates; 0: no limits. clock: for tests."""

    def __init__(self, scale: float = 1.0, rates: Mapping[str, Rate] = RATES, clock: Callable[[], float] = time.monotonic) -> None:
        self._scale, self._rates, self._clock = scale, rates, clock
        self._left: OrderedDict[tuple[str, str], tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def wait(self, client: str, kind: str) -> float:
        """Take one; 0, or, where there is none, the seconds until there is."""
        if self._scale <= 0:
            return 0.0
        burst, per_second = (self._scale * x for x in (self._rates[kind].burst, self._rates[kind].per_second))
        with self._lock:
            now = self._clock()
            left, since = self._left.pop((client, kind), (burst, now))
            left = min(burst, left + (now - since) * per_second)
            self._left[(client, kind)] = (left - 1 if left >= 1 else left, now)
            while len(self._left) > CLIENTS:
                self._left.popitem(last=False)
        return 0.0 if left >= 1 else (1 - left) / per_second


def client_of(address: str | None, headers: Mapping[str, str], proxies: int) -> str:
    """Who asks: the address that the outermost of `proxies` trusted proxies saw. An IPv6 client is its /64 network.

    What stands in X-Forwarded-For further left was written by the client itself.
    """
    found = address or ""
    seen = [part.strip() for part in headers.get("x-forwarded-for", "").split(",") if part.strip()]
    if proxies > 0 and seen:
        found = seen[-min(proxies, len(seen))]
    try:
        ip = ipaddress.ip_address(found)
    except ValueError:
        return found[:64]
    return str(ipaddress.ip_network(f"{ip}/64", strict=False)) if ip.version == 6 else str(ip)


def kind_of(method: str, path: str) -> str | None:
    """Which rate a request counts under; None: no limit. Reading pages and pictures has none."""
    if method != "POST":
        return None
    parts = [p for p in path.split("/") if p]
    if "gradio_api" in parts:
        rest = parts[parts.index("gradio_api") + 1 :]
        return "upload" if rest[:1] == ["upload"] else "event"
    if parts[:1] in (["vote"], ["results"]):
        return "answer"
    return "event"


def check(limiter: Limiter, request: Any, kind: str, proxies: int) -> None:
    """For handlers: raise TooMany where the client behind a Gradio request has used up its share."""
    client = getattr(request, "client", None)
    if client is None:  # called by code of our own
        return
    seconds = limiter.wait(client_of(client.host, request.headers, proxies), kind)
    if seconds > 0:
        raise TooMany("more than one client's share was asked for", seconds=seconds)


class RateLimit:
    """429 with Retry-After for a client that asks too much."""

    def __init__(self, app: ASGIApp, limiter: Limiter, proxies: int = 0) -> None:
        self.app, self.limiter, self.proxies = app, limiter, proxies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = kind_of(scope["method"], scope["path"]) if scope["type"] == "http" else None
        if kind is not None:
            address = scope["client"][0] if scope.get("client") else None
            seconds = self.limiter.wait(client_of(address, Headers(scope=scope), self.proxies), kind)
            if seconds > 0:
                headers = {"Retry-After": str(max(1, round(seconds)))}
                await JSONResponse({"error": "too many requests", "detail": "Too many requests. Wait a little."}, 429, headers)(
                    scope, receive, send
                )
                return
        await self.app(scope, receive, send)


class Guard:
    """Security headers on every answer; Gradio's ways of fetching other sites through this one are closed."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                headers.append("Content-Security-Policy", FRAMES)  # beside a page's own: a browser obeys both
            await send(message)

        if _fetches(scope["path"]):
            await PlainTextResponse("not found", 404)(scope, receive, answer)
            return
        await self.app(scope, receive, answer)


def _fetches(path: str) -> bool:
    """Whether Gradio would fetch an address for the client: `file=http://…`, `proxy=…`. The app uses neither."""
    tail = unquote(path).lower()
    return "/proxy=" in tail or any("/file" in tail and scheme in tail for scheme in ("http:", "https:", "ftp:"))
