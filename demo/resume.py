"""Taking up again what a browser kept: its pictures are checked like any upload, its knobs like any other's."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import gradio as gr

from scsa_core.errors import KnobError, ScsaError
from scsa_core.knobs import range_of

from .desk import RESUMED, Desk
from .exchange import accept, path_of
from .faults import told
from .knobs import SLIDERS, in_order, visibility
from .painter import SIDES, to_label_maps
from .session import Session

log = logging.getLogger("scsa.demo")


def resume(desk: Desk, session: Session, painter: Mapping[str, Any] | None, data: Mapping[str, Any]) -> list[Any]:
    """Updates of RESUMED. Pictures unknown to this session are accepted anew; a knob that makes no sense is left as it is."""
    updates: dict[str, Any] = knob_updates(desk, session, data.get("knobs"))
    if painter is not None:
        updates |= _pictures(desk, session, dict(painter))
        if data.get("automatic") is True:
            try:
                session.found_maps(to_label_maps(painter))
            except ScsaError as error:
                log.info("kept maps cannot be read: %s", error)
    return in_order(RESUMED, updates)


def _pictures(desk: Desk, session: Session, painter: dict[str, Any]) -> dict[str, Any]:
    answer = dict(painter, by="picture", error=None, incoming=None)
    changed = False
    for side in SIDES:
        path = path_of(painter, side)
        if path is None or session.knows(path):
            continue
        try:
            found = accept(path, side, desk.pictures)
        except (ScsaError, OSError) as error:
            words = told(error, "an upload", limit=f"{desk.settings.limits.max_pixels / 1e6:g}")
            answer["error"] = {**(answer["error"] or {}), side: words.line(session.lang)}
            continue
        kept = found.path or path  # a picture that carries settings is a picture here
        session.accepted[path] = kept
        session.know(kept)
        answer[side] = {**painter[side], "picture": kept}
        changed = changed or kept != path
    return {"painter": gr.update(value=answer)} if changed or answer["error"] else {}


def knob_updates(desk: Desk, session: Session, given: Any) -> dict[str, Any]:
    """Component updates for the values that the browser kept, and which sliders show under them."""
    if not isinstance(given, Mapping):
        return {}
    found: dict[str, Any] = {}
    for name in SLIDERS:
        try:
            value, limits = float(given[name]), range_of(name)
        except (KeyError, TypeError, ValueError, OverflowError, KnobError):
            continue
        if limits.low <= value <= limits.high:
            found[name] = gr.update(value=value)
    model, method, size = given.get("model"), given.get("method"), given.get("size")
    if model in {state.info.name for state in desk.engine.backbones() if state.ready}:
        session.backbone = str(model)
        found["model"] = gr.update(value=model)
    capable = desk.engine.info(session.backbone).capabilities
    chosen = next((each for each in capable.methods if each == method), capable.methods[0])
    found["method"] = gr.update(value=chosen, choices=desk.method_choices(session.lang, session.backbone))
    for name, shown in visibility(capable, chosen).items():
        found[name] = {**found.get(name, {}), **shown}
    if isinstance(size, int | float) and not isinstance(size, bool):
        found["size"] = gr.update(value=desk.settings.offered(size))
    if isinstance(given.get("live"), bool):
        found["live"] = gr.update(value=given["live"])
    return found
