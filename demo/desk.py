"""What the Create tab does: from the components' values to jobs, and from views to updates. Layout is in `create.py`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import gradio as gr
import numpy as np

from scsa_core.engine import Engine, RenderRequest
from scsa_core.errors import ScsaError
from scsa_core.knobs import ALL_METHODS, Knobs, Method
from scsa_core.labels import LabelMap

from .auto import AutoMaps
from .component import data_of
from .exchange import Accepted, accept, import_maps, path_of, photographs, restore, restored_notes
from .faults import told
from .files import Pictures, publish
from .gallery import Example, load_examples
from .guard import Limiter, check
from .history import entry
from .knobs import SLIDERS, acts, in_order, named, visibility
from .models import model_states
from .painter import SIDES, empty_value, links_of, to_label_maps
from .session import Job, Session, Sessions, View
from .settings import Settings
from .studio import Studio
from .text import Said, t

# Names of inputs and outputs, in the order that `create.py` wires them in. The stamp comes last: the browser fills it in.
INPUTS = ("painter", "model", "method", "size", "live", *SLIDERS, "stamp")
KNOBS = ("model", "method", "size", *SLIDERS)
RESTORED = ("painter", "notes", *KNOBS)
RESUMED_KNOBS = ("live", *KNOBS)
RESUMED = ("painter", "notes", *RESUMED_KNOBS)
PICKED = ("painter", "compare", "notes", "download", *KNOBS)
LOOKED = ("compare", "notes", "download")
SHOWN = (*LOOKED, "size", "history")
MAPPED = ("painter", "notes")


@dataclass(frozen=True)
class Values:
    """The components' values. knobs: by name, of every slider on the page, whatever the family."""

    painter: dict[str, Any] | None
    model: str
    method: str
    size: int
    knobs: Mapping[str, float]
    live: bool = True
    stamp: int = 0

    @staticmethod
    def is_past(values: Sequence[Any]) -> bool:
        """Whether the browser says that the desk is just being replaced, so that these values are what it held before."""
        stamp = named(INPUTS, values)["stamp"]
        return isinstance(stamp, int | float) and stamp < 0

    @classmethod
    def of(cls, values: Sequence[Any]) -> Values:
        """From a handler's inputs, in the order of INPUTS."""
        found = named(INPUTS, values)
        found["stamp"] = _count(found["stamp"])
        knobs = {name: found.pop(name) for name in SLIDERS}
        return cls(knobs=knobs, **found)


