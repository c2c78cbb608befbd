"""The Create tab: painter at the left, result, knobs and notes at the right, examples below."""

from __future__ import annotations

import json
from typing import Any

import gradio as gr

from scsa_core.knobs import Method, range_of

from .auto_panel import AutoPanel
from .compare import Compare, Notes, compare_texts, notes_texts
from .desk import (
    INPUTS,
    KNOBS,
    LOOKED,
    MAPPED,
    PICKED,
    RESTORED,
    RESUMED,
    RESUMED_KNOBS,
    SHOWN,
    Desk,
    compare_status,
    compare_value,
    note_items,
)
from .files import publish
from .gallery import Cards, Gallery
from .grid import Grid, Sheet, Sheets, grid_texts
from .history import History, history_texts
from .history_desk import HistoryDesk, wire_history
from .knobs import FIRST, SLIDERS, MethodMenu, acts, changes_of, control
from .map_tools import MapTools
from .painter import Painter
from .permalinks import LinkDesk, build_links, wire_links
from .text import Words, painter_texts, t, texts

# The stamp counts changes in the browser; `note` raises it before the render of the same change reads it.
_COUNT = "(stamp, live) => [window.scsaStamp = (window.scsaStamp || 0) + 1, live]"
# While an example or a kept result is on its way to the desk, the fields still hold what it replaces: a change of theirs is over.
# The result's view hears that a render was asked for, lest its first word be lost (compare.js).
_READ = """(...values) => {
  document.dispatchEvent(new Event("scsa-asked"));
  const leaving = Date.now() - (window.scsaPicked || 0) < 15000;
  return [...values.slice(0, -1), leaving ? -1 : window.scsaStamp || 0];
}"""
_ARRIVED = "() => { window.scsaPicked = 0; }"
# That a press is unanswered, for a page that is reloaded meanwhile (compare.js, painter_keep.js).
_PRESS = """(...values) => {
  document.dispatchEvent(new Event("scsa-asked"));
  window.scsaPressed = true;
  return [...values.slice(0, -1), window.scsaStamp || 0];
}"""
# What the fields hold, those of closed drawers too, for what the browser keeps (painter_keep.js).
_SEEN = f"""(...values) => {{
  const names = {json.dumps(RESUMED_KNOBS)};
  window.scsaKnobs = Object.fromEntries(names.map((name, i) => [name, values[i]]));
  document.dispatchEvent(new CustomEvent("scsa-knobs", {{ detail: "fields" }}));
}}"""
_RESUMED = _SEEN.replace('"fields"', '"resumed"')
_QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}


class On:
    """An event of our own components for `gr.on`, which knows only Gradio's."""

    has_trigger = True
    callback = None
    connection = "sse"
    event_specific_args = None

    def __init__(self, component: gr.HTML, event_name: str) -> None:
        self.__self__, self.event_name = component, event_name


