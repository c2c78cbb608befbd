"""The row that finds maps: one press, stages in words, Cancel, the number of regions, and the question before a person's work."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import gradio as gr

from scsa_core import registry
from scsa_core.errors import Cancelled, CheckpointError, ScsaError
from scsa_core.progress import CancelToken, Progress

from . import untouched
from .auto import AUTOMATIC, numbers, value_with, ways
from .desk import Desk
from .exchange import path_of
from .faults import told
from .painter import SIDES, links_of, regions_of, to_label_maps
from .session import Session
from .text import Said, Words, t

SOON = 0.4
"""Seconds: a step that ends sooner (another number of regions) shows no stages."""
_QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
OUTPUTS = ("painter", "notes", "find", "stop", "said", "ask")


class WayMenu(gr.Dropdown):
    """The menu of segmenters. Weights may arrive while a page still shows that they are not here; Gradio would refuse what it sends."""

    is_template = True  # to the browser it is a Dropdown

    def preprocess(self, payload: Any) -> Any:
        return payload if payload == "sam" else super().preprocess(payload)


class AutoPanel:
    """Components and their handlers. Made inside the page's layout; `wire` once everything is laid out."""

    def __init__(self, desk: Desk, words: Words) -> None:
        self.desk = desk
        with gr.Row(elem_id="auto"):
            self.find = words.add(gr.Button(t("auto.find"), elem_id="auto-find"), value="auto.find")
            self.stop = words.add(gr.Button(t("auto.stop"), visible=False, elem_id="auto-stop"), value="auto.stop")
            self.by = words.add(
                WayMenu(choices=ways("en"), value="builtin", label=t("auto.by"), interactive=True, filterable=False, elem_id="auto-by"),
                label="auto.by", choices=ways,
            )  # fmt: skip
            self.number = words.add(
                gr.Radio(numbers("en"), value=AUTOMATIC, label=t("auto.number"), interactive=True, elem_id="auto-number"),
                label="auto.number", choices=numbers,
            )  # fmt: skip
        self.said = gr.Markdown("", visible=False, elem_id="auto-said")
        with gr.Row(visible=False, elem_id="auto-ask") as self.ask:
            words.add(gr.Markdown(t("auto.ask")), value="auto.ask")
            self.replace = words.add(gr.Button(t("auto.replace"), elem_id="auto-replace"), value="auto.replace")
            self.fill = words.add(gr.Button(t("auto.fill"), elem_id="auto-fill"), value="auto.fill")
            self.keep = words.add(gr.Button(t("auto.keep"), elem_id="auto-keep"), value="auto.keep")

    def wire(self, painter: Any, notes: Any, render: Callable[..., Any], rendering: dict[str, Any]) -> None:
        """render, rendering: what renders after a change, and how it is wired."""
        out = {"painter": painter, "notes": notes, "find": self.find, "stop": self.stop, "said": self.said, "ask": self.ask}
        found: dict[str, Any] = {
            **_QUIET, "inputs": [painter, self.by, self.number], "outputs": [out[name] for name in OUTPUTS], "concurrency_limit": None,
        }  # fmt: skip
        gr.on([self.find.click, self.number.input], self.press, trigger_mode="always_last", **found).then(render, **rendering)
        self.replace.click(self.replace_both, trigger_mode="once", **found).then(render, **rendering)
        self.fill.click(self.fill_untouched, trigger_mode="once", **found).then(render, **rendering)
        self.keep.click(lambda: gr.update(visible=False), None, self.ask, queue=False, **_QUIET)
        self.stop.click(self.cancel, None, None, queue=False, **_QUIET)

    # -- handlers ---------------------------------------------------------------------

    async def press(self, painter: dict[str, Any] | None, by: str, number: str, request: gr.Request) -> AsyncIterator[list[Any]]:
        """Auto, or another number of regions. Maps changed by hand are asked about first."""
        session = self.desk.sessions.get(request.session_hash)
        try:
            asks = session.holds_work(to_label_maps(painter))
        except ScsaError:
            asks = False
        if asks:
            yield _updates(ask=gr.update(visible=True))
            return
        async for update in self._find(session, painter, by, number, only_untouched=False):
            yield update

    async def replace_both(self, painter: dict[str, Any] | None, by: str, number: str, request: gr.Request) -> AsyncIterator[list[Any]]:
        async for update in self._find(self.desk.sessions.get(request.session_hash), painter, by, number, only_untouched=False):
            yield update

    async def fill_untouched(self, painter: dict[str, Any] | None, by: str, number: str, request: gr.Request) -> AsyncIterator[list[Any]]:
        async for update in self._find(self.desk.sessions.get(request.session_hash), painter, by, number, only_untouched=True):
            yield update

    def cancel(self, request: gr.Request) -> None:
        token = self.desk.sessions.get(request.session_hash).finding
        if token is not None:
            token.cancel()

    async def _find(
        self, session: Session, painter: dict[str, Any] | None, by: str, number: str, *, only_untouched: bool
    ) -> AsyncIterator[list[Any]]:
        lang = session.lang
        idle = {
            "find": gr.update(value=t("auto.find", lang), interactive=True), "stop": gr.update(visible=False),
            "said": gr.update(visible=False), "ask": gr.update(visible=False),
        }  # fmt: skip
        paths = [path_of(painter, side) for side in SIDES]
        if painter is None or not all(paths):
            need = {"what": Said("auto.need_both").to_dict(), "kept": Said("error.kept").to_dict(), "do": Said("auto.help").to_dict()}
            yield _updates(**idle, notes=gr.update(items={"error": need, "notes": []}))
            return
        notes: list[Said] = []
        if by == "sam":  # chosen while it was not here; what is here serves meanwhile
            by = next((name for _, name in ways(lang) if name.startswith("sam_")), "builtin")
            if by == "builtin":
                notes.append(Said("auto.meanwhile", {"size": round(registry.state("sam").megabytes)}))
        token = session.finding = CancelToken()
        events: list[Progress] = []
        work = asyncio.ensure_future(asyncio.to_thread(self._value, session, painter, by, number, only_untouched, events.append, token))
        try:
            started, shown = time.monotonic(), None
            while not work.done():
                await asyncio.wait({work}, timeout=0.1)
                now = (events[-1].stage, round(20 * events[-1].fraction)) if events else ("load_model", 0)
                if work.done() or time.monotonic() - started < SOON or now == shown:
                    continue
                shown = now
                said = t("auto.stage", lang, stage=t(f"status.{now[0]}", lang), percent=5 * now[1])
                yield _updates(
                    find=gr.update(value=t("auto.busy", lang), interactive=False), stop=gr.update(visible=True),
                    said=gr.update(value=said, visible=True), ask=gr.update(visible=False),
                )  # fmt: skip
            value = await work
        except Cancelled:
            yield _updates(**{**idle, "said": gr.update(value=t("auto.cancelled", lang), visible=True)})
            return
        except CheckpointError as error:
            words = told(error, "finding maps", model="Segment Anything").to_dict()
            yield _updates(**idle, notes=gr.update(items={"error": words, "notes": []}))
            return
        except Exception as error:
            yield _updates(**idle, notes=gr.update(items={"error": told(error, "finding maps").to_dict(), "notes": []}))
            return
        finally:
            if not work.done():  # the page is gone
                token.cancel()
            if session.finding is token:
                session.finding = None
        items = {"error": None, "notes": [note.to_dict() for note in notes]}
        yield _updates(**idle, painter=gr.update(value=value), notes=gr.update(items=items))
        yield _updates()  # Gradio sends the last answer once more at the end: found maps would come twice

    def _value(
        self, session: Session, painter: dict[str, Any], by: str, number: str, only_untouched: bool,
        progress: Callable[[Progress], None], cancel: CancelToken,
    ) -> dict[str, Any]:  # fmt: skip
        first, second = (self.desk.pictures.get(str(path_of(painter, side))) for side in SIDES)
        content, style, links = self.desk.auto_maps.find(first, second, by, number, progress, cancel)
        regions = None
        if only_untouched:
            now = to_label_maps(painter)
            mine = untouched.touched(now, untouched.nearest(now, session.found))
            kept = links_of(painter)
            legend = regions_of(painter.get("regions") or [])
            content, style, links = untouched.fill(now, mine, (content, style), links, legend, kept)
            regions = [r for r in legend if r.id in mine] + [r for m in (content, style) for r in m.regions if r.id not in mine]
        cancel.checkpoint()
        value = value_with(painter, content, style, links, regions)
        for side in SIDES:  # an upload that Auto overtook has become a kept copy meanwhile
            value[side]["picture"] = session.accepted.get(value[side]["picture"], value[side]["picture"])
        if not only_untouched:
            session.found_maps(to_label_maps(value))
        return value


def _updates(**changes: Any) -> list[Any]:
    return [changes.get(name, gr.skip()) for name in OUTPUTS]
