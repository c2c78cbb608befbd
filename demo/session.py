"""What one visitor has on the desk: the request, what the page shows of it, and who is superseded by whom.

Nothing here renders: `studio.py` does. Neither knows of Gradio.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import secrets
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

from scsa_core.backbones import FAMILIES
from scsa_core.engine import RenderRequest
from scsa_core.labels import LabelMap
from scsa_core.progress import CancelToken

from .text import ErrorWords, Said
from .untouched import FoundMaps

MAX_SESSIONS = 1000
MAX_PICTURES = 100
FOUND_KEPT = 8

READY = Said("status.ready")
_TURNS = itertools.count(int(time.time() * 1000))  # a page outlives a restart of the server, whose turns come after
State = Literal["idle", "stale", "queued", "previewing", "rendering", "done", "failed", "cancelled"]


@dataclass(frozen=True)
class Job:
    """A render to be. Paths are of the pictures as the browser gets them; sha256 of their pixels."""

    request: RenderRequest
    content_path: str
    style_path: str
    model: str = ""
    content_sha256: str = ""
    style_sha256: str = ""

    def fingerprint(self) -> str:
        """Equal for jobs that paint the same picture from the same files."""
        return _digest(self._pair(), *self._settings())

    def mark(self) -> str:
        """Equal for jobs that paint the same picture, whatever its files are called: on another server, on another day."""
        return _digest(self.content_sha256, self.style_sha256, self.request.backbone, *self._settings())

    def _settings(self) -> tuple[object, ...]:
        r = self.request
        assert r.knobs is not None
        maps = [m.digest() if m is not None else None for m in (r.content_map, r.style_map)]
        links = sorted((k, list(v)) for k, v in (r.links or {}).items())
        return maps, links, r.method, r.knobs.as_dict()

    def baseline_key(self) -> str:
        """Equal for jobs that have the same baseline."""
        assert self.request.knobs is not None
        knobs, capabilities = self.request.knobs, FAMILIES[self.request.backbone].info.capabilities
        return _digest(self._pair(), {name: getattr(knobs, name) for name in ("keep_colours", *capabilities.acting("baseline"))})

    def _pair(self) -> list[str]:
        return [self.content_path, self.style_path, self.request.backbone]


@dataclass(frozen=True)
class View:
    """All that the result column shows. Pictures are paths; more: the baseline is still being painted.

    turn: grows from view to view, so that the browser knows a late one: answers of two events may overtake each other.
    """

    state: State = "idle"
    said: Said = READY
    fraction: float = 0.0
    more: bool = False
    result: str | None = None
    baseline: str | None = None
    content: str | None = None
    style: str | None = None
    previous: str | None = None
    kept: str | None = None
    size: tuple[int, int] = (0, 0)
    preview: bool = False
    alt: Said | None = None
    notes: tuple[Said, ...] = ()
    error: ErrorWords | None = None
    download: str | None = None
    turn: int = field(default_factory=partial(next, _TURNS), init=False, compare=False)


@dataclass(frozen=True)
class Made:
    """A full result. path: its file. size: (width, height). recipe: its settings where the file has no room for the maps."""

    job: Job
    path: str
    size: tuple[int, int]
    seconds: str
    recipe: str = ""


class Run:
    """One attempt. interruptible: a newer change may stop it now. paints: the job's mark. whole: it does not stop at a preview."""

    def __init__(self, stamp: int, paints: str = "", whole: bool = False) -> None:
        self.stamp, self.paints, self.whole = stamp, paints, whole
        self.token = CancelToken()
        self.interruptible = True
        self.asked = False  # somebody pressed Cancel
        self.used: RenderRequest | None = None  # where memory had room for less than was asked for only
        self.started = time.monotonic()

    @property
    def seconds(self) -> str:
        return f"{time.monotonic() - self.started:.1f}"


