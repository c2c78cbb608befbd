"""The Study tab: a host chooses pairs and methods, tries the study as a participant, and publishes it as two links."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import gradio as gr
from PIL import Image

from scsa_core.engine import RenderRequest
from scsa_core.errors import Cancelled, KnobError, ScsaError, StudyError
from scsa_core.images import load_image, working_size
from scsa_core.knobs import ALL_METHODS, Knobs, Method, is_number
from scsa_core.labels import LabelMap
from scsa_core.progress import CancelToken

from .desk import Desk
from .exchange import path_of
from .faults import told
from .gallery import Example
from .knobs import KnobNumber, KnobSlider
from .painter import SIDES, links_of, to_label_maps
from .session import Session
from .settings import Settings
from .study_web import Studies
from .text import LANGUAGES, Words, t
from .work import in_line

log = logging.getLogger("scsa.demo")

MAX_METHODS = 4
MAX_OWN = 24
SIDE = 512
KEPT_SIDE = 1024
_QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
_FULL = "(path) => path ? new URL(path, window.location.href).href : ''"
FORM = ("title", "pairs", "methods", "question", "shown", "trials", "checks", "repeat", "ties", "most", "consent", "end")
ARM = ("name", "model", "method", "alpha1", "alpha2")


@dataclass(frozen=True)
class Source:
    """A pair to be judged. maps None with `auto`: found when the study is built. knobs: those that differ from the family's."""

    name: str
    content: Image.Image
    style: Image.Image
    maps: tuple[LabelMap | None, LabelMap | None] = (None, None)
    links: Mapping[int, tuple[int, ...]] | None = None
    auto: bool = False
    knobs: Mapping[str, float] = field(default_factory=dict)
    backbone: str = "lite"
    size: int = SIDE
    stored: Mapping[str, Image.Image] = field(default_factory=dict)


@dataclass(frozen=True)
class Arm:
    """A method to compare. An alpha of None: the pair's own, or the family's."""

    name: str
    model: str
    method: Method
    alpha1: float | None = None
    alpha2: float | None = None

    def record(self) -> dict[str, Any]:
        found = {k: getattr(self, k) for k in ARM}
        return {k: v for k, v in found.items() if v is not None}


@dataclass
class Own:
    """What one host added: own pairs, a picture waiting for its other half, and the draft's links."""

    pairs: list[Source] = field(default_factory=list)
    waiting: dict[str, str] = field(default_factory=dict)
    study: str = ""
    secret: str = ""
    token: CancelToken | None = None


