"""A thread's work on behalf of an event, and a place in the line for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor
from contextlib import asynccontextmanager
from contextvars import copy_context
from functools import partial
from typing import TypeVar

from scsa_core.progress import CancelToken

from .line import Line

POLL = 0.08  # seconds
_STOPS = 60  # seconds that work which was told to stop may take to
_T = TypeVar("_T")


@asynccontextmanager
async def in_thread(pool: Executor | None, call: Callable[[], _T], token: CancelToken) -> AsyncIterator[asyncio.Future[_T]]:
    """`call` in a thread of `pool` (None: the loop's own), to be awaited inside.

    It runs in the event's context: whoever lends a GPU asks for whom. Left before it is done,
    since the page is gone or the event was stopped, `token` is cancelled and the thread waited for.
    """
    future = asyncio.get_running_loop().run_in_executor(pool, partial(copy_context().run, call))
    try:
        yield future
    finally:
        if not future.done():
            token.cancel()
            await asyncio.wait({future}, timeout=_STOPS)
        if future.done() and not future.cancelled():
            future.exception()  # seen, so that it is not reported as forgotten


async def in_line(line: Line, owner: str, call: Callable[[], _T], token: CancelToken) -> _T:
    """`call` in a thread once it is this owner's turn. Raises Cancelled while waiting, and what `call` raises."""
    place = line.enter(owner)
    try:
        while line.position(place):
            token.checkpoint()
            await asyncio.sleep(POLL)
        async with in_thread(None, call, token) as future:
            return await asyncio.shield(future)
    finally:
        line.leave(place)
