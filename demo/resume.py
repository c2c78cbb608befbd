"""Taking up again what a browser kept: its pictures are checked like any upload, its knobs like any other's."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import Any

import gradio as gr

from scsa_core.errors import KnobError, ScsaError
from scsa_core.knobs import range_of

from .auto import state_of
from .desk import RESTORED, Desk
from .exchange import accept, path_of
from .faults import told
from .knobs import SLIDERS, in_order
from .painter import SIDES, to_label_maps
from .session import Session

log = logging.getLogger("scsa.demo")


def resume(desk: Desk, session: Session, painter: Mapping[str, Any] | None, data: Mapping[str, Any]) -> list[Any]:
    """Updates of RESTORED. Pictures unknown to this session are accepted anew; a knob that makes no sense is left as it is."""
    updates: dict[str, Any] = knob_updates(desk, session.lang, data.get("knobs"))
    session.backbone = updates.get("model", session.backbone)
    if painter is not None:
        updates |= _pictures(desk, session, dict(painter))
        if data.get("automatic") is True:
            try:
                session.automatic, session.automatic_maps = state_of(painter), to_label_maps(painter)
            except ScsaError as error:
                log.info("kept maps cannot be read: %s", error)
    return in_order(RESTORED, {name: value for name, value in updates.items() if name in RESTORED})


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


def knob_updates(desk: Desk, lang: str, given: Any) -> dict[str, Any]:
    """Component values for what stood in the page's fields; menus are known by their words."""
    if not isinstance(given, Mapping):
        return {}
    found: dict[str, Any] = {}
    ready = {state.info.name for state in desk.engine.backbones() if state.ready}
    names = {words: name for words, name in desk.model_choices(lang) if name in ready}
    model = names.get(str(given.get("model")))
    if model is not None:
        found["model"] = model
        methods = dict(desk.method_choices(lang, model))
        if given.get("method") in methods:
            found["method"] = gr.update(value=methods[given["method"]], choices=desk.method_choices(lang, model))
    if size := re.match(r"\d{2,5}", str(given.get("size"))):
        found["size"] = min(desk.settings.sizes, key=lambda s: abs(s - int(size[0])))
    for name in SLIDERS:
        try:
            value, limits = float(given[name]), range_of(name)
        except (KeyError, TypeError, ValueError, KnobError):
            continue
        if limits.low <= value <= limits.high:
            found[name] = value
    return found
