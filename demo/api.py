"""The demo without its page: two named endpoints for programs (`gradio_client` or plain HTTP).

`/render` paints, `/segment` finds matching regions. They stand in the same line as the
page's visitors, keep to the same limits, and say errors in the same words.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import gradio as gr

from scsa_core import __version__
from scsa_core.backbones import FAMILIES
from scsa_core.engine import RenderRequest
from scsa_core.errors import Cancelled, ImageError, KnobError, ScsaError
from scsa_core.images import encode_png
from scsa_core.knobs import ALL_METHODS
from scsa_core.labels import read_maps
from scsa_core.progress import CancelToken
from scsa_core.recipe import Recipe, embed

from .auto import NUMBERS
from .desk import Desk
from .faults import told
from .files import Picture, publish
from .work import in_line

log = logging.getLogger("scsa.demo")
_T = TypeVar("_T")


class Api:
    """The endpoints' functions. Every argument may be wrong: what cannot be used ends in a `gr.Error` that says why."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    async def render(
        self,
        content: str | None,
        style: str | None,
        content_map: str | None,
        style_map: str | None,
        model: str,
        method: str,
        knobs: Any,
        request: gr.Request,
    ) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        """Files -> (PNG with its settings, {"seconds", "timings", "warnings", "size"}). knobs: {"alpha1": 0.5, ...}, any of them."""
        with _in_words("an API render", model=model):
            job = await asyncio.to_thread(self._request, content, style, content_map, style_map, model, method, knobs)
            result = await self._in_line(request, lambda token: self.desk.engine.render(job, cancel=token))
            recipe = Recipe.of(result, __version__)
            path = await asyncio.to_thread(publish, embed(result.image, recipe), f"scsa-{model}-{method}.png")
            timings = {stage: round(seconds, 4) for stage, seconds in result.timings.items()}
            details = {"seconds": timings["total"], "timings": timings, "warnings": list(recipe.warnings), "size": list(recipe.size)}
            yield path, details

    async def segment(
        self, content: str | None, style: str | None, regions: str, request: gr.Request
    ) -> AsyncIterator[tuple[str, str, dict[str, Any]]]:
        """Files -> (content labels, style labels, {"links": {content id: [style ids]}}); labels are 8-bit PNGs of region ids."""
        with _in_words("an API analysis"):
            first = await asyncio.to_thread(self._picture, content, "content")
            second = await asyncio.to_thread(self._picture, style, "style")
            if regions not in NUMBERS:
                raise KnobError(f"regions must be one of {', '.join(NUMBERS)}, not {regions[:40]!r}", knob="regions")
            find = self.desk.auto_maps.find
            a, b, links = await self._in_line(request, lambda token: find(first, second, "builtin", regions, cancel=token))
            paths = [publish(encode_png(m.to_index_image()), f"{side}_labels.png") for m, side in ((a, "content"), (b, "style"))]
            yield paths[0], paths[1], {"links": {str(k): list(v) for k, v in links.items()}}

    def _request(
        self, content: str | None, style: str | None, content_map: str | None, style_map: str | None, model: str, method: str, knobs: Any
    ) -> RenderRequest:
        pictures = [self._picture(content, "content"), self._picture(style, "style")]
        maps = read_maps(content_map, style_map)
        if model not in FAMILIES:
            raise KnobError(f"there is no model named {model[:40]!r}", knob="model", hint=f"Choose one of: {', '.join(FAMILIES)}.")
        known = next((m for m in ALL_METHODS if m == method), None)
        if known is None:
            raise KnobError(f"there is no method named {method[:40]!r}", knob="method", hint=f"Choose one of: {', '.join(ALL_METHODS)}.")
        if knobs is not None and not isinstance(knobs, dict):
            raise KnobError("knobs must be an object of names and numbers", knob="knobs")
        values = {str(name): value for name, value in (knobs or {}).items()}
        if not all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in values.values()):
            raise KnobError("knobs must be numbers", knob="knobs")
        chosen = self.desk.engine.defaults(model).replace(**values)
        if chosen.size > max(self.desk.settings.sizes):
            raise KnobError(f"size may be at most {max(self.desk.settings.sizes)} here, not {chosen.size}", knob="size")
        return RenderRequest(pictures[0].image, pictures[1].image, *maps, backbone=model, method=known, knobs=chosen)

    def _picture(self, path: str | None, side: str) -> Picture:
        if not path or not Path(path).is_file():
            raise ImageError(f"the {side} picture is missing", hint="Give a picture file.")
        return self.desk.pictures.get(path)

    async def _in_line(self, request: gr.Request, work: Callable[[CancelToken], _T]) -> _T:
        """Run `work` in a thread once it is this client's turn; whoever goes away stops it."""
        token = CancelToken()
        return await in_line(self.desk.studio.line, request.session_hash or "api", partial(work, token), token)


@contextlib.contextmanager
def _in_words(doing: str, **context: Any) -> Any:
    """Any error but the end of the generator becomes a `gr.Error` in the page's words."""
    try:
        yield
    except (Cancelled, GeneratorExit):
        raise
    except Exception as error:
        words = told(error, doing, level=logging.INFO, **context)
        said = f"{error}. {error.hint}".strip() if isinstance(error, ScsaError) else words.line("en")
        mark = f" (reference {words.reference})" if words.reference and words.reference not in said else ""
        raise gr.Error(said + mark, print_exception=False) from error


def build_api(desk: Desk) -> None:
    """The endpoints, without anything to see."""
    api = Api(desk)
    with gr.Row(visible=False):
        files = [gr.File(type="filepath", label=name) for name in ("content", "style", "content_map", "style_map")]
        model, method = gr.Textbox("lite", label="model"), gr.Textbox("scsa", label="method")
        knobs, regions = gr.JSON({}, label="knobs"), gr.Textbox(NUMBERS[0], label="regions")
        result, details = gr.File(label="result"), gr.JSON(label="details")
        labels = [gr.File(label=f"{side}_labels") for side in ("content", "style")]
        paint, find = gr.Button(), gr.Button()
    limits: dict[str, Any] = {"concurrency_limit": None, "show_progress": "hidden"}
    paint.click(api.render, [*files, model, method, knobs], [result, details], api_name="render", **limits)
    find.click(api.segment, [*files[:2], regions], [*labels, details], api_name="segment", **limits)
