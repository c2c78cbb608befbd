"""Memory of this process, on every system the app runs on: its peak, its limit, and giving back what is free."""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

import psutil

from scsa_core.errors import ScsaError

# What a container's memory is limited to, by version 2 and version 1 of control groups.
_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
_FAILED = ("allocate memory", "out of memory", "not enough memory", "bad_alloc", "alloc_failed")


def ran_out(error: BaseException) -> bool:
    """Whether an error says that an allocation failed, whosever: Python's, torch's on the processor, CUDA's or its libraries'."""
    if isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM:
        return True
    return isinstance(error, RuntimeError) and any(words in str(error).lower() for words in _FAILED)


def peak_memory() -> int:
    """Peak resident memory in bytes."""
    if sys.platform == "win32":
        return int(psutil.Process().memory_info().peak_wset)
    if sys.platform == "linux":  # ru_maxrss would count what the parent held at the fork
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def total_memory(limits: Iterable[Path] = _LIMITS) -> int:
    """Bytes this process may have: the machine's memory, or less where a container allows less. limits: files that say so."""
    found = psutil.virtual_memory().total
    for path in limits:
        with suppress(OSError, ValueError):  # not Linux, not in a container, or "max"
            found = min(found, int(path.read_text()))
    return int(found)


def given_bytes(variable: str) -> int | None:
    """What a variable of the environment sets in megabytes, None where it is not set. Raises ScsaError for what is no number."""
    given = os.environ.get(variable, "").strip()
    if given and not given.isdecimal():
        raise ScsaError(f"{variable} is {given!r}", hint="Set it to a number of megabytes.")
    return int(given) * 1_000_000 if given else None


def give_back() -> bool:
    """Return freed pages to the system; whether any were. Does nothing without the GNU C library.

    That library keeps what a thread freed in an arena of the thread's own. A server paints in
    many threads, and the holes between cached tensors had grown to six times what was in use.
    """
    trim = _malloc_trim()
    return bool(trim is not None and trim(0))


@lru_cache(maxsize=1)
def _malloc_trim() -> ctypes._NamedFuncPointer | None:
    if sys.platform != "linux":
        return None
    try:
        return ctypes.CDLL("libc.so.6").malloc_trim
    except (OSError, AttributeError):  # another C library, such as musl
        return None