def build_create(desk: Desk, words: Words, stamp: gr.Number, links: LinkDesk, demo: gr.Blocks) -> dict[str, Any]:
    """Lay the tab out and wire it. Returns its components by name."""
    painter_value, view, example = desk.opening()
    model = example.backbone if example else "lite"
    knobs = desk.knobs_of(example) if example else desk.engine.defaults(model)
    cards = Cards(desk.examples, publish)

    method_name: Method = example.method if example else "scsa"
    capable = desk.engine.info(model).capabilities
    by_name: dict[str, Any] = {"stamp": stamp}

    def slider(name: str) -> None:
        shown = acts(name, capable, method_name)
        made = control(name, getattr(knobs, name), label=t(f"knob.{name}"), info=t(f"knob.{name}.help"), visible=shown)
        by_name[name] = words.add(made, label=f"knob.{name}", info=f"knob.{name}.help")

    def dropdown(name: str, choices: Any, value: Any, menu: type[gr.Dropdown] = gr.Dropdown) -> gr.Dropdown:
        made = menu(
            choices=choices("en"), value=value, label=t(f"knob.{name}"), interactive=True, filterable=False, elem_id=f"knob-{name}"
        )  # fmt: skip
        words.add(made, label=f"knob.{name}", choices=choices)
        return made

    ticks = gr.HTML(tick_style(desk, model), elem_id="ticks")
    with gr.Row(elem_id="desk"):
        with gr.Column(scale=20, min_width=320, elem_id="left"):
            painter = words.add(Painter(painter_value, texts=painter_texts("en"), elem_id="painter"), texts=painter_texts)
            auto = AutoPanel(desk, words)
            with gr.Accordion(t("knob.more"), open=False, elem_id="more") as more:
                for name in SLIDERS[len(FIRST) :]:
                    slider(name)
                live = gr.Checkbox(True, label=t("knob.live"), info=t("knob.live.help"), interactive=True, elem_id="knob-live")
                words.add(live, label="knob.live", info="knob.live.help")
            words.add(more, label="knob.more")
        with gr.Column(scale=13, min_width=320, elem_id="right"):
            compare = words.add(
                Compare(compare_value(view), status=compare_status(view), texts=compare_texts("en"), elem_id="compare"),
                texts=compare_texts,
            )
            with gr.Row(elem_id="alphas"):
                for name in FIRST:
                    slider(name)
            with gr.Row(elem_id="choices"):
                models = dropdown("model", desk.model_choices, model)
                method = dropdown("method", lambda lang: desk.method_choices(lang, model), method_name, MethodMenu)
                size = dropdown("size", lambda lang: desk.size_choices(lang=lang), desk.settings.offered(knobs.size))
            with gr.Row(elem_id="actions"):
                render = gr.Button(t("action.render"), variant="primary", elem_classes=["render-button"], elem_id="render")
                words.add(render, value="action.render")
                there = view.download is not None
                download = gr.DownloadButton(t("action.download"), value=view.download, interactive=there, elem_id="download")
                words.add(download, label="action.download")
                link, link_field = build_links(words)
                reset = words.add(gr.Button(t("action.reset"), elem_id="reset"), value="action.reset")
            link_field.render()
            notes = words.add(Notes(items=note_items(view), texts=notes_texts("en"), elem_id="notes"), texts=notes_texts)
        history = words.add(History(texts=history_texts("en"), elem_id="history"), texts=history_texts)
    gallery = Gallery(cards.value("en"), texts=texts("en", "gallery."), elem_id="gallery")
    words.add(gallery, value=cards.value, texts=lambda lang: texts(lang, "gallery."))

    # -- wiring -----------------------------------------------------------------------
    by_name |= {"painter": painter, "compare": compare, "notes": notes, "download": download, "history": history}
    by_name |= {"model": models, "method": method, "size": size, "live": live, "by": auto.by}

    def components(names: tuple[str, ...]) -> list[Any]:
        return [by_name[name] for name in names]

    rendering: dict[str, Any] = {
        **_QUIET, "inputs": components(INPUTS), "outputs": components(SHOWN), "js": _READ, "concurrency_limit": None,
    }  # fmt: skip

    changes: list[Any] = [event for name in SLIDERS for event in changes_of(by_name[name])]
    changes += [method.input, size.input, live.input, On(painter, "edited")]
    gr.on(changes, desk.note, [stamp, live], None, js=_COUNT, queue=False, trigger_mode="multiple", **_QUIET)
    gr.on(changes, desk.live, trigger_mode="always_last", **rendering)
    pressed = [render.click, On(painter, "render_now"), On(compare, "render_now")]
    gr.on(pressed, desk.render, trigger_mode="always_last", **{**rendering, "js": _PRESS})
    gr.on([On(painter, "cancel_now"), On(compare, "cancel_now")], desk.cancel, None, None, queue=False, trigger_mode="multiple", **_QUIET)
    compare.keep_now(desk.keep, None, compare, queue=False, **_QUIET)
    # Not in Gradio's queue: there an answer may be lost where its stream to the browser closes as another event begins.
    compare.look_now(desk.look, None, components(LOOKED), queue=False, trigger_mode="multiple", **_QUIET)

    def seen(event: Any, js: str = _SEEN) -> None:
        """Let the browser see the knobs after what may set them."""
        event(None, components(RESUMED_KNOBS), None, js=js, trigger_mode="multiple", **_QUIET)

    seen(lambda *args, **kwargs: gr.on([*changes, *(by_name[name].change for name in KNOBS)], *args, **kwargs))
    uploads: dict[str, Any] = {**_QUIET, "trigger_mode": "multiple", "concurrency_limit": None}
    pictured = painter.picture(desk.picture, painter, components(RESTORED), **uploads)
    seen(pictured.then)
    # What follows another answer starts at once, also while a render runs: the newest wins (studio.py).
    following: dict[str, Any] = {**rendering, "trigger_mode": "multiple"}
    pictured.then(desk.live, **following)
    painter.on_import(desk.maps, inputs=painter, outputs=components(MAPPED), **uploads).then(desk.live, **following)
    auto.wire(painter, notes, desk.awaited, following)
    resumed = MapTools(desk).wire(painter, components(RESUMED))
    seen(resumed.then, _RESUMED)
    resumed.then(desk.live, **following)
    arrived: dict[str, Any] = {**_QUIET, "js": _ARRIVED, "trigger_mode": "multiple"}
    seen(gallery.pick(desk.pick, None, components(PICKED), **uploads).then(None, None, None, **arrived).then)
    back = wire_history(history, HistoryDesk(links), by_name).then(None, None, None, **arrived)
    seen(back.then)
    back.then(desk.live, **following)  # paints the baseline beside it
    changed = models.input(desk.model, components(KNOBS), components(KNOBS), trigger_mode="always_last", **_QUIET)
    seen(changed.then)
    changed.then(desk.live, **following)
    models.change(lambda name: tick_style(desk, name), models, ticks, **_QUIET)
    method.input(desk.method, [models, method], components(SLIDERS), **_QUIET)
    usual = reset.click(desk.reset, models, components(KNOBS), trigger_mode="always_last", **_QUIET)
    seen(usual.then)
    usual.then(desk.live, **following)
    seen(demo.load)
    wire_links(links, by_name, link, link_field)
    return by_name