class StudyDesk:
    """Handlers of the tab."""

    def __init__(self, desk: Desk, studies: Studies, settings: Settings) -> None:
        self.desk, self.studies, self.settings = desk, studies, settings

    def choices(self, own: Own | None, lang: str) -> list[tuple[str, str]]:
        """Pairs to choose from."""
        listed = [(example.words(lang)[0], f"example:{example.name}") for example in self.desk.examples]
        return listed + [(source.name, f"own:{k}") for k, source in enumerate(own.pairs if own else [])]

    def methods(self, lang: str) -> list[tuple[str, str]]:
        return [(t(f"method.{name}", lang), name) for name in ALL_METHODS]

    def in_language(self, own: Own | None, *shown: str, request: gr.Request) -> list[Any]:
        """The tab was opened: [pairs, question, consent, end]. Texts that nobody changed follow the language."""
        lang = self._lang(request)
        updates: list[Any] = [gr.update(choices=self.choices(own, lang))]
        for name, said in zip(("question", "consent", "end"), shown, strict=True):
            key = f"study.{name}_default"
            untouched = said in {t(key, each) for each in LANGUAGES}
            updates.append(t(key, lang) if untouched else gr.skip())
        return updates

    # -- own pairs --------------------------------------------------------------------

    def add_current(self, own: Own | None, chosen: list[str], painter: dict[str, Any] | None, request: gr.Request) -> list[Any]:
        """The pair on the Create tab, with its maps and links: [own, pairs, status]."""
        own = own or Own()
        lang = self._lang(request)
        paths = [path_of(painter, side) for side in SIDES]
        if not all(paths):
            return [own, gr.skip(), t("study.add_none", lang)]
        try:
            content, style = (_bounded(self.desk.pictures.get(str(path)).image) for path in paths)
            maps, links = to_label_maps(painter), links_of(painter)
        except ScsaError as error:
            return [own, gr.skip(), _said(error, lang)]
        return self._added(own, chosen, Source(self._name(own, lang), content, style, maps, links or None), lang)

    def add_upload(self, side: str, own: Own | None, chosen: list[str], path: str | None, request: gr.Request) -> list[Any]:
        """One picture of a pair: [own, pairs, status]. With both there, the pair is added; its maps are found later."""
        own = own or Own()
        lang = self._lang(request)
        if not path:
            return [own, gr.skip(), gr.skip()]
        try:
            self.desk.pictures.get(path)
        except Exception as error:
            return [own, gr.skip(), _said(error, lang)]
        own.waiting[side] = path
        if len(own.waiting) < len(SIDES):
            missing = next(s for s in SIDES if s not in own.waiting)
            return [own, gr.skip(), t(f"study.add_{missing}_next", lang)]
        content, style = (_bounded(self.desk.pictures.get(own.waiting[s]).image) for s in SIDES)
        own.waiting = {}
        return self._added(own, chosen, Source(self._name(own, lang), content, style, auto=True), lang)

    def _added(self, own: Own, chosen: list[str], source: Source, lang: str) -> list[Any]:
        if len(own.pairs) >= MAX_OWN:
            return [own, gr.skip(), t("study.add_full", lang, n=MAX_OWN)]
        own.pairs.append(source)
        value = [*chosen, f"own:{len(own.pairs) - 1}"]
        return [own, gr.update(choices=self.choices(own, lang), value=value), t("study.added", lang, name=source.name)]

    def _name(self, own: Own, lang: str) -> str:
        return t("study.own_pair", lang, n=len(own.pairs) + 1)

    # -- building ---------------------------------------------------------------------

    async def build(self, own: Own | None, *values: Any, request: gr.Request) -> AsyncIterator[list[Any]]:
        """Render what is missing and keep the draft: [own, status, preview, publish, links, stop, build]."""
        own = own or Own()
        lang, session = self._lang(request), self.desk.sessions.get(request.session_hash)
        form = dict(zip(FORM, values[: len(FORM)], strict=True))
        own.token = token = CancelToken()
        idle = [gr.update(visible=False), gr.update(interactive=True)]
        hide = [gr.update(visible=False)] * 3
        painting = ""
        try:
            self.desk.may_make(request)
            arms = self._arms(values[len(FORM) :], _whole(form["methods"]), lang)
            chosen = [source for key in form["pairs"] or [] if (source := self._source(own, key, lang)) is not None]
            from scsa_core.study.records import Design, PairPictures

            design = Design(
                question=str(form["question"] or ""), consent=str(form["consent"] or ""), end_text=str(form["end"] or ""),
                arms=[arm.record() for arm in arms], title=str(form["title"] or ""), shown=_whole(form["shown"]),
                trials=_whole(form["trials"]), checks=_whole(form["checks"]), repeat=bool(form["repeat"]), ties=bool(form["ties"]),
                max_participants=_whole(form["most"] or 0),
            )  # fmt: skip
            design.plan(len(chosen))
            if await asyncio.to_thread(lambda: self.studies.store.used_bytes()) > self.settings.study_megabytes * 1e6:
                raise StudyError("the space that this host keeps for studies is used up", reason="full")
            pairs: list[PairPictures] = []
            total = len(chosen) * len(arms)
            for source in chosen:
                renders: list[Image.Image] = []
                for arm in arms:
                    n = len(pairs) * len(arms) + len(renders) + 1
                    said = t("study.painting", lang, n=n, total=total)
                    yield [own, said, *hide, gr.update(visible=True), gr.update(interactive=False)]
                    token.checkpoint()
                    painting = self.desk.engine.info(arm.model).title
                    renders.append(await self._render(session, source, arm, token))
                pairs.append(PairPictures(source.name, source.content, source.style, renders))
            own.study, own.secret = await asyncio.to_thread(lambda: self.studies.store.create(design, pairs))
        except Cancelled:
            yield [own, t("study.stopped", lang), *hide, *idle]
            return
        except Exception as error:
            yield [own, _said(error, lang, painting), *hide, *idle]
            return
        comparisons = design.trials - design.checks - int(design.repeat)
        said = t("study.built", lang, pairs=len(pairs), methods=len(arms), trials=design.trials, main=comparisons, checks=design.checks)
        preview = gr.update(visible=True, link=f"vote?study={own.study}")
        yield [own, said, preview, gr.update(visible=True, interactive=True), gr.update(visible=False), *idle]

    def stop(self, own: Own | None) -> None:
        if own is not None and own.token is not None:
            own.token.cancel()

    def publish(self, own: Own | None, request: gr.Request) -> list[Any]:
        """[own, status, preview, publish, links, participants' link, results link]. The secret is handed out here, once."""
        own = own or Own()
        lang = self._lang(request)
        try:
            if not own.study:
                raise StudyError("there is no draft", reason="no_draft")
            self.studies.store.publish(own.study, own.secret)
        except Exception as error:
            return [own, _said(error, lang), *[gr.skip()] * 5]
        vote, results = f"vote?study={own.study}", f"results?study={own.study}#{own.secret}"
        own.study = own.secret = ""
        hide = gr.update(visible=False)
        return [own, t("study.published", lang), hide, hide, gr.update(visible=True), vote, results]

    # -- parts ------------------------------------------------------------------------

    def _arms(self, values: Sequence[Any], count: int, lang: str) -> list[Arm]:
        arms = []
        for k in range(min(max(count, 2), MAX_METHODS)):
            row = dict(zip(ARM, values[k * len(ARM) : (k + 1) * len(ARM)], strict=True))
            info = self.desk.engine.info(str(row["model"]))
            method = next((m for m in ALL_METHODS if m == row["method"]), "scsa")
            if method not in info.capabilities.methods:
                said = f"{info.title} has no method {method}"
                raise StudyError(said, reason="no_method", model=info.title, method=t(f"method.{method}", lang))
            alphas = [_number(row[a], a) for a in ("alpha1", "alpha2")]
            name = str(row["name"] or "").strip()[:60] or f"{info.title} {t(f'method.{method}', lang)}"
            arms.append(Arm(name, info.name, method, *alphas))
        names = [arm.name for arm in arms]
        if len(set(names)) < len(names):
            raise StudyError("two methods have the same name", reason="same_name")
        if len({(a.model, a.method, a.alpha1, a.alpha2) for a in arms}) < len(arms):
            raise StudyError("two methods have the same settings", reason="same_settings")
        return arms

    def _source(self, own: Own, key: str, lang: str) -> Source | None:
        kind, _, name = str(key).partition(":")
        if kind == "own" and name.isdecimal() and int(name) < len(own.pairs):
            return own.pairs[int(name)]
        example = next((e for e in self.desk.examples if kind == "example" and e.name == name), None)
        return None if example is None else self._of_example(example, lang)

    def _of_example(self, example: Example, lang: str) -> Source:
        knobs = self.desk.knobs_of(example)
        stored = {"scsa": example.result, "baseline": example.baseline} if example.method == "scsa" else {}
        return Source(
            example.words(lang)[0], load_image(example.content), load_image(example.style), (example.content_map, example.style_map),
            dict(example.links) or None, knobs=example.knobs, backbone=example.backbone, size=knobs.size,
            stored={method: load_image(path) for method, path in stored.items() if path is not None},
        )  # fmt: skip

    async def _render(self, session: Session, source: Source, arm: Arm, token: CancelToken) -> Image.Image:
        """The arm's picture of a pair: the stored one where it has just these settings, else a render in its turn."""
        size, _ = working_size(source.content.size, source.size)
        stored = source.stored.get(arm.method)
        if stored is not None and arm.model == source.backbone and arm.alpha1 is arm.alpha2 is None and stored.size == size:
            return stored
        maps, links = source.maps, source.links
        if source.auto:
            content, style = await asyncio.to_thread(lambda: (_decoded(source.content), _decoded(source.style)))
            first, second, found = await asyncio.to_thread(self.desk.auto_maps.find, content, style, "builtin", "auto")
            maps, links = (first, second), found
        request = RenderRequest(
            source.content, source.style, *maps, links=links, backbone=arm.model, method=arm.method, knobs=self._knobs(source, arm)
        )  # fmt: skip
        paint = partial(self.desk.engine.render, request, cancel=token)
        return (await in_line(self.desk.studio.line, f"study {session.key}", paint, token)).image

    def _knobs(self, source: Source, arm: Arm) -> Knobs:
        knobs = self.desk.engine.defaults(arm.model)
        if arm.model == source.backbone:
            knobs = knobs.replace(**dict(source.knobs))
        return knobs.replace(size=source.size, alpha1=arm.alpha1, alpha2=arm.alpha2)

    def _lang(self, request: gr.Request) -> str:
        return self.desk.sessions.get(request.session_hash).lang


