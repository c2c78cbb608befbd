"""The grid: the pair on the desk, painted by any of the families that are ready, each with and without regions.

One picture after another, in the same line as everybody's renders; a new place for each,
so that nobody waits for a whole grid. The browser's half is `web/grid.js`.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal
from weakref import WeakKeyDictionary

import gradio as gr
from gradio.data_classes import FileData, GradioModel

from scsa_core.engine import RenderResult
from scsa_core.errors import Cancelled, ScsaError
from scsa_core.knobs import ALL_METHODS
from scsa_core.progress import CancelToken, Progress

from .compare import compare_texts
from .component import ModelComponent, data_of
from .desk import Desk, Values
from .faults import told
from .knobs import SLIDERS
from .models import model_states
from .session import Job, Session
from .text import ErrorWords, Said, error_words, packed
from .text import texts as _texts
from .work import in_thread

log = logging.getLogger("scsa.demo")

COMMON = ("stroke_size", "keep_colours")
"""Knobs that mean the same in every family; another family than the desk's keeps its own defaults for the rest."""
POLL = 0.15
Name = tuple[str, str]
"""(family, method)."""
CellState = Literal["empty", "waiting", "painting", "done", "failed"]


@dataclass(frozen=True)
class Cell:
    """One picture of the grid. key: of the job that it shows. side: its long one, in pixels. picture stays while a newer one is painted.

    content, style: what it was painted from; size: of the content.
    """

    state: CellState = "empty"
    key: str = ""
    picture: str | None = None
    content: str | None = None
    style: str | None = None
    size: tuple[int, int] = (0, 0)
    side: int = 0
    seconds: str = ""
    error: ErrorWords | None = None
    stale: bool = False


@dataclass(eq=False)
class Sheet:
    """One visitor's grid. said: the line above it; opened: the cell in the compare view below; values: the desk's, as last seen."""

    cells: dict[Name, Cell] = field(default_factory=dict)
    token: CancelToken | None = None
    said: Said | None = None
    fraction: float = 0.0
    opened: Name | None = None
    values: Values | None = None

    def cell(self, name: Name) -> Cell:
        return self.cells.get(name, Cell())

    def set(self, name: Name, **changes: Any) -> None:
        self.cells[name] = replace(self.cell(name), **changes)


class CellModel(GradioModel):
    """A painted cell."""

    family: str
    method: str
    picture: FileData


class GridModel(GradioModel):
    """The pictures. Everything else travels in `items`."""

    cells: list[CellModel] = []


class Grid(ModelComponent):
    """`items`: see `Sheets.items`. Events: ``paint`` {cells: [[family, method], …]}, ``stop``, ``open`` {family, method}."""

    sheet, root, data_model = "grid", "gd-root", GridModel
    shared = ("names.js",)


def grid_texts(lang: str) -> dict[str, str]:
    """The grid's words, with those of methods, stages, models' states and errors."""
    return _texts(lang, "grid.", "method.", "status.", "models.state.", "family.", "error.")


