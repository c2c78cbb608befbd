"""Gradio's page, made to answer every request in words.

A request that does not fit the page is the sender's mistake: it gets a sentence and leaves one
line in the log, no traceback. An error that no handler expected gets a sentence too, with the
reference under which the log has its traceback.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any

import gradio as gr
from gradio.route_utils import FnIndexInferError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from scsa_core.errors import RequestError

from .faults import told


class Page(gr.Blocks):
    """`gr.Blocks` whose errors are words. language_of: of a session hash, for these words."""

    language_of: Callable[[str], str] | None = None

    def handle_streaming_diffs(
        self, block_fn: Any, data: list[Any], session_hash: str | None, run: str | None, final: bool, simple_format: bool = False
    ) -> list[Any]:
        """Each answer of a handler whole, not as what differs from the one before.

        Gradio's page works a difference into the answer before it also where it has not shown that one yet:
        of two answers that come together, a value that only the first one had was lost.
        """
        goes_on = session_hash is not None and run is not None and run in self.pending_diff_streams[session_hash]
        whole = super().handle_streaming_diffs(block_fn, data, session_hash, run, final, simple_format=True)
        return whole if final or simple_format or not goes_on else [[["replace", [], value]] for value in whole]

    async def preprocess_data(self, *args: Any, **kwargs: Any) -> Any:
        """Raises RequestError for values that are not the components' own."""
        try:
            return await super().preprocess_data(*args, **kwargs)
        except Exception as error:
            raise RequestError(f"values that are not the page's: {type(error).__name__}: {str(error)[:200]!r}") from error

    async def process_api(self, *args: Any, **kwargs: Any) -> Any:
        """Raises gr.Error with words for any error; Gradio prints no traceback of it."""
        try:
            return await super().process_api(*args, **kwargs)
        except gr.Error as error:  # words already
            error.print_exception = False
            raise
        except Exception as error:
            session = kwargs.get("session_hash")
            lang = self.language_of(session) if session and self.language_of else "en"
            raise gr.Error(told(error, "an event").line(lang), print_exception=False) from error


class Answered:
    """ASGI middleware: a request that ends in an error still gets JSON with words and a reference."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begun = False

        async def answer(message: Message) -> None:
            nonlocal begun
            begun = begun or message["type"] == "http.response.start"
            await send(message)

        try:
            await self.app(scope, receive, answer)
        except HTTPException:
            raise
        except Exception as error:
            found = _of_sender(error, scope)
            words = told(found or error, f"{scope['method']} {scope['path'][:100]!r}")
            if begun:  # too late for words
                return
            value = {"error": words.line("en"), "reference": words.reference}
            await JSONResponse(value, 400 if found else 500)(scope, receive, send)


def _of_sender(error: Exception, scope: Scope) -> RequestError | None:
    """Handlers' errors end in `Page`; what Gradio's own routes raise comes of a body that they cannot read, or of no file's name."""
    unread = LookupError, ValueError, TypeError, AttributeError, RecursionError, FnIndexInferError
    body = scope["method"] == "POST" and "/gradio_api/" in scope["path"] and isinstance(error, unread)
    name = getattr(error, "errno", 0) == errno.ENAMETOOLONG or "null byte" in str(error)
    return RequestError(f"not to be read: {type(error).__name__}: {str(error)[:200]!r}") if body or name else None