class Desk:
    """Handlers of the Create tab, shared by all visitors."""

    def __init__(self, engine: Engine, settings: Settings) -> None:
        self.engine, self.settings = engine, settings
        self.examples = load_examples(settings.examples)
        self.pictures = Pictures(settings.limits)
        self.studio = Studio(engine, publish)
        self.auto_maps = AutoMaps(str(engine.device))
        self.sessions = Sessions(self._open)
        self._limiter = Limiter(settings.rate)

    def may_make(self, request: gr.Request) -> None:
        """Raises TooMany for a visitor who makes too many things that stay on this machine."""
        check(self._limiter, request, "make", self.settings.proxies)

    # -- from values to jobs ----------------------------------------------------------

    def job(self, session: Session, values: Values) -> Job | Said:
        """What to render, or what is missing. Raises ScsaError."""
        paths = {side: path_of(values.painter, side) for side in SIDES}
        for side in SIDES:
            if paths[side] is None:
                return Said(f"status.need_{side}")
        session.pictures.update({side: path for side, path in paths.items() if path})
        session.know(*session.pictures.values())
        content, style = (self.pictures.get(str(paths[side])) for side in SIDES)
        maps = _both(*to_label_maps(values.painter))
        links = links_of(values.painter)
        request = RenderRequest(
            content=content.image,
            style=style.image,
            content_map=maps[0],
            style_map=maps[1],
            links=links or None,
            backbone=values.model,
            method=_method(values.method),
            knobs=self._knobs(values),
        )
        title = self.engine.info(values.model).title
        return Job(request, str(paths["content"]), str(paths["style"]), title, content.sha256, style.sha256)

    def _knobs(self, values: Values) -> Knobs:
        """The family's defaults, under the sliders that act in it: another family's leave no trace."""
        capable = self.engine.info(values.model).capabilities
        turned = {name: value for name, value in values.knobs.items() if acts(name, capable, _method(values.method))}
        return self.engine.defaults(values.model).replace(size=min(int(values.size), self.settings.sizes[-1]), **turned)

    def knobs_of(self, example: Example) -> Knobs:
        """The knobs that an example is shown with."""
        knobs = self.engine.defaults(example.backbone).replace(**dict(example.knobs))
        return knobs.replace(size=min(knobs.size, self.settings.sizes[-1]))

    # -- opening ----------------------------------------------------------------------

    def _open(self, session: Session) -> None:
        if self.examples:
            self.place(session, self.examples[0])

    def place(self, session: Session, example: Example) -> View:
        """Put an example on the desk: nothing is rendered, and what was asked of the desk before is not either."""
        session.drop()
        session.restored = ()
        if session.finding is not None:
            session.finding.cancel()
        session.answers(session.arrive(), always=True)
        files, knobs = example.files(publish), self.knobs_of(example)
        kept = session.view.kept
        session.view = View(
            state="idle" if "result" in files else "stale",
            said=Said("status.stored" if "result" in files else "status.unpainted"),
            result=files.get("result"),
            baseline=files.get("baseline"),
            content=files["content"],
            style=files["style"],
            kept=kept,
            size=example.size,
            alt=Said("compare.alt_stored", {"title": example.words(session.lang)[0]}),
            download=files.get("result"),
        )
        painter = example.painter_value(files)
        painter.update({side: painter[side] | {"picture": {"path": files[side]}} for side in SIDES})
        session.found_maps(to_label_maps(painter))
        values = Values(painter, example.backbone, example.method, knobs.size, {name: getattr(knobs, name) for name in SLIDERS})
        job = self.job(session, values)
        session.full = files.get("result")
        assert isinstance(job, Job)
        session.shown = job.fingerprint() if session.full else None
        session.baseline_key, session.baseline_backbone = job.baseline_key() if "baseline" in files else None, example.backbone
        return session.view

    def opening(self) -> tuple[dict[str, Any], View, Example | None]:
        """The page before anybody touched it: painter value, view and example."""
        session = Session("opening")
        self._open(session)
        if not self.examples:
            return empty_value(), View(said=Said("status.need_content")), None
        return self.examples[0].painter_value(self.examples[0].files(publish)), session.view, self.examples[0]

    # -- handlers of the render -------------------------------------------------------

    def note(self, stamp: float, live: bool, request: gr.Request) -> None:
        """A change was made. Runs outside the queue, so that it reaches a render under way."""
        self.sessions.get(request.session_hash).note(_count(stamp), stops=bool(live))

    async def live(self, request: gr.Request, *values: Any) -> AsyncIterator[Any]:
        """After a change. One that was refused is none: the browser keeps the picture that it had."""
        if Values.is_past(values) or (Values.of(values).painter or {}).get("error"):
            yield in_order(SHOWN, {})
            return
        async for update in self._stream(Values.of(values), force=False, request=request):
            yield update

    async def awaited(self, request: gr.Request, *values: Any) -> AsyncIterator[Any]:
        """After a change that a person asked for and waits for, as Auto."""
        async for update in self._stream(Values.of(values), force=False, awaited=True, request=request):
            yield update

    async def render(self, request: gr.Request, *values: Any) -> AsyncIterator[Any]:
        """After a press of Render."""
        async for update in self._stream(Values.of(values), force=True, request=request):
            yield update

    async def _stream(self, values: Values, *, force: bool, request: gr.Request, awaited: bool = False) -> AsyncIterator[Any]:
        session = self.sessions.get(request.session_hash)
        before: View | None = None
        made = session.made
        stream = self.studio.render(
            session, lambda: self.job(session, values),
            stamp=values.stamp, force=force, live=bool(values.live), awaited=awaited,
        )  # fmt: skip
        try:
            async for view in stream:
                changes = view_updates(view, before)
                if session.made is not None and session.made is not made:
                    changes["history"] = gr.update(value=entry(session.made))
                yield in_order(SHOWN, changes)
                before, made = view, session.made
        finally:
            await stream.aclose()  # type: ignore[attr-defined]
        if before is not None and before.state == "done":
            yield in_order(SHOWN, {"size": gr.update(choices=await asyncio.to_thread(self.size_choices, session, values))})
        else:  # Gradio sends the last answer once more at the end, by when a newer event may have said something else
            yield in_order(SHOWN, {})

    def cancel(self, request: gr.Request) -> None:
        self.sessions.get(request.session_hash).cancel()

    def keep(self, request: gr.Request) -> Any:
        """Keep the result for comparing later ones with it."""
        session = self.sessions.get(request.session_hash)
        session.view = replace(session.view, kept=session.full or session.view.result)
        return gr.update(value=compare_value(session.view))

    def look(self, event: gr.EventData, request: gr.Request) -> list[Any]:
        """A page has heard nothing of a render for a while: outputs LOOKED, of the view that it should show by now."""
        session = self.sessions.find(request.session_hash)
        if session is None or session.view.turn <= _count(data_of(event).get("turn")):
            return in_order(LOOKED, {})
        return in_order(LOOKED, view_updates(session.view, None))

    def close(self, request: gr.Request) -> None:
        self.sessions.close(request.session_hash)

    # -- handlers of the painter ------------------------------------------------------

    def picture(self, painter: dict[str, Any] | None, event: gr.EventData, request: gr.Request) -> list[Any]:
        """A picture was dropped: outputs RESTORED."""
        session = self.sessions.get(request.session_hash)
        side = str(data_of(event).get("side"))
        path = path_of(painter, side) if side in SIDES else None
        if painter is None or path is None:
            return in_order(RESTORED, {})
        try:
            found = accept(path, side, self.pictures)
        except Exception as error:
            text = told(error, "an upload", limit=f"{self.settings.limits.max_pixels / 1e6:g}").line(session.lang)
            return in_order(RESTORED, {"painter": gr.update(value=_refused(painter, side, text))})
        if found.recipe is not None:
            return self._restore(session, painter, side, found)
        session.accepted[path] = str(found.path)
        session.know(str(found.path))
        answer = dict(painter, by="picture", error=None, incoming=None)
        for each in SIDES:
            raw = path_of(painter, each)
            if raw in session.accepted:
                answer[each] = {**painter[each], "picture": session.accepted[raw], "of": raw}
        return in_order(RESTORED, {"painter": gr.update(value=answer)})

    def _restore(self, session: Session, painter: dict[str, Any], side: str, found: Accepted) -> list[Any]:
        recipe = found.recipe
        assert recipe is not None
        paths = {s: session.pictures.get(s) if s == side else path_of(painter, s) for s in SIDES}
        loaded = {s: self.pictures.get(path) for s, path in paths.items() if path}
        hashes, sizes = {s: each.sha256 for s, each in loaded.items()}, {s: each.image.size for s, each in loaded.items()}
        notes = list(restored_notes(recipe, hashes))
        ready = {state.info.name: state for state in self.engine.backbones() if state.ready}
        model = recipe.backbone if recipe.backbone in ready else next(iter(ready), "lite")
        if model != recipe.backbone:
            args = {"model": recipe.backbone, "used": ready[model].info.title if model in ready else model}
            notes.append(Said("note.restored_model", args))
        elif recipe.weights and self.engine.load(model).fingerprint != recipe.weights:
            notes.append(Said("note.restored_weights"))
        method = recipe.method if recipe.method in self.engine.info(model).capabilities.methods else "scsa"
        knobs = recipe.knobs
        size = self.settings.offered(knobs.size)
        session.backbone, session.restored = model, tuple(notes)
        items = {"error": None, "notes": [note.to_dict() for note in notes]}
        shown = self._knob_updates(model, method, size, knobs, session.lang)
        value = restore(painter, paths, recipe, sizes)
        return in_order(RESTORED, {"painter": gr.update(value=value), "notes": gr.update(items=items), **shown})

    def _knob_updates(self, model: str, method: str, size: int, knobs: Knobs, lang: str) -> dict[str, Any]:
        """Updates of KNOBS: everything at these values, and shown where it acts."""
        capable = self.engine.info(model).capabilities
        sliders = {name: gr.update(value=getattr(knobs, name)) for name in SLIDERS}
        for name, shown in visibility(capable, _method(method)).items():
            sliders[name] = {**sliders[name], **shown}
        return {
            "model": gr.update(value=model),
            "method": gr.update(value=method, choices=self.method_choices(lang, model)),
            "size": gr.update(value=size),
            **sliders,
        }

    def maps(self, painter: dict[str, Any] | None, request: gr.Request) -> list[Any]:
        """Map files were chosen: outputs MAPPED."""
        session = self.sessions.get(request.session_hash)
        incoming = (painter or {}).get("incoming") or {}
        side, files = incoming.get("side"), incoming.get("files") or []
        if painter is None or side not in SIDES or not files:
            return in_order(MAPPED, {})
        try:
            named = [(str(f["path"]), str(f.get("orig_name") or f["path"])) for f in files]
            value = import_maps(painter, side, named)
            for each in SIDES:  # files that came together with their pictures may overtake the kept copies of these
                value[each]["picture"] = session.accepted.get(value[each]["picture"], value[each]["picture"])
        except Exception as error:
            text = told(error, "reading maps").line(session.lang)
            return in_order(MAPPED, {"painter": gr.update(value=dict(painter, incoming=None, error={side: text}))})
        shown: dict[str, Any] = {"painter": gr.update(value=value)}
        with suppress(ScsaError):  # only a word of doubt
            if photographs(side, named):
                session.restored += (Said("note.photo_map"),)
                shown["notes"] = gr.update(items={"error": None, "notes": [note.to_dict() for note in session.restored]})
        return in_order(MAPPED, shown)

    # -- handlers of examples and knobs -----------------------------------------------

    def pick(self, event: gr.EventData, request: gr.Request) -> list[Any]:
        """A card was pressed: outputs PICKED."""
        session = self.sessions.get(request.session_hash)
        name = data_of(event).get("name")
        example = next((e for e in self.examples if e.name == name), None)
        try:
            if example is None:
                raise ScsaError("no such example")
            return in_order(PICKED, self.put(session, example))
        except (ScsaError, OSError):
            words = {"what": Said("error.example"), "kept": Said("error.kept"), "do": Said("error.do.other_example")}
            items = {"error": {k: s.to_dict() for k, s in words.items()}, "notes": []}
            return in_order(PICKED, {"notes": gr.update(items=items)})

    def put(self, session: Session, example: Example) -> dict[str, Any]:
        """Place an example: updates of PICKED. Raises ScsaError, OSError."""
        view, knobs = self.place(session, example), self.knobs_of(example)
        session.backbone = example.backbone
        shown = self._knob_updates(example.backbone, example.method, knobs.size, knobs, session.lang)
        painter = gr.update(value=example.painter_value(example.files(publish)))
        return {"painter": painter, **view_updates(view, None), **shown}

    def model(self, request: gr.Request, *values: Any) -> list[Any]:
        """Another family: in- and outputs KNOBS. Knobs still at the old family's default move to the new one's.

        A menu tells a choice twice: the second time, with values from before the first, moves nothing.
        """
        found = named(KNOBS, values)
        session = self.sessions.get(request.session_hash)
        model, old, new = found["model"], self.engine.defaults(session.backbone), self.engine.defaults(found["model"])
        again, session.backbone = session.backbone == model, model
        methods = self.engine.info(model).capabilities.methods
        method = found["method"] if found["method"] in methods else methods[0]
        moved = {k: getattr(new, k) if getattr(old, k) == found[k] else found[k] for k in SLIDERS}
        updates = self._knob_updates(model, method, found["size"], new.replace(**moved), session.lang)
        return in_order(KNOBS, updates | visibility(self.engine.info(model).capabilities, _method(method)) if again else updates)

    def method(self, model: str, method: str) -> list[Any]:
        """Another method: outputs SLIDERS. Knobs that act under some methods alone come and go."""
        return in_order(SLIDERS, visibility(self.engine.info(model).capabilities, _method(method)))

    def reset(self, model: str, request: gr.Request) -> list[Any]:
        """The family's defaults: outputs KNOBS."""
        knobs = self.engine.defaults(model)
        method = self.engine.info(model).capabilities.methods[0]
        size = min(knobs.size, self.settings.sizes[-1])
        return in_order(KNOBS, self._knob_updates(model, method, size, knobs, self.sessions.get(request.session_hash).lang))

    # -- words that depend on data ----------------------------------------------------

    def model_choices(self, lang: str) -> list[tuple[str, str]]:
        return [(state.choice(lang), state.name) for state in model_states(self.engine)]

    def method_choices(self, lang: str, model: str) -> list[tuple[str, str]]:
        return [(t(f"method.{name}", lang), name) for name in self.engine.info(model).capabilities.methods]

    def size_choices(self, session: Session | None = None, values: Values | None = None, lang: str = "en") -> list[tuple[str, int]]:
        """Sizes, with the seconds to expect here once a render was measured."""
        lang = session.lang if session is not None else lang
        choices = []
        for size in self.settings.sizes:
            seconds = None
            if session is not None and values is not None:
                try:
                    job = self.job(session, replace(values, size=size))
                    seconds = self.engine.estimate_seconds(job.request) if isinstance(job, Job) else None
                except ScsaError:
                    seconds = None
            timed = seconds is not None and seconds >= 1 and size != (values.size if values else None)
            key = "knob.size.choice_seconds" if timed else "knob.size.choice"
            choices.append((t(key, lang, size=size, seconds=round(seconds or 0)), size))
        return choices


