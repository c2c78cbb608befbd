"""A thread's work for an event: its context, its turn, and what happens to it when nobody waits any more."""

from __future__ import annotations

import asyncio
import time
from contextvars import ContextVar

import pytest

from demo.line import Line
from demo.work import in_line, in_thread
from scsa_core.errors import Cancelled
from scsa_core.progress import CancelToken

WHO: ContextVar[str] = ContextVar("who", default="nobody")


def until_cancelled(token):
    while True:
        token.checkpoint()
        time.sleep(0.005)


def test_work_runs_in_the_context_of_who_asked():
    async def ask(who):
        WHO.set(who)
        async with in_thread(None, WHO.get, CancelToken()) as future:
            return await future

    async def main():
        return await asyncio.gather(ask("ann"), ask("bo"))

    assert asyncio.run(main()) == ["ann", "bo"] and WHO.get() == "nobody"


def test_work_that_is_left_stops_and_frees_the_line():
    line, token = Line(), CancelToken()

    async def main():
        task = asyncio.create_task(in_line(line, "ann", lambda: until_cancelled(token), token))
        await asyncio.sleep(0.1)
        assert len(line) == 1 and not task.done()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert token.cancelled and len(line) == 0


def test_turns_come_one_after_another_and_waiting_can_be_cancelled():
    line, order = Line(), []

    def work(name):
        order.append(name)
        time.sleep(0.15)
        return name

    async def main():
        waiting = CancelToken()
        first = asyncio.create_task(in_line(line, "ann", lambda: work("ann"), CancelToken()))
        await asyncio.sleep(0.02)
        second = asyncio.create_task(in_line(line, "bo", lambda: work("bo"), CancelToken()))
        third = asyncio.create_task(in_line(line, "cy", lambda: work("cy"), waiting))
        await asyncio.sleep(0.02)
        assert order == ["ann"]
        waiting.cancel()
        assert [await first, await second] == ["ann", "bo"]
        with pytest.raises(Cancelled):
            await third

    asyncio.run(main())
    assert order == ["ann", "bo"] and len(line) == 0
