"""The beginning of the process, before anything heavy is imported."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """Without garbage collection, for code that makes many objects which stay: imports, and the page.

    Collections find next to nothing there and take a quarter of the time. What was made is left
    out of later ones too, which would otherwise go through it each time while a visitor waits.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
