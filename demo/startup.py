"""Starting on a machine that is busy with other things."""

from __future__ import annotations

from gradio import networking

TRIES = 20


def be_patient() -> None:
    """Let Gradio's start check ask more than once: it gives a page three seconds and then calls localhost unreachable."""
    ask = networking.url_ok

    def patient(url: str) -> bool:
        return any(ask(url) for _ in range(TRIES))

    networking.url_ok = patient
