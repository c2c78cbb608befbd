"""The Models tab: what each family is, whether it can paint here, and how to get what it lacks."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import gradio as gr

from scsa_core import registry
from scsa_core.engine import Engine
from scsa_core.errors import KnobError
from scsa_core.knobs import Knobs
from scsa_core.registry import WeightsFile

from .component import WebComponent
from .downloads import Downloads
from .settings import ROOT
from .text import Said, t
from .text import texts as _texts
from .words import TEXT

SEGMENTER = "sam"
POLL = 0.4
"""Seconds between two looks at a download."""

Status = Literal["ready", "fetch", "hand", "unavailable"]


@dataclass(frozen=True)
class ModelState:
    """A family on this machine. status: "fetch": `megabytes` can be fetched; "hand": a file has no direct link;

    "unavailable": for `reason`. files: all that may be added. missing: those still wanted.
    """

    name: str
    title: str
    status: Status
    megabytes: float = 0.0
    reason: str = ""
    licence: str = ""
    page: str = ""
    files: tuple[WeightsFile, ...] = ()
    missing: tuple[WeightsFile, ...] = ()
    alphas: tuple[float, float] | None = None

    @property
    def ready(self) -> bool:
        return self.status == "ready"

    def chip(self) -> Said:
        """The state in a few words."""
        return Said(f"models.state.{self.status}", {"megabytes": megabytes(self.megabytes)})

    def named(self, lang: str) -> str:
        """Its title, in words of that language where it has any."""
        key = f"family.{self.name}.title"
        return t(key, lang) if key in TEXT else self.title

    def choice(self, lang: str) -> str:
        """Its line in the model menu."""
        return t(f"knob.model.{self.status}", lang, model=self.named(lang), megabytes=megabytes(self.megabytes))


def megabytes(value: float) -> str:
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}"


def model_states(engine: Engine, *, segmenter: bool = False) -> list[ModelState]:
    """Every family that paints, in order, and Segment Anything where asked for. Looks at files, loads nothing."""
    listed = registry.families()
    found = []
    for state in engine.backbones():
        info, name = state.info, state.info.name
        knobs = Knobs.for_family(info.defaults)
        alphas = (knobs.alpha1, knobs.alpha2) if "alpha1" in info.capabilities.knobs else None
        common: dict[str, Any] = {"licence": info.licence, "alphas": alphas}
        if state.ready or name not in listed:
            reason = "" if state.ready else " ".join(f"{part.rstrip('.')}." for part in (state.reason, state.hint) if part)
            found.append(ModelState(name, info.title, "ready" if state.ready else "unavailable", reason=reason, **common, **_listed(name)))
            continue
        found.append(_of_registry(name, info.title, f"{state.reason.rstrip('.')}. {state.hint}".strip(), common))
    if segmenter and SEGMENTER in listed:
        found.append(_of_registry(SEGMENTER, listed[SEGMENTER].title, "", {"licence": listed[SEGMENTER].licence}))
    return found


def _listed(name: str) -> dict[str, Any]:
    known = registry.families().get(name)
    return {"files": known.files, "page": known.page} if known else {}


def _of_registry(name: str, title: str, reason: str, common: Mapping[str, Any]) -> ModelState:
    now = registry.state(name)
    if now.status == "ready":  # every file is there, so it is something else
        status: Status = "unavailable" if reason else "ready"
    else:
        status, reason = "fetch" if now.status == "fetchable" else "hand", ""
    return ModelState(name, title, status, now.megabytes, reason, missing=now.missing, **common, **_listed(name))


class Models(WebComponent):
    """The list. `items`: one dict a family (see `Shelf.items`). Events ``fetch`` {family, file}, ``stop`` {family}, ``look``."""

    sheet, root = "models", "mo-root"
    shared = ("names.js",)


def models_texts(lang: str) -> dict[str, str]:
    """The tab's words."""
    return _texts(lang, "models.", "family.")


class Shelf:
    """Handlers of the Models tab, shared by all visitors."""

    def __init__(self, engine: Engine, *, may_fetch: bool, downloads: Downloads | None = None) -> None:
        self.engine, self.may_fetch = engine, may_fetch
        self.downloads = downloads or Downloads()

    def items(self) -> list[dict[str, Any]]:
        """What the list shows, as plain values; words are keys."""
        return [self._item(state) for state in model_states(self.engine, segmenter=True)]

    def _item(self, state: ModelState) -> dict[str, Any]:
        download = self.downloads.get(state.name)
        running = download is not None and not download.finished
        failure = download.failure if download is not None and not running and not state.ready else None
        return {
            "name": state.name,
            "title": state.title,
            "status": state.status,
            "chip": state.chip().to_dict(),
            "line": _known(f"family.{state.name}.line"),
            "licence": _known(f"family.{state.name}.licence") or Said("models.as_it_is", {"text": state.licence}).to_dict(),
            "page": state.page,
            "reason": state.reason.replace(f"{ROOT}/", ""),
            "alphas": list(state.alphas or ()),
            "files": [self._file(f, state) for f in state.files],
            "fetch": self.may_fetch and state.status == "fetch",
            "locked": state.status == "fetch" and not self.may_fetch,
            "busy": download.to_dict() if download is not None and running else None,
            "failure": failure.to_dict() if failure else None,
        }

    def _file(self, file: WeightsFile, state: ModelState) -> dict[str, Any]:
        here = file.find() is not None
        size = {"megabytes": megabytes(file.megabytes)}
        return {
            "name": file.name,
            "page": file.page,
            "size": Said("models.size" if file.size is not None else "models.size_about", size).to_dict(),
            "here": here,
            "wanted": file in state.missing,
            "spare": file.optional,
            "folder": str(file.target.parent).replace(f"{ROOT}/", ""),
            "fetch": self.may_fetch and file.fetchable and not here,
            "direct": file.fetchable,
        }

    async def follow(self, menus: Callable[[], list[Any]]) -> AsyncIterator[list[Any]]:
        """Updates [list, *menus] now, and again while something is being fetched."""
        shown: list[dict[str, Any]] | None = None
        while True:
            busy = self.downloads.busy
            items = await asyncio.to_thread(self.items)
            if items != shown:
                settled = shown is None or [i["status"] for i in shown] != [i["status"] for i in items]
                yield [gr.update(items=items), *(menus() if settled else [gr.skip() for _ in menus()])]
                shown = items
            if not busy:
                return
            await asyncio.sleep(POLL)

    def fetch(self, data: Any) -> None:
        """Fetch was pressed; data as the browser sends it, so anything."""
        if self.may_fetch:
            with contextlib.suppress(KnobError):  # no such family or file: nothing that this page offers
                self.downloads.start(_named(data, "family"), _named(data, "file") or None)

    def stop(self, data: Any) -> None:
        self.downloads.cancel(_named(data, "family"))


def _named(data: Any, key: str) -> str:
    return str(data.get(key) or "") if isinstance(data, Mapping) else ""


def _known(key: str) -> dict[str, Any] | None:
    return Said(key).to_dict() if key in TEXT else None
