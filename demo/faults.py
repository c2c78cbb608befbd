"""Every error that a visitor sees passes here: counted by kind, logged under a reference, and told in words with it."""

from __future__ import annotations

import logging
from collections import Counter
from threading import Lock
from typing import Any

from scsa_core.errors import ScsaError
from scsa_core.files import is_full
from scsa_core.memory import ran_out

from .logs import reference
from .text import ErrorWords, error_words

log = logging.getLogger("scsa.demo")


class Tally:
    """How often which kind of error was met since the start."""

    def __init__(self) -> None:
        self._seen: Counter[str] = Counter()
        self._lock = Lock()

    def add(self, error: BaseException) -> None:
        with self._lock:
            self._seen[kind_of(error)] += 1

    def seen(self) -> dict[str, int]:
        with self._lock:
            return dict(self._seen)


TALLY = Tally()
"""Of this process."""


def kind_of(error: BaseException) -> str:
    """The class of an error made on purpose, "OutOfMemory", "DiskFull", or "unexpected" for any other: kinds stay few."""
    if isinstance(error, ScsaError):
        return type(error).__name__
    return "OutOfMemory" if ran_out(error) else "DiskFull" if is_full(error) else "unexpected"


def told(error: BaseException, doing: str, *, level: int = logging.INFO, **context: Any) -> ErrorWords:
    """Words for an error met while `doing` something ("a render"), logged. level: of one made on purpose. context: see `error_words`."""
    mark = reference()
    TALLY.add(error)
    fields = {"reference": mark, "kind": kind_of(error)}
    if isinstance(error, ScsaError):
        log.log(level, "%s failed: %s", doing, error, extra={"fields": fields})
    else:
        log.error("%s failed", doing, exc_info=error, extra={"fields": fields})
    return error_words(error, reference=mark, **context)
