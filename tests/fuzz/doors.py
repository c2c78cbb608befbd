"""The ways into the app that bad input takes, and how each attempt ended."""

from __future__ import annotations

import asyncio
import contextlib
import io
import itertools
import json
import logging
import random
import secrets
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import httpx
from PIL import Image
from pydantic import ValidationError

from demo.app import build_demo, launch_options
from demo.desk import INPUTS, RESTORED, Desk, Values
from demo.ending import close
from demo.faults import TALLY
from demo.knobs import SLIDERS
from demo.painter import PainterModel, from_label_maps
from demo.session import Job, Session
from demo.settings import Settings
from demo.text import Said, error_words
from scsa_core.engine import Engine
from scsa_core.errors import ScsaError
from scsa_core.images import load_image
from scsa_core.labels import read_maps

from . import payloads
from .files import photo
from .maps import map_case
from .pictures import picture

SIZE = 64
"""Long side of every render: what is tried is the way there."""
GOOD = ("rendered", "settings taken", "message", "refused", "answered")


@dataclass(frozen=True)
class Ended:
    """how: one of GOOD, or what went wrong. said: the message, or the evidence."""

    how: str
    said: str = ""

    @property
    def good(self) -> bool:
        return self.how in GOOD


class Broken(Exception):
    """An attempt that did not end well."""

    def __init__(self, how: str, said: str) -> None:
        super().__init__(said)
        self.how = how