def build_study(desk: Desk, words: Words, studies: Studies, settings: Settings, painter: Any, tab: gr.Tab) -> Callable[[Any], None]:
    """Lay the tab out and wire it. painter: the Create tab's. Returns what to call with an event that changes the language."""
    host = StudyDesk(desk, studies, settings)
    own = gr.State(None)
    everything = [value for _, value in host.choices(None, "en")]

    def box(kind: Any, key: str, name: str, **options: Any) -> Any:
        return words.add(kind(label=t(key), elem_id=f"study-{name}", interactive=True, **options), label=key)

    def alpha(name: str, k: int) -> Any:
        made = box(gr.Textbox, f"study.{name}", f"{name}-{k}", max_length=6, min_width=80, placeholder=t("study.alpha_usual"))
        return words.add(made, placeholder="study.alpha_usual")

    def button(key: str, name: str, **options: Any) -> gr.Button:
        made: gr.Button = words.add(gr.Button(t(key), elem_id=f"study-{name}", **options), value=key)
        return made

    def text(key: str, name: str) -> None:
        words.add(gr.Markdown(t(key), elem_id=f"study-{name}"), value=key)

    with gr.Row(elem_id="study"):
        with gr.Column(scale=3, min_width=320):
            text("study.line", "line")
            if settings.forgets:
                text("study.forgets", "forgets")
            form: dict[str, Any] = {"title": box(gr.Textbox, "study.title", "title", max_length=200)}
            form["question"] = box(gr.Textbox, "study.question", "question", value=t("study.question_default"), max_length=500, lines=2)
            form["pairs"] = box(gr.CheckboxGroup, "study.pairs", "pairs", choices=host.choices(None, "en"), value=everything)
            with gr.Row(elem_id="study-add"):
                current = button("study.add_current", "current", size="sm")
                uploads = {
                    side: words.add(
                        gr.UploadButton(t(f"study.add_{side}"), file_types=["image"], size="sm", elem_id=f"study-add-{side}"),
                        label=f"study.add_{side}",
                    )
                    for side in SIDES
                }
            form["methods"] = box(gr.Radio, "study.methods", "methods", choices=[2, 3, 4], value=2)
            rows, arms, menu = [], [], {"filterable": False, "min_width": 120}
            for k in range(MAX_METHODS):
                with gr.Row(visible=k < 2, elem_classes=["study-arm"]) as row:
                    method = ("baseline", "scsa", "sca", "ssa")[k]
                    arm = {
                        "name": box(gr.Textbox, "study.arm_name", f"name-{k}", max_length=60, min_width=120),
                        "model": words.add(
                            box(gr.Dropdown, "knob.model", f"model-{k}", choices=desk.model_choices("en"), value="lite", **menu),
                            choices=desk.model_choices,
                        ),
                        "method": words.add(
                            box(gr.Dropdown, "knob.method", f"method-{k}", choices=host.methods("en"), value=method, **menu),
                            choices=host.methods,
                        ),
                        "alpha1": alpha("alpha1", k),
                        "alpha2": alpha("alpha2", k),
                    }  # fmt: skip
                rows.append(row)
                arms += [arm[name] for name in ARM]
            text("study.arms_help", "arms-help")
        with gr.Column(scale=2, min_width=320):
            shown = lambda lang: [(t("study.shown_two", lang), 2), (t("study.shown_three", lang), 3)]  # noqa: E731
            form["shown"] = words.add(box(gr.Radio, "study.shown", "shown", choices=shown("en"), value=2), choices=shown)
            form["trials"] = box(KnobSlider, "study.trials", "trials", minimum=4, maximum=60, step=1, value=20, buttons=[])
            form["checks"] = box(KnobSlider, "study.checks", "checks", minimum=0, maximum=8, step=1, value=4, buttons=[])
            form["repeat"] = box(gr.Checkbox, "study.repeat", "repeat", value=True)
            form["ties"] = box(gr.Checkbox, "study.ties", "ties", value=False)
            with gr.Accordion(t("study.more"), open=False, elem_id="study-more") as more:
                form["most"] = box(KnobNumber, "study.most", "most", value=500, minimum=1, maximum=10_000, precision=0)
                form["consent"] = box(gr.Textbox, "study.consent", "consent", value=t("study.consent_default"), lines=5, max_length=4000)
                form["end"] = box(gr.Textbox, "study.end", "end", value=t("study.end_default"), lines=2, max_length=2000)
            words.add(more, label="study.more")
            text("study.privacy", "privacy")
            with gr.Row(elem_id="study-go"):
                build = button("study.build", "build", variant="primary")
                stop = button("study.stop", "stop", visible=False)
            status = gr.Markdown("", elem_id="study-status")
            with gr.Row(elem_id="study-next"):
                preview = button("study.preview", "preview", visible=False, link="", link_target="_blank")
                publish = button("study.publish", "publish", visible=False, variant="primary")
            with gr.Column(visible=False, elem_id="study-links") as links:
                vote = words.add(
                    gr.Textbox(label=t("study.vote_link"), interactive=False, buttons=["copy"], elem_id="study-vote-link"),
                    label="study.vote_link",
                )
                results = words.add(
                    gr.Textbox(label=t("study.results_link"), interactive=False, buttons=["copy"], elem_id="study-results-link"),
                    label="study.results_link",
                )

    texts = [form[name] for name in ("question", "consent", "end")]

    def opened(request: gr.Request, own: Own | None, *shown: str) -> list[Any]:
        return host.in_language(own, *shown, request=request)

    def follow(event: Any) -> None:
        """After that event, what stands in the tab is in the page's language."""
        event(opened, [own, *texts], [form["pairs"], *texts], **_QUIET)

    follow(tab.select)
    form["methods"].change(lambda n: [gr.update(visible=k < int(n or 2)) for k in range(MAX_METHODS)], form["methods"], rows, **_QUIET)
    added: dict[str, Any] = {**_QUIET, "outputs": [own, form["pairs"], status]}
    current.click(host.add_current, [own, form["pairs"], painter], **added)
    for side, upload in uploads.items():
        upload.upload(_on(host.add_upload, side), [own, form["pairs"], upload], **added)
    inputs = [own, *(form[name] for name in FORM), *arms]

    async def building(request: gr.Request, *values: Any) -> AsyncIterator[list[Any]]:
        async for updates in host.build(*values, request=request):
            yield updates

    outputs = [own, status, preview, publish, links, stop, build]
    build.click(building, inputs, outputs, trigger_mode="once", concurrency_limit=None, **_QUIET)
    stop.click(host.stop, own, None, queue=False, **_QUIET)
    published = publish.click(host.publish, own, [own, status, preview, publish, links, vote, results], trigger_mode="once", **_QUIET)
    published.then(None, vote, vote, js=_FULL, **_QUIET).then(None, results, results, js=_FULL, **_QUIET)
    return follow


