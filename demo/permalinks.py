"""The Link button, and opening `?r=…`: "look at this" is a link."""

from __future__ import annotations

import logging
from collections import OrderedDict
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import gradio as gr

from scsa_core.engine import RenderRequest
from scsa_core.errors import LinkGone

from .desk import INPUTS, PICKED, Desk, Values, view_updates
from .faults import told
from .kept import KeptRenders, usable
from .knobs import in_order
from .session import Job
from .settings import Settings
from .studio import described
from .text import Said, Words, t

log = logging.getLogger("scsa.demo")

REMEMBERED = 500
_QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
_ASKED = "() => new URLSearchParams(window.location.search).get('r') || ''"
_COPY = """(path) => {
  if (!path) return path;
  const full = new URL(path, window.location.href).href;
  navigator.clipboard?.writeText(full).catch(() => {});
  return full;
}"""


class LinkDesk:
    """Handlers of both."""

    def __init__(self, desk: Desk, settings: Settings) -> None:
        self.desk, self.settings = desk, settings
        self.kept = KeptRenders(settings.data / "links", settings.link_days, settings.link_megabytes)
        self._made: OrderedDict[tuple[str, str], tuple[str, float]] = OrderedDict()

    def keep(self, request: gr.Request, *values: Any) -> list[Any]:
        """The shown result becomes a link: [field, notes, history]."""
        session = self.desk.sessions.get(request.session_hash)
        try:
            job = self.desk.job(session, Values.of(values))
            shown = isinstance(job, Job) and session.full is not None and session.shown == job.fingerprint()
            if not isinstance(job, Job) or not shown:
                return [gr.skip(), gr.update(items=_items("error.link_not_shown", "error.do.link_render")), gr.skip()]
            same = session.baseline_key == job.baseline_key() and session.view.baseline
            baseline = Path(session.view.baseline) if same and session.view.baseline else None
            linked = self.link(request, job.mark(), job.request, Path(str(session.full)), baseline)
        except Exception as error:
            return [gr.skip(), gr.update(items={"error": told(error, "making a link").to_dict(), "notes": []}), gr.skip()]
        label = t("link.until", session.lang, date=linked["until"])
        return [gr.update(value=linked["path"], label=label, visible=True), gr.skip(), gr.update(linked=linked)]  # type: ignore[arg-type]

    def link(
        self, request: gr.Request, mark: str, made: RenderRequest, result: Path, baseline: Path | None = None
    ) -> dict[str, str]:
        """A result of this visitor becomes a link, once: {mark, path, until}. Raises ScsaError, OSError."""
        known = str(request.session_hash), mark
        if known not in self._made:
            self.desk.may_make(request)
            self._made[known] = self.kept.keep(made, result, baseline)
            while len(self._made) > REMEMBERED:
                self._made.popitem(last=False)
        key, expires = self._made[known]
        return {"mark": mark, "path": f"?r={key}", "until": _date(expires)}

    def open(self, key: str, request: gr.Request) -> list[Any]:
        """The page was opened by a link: outputs PICKED; nothing is rendered."""
        if not key:
            return in_order(PICKED, {})
        session, engine = self.desk.sessions.get(request.session_hash), self.desk.engine
        try:
            kept = self.kept.open(str(key))
            ready = {state.info.name for state in engine.backbones() if state.ready}
            example = usable(kept.example, ready, lambda name: engine.info(name).capabilities.methods, self.settings.sizes)
            changes = self.desk.put(session, example)
        except LinkGone:
            return in_order(PICKED, {"notes": gr.update(items=_items("error.link_gone", "error.do.link_other"))})
        except Exception:
            log.exception("a kept render could not be opened")
            return in_order(PICKED, {"notes": gr.update(items=_items("error.link_gone", "error.do.link_other"))})
        notes = [Said("note.link_opened", {"date": _date(kept.expires)})]
        if example.backbone != kept.example.backbone:
            notes.append(Said("note.restored_model", {"model": kept.example.backbone, "used": engine.info(example.backbone).title}))
        alt = described(engine.info(kept.example.backbone), kept.example.method, self.desk.knobs_of(kept.example), max(example.size))
        session.view = replace(session.view, said=Said("status.linked"), alt=alt, notes=tuple(notes))
        return in_order(PICKED, {**changes, **view_updates(session.view, None)})


def build_links(words: Words) -> tuple[gr.Button, gr.Textbox]:
    """The button, inside whatever row is open, and the field that is rendered below it."""
    button = words.add(gr.Button(t("link.button"), elem_id="link"), value="link.button")
    return button, gr.Textbox(visible=False, interactive=False, buttons=["copy"], elem_id="link-field", render=False)


def wire_links(links: LinkDesk, parts: dict[str, Any], button: gr.Button, shown: gr.Textbox) -> None:
    """Wire the button. `parts`: the Create tab's components by name."""
    inputs = [parts[name] for name in INPUTS]
    outputs = [shown, parts["notes"], parts["history"]]
    made = button.click(links.keep, inputs, outputs, trigger_mode="once", concurrency_limit=None, **_QUIET)
    made.then(None, shown, shown, js=_COPY, **_QUIET)


def open_links(links: LinkDesk, demo: gr.Blocks, parts: dict[str, Any]) -> None:
    """Open `?r=…` when the page loads."""
    asked = gr.Textbox("", visible=False)
    demo.load(links.open, asked, [parts[name] for name in PICKED], js=_ASKED, **_QUIET)


def _items(what: str, do: str) -> dict[str, Any]:
    said = {"what": Said(what), "kept": Said("error.kept"), "do": Said(do)}
    return {"error": {name: words.to_dict() for name, words in said.items()}, "notes": []}


def _date(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d")