class _Ear(logging.Handler):
    """Hears every logged traceback."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.heard: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info or "Traceback" in record.getMessage():
            self.heard.append(logging.Formatter().format(record)[-1500:])


class _Tee(io.TextIOBase):
    """Standard error, listened to."""

    def __init__(self, under: Any) -> None:
        self.under, self.text = under, ""

    def write(self, text: str) -> int:
        self.text += text
        return len(text)

    def flush(self) -> None:
        self.under.flush()


class Doors:
    """The app's parts, and the launched app where payloads are sent to it. One at a time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.engine = Engine("cpu")
        self.settings = Settings(device="cpu", preload=False, data=folder / "data", examples=folder / "none", may_fetch=False, rate=0, max_size=256)
        self.desk = Desk(self.engine, self.settings)
        rng = random.Random("sound")
        self.sound = {side: self._write(f"{side}.png", photo(rng, (80, 56))) for side in ("content", "style")}
        self._site: _Site | None = None
        self._number = itertools.count()

    def warm(self) -> None:
        """Load and launch everything, so that no case pays for it."""
        self._launched()
        for kind in ("picture/sound", "map/one_region", "payload/named", "payload/studies"):
            self.try_one(kind, random.Random("warm"))

    def close(self) -> None:
        if self._site is not None:
            self._site.close()

    def _write(self, name: str, im: Image.Image) -> str:
        path = self.folder / name
        im.save(path)
        return str(path)

    def try_one(self, kind: str, rng: random.Random) -> Ended:
        """Try a case: "picture/…", "map/…" or "payload/…". Never raises but for what ends the process."""
        group, _, name = kind.partition("/")
        with _listening() as heard:
            before = TALLY.seen().get("unexpected", 0)
            try:
                ended = {"picture": self._picture, "map": self._map, "payload": self._payload}[group](name, rng)
            except Broken as error:
                ended = Ended(error.how, str(error))
            except Exception as error:  # an attempt must not raise: this is what is looked for
                ended = Ended("traceback", f"{type(error).__name__}: {error} {_where(error)}")
            if TALLY.seen().get("unexpected", 0) > before:
                ended = Ended("unexpected error", "".join(heard())[-1500:] or ended.said)
            elif ended.good and heard():
                ended = Ended("traceback in the log", "".join(heard())[-1500:])
        return ended

    # -- pictures ---------------------------------------------------------------------

    def _picture(self, name: str, rng: random.Random) -> Ended:
        file = picture(name, rng)
        path = self._stored(file)
        said = self._library(file[1])
        session = SimpleNamespace(session_hash=f"s{next(self._number)}")
        value = from_label_maps(self.sound["content"], self.sound["style"])
        for each in ("content", "style"):
            value[each]["picture"] = {"path": self.sound[each]}
        side = rng.choice(["content", "style"])
        value[side]["picture"] = {"path": path}
        updates = dict(zip(RESTORED, self.desk.picture(value, SimpleNamespace(_data={"side": side}), session), strict=True))
        shown = updates["painter"].get("value") or {}
        if (shown.get("error") or {}).get(side):
            if said is None and name != "recipe":  # settings that cannot be read are no fault of the picture's
                raise Broken("inconsistent", f"the library takes it, the page says {shown['error'][side]}")
            return Ended("message", shown["error"][side])
        if updates["notes"].get("items"):
            return Ended("settings taken")
        if said is not None:
            raise Broken("inconsistent", f"the page takes it, the library says {said}")
        session_of = self.desk.sessions.get(session.session_hash)
        answer = {**value, **{s: {**value[s], "picture": {"path": shown[s]["picture"]} if isinstance(shown[s]["picture"], str) else shown[s]["picture"]} for s in ("content", "style")}}
        found = self._rendered(session_of, answer)
        self.desk.close(session)
        return found

    def _library(self, data: bytes) -> str | None:
        """What the library says of a picture that it refuses; as a picture and as a map."""
        with contextlib.suppress(ScsaError):
            read_maps(data, None)
        try:
            found = load_image(data, self.settings.limits)
        except ScsaError as error:
            return _message(error)
        if found.mode != "RGB" or found.info:
            raise Broken("inconsistent", f"{found.mode} {found.info}")
        return None

    def _stored(self, file: tuple[str, bytes]) -> str:
        """As Gradio stores an upload: a folder for each, the name cleaned."""
        folder = self.folder / "uploads" / secrets.token_hex(8)
        folder.mkdir(parents=True)
        path = folder / ("".join(c for c in file[0] if c.isalnum() or c in "._- ")[:100] or "file")
        path.write_bytes(file[1])
        return str(path)

    def _rendered(self, session: Session, painter: dict[str, Any]) -> Ended:
        knobs = self.engine.defaults("lite")
        values = Values(painter, "lite", "scsa", 256, {name: getattr(knobs, name) for name in SLIDERS})
        try:
            job = self.desk.job(session, values)
            if isinstance(job, Said):
                return Ended("message", job.in_("en"))
            assert job.request.knobs is not None
            result = self.engine.render(replace(job.request, knobs=job.request.knobs.replace(size=SIZE)))
        except ScsaError as error:
            return Ended("message", _message(error))
        if max(result.image.size) > 4 * SIZE and min(result.image.size) > SIZE:
            raise Broken("inconsistent", f"a picture of {result.image.size} was asked for at {SIZE}")
        return Ended("rendered")

    # -- maps -------------------------------------------------------------------------

    def _map(self, name: str, rng: random.Random) -> Ended:
        case = map_case(name, rng)
        value = from_label_maps(self.sound["content"], self.sound["style"])
        for side in ("content", "style"):
            value[side]["picture"] = {"path": self.sound[side], "meta": {"_type": "gradio.FileData"}}
        for key, change in case.changes.items():
            value[key] = {**value[key], **change} if key in ("content", "style") and isinstance(change, dict) else change
        try:
            painter = PainterModel.model_validate(value).model_dump()
        except ValidationError as error:  # what the launched app answers to this is tried by the payloads
            return Ended("refused", str(error)[:200])
        visitor = SimpleNamespace(session_hash=f"s{next(self._number)}")
        session = self.desk.sessions.get(visitor.session_hash)
        if case.files:
            files = [{"path": self._stored(file), "orig_name": file[0]} for file in case.files]
            painter["incoming"] = {"side": case.side, "files": files}
            answer = self.desk.maps(painter, visitor)[0]
            if "value" not in answer:
                return Ended("answered", "nothing to do")
            painter = answer["value"]
            if painter.get("error"):
                return Ended("message", str(painter["error"]))
            for side in ("content", "style"):
                if isinstance(painter[side].get("picture"), str):
                    painter[side]["picture"] = {"path": painter[side]["picture"]}
            PainterModel.model_validate(painter)
        found = self._rendered(session, painter)
        self._asked(painter, session, rng)
        self.desk.close(visitor)
        return found

    def _asked(self, painter: dict[str, Any], session: Session, rng: random.Random) -> None:
        """The page's other readers of a painter value: suggestions, and what clicks mean."""
        from demo.map_tools import MapTools

        tools = self.__dict__.setdefault("_tools", MapTools(self.desk))
        if rng.random() < 0.05:
            asyncio.run(tools.suggest(painter))

    # -- payloads ---------------------------------------------------------------------

    def _payload(self, name: str, rng: random.Random) -> Ended:
        return self._launched().send(name, rng)

    def _launched(self) -> _Site:
        if self._site is None:
            self._site = _Site(self.folder / "site", self.settings, self.sound)
        return self._site