def tick_style(desk: Desk, model: str) -> str:
    """Where each slider's tick stands: at the family's default."""
    knobs = desk.engine.defaults(model)
    rules = []
    for name in SLIDERS:
        limits = range_of(name)
        share = (getattr(knobs, name) - limits.low) / (limits.high - limits.low)
        rules.append(f"#knob-{name} {{ --tick: {share:.3f}; }}")
    return f"<style>{' '.join(rules)}</style>"


def build_grid(desk: Desk, words: Words, parts: dict[str, Any], tab: gr.Tab) -> None:
    """Lay the grid out and wire it. parts: the components of the Create tab, whose values it paints."""
    sheets = Sheets(desk)
    grid = words.add(Grid(items=sheets.items(Sheet()), texts=grid_texts("en"), elem_id="grid"), texts=grid_texts)
    compare = words.add(Compare(status={}, texts=compare_texts("en"), elem_id="grid-compare", visible="hidden"), texts=compare_texts)
    values = [parts[name] for name in INPUTS]
    showing: dict[str, Any] = {**_QUIET, "outputs": [grid, compare], "concurrency_limit": None}
    tab.select(sheets.look, values, **showing)
    grid.paint(sheets.paint, values, trigger_mode="multiple", **showing)  # `run` lets nothing paint twice at once
    grid.open(sheets.open, None, trigger_mode="always_last", **showing)
    grid.stop(sheets.stop, None, None, queue=False, trigger_mode="multiple", **_QUIET)
