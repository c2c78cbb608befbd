"""Starting on a machine that is busy with other things."""

from __future__ import annotations

import time

import httpx
from gradio import networking

TRIES = 20
TIMEOUT = 6.0  # seconds for one answer
PAUSE = 0.5


def be_patient() -> None:
    """Let Gradio's start check ask for long, and for little.

    It asks for the whole page, which takes a busy machine longer than the three seconds that
    it waits, and each time that it gives up leaves the machine with one page more to make;
    after a few it calls localhost unreachable and ends the app.
    """
    networking.url_ok = answers


def answers(url: str) -> bool:
    """Whether the app at `url` answers at all."""
    for attempt in range(TRIES):
        try:
            if httpx.get(url.rstrip("/") + "/healthz", timeout=TIMEOUT, verify=False, trust_env=False).status_code == 200:
                return True
        except httpx.HTTPError:
            pass
        if attempt + 1 < TRIES:
            time.sleep(PAUSE)
    return False