class Sheets:
    """Handlers of the grid. Outputs of all: [grid, compare view]."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self._of: WeakKeyDictionary[Session, Sheet] = WeakKeyDictionary()
        self._pool = ThreadPoolExecutor(max_workers=2, thread_name_prefix="grid")

    def of(self, session: Session) -> Sheet:
        return self._of.setdefault(session, Sheet())

    def methods(self, family: str) -> list[str]:
        """A family's two columns: its baseline, and its way with regions."""
        known = self.desk.engine.info(family).capabilities.methods
        return ["baseline", "scsa" if "scsa" in known else known[0]]

    # -- what is shown ----------------------------------------------------------------

    def items(self, sheet: Sheet) -> dict[str, Any]:
        """Families with their cells, as plain values; words are keys."""
        families = []
        for state in model_states(self.desk.engine):
            methods, slow = self.methods(state.name), self.desk.engine.info(state.name).capabilities.slow
            cells = {m: _shown(sheet.cell((state.name, m)), state.ready, sheet.opened == (state.name, m)) for m in methods}
            words = {"name": state.name, "title": state.title, "chip": state.chip().to_dict(), "methods": methods, "slow": slow}
            families.append({**words, "ready": state.ready, "cells": cells})
        running = sheet.token is not None
        said = sheet.said.to_dict() if sheet.said else None
        return {"families": families, "running": running, "said": said, "fraction": round(sheet.fraction, 3)}

    def updates(self, sheet: Sheet, *, pictures: bool) -> list[Any]:
        """Updates of grid and compare view; pictures: they changed too."""
        changes: dict[str, Any] = {"items": self.items(sheet)}
        if not pictures:
            return [gr.update(**changes), gr.skip()]
        cells = [
            {"family": family, "method": method, "picture": FileData(path=cell.picture)}
            for (family, method), cell in sheet.cells.items()
            if cell.picture
        ]
        compare = gr.update(value=self.compared(sheet), visible=True if sheet.opened else "hidden")
        return [gr.update(value={"cells": cells}, **changes), compare]

    def compared(self, sheet: Sheet) -> dict[str, Any]:
        """The opened cell beside the two pictures that it was painted from, and its family's baseline where that is of the same ones."""
        family, method = sheet.opened or ("", "")
        cell, plain = sheet.cell((family, method)), sheet.cell((family, "baseline"))
        alike = method != "baseline" and (plain.content, plain.style) == (cell.content, cell.style)
        title = self.desk.engine.info(family).title if family else ""
        return {
            "result": cell.picture, "content": cell.content, "style": cell.style, "baseline": plain.picture if alike else None,
            "w": cell.size[0], "h": cell.size[1], "preview": False,
            "alt": Said("compare.alt_plain", {"model": title, "method": method, "size": cell.side}).to_dict(),
        }  # fmt: skip

    # -- handlers ---------------------------------------------------------------------

    def look(self, request: gr.Request, *values: Any) -> list[Any]:
        """The tab was opened: models may have come, and settings changed."""
        session = self.desk.sessions.get(request.session_hash)
        sheet = self.of(session)
        sheet.values = Values.of(values)
        self._mark(sheet)
        grid, compare = self.updates(sheet, pictures=True)
        # An answer that meets a tab as it opens replaces what its components were made with: their words come with it.
        return [{**grid, "texts": packed(grid_texts(session.lang))}, {**compare, "texts": packed(compare_texts(session.lang))}]

    def _mark(self, sheet: Sheet) -> None:
        """Say which pictures the desk, as last seen, would not give any more."""
        for name, cell in list(sheet.cells.items()):
            if cell.state == "done" and sheet.values is not None:
                job = self._job(sheet.values, name)
                sheet.set(name, stale=not isinstance(job, Job) or _key(job) != cell.key)

    def stop(self, request: gr.Request) -> None:
        token = self.of(self.desk.sessions.get(request.session_hash)).token
        if token is not None:
            token.cancel()

    def open(self, event: gr.EventData, request: gr.Request) -> list[Any]:
        """A cell was pressed."""
        sheet = self.of(self.desk.sessions.get(request.session_hash))
        for name in _names([_pair(data_of(event))]):
            if sheet.cell(name).picture:
                sheet.opened = name
        return self.updates(sheet, pictures=True)

    async def paint(self, event: gr.EventData, request: gr.Request, *values: Any) -> AsyncIterator[list[Any]]:
        """Paint was pressed: one cell after another."""
        session = self.desk.sessions.get(request.session_hash)
        async for updates in self.run(session, Values.of(values), _names(data_of(event).get("cells"))):
            yield updates

    async def run(self, session: Session, values: Values, names: Sequence[Name]) -> AsyncIterator[list[Any]]:
        """Paint the cells of `names` that can be; done ones of the same settings stay. Raises nothing but its own end."""
        sheet = self.of(session)
        if sheet.token is not None:
            yield self.updates(sheet, pictures=False)
            return
        token = sheet.token = CancelToken()
        sheet.values = values
        try:
            ready = {state.name for state in model_states(self.desk.engine) if state.ready}
            jobs = await asyncio.to_thread(self._jobs, sheet, values, [n for n in names if n[0] in ready and n[1] in self.methods(n[0])])
            if isinstance(jobs, Said):
                sheet.said, jobs = jobs, {}
            else:
                sheet.said = Said("grid.nothing")
            for name in jobs:
                sheet.set(name, state="waiting", error=None, stale=False)
            started = time.monotonic()
            for k, (name, job) in enumerate(jobs.items()):
                async for pictures in self._one(session, sheet, name, job, (k, len(jobs)), token):
                    yield self.updates(sheet, pictures=pictures)
                sheet.said = Said("grid.done", {"seconds": f"{time.monotonic() - started:.1f}"})
        except Cancelled:
            sheet.said = Said("grid.cancelled")
        except Exception as error:
            sheet.said = Said("grid.failed")
            log.error("the grid failed", exc_info=error)
        finally:
            token.cancel()
            for name, cell in list(sheet.cells.items()):
                if cell.state in ("waiting", "painting"):
                    sheet.set(name, state="done" if cell.picture else "empty")
            sheet.token, sheet.fraction = None, 0.0
        await asyncio.to_thread(self._mark, sheet)
        yield self.updates(sheet, pictures=True)

    def _jobs(self, sheet: Sheet, values: Values, names: Sequence[Name]) -> dict[Name, Job] | Said:
        """What there is to paint, in the order of the grid, or what is missing."""
        jobs: dict[Name, Job] = {}
        for name in names:
            job = self._job(values, name)
            if isinstance(job, Said):
                return job
            if not (sheet.cell(name).picture and sheet.cell(name).key == _key(job)):
                jobs[name] = job
        return jobs

    def _job(self, values: Values, name: Name) -> Job | Said:
        """A cell's job; for another family than the desk's at its own defaults. Words where the desk has none."""
        family, method = name
        knobs = dict(values.knobs)
        if family != values.model:
            defaults = self.desk.engine.defaults(family)
            knobs = {k: knobs[k] if k in COMMON else getattr(defaults, k) for k in SLIDERS}
        try:
            return self.desk.job(Session("grid"), replace(values, model=family, method=method, knobs=knobs))
        except ScsaError as error:
            return error_words(error).what

    async def _one(
        self, session: Session, sheet: Sheet, name: Name, job: Job, at: tuple[int, int], token: CancelToken
    ) -> AsyncIterator[bool]:
        """Paint one cell; yields whether pictures changed."""
        line = self.desk.studio.line
        args = {"number": at[0] + 1, "total": at[1], "model": job.model, "method": name[1]}
        place = line.enter(f"{session.key}-grid-{secrets.token_hex(4)}")
        sheet.said, sheet.fraction = Said("grid.waiting", args), at[0] / at[1]
        try:
            while line.position(place):
                yield False
                await asyncio.sleep(POLL)
                token.checkpoint()
            token.checkpoint()
            sheet.set(name, state="painting")
            events: list[Progress] = []
            call = partial(self.desk.engine.render, job.request, progress=events.append, cancel=token)
            seen = 0
            async with in_thread(self._pool, call, token) as future:
                while not future.done():
                    if len(events) > seen or not seen:
                        seen = max(1, len(events))
                        done = events[-1].fraction if events else 0.0
                        sheet.said, sheet.fraction = Said("grid.painting", args), (at[0] + done) / at[1]
                        yield False
                    await asyncio.wait({future}, timeout=POLL)
                await self._finish(sheet, name, job, future.result())
        except Cancelled:
            raise
        except Exception as error:
            size = job.request.knobs.size if job.request.knobs is not None else ""
            sheet.set(name, state="failed", error=told(error, "a cell of the grid", model=job.model, size=size))
        finally:
            line.leave(place)
        yield True

    async def _finish(self, sheet: Sheet, name: Name, job: Job, result: RenderResult) -> None:
        made = await asyncio.to_thread(self.desk.studio.publish_result, job, result)
        seen = {"content": job.content_path, "style": job.style_path, "size": job.request.content.size, "side": max(made.size)}
        seconds = f"{result.timings['total']:.1f}"
        sheet.set(name, state="done", key=_key(job), picture=made.path, seconds=seconds, error=None, stale=False, **seen)
        if sheet.opened is None:
            sheet.opened = name


def _key(job: Job) -> str:
    return job.baseline_key() if job.request.method == "baseline" else job.fingerprint()


def _shown(cell: Cell, able: bool, opened: bool) -> dict[str, Any]:
    error = cell.error.to_dict() if cell.error and cell.state == "failed" else None
    return {"state": cell.state, "able": able, "seconds": cell.seconds, "stale": cell.stale, "error": error, "opened": opened}


def _pair(data: Any) -> Any:
    return [data.get("family"), data.get("method")] if isinstance(data, Mapping) else None


def _names(value: Any) -> list[Name]:
    """Cells as the browser names them, checked: [[family, method], …]."""
    found = []
    for entry in value if isinstance(value, list) else []:
        if isinstance(entry, list) and len(entry) == 2 and isinstance(entry[0], str) and entry[1] in ALL_METHODS:
            found.append((entry[0], str(entry[1])))
    return list(dict.fromkeys(found))[:32]