def _whole(value: Any) -> int:
    """A number of the form. Raises StudyError."""
    if not is_number(value):
        raise StudyError("a number of the form is missing", reason="no_number")
    return int(value)


def _number(text: Any, knob: str) -> float | None:
    """A number typed by a person, None where the field is empty. Raises KnobError."""
    said = str(text or "").strip().replace(",", ".")
    if not said:
        return None
    try:
        value = float(said)
    except ValueError as error:
        raise KnobError(f"{knob} must be a number, not {said!r}", knob=knob) from error
    return float(getattr(Knobs().replace(**{knob: value}), knob))  # refuses what is out of range


def _on(handler: Any, side: str) -> Any:
    """The handler for one side; Gradio passes the request by its annotation."""

    def upload(own: Own | None, chosen: list[str], path: str | None, request: gr.Request) -> list[Any]:
        found: list[Any] = handler(side, own, chosen, path, request)
        return found

    return upload


def _decoded(image: Image.Image) -> Any:
    from scsa_core.recipe import picture_sha256

    from .files import Picture

    return Picture(image, picture_sha256(image))


def _bounded(image: Image.Image) -> Image.Image:
    if max(image.size) > KEPT_SIDE:
        image = image.copy()
        image.thumbnail((KEPT_SIDE, KEPT_SIDE), Image.Resampling.LANCZOS)
    return image


def _said(error: BaseException, lang: str, model: str = "") -> str:
    return told(error, "a study", size=SIDE, model=model, form=True).line(lang)
