"""The end of the process: told to stop, it finishes what it is answering and goes, however long a render would still take.

Nothing is lost by that: what is stored is written whole or not at all, and an answer is given
after it. Pages notice, wait, and give the next server their pictures again.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from typing import Any

from gradio.tunneling import CURRENT_TUNNELS

log = logging.getLogger("scsa.demo")

PATIENCE = 8.0
"""Seconds until it goes in any case, started or not: container engines kill after ten."""


class Ending:
    """Hears SIGTERM and Ctrl-C from when it is made, which is early: as the first process of a container, nothing else would.

    demo: the launched app, once there is one.
    """

    def __init__(self) -> None:
        self.demo: Any = None
        self._told = False
        self._over = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._hear)

    def _hear(self, number: int, frame: Any) -> None:
        if self._told:  # twice: at once
            os._exit(1)
        self._told = True
        last = threading.Timer(PATIENCE, os._exit, (0,))
        last.daemon = True
        last.start()
        threading.Thread(target=self._end, daemon=True).start()  # the main thread may be busy with the start

    def join(self) -> None:
        """After `launch`, which returns, or fails, when the app is closed: leave the process to the thread that closes it."""
        if self._told:
            self._over.wait()

    def _end(self) -> None:
        log.info("stopping")
        try:
            if self.demo is not None:
                close(self.demo)  # no new requests; those under way get up to five seconds
            for tunnel in CURRENT_TUNNELS:
                tunnel.kill()
            log.info("stopped")
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
        finally:
            os._exit(0)  # not by `sys.exit`, which would wait for the renders' threads


def close(demo: Any) -> None:
    """Close a launched app, from any thread.

    Gradio wakes those who wait for its end from outside their loop. Where one of them leaves at
    that moment it stops half way, with the event set and the server still open: then once more.
    """
    try:
        demo.close(verbose=False)
    except RuntimeError:
        demo.is_running = True  # or it would take itself for closed
        demo.close(verbose=False)
