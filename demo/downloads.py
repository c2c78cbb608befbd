"""Weights fetched from the page: one download a family at a time, in a thread of its own, seen by every visitor.

A page that is closed stops nothing; a download that is stopped keeps what has arrived.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scsa_core import registry, weights
from scsa_core.errors import Cancelled, CheckpointError, FetchFailed
from scsa_core.progress import CancelToken, Progress
from scsa_core.registry import WeightsFile

from .text import Said

log = logging.getLogger("scsa.demo")

Obtain = Callable[..., Path]


@dataclass(frozen=True)
class Failure:
    """What went wrong and what to do, in words."""

    what: Said
    do: Said

    def to_dict(self) -> dict[str, Any]:
        return {"what": self.what.to_dict(), "do": self.do.to_dict()}


class Download:
    """One family's files on their way. Read from any thread."""

    def __init__(self, files: Sequence[WeightsFile]) -> None:
        self.files = tuple(files)
        self.token = CancelToken()
        self.finished = False
        self.failure: Failure | None = None
        self._at, self._stage, self._fraction = 0, "fetch", 0.0
        self._began: tuple[float, float] | None = None  # (time, megabytes) of the first piece: older bytes tell nothing of the speed

    @property
    def total(self) -> float:
        """Megabytes of all files, exact or estimated."""
        return sum(f.megabytes for f in self.files)

    @property
    def arrived(self) -> float:
        """Megabytes that are here."""
        return sum(f.megabytes for f in self.files[: self._at]) + self._fraction * self.files[self._at].megabytes

    def to_dict(self) -> dict[str, Any]:
        """For the page: fraction 0..1, and the line beside the bar."""
        file, here, total = self.files[self._at], self.arrived, self.total
        args: dict[str, Any] = {"file": file.name, "here": f"{here:.1f}", "total": f"{total:.1f}"}
        key = "models.fetching"
        if self._stage == "verify":
            key = "models.checking"
        elif (speed := self._speed(here)) > 0:
            key, left = "models.fetching_speed", (total - here) / speed
            args |= {"speed": f"{speed:.1f}", "minutes": max(1, round(left / 60)) if left > 60 else f"{max(1, round(left))}"}
            key += "_minutes" if left > 60 else "_seconds"
        return {"fraction": round(min(1.0, here / total), 4), "said": Said(key, args).to_dict(), "stopping": self.token.cancelled}

    def _speed(self, here: float) -> float:
        """Megabytes a second since the first piece; 0 before there is enough to tell."""
        if self._began is None:
            return 0.0
        seconds = time.monotonic() - self._began[0]
        return (here - self._began[1]) / seconds if seconds > 1.0 else 0.0

    def run(self, obtain: Obtain) -> None:
        """Fetch and check every file. Never raises."""
        try:
            for k, file in enumerate(self.files):
                self._at, self._stage, self._fraction, self._began = k, "fetch", 0.0, None
                obtain(file, progress=self._hear, cancel=self.token)
                self._fraction = 1.0
        except Cancelled:
            self.failure = Failure(Said("models.stopped"), Said("models.do.continue"))
        except Exception as error:
            self.failure = failure_of(error, self.files[self._at])
        finally:
            self.finished = True

    def _hear(self, event: Progress) -> None:
        self._stage, self._fraction = event.stage, event.fraction if event.stage == "fetch" else 1.0
        if self._began is None and event.stage == "fetch":
            self._began = (time.monotonic(), self.arrived)


def failure_of(error: Exception, file: WeightsFile) -> Failure:
    """A failed download in words. Details of the network are kept, names of exceptions are not."""
    by_hand = {"file": file.name, "folder": str(file.target.parent)}
    match error:
        case FetchFailed(offline=True):
            return Failure(Said("models.failed.offline"), Said("models.do.offline", by_hand))
        case FetchFailed():
            return Failure(Said("models.failed", {"detail": str(error)}), Said("models.do.by_hand", by_hand))
        case CheckpointError():
            return Failure(Said("models.failed.wrong", {"detail": str(error)}), Said("models.do.again"))
    reference = secrets.token_hex(4)
    log.error("fetching %s failed (reference %s)", file.name, reference, exc_info=error)
    return Failure(Said("models.failed.unexpected", {"id": reference}), Said("models.do.again"))


class Downloads:
    """Downloads by family, shared by all visitors. obtain: for tests."""

    def __init__(self, obtain: Obtain = weights.obtain) -> None:
        self._obtain = obtain
        self._of: dict[str, Download] = {}
        self._lock = threading.Lock()

    def start(self, family: str, name: str | None = None) -> Download | None:
        """Fetch what a family lacks, or one file of it; one under way goes on alone. None where nothing can be fetched.

        Raises KnobError for a family or a file that is not listed.
        """
        files = [registry.family(family).file(name)] if name else list(registry.state(family).missing)
        files = [f for f in files if f.fetchable and f.find() is None]
        with self._lock:
            running = self._of.get(family)
            if running is not None and not running.finished:
                return running
            if not files:
                return None
            made = self._of[family] = Download(files)
        threading.Thread(target=made.run, args=(self._obtain,), daemon=True, name=f"fetch-{family}").start()
        return made

    def cancel(self, family: str) -> None:
        download = self._of.get(family)
        if download is not None:
            download.token.cancel()

    def get(self, family: str) -> Download | None:
        """The family's last download, running or not."""
        return self._of.get(family)

    @property
    def busy(self) -> bool:
        return any(not d.finished for d in list(self._of.values()))
