"""What a running job tells its caller, and how the caller stops it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from PIL import Image

from scsa_core.errors import Cancelled


@dataclass(frozen=True)
class Progress:
    """One event. stage: a key such as "encode_style"; fraction: 0..1 of the whole job.

    picture: what a slow family has so far, at the size of the result, or None.
    """

    stage: str
    fraction: float
    picture: Image.Image | None = field(default=None, compare=False)


ProgressCallback = Callable[[Progress], None]

STAGES = ("load_model", "encode_content", "encode_style", "encode_maps", "match", "paint", "finish")
"""Stage keys in the order a render passes them; the page has a word for each."""


class CancelToken:
    """Set from any thread; the job sees it at its next checkpoint."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def cancel(self) -> None:
        self._event.set()

    @property
    def cancelled(self) -> bool:
        return self._event.is_set()

    def wait(self, seconds: float) -> bool:
        """Sleep, but wake at once when somebody asks to stop. Returns whether they did."""
        return self._event.wait(seconds)

    def checkpoint(self) -> None:
        """Raise Cancelled if somebody asked to stop."""
        if self._event.is_set():
            raise Cancelled()
