"""The beginning of the process, before anything heavy is imported."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager

KERNELS = 128
"""Compiled convolutions that oneDNN and PyTorch each keep; a render needs some thirty."""


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


def keep_few_kernels() -> None:
    """Bound what is kept of compiled convolutions, unless somebody has said by how much. PyTorch reads this as it is loaded.

    There is one for every size of picture, and the last 1,024 would stay: visitors bring every
    size, and in 1,000 small renders that came to half a gigabyte which nothing gave back.
    """
    for name in ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY"):
        os.environ.setdefault(name, str(KERNELS))