class _Site:
    """The launched app and a client of it."""

    def __init__(self, folder: Path, settings: Settings, sound: dict[str, str]) -> None:
        folder.mkdir(exist_ok=True)
        self.settings = replace(settings, data=folder / "data")
        self.demo = build_demo(self.settings)
        options = launch_options(self.settings, host="127.0.0.1")
        with mock.patch("gradio.networking.url_ok", return_value=True):  # it gives up too soon on a busy machine; the upload below waits
            self.demo.queue(default_concurrency_limit=None).launch(**options, prevent_thread_lock=True, quiet=True)
        self.client = httpx.Client(base_url=self.demo.local_url, timeout=40)
        self.config = self.demo.get_config_file()
        self.uploaded = {}
        for side, path in sound.items():
            answer = self.client.post("/gradio_api/upload", files={"files": (f"{side}.png", Path(path).read_bytes())})
            self.uploaded[side] = answer.json()[0]

    def close(self) -> None:
        self.client.close()
        close(self.demo)

    def send(self, name: str, rng: random.Random) -> Ended:
        plan = payloads.payload(name, rng, self.config, self.uploaded)
        if plan.event is None:
            answer = self.client.request(plan.method, plan.path, content=plan.body, headers=plan.headers)
            return self._plain(answer)
        session = plan.event.get("session_hash") or secrets.token_hex(5)
        joined = self.client.post("/gradio_api/queue/join", content=payloads.dumps({**plan.event, "session_hash": session}), headers={"content-type": "application/json"})
        if joined.status_code != 200 or "event_id" not in joined.json():
            return self._plain(joined)
        return self._followed(str(session), joined.json()["event_id"])

    def _plain(self, answer: httpx.Response) -> Ended:
        if answer.status_code >= 500:
            words = _words(answer)
            if not words:
                raise Broken("no words", f"{answer.request.method} {answer.request.url}: {answer.status_code} {answer.text[:300]}")
            return Ended("message", words)
        return Ended("refused" if answer.status_code >= 400 else "answered", f"{answer.status_code}")

    def _followed(self, session: str, event: str) -> Ended:
        end = time.monotonic() + 35
        with self.client.stream("GET", "/gradio_api/queue/data", params={"session_hash": session}) as answer:
            for line in answer.iter_lines():
                if time.monotonic() > end:
                    break
                if not line.startswith("data:"):
                    continue
                found = json.loads(line[5:])
                if found.get("msg") == "process_completed" and found.get("event_id") == event:
                    if found.get("success"):
                        return Ended("answered")
                    words = (found.get("output") or {}).get("error")
                    if not words:
                        raise Broken("no words", line[:500])
                    return Ended("message", str(words))
                if found.get("msg") in ("unexpected_error", "close_stream"):
                    raise Broken("no words", line[:500])
        raise Broken("no end", f"event {event}")


def _words(answer: httpx.Response) -> str:
    with contextlib.suppress(ValueError, AttributeError):
        found = answer.json()
        return str(found.get("error") or found.get("detail") or "")
    return ""


def _message(error: ScsaError) -> str:
    """The words that the page has for an error; it must have some, and not those for the unexpected."""
    words = error_words(error)
    if words.what.key == "error.unexpected" or not str(error):
        raise Broken("no words", f"{type(error).__name__}: {error}")
    return words.line("en")


def _where(error: BaseException) -> str:
    """The innermost places of a traceback, in short."""
    places = []
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        places.append(f"{Path(code.co_filename).name}:{trace.tb_lineno}")
        trace = trace.tb_next
    return " < ".join(reversed(places[-5:]))


@contextlib.contextmanager
def _listening() -> Iterator[Any]:
    """Collects logged tracebacks and what is printed to standard error while it is open."""
    ear = _Ear()
    tee = _Tee(sys.stderr)
    loggers = [logging.getLogger(name) for name in ("", "scsa", "scsa_core", "uvicorn.error", "asyncio")]
    hook = threading.excepthook
    threading.excepthook = lambda args: ear.heard.append(f"in a thread: {args.exc_type} {args.exc_value}")
    before, sys.stderr = sys.stderr, tee  # type: ignore[assignment]
    for logger in loggers:
        logger.addHandler(ear)
    try:
        yield lambda: ear.heard + ([tee.text] if "Traceback" in tee.text else [])
    finally:
        sys.stderr = before
        threading.excepthook = hook
        for logger in loggers:
            logger.removeHandler(ear)


__all__ = ["GOOD", "INPUTS", "Broken", "Doors", "Ended", "Job"]
