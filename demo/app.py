"""The page: tabs and wiring, no logic."""

from __future__ import annotations

import logging
import threading
from collections.abc import AsyncIterator
from typing import Any

import gradio as gr
from starlette.middleware import Middleware

from scsa_core.engine import Engine
from scsa_core.errors import ScsaError

from . import metrics
from .api import build_api
from .auto import ways
from .component import data_of
from .create import On, build_create, build_grid
from .desk import Desk
from .guard import Guard, Limiter, RateLimit
from .header import Header, header_texts
from .logs import RequestIds
from .metrics import Watch
from .models import Models, Shelf, models_texts
from .page import Answered, Page
from .permalinks import LinkDesk, open_links
from .settings import ROOT, Settings
from .study import build_study
from .study_web import Studies, StudyRedirect, routes
from .text import Words, language, packed, t
from .theme import css, head, theme
from .zero import engine_for

log = logging.getLogger("scsa.demo")
PRELOAD_AFTER = 8.0  # seconds: the first page comes first, and a person looks at it for longer than loading takes
_LANGUAGE = "() => { try { return [localStorage.getItem('scsa.lang') || navigator.language] } catch { return [navigator.language] } }"


def build_demo(settings: Settings, engine: Engine | None = None, *, watch: Watch | None = None) -> gr.Blocks:
    """The page, not yet launched. engine: for tests. watch: what shall know of it."""
    watch = watch or Watch()
    engine = engine or engine_for(settings.device, watch)
    desk, words = Desk(engine, settings), Words()
    watch.engine, watch.line = engine, desk.studio.line
    links = LinkDesk(desk, settings)
    keep = settings.keep_hours * 3600
    demo: Page
    with Page(title=t("page.title"), delete_cache=(3600, keep), analytics_enabled=False, fill_width=True) as demo:
        build_api(desk)  # first: its names are fixed, those of the page's own events are not
        stamp = gr.Number(0, visible=False)
        code = gr.Textbox("", visible=False)
        header = words.add(Header(texts=header_texts("en"), lang="en", elem_id="header"), texts=header_texts, lang=language)
        with gr.Tabs(elem_id="tabs"):
            with gr.Tab(t("tab.create"), id="create") as create:
                parts = build_create(desk, words, stamp, links, demo)
            with gr.Tab(t("tab.grid"), id="grid") as grid:
                build_grid(desk, words, parts, grid)
            if settings.studies:
                with gr.Tab(t("tab.study"), id="study") as study:
                    kept = Studies(settings.data, settings.database_url)
                    study_follows = build_study(desk, words, kept, settings, parts["painter"], study)
                words.add(study, label="tab.study")
            with gr.Tab(t("tab.models"), id="models") as models:
                shelf = Shelf(engine, may_fetch=settings.may_fetch)
                listed = words.add(Models(items=shelf.items(), texts=models_texts("en"), elem_id="models-list"), texts=models_texts)
        words.add(create, label="tab.create")
        words.add(grid, label="tab.grid")
        words.add(models, label="tab.models")

        def speak(chosen: str | None, request: gr.Request) -> list[Any]:
            session = desk.sessions.get(request.session_hash)
            lang = language(chosen)
            if lang == session.lang:
                return [gr.skip()] * len(words.components)
            session.lang = lang
            updates = words.updates(lang)
            # Which methods there are depends on the model that this visitor has chosen.
            updates[words.components.index(parts["method"])]["choices"] = desk.method_choices(lang, session.backbone)
            return [gr.update(**properties) for properties in updates]

        def switch(event: gr.EventData, request: gr.Request) -> list[Any]:
            return speak(str(data_of(event).get("lang", "en")), request)

        async def follow(request: gr.Request) -> AsyncIterator[list[Any]]:
            lang = desk.sessions.get(request.session_hash).lang
            async for updates in shelf.follow(lambda: [gr.update(choices=desk.model_choices(lang)), gr.update(choices=ways(lang))]):
                # An answer that meets a tab as it opens replaces what its components were made with: their words come with it.
                yield [{**updates[0], "texts": packed(models_texts(lang))}, *updates[1:]]

        async def fetch(event: gr.EventData, request: gr.Request) -> AsyncIterator[list[Any]]:
            shelf.fetch(event._data)
            async for updates in follow(request):
                yield updates

        def stop(event: gr.EventData) -> None:
            shelf.stop(event._data)

        quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
        demo.load(speak, code, words.components, js=_LANGUAGE, **quiet)
        spoken = header.language(switch, None, words.components, **quiet)
        if settings.studies:
            study_follows(spoken.then)
        following: dict[str, Any] = {**quiet, "outputs": [listed, parts["model"], parts["by"]], "concurrency_limit": None}
        gr.on([demo.load, models.select, On(listed, "look")], follow, None, trigger_mode="multiple", **following)
        listed.fetch(fetch, None, trigger_mode="multiple", **following)
        listed.stop(stop, None, None, queue=False, trigger_mode="multiple", **quiet)
        open_links(links, demo, parts)
        demo.unload(desk.close)
    demo.language_of = lambda key: desk.sessions.get(key).lang
    for event in demo.fns.values():
        # Nothing shows Gradio's own progress; told to all that ever was an output, it cost the page a quarter second an event.
        event.show_progress_on = [stamp]
    if settings.preload:
        later = threading.Timer(PRELOAD_AFTER, _preload, args=(engine,))
        later.daemon = True
        later.start()
    return demo


def launch_options(
    settings: Settings,
    *,
    watch: Watch | None = None,
    host: str | None = None,
    port: int | None = None,
    share: bool = False,
    browser: bool = False,
) -> dict[str, Any]:
    """Keyword arguments of `Blocks.launch`. watch: the one that `build_demo` was given. Raises ValueError for a bad setting."""
    watched = metrics.routes(watch or Watch(), settings.metrics)
    return {
        "server_name": host,
        "server_port": port,
        "share": share,
        "inbrowser": browser,
        "theme": theme(),
        "css": css(),
        "head": head(),
        "max_file_size": f"{settings.upload_megabytes}mb",
        "show_error": False,
        "run_history": False,
        "enable_monitoring": False,
        "ssr_mode": False,
        "footer_links": [],
        "allowed_paths": [],
        "blocked_paths": [str(ROOT / "checkpoints"), str(settings.data)],
        "app_kwargs": {
            "routes": [*watched, *routes(Studies(settings.data, settings.database_url))],
            "middleware": [
                Middleware(RequestIds),
                Middleware(Answered),
                Middleware(Guard),
                Middleware(RateLimit, limiter=Limiter(settings.rate), proxies=settings.proxies),
                Middleware(StudyRedirect),
            ],
            "docs_url": None,
            "redoc_url": None,
        },
    }


def _preload(engine: Engine) -> None:
    """Load the model behind the first picture, so that the first render does not wait for it."""
    try:
        engine.load("lite")
    except ScsaError as error:
        log.warning("lite is not ready: %s", error)