class Session:
    """One visitor. `newest` counts their changes; `pictures` are the last accepted files by side."""

    def __init__(self, key: str, view: View | None = None) -> None:
        self.key = key
        self.view = view or View()
        self.newest = 0
        self.run: Run | None = None
        self.shown: str | None = None  # fingerprint of the last full result
        self.full: str | None = None  # its file, which `view.result` is not during a preview
        self.made: Made | None = None  # the last one that was painted for this visitor
        self.baseline_key: str | None = None
        self.baseline_backbone = ""  # the family that painted it
        self.lang = "en"
        self.backbone = "lite"  # whose defaults the knobs were last set by
        self.pictures: dict[str, str] = {}
        self.accepted: dict[str, str] = {}  # uploaded file -> the copy that is kept
        self._known: dict[str, None] = {}  # every picture that was on this desk
        self.found: deque[FoundMaps] = deque(maxlen=FOUND_KEPT)  # as examples and Auto left them last
        self._automatic: dict[str, None] = {}  # digests of all that were so left
        self.finding: CancelToken | None = None  # of Auto under way
        self.stale = False  # settings changed while a render ran that they do not stop
        self.pressed: str | None = None  # mark of what Render was pressed for, until it is there
        self.restored: tuple[Said, ...] = ()  # what to say of settings that came back, beside the next result's notes
        self._arrived = self._answered = 0

    def found_maps(self, maps: tuple[LabelMap | None, LabelMap | None]) -> None:
        """An example or Auto made these: nobody's own work is lost with them."""
        self.found.append(FoundMaps.of(maps))
        self._automatic.update({m.digest(): None for m in maps if m is not None})
        while len(self._automatic) > MAX_PICTURES:
            del self._automatic[next(iter(self._automatic))]

    def holds_work(self, maps: tuple[LabelMap | None, LabelMap | None]) -> bool:
        """Whether one of them has regions, and is not as an example or Auto left it, now or earlier."""
        return any(m is not None and set(m.region_ids) - {0} and m.digest() not in self._automatic for m in maps)

    def know(self, *paths: str) -> None:
        """Remember pictures that this visitor was shown or sent, the latest MAX_PICTURES of them."""
        for path in paths:
            self._known.pop(path, None)
            self._known[path] = None
        while len(self._known) > MAX_PICTURES:
            del self._known[next(iter(self._known))]

    def knows(self, path: str) -> bool:
        """Whether a path that the browser names is one of this visitor's pictures."""
        return path in self._known

    def arrive(self) -> int:
        """The number of a request, counted as they come in."""
        self._arrived += 1
        return self._arrived

    def answers(self, arrival: int, *, always: bool) -> bool:
        """Whether a request still speaks for this visitor, now that its pictures are read; a later one may have been sooner."""
        newest = arrival > self._answered
        self._answered = max(self._answered, arrival)
        return newest or always

    def note(self, stamp: int, *, stops: bool) -> None:
        """A change was made: a run for an older one gives way, unless it is about to show something."""
        self.restored = ()
        if not stops:
            return
        self.newest = max(self.newest, stamp)
        run = self.run
        if run is not None and run.stamp < stamp and run.interruptible:
            run.token.cancel()

    def begin(self, stamp: int, paints: str = "", *, whole: bool = False) -> Run:
        """A new run; an older one stops."""
        self.drop()
        self.newest = max(self.newest, stamp)
        self.stale = False
        self.run = Run(self.newest, paints, whole)
        return self.run

    def cancel(self) -> bool:
        """Cancel was pressed. False where nothing runs."""
        if self.run is None:
            return False
        self.run.asked = True
        self.pressed = None
        self.run.token.cancel()
        return True

    def drop(self) -> None:
        """Stop silently."""
        if self.run is not None:
            self.run.token.cancel()
            self.run = None

    def finishes(self, paints: str) -> bool:
        """Whether the picture of this mark is under way already, and not to stop at a preview."""
        run = self.run
        return run is not None and run.whole and run.paints == paints and not self.superseded(run)

    def superseded(self, run: Run) -> bool:
        """Whether something newer speaks for this visitor now."""
        return self.run is not run or self.newest > run.stamp


class Sessions:
    """Sessions by Gradio's session hash, the least recently used dropped first."""

    def __init__(self, opening: Callable[[Session], None]) -> None:
        self._opening = opening
        self._found: OrderedDict[str, Session] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: str | None) -> Session:
        """The session of a visitor, opened where it is new; without a key a passing one."""
        with self._lock:
            session = self._found.get(key) if key else None
            if session is None:
                session = Session(key or secrets.token_hex(8))
                self._opening(session)
                if key:
                    self._found[key] = session
            if key:
                self._found.move_to_end(key)
            while len(self._found) > MAX_SESSIONS:
                self._found.popitem(last=False)[1].drop()
            return session

    def find(self, key: str | None) -> Session | None:
        """The session of a visitor, where there is one."""
        with self._lock:
            return self._found.get(key) if key else None

    def close(self, key: str | None) -> None:
        with self._lock:
            session = self._found.pop(key, None) if key else None
        if session is not None:
            session.drop()


def _digest(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()
