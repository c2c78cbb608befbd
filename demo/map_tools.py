"""What the page's helpers for maps ask for: suggested links, and what clicks mean."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

import gradio as gr

from scsa_core.errors import ScsaError

from .component import data_of
from .desk import Desk
from .exchange import path_of
from .links import Suggestions
from .painter import SIDES, Painter, to_label_maps
from .resume import resume
from .sam_clicks import Clicks

log = logging.getLogger("scsa.demo")
_QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}


class MapTools:
    """Handlers for all visitors of one page."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.suggestions = Suggestions()
        self.clicks = Clicks(desk.pictures, desk.sessions, str(desk.engine.device)) if desk else None

    def wire(self, painter: Painter, restored: list[Any]) -> Any:
        """Listen to the painter's events. restored: components of RESUMED. The event after which to render."""
        assert self.clicks is not None
        painter.select(self.clicks.select, None, painter, trigger_mode="multiple", concurrency_limit=4, **_QUIET)
        painter.suggest(self.suggest, painter, painter, trigger_mode="always_last", concurrency_limit=1, **_QUIET)
        return painter.resume(self.resume, painter, restored, trigger_mode="multiple", **_QUIET)

    async def resume(self, painter: Mapping[str, Any] | None, event: gr.EventData, request: gr.Request) -> list[Any]:
        """A browser brings back what it kept: the components of RESUMED."""
        session = self.desk.sessions.get(request.session_hash)
        return await asyncio.to_thread(resume, self.desk, session, painter, data_of(event))

    async def suggest(self, painter: Mapping[str, Any] | None) -> Any:
        """Links for the maps as they are."""
        try:
            links = await asyncio.to_thread(self._suggest, painter)
        except ScsaError as error:
            log.info("no links to suggest: %s", error)
            links = {}
        v = int((painter or {}).get("v") or 0)
        return gr.update(suggested={"v": v, "links": {str(k): list(ids) for k, ids in links.items()}})  # type: ignore[arg-type]

    def _suggest(self, painter: Mapping[str, Any] | None) -> dict[int, tuple[int, ...]]:
        paths = [path_of(painter, side) for side in SIDES]
        maps = to_label_maps(painter)
        if not all(paths) or maps[0] is None or maps[1] is None:
            return {}
        content, style = (self.desk.pictures.get(str(path)) for path in paths)
        return self.suggestions.links(content, style, maps[0], maps[1])