def _both(content: LabelMap | None, style: LabelMap | None) -> tuple[LabelMap | None, LabelMap | None]:
    """Where one picture is painted, the other one's blank map counts as all Rest."""
    blank = LabelMap.from_ids(np.zeros((8, 8), np.uint8))
    if content is None and style is None:
        return None, None
    return content or blank, style or blank


def _count(stamp: object) -> int:
    """A count of the browser's, 0 where it is none."""
    return int(stamp) if isinstance(stamp, int | float) and 0 <= stamp < 2**53 else 0


def _method(name: str) -> Method:
    return next((m for m in ALL_METHODS if m == name), "scsa")


def _refused(painter: dict[str, Any], side: str, text: str) -> dict[str, Any]:
    value = dict(painter, incoming=None, error={side: text})
    value[side] = {"picture": None, "w": 0, "h": 0, "map": None}
    return value


def compare_value(view: View) -> dict[str, Any]:
    """The compare view's pictures."""
    names = ("result", "baseline", "content", "style", "previous", "kept")
    value: dict[str, Any] = {name: getattr(view, name) for name in names}
    alt = view.alt.to_dict() if view.alt is not None else {}
    return {**value, "w": view.size[0], "h": view.size[1], "preview": view.preview, "alt": alt, "turn": view.turn}


def compare_status(view: View) -> dict[str, Any]:
    """The line below."""
    return {"state": view.state, **view.said.to_dict(), "fraction": round(view.fraction, 3), "busy": view.more, "turn": view.turn}


def note_items(view: View) -> dict[str, Any]:
    """Notes and the error."""
    return {"error": view.error.to_dict() if view.error else None, "notes": [note.to_dict() for note in view.notes], "turn": view.turn}


def view_updates(view: View, before: View | None) -> dict[str, Any]:
    """Updates of compare view, notes and download button; only what changed is sent."""
    value, items = compare_value(view), note_items(view)

    def changed(now: dict[str, Any], earlier: Callable[[View], dict[str, Any]]) -> bool:
        return before is None or earlier(before) | {"turn": view.turn} != now

    updates = {"compare": gr.update(status=compare_status(view), **({"value": value} if changed(value, compare_value) else {}))}  # type: ignore[arg-type]
    if changed(items, note_items):
        updates["notes"] = gr.update(items=items)
    if before is None or before.download != view.download:
        updates["download"] = gr.update(value=view.download, interactive=view.download is not None)
    return updates
