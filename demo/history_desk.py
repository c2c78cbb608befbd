"""What a kept result is brought back for: onto the desk, or into a link."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gradio as gr

from scsa_core.errors import RecipeError
from scsa_core.images import load_image
from scsa_core.recipe import Recipe, embed, extract

from .desk import PICKED, view_updates
from .exchange import accept
from .faults import told
from .files import publish
from .history import History, path_in
from .kept import KeptRender, usable
from .knobs import in_order
from .painter import SIDES
from .permalinks import LinkDesk
from .session import Session
from .studio import described
from .text import Said


class Brought(KeptRender):
    """A result that a browser kept, checked and published already."""

    def files(self, publish: Any) -> dict[str, str]:
        return {"content": str(self.content), "style": str(self.style), "result": str(self.result)}


@dataclass(frozen=True)
class Kept:
    """It, what made it, and where its picture lies."""

    example: Brought
    recipe: Recipe
    result: Path


class HistoryDesk:
    """Handlers for all visitors of one page."""

    def __init__(self, links: LinkDesk) -> None:
        self.links, self.desk = links, links.desk

    def read(self, session: Session, value: Mapping[str, Any] | None) -> Kept:
        """Check what a browser brings like any upload. Raises ScsaError, OSError."""
        limits = self.desk.pictures.limits
        picture = path_in(value, "result")
        text = str((value or {}).get("recipe") or "")
        recipe = Recipe.from_text(text) if text else extract(picture)
        if recipe is None:
            raise RecipeError("this result carries no settings", hint="Delete it, and paint it again.")
        files = {}
        for side in SIDES:
            path = path_in(value, side)
            files[side] = Path(accept(path, side, self.desk.pictures).path or path)  # one that carries settings is a picture here
        image = load_image(picture, limits)
        name = f"scsa-{recipe.backbone}-{recipe.method}-{max(image.size)}.png"
        files["result"] = Path(publish(embed(image, recipe), name))
        session.know(*(str(path) for path in files.values()))
        return Kept(Brought.of(recipe, files, "history"), recipe, files["result"])

    def restore(self, value: Mapping[str, Any] | None, request: gr.Request) -> list[Any]:
        """Pictures, maps, links, settings and the result come back as they were: outputs PICKED. Nothing is rendered."""
        session, engine = self.desk.sessions.get(request.session_hash), self.desk.engine
        try:
            kept = self.read(session, value)
            ready = {state.info.name for state in engine.backbones() if state.ready}
            example = usable(kept.example, ready, lambda name: engine.info(name).capabilities.methods, self.desk.settings.sizes)
            before = session.full
            changes = self.desk.put(session, example)
        except Exception as error:
            return in_order(PICKED, {"notes": gr.update(items={"error": told(error, "a result of the history").to_dict(), "notes": []})})
        notes = []
        if example.backbone != kept.recipe.backbone:
            notes.append(Said("note.restored_model", {"model": kept.recipe.backbone, "used": engine.info(example.backbone).title}))
        if kept.recipe.maps_left_out:
            notes.append(Said("note.restored_no_maps"))
        alt = described(engine.info(kept.recipe.backbone), kept.recipe.method, kept.recipe.knobs, max(kept.recipe.size))
        session.view = replace(session.view, said=Said("status.restored"), alt=alt, previous=before, notes=tuple(notes))
        return in_order(PICKED, {**changes, **view_updates(session.view, None)})

    def link(self, value: Mapping[str, Any] | None, request: gr.Request) -> list[Any]:
        """A kept result becomes a link without coming onto the desk: [history, notes]."""
        session = self.desk.sessions.get(request.session_hash)
        mark = str((value or {}).get("mark") or "")
        try:
            kept = self.read(session, value)
            content, style = (self.desk.pictures.get(str(getattr(kept.example, side))).image for side in SIDES)
            linked = self.links.link(request, mark, kept.recipe.request(content, style), kept.result)
        except Exception as error:
            items = {"error": told(error, "making a link").to_dict(), "notes": []}
            return [gr.update(linked={"mark": mark}), gr.update(items=items)]  # type: ignore[arg-type]
        return [gr.update(linked=linked), gr.skip()]  # type: ignore[arg-type]


def wire_history(history: History, desk: HistoryDesk, parts: Mapping[str, Any]) -> Any:
    """Listen to its events. parts: the Create tab's components by name. Returns the event after which a result is back."""
    quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private", "concurrency_limit": None}
    history.link_result(desk.link, history, [history, parts["notes"]], trigger_mode="multiple", **quiet)
    return history.restore_result(desk.restore, history, [parts[name] for name in PICKED], trigger_mode="multiple", **quiet)
