"""The compare view: the result beside one other picture, and one thin line of status below.

Two `gr.HTML` components without Python logic of their own: `Compare` shows pictures and
status, `Notes` what a person should know and what went wrong. The browser's half is
`web/compare.js` and `web/notes.js`.

Events of a `Compare`: ``render_now``, ``cancel_now``, ``keep_now``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import gradio as gr
from gradio.data_classes import FileData, GradioModel

from .text import texts as _texts
from .theme import script, style

PICTURES = ("result", "baseline", "content", "style", "previous", "kept")


class CompareModel(GradioModel):
    """Pictures of the view. w, h: the content's size, which gives the box its shape.

    alt: what the result shows, as {key, args} of a text; preview: it is a quarter-size one.
    """

    result: FileData | None = None
    baseline: FileData | None = None
    content: FileData | None = None
    style: FileData | None = None
    previous: FileData | None = None
    kept: FileData | None = None
    w: int = 0
    h: int = 0
    preview: bool = False
    alt: dict[str, Any] = {}


class Compare(gr.HTML):
    """`value`: pictures. `status`: {state, key, args, fraction, busy}: what the line below says."""

    data_model = CompareModel

    def __init__(
        self,
        value: Mapping[str, Any] | None = None,
        *,
        status: Mapping[str, Any] | None = None,
        texts: Mapping[str, str] | None = None,
        elem_id: str | None = None,
        elem_classes: list[str] | str | None = None,
        label: str | None = None,
        visible: bool | Literal["hidden"] = True,
        render: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            value=value,
            label=label,
            html_template='<div class="cv-root"></div>',
            css_template=style("compare.css"),
            js_on_load=script("compare.js"),
            apply_default_css=False,
            elem_id=elem_id,
            elem_classes=elem_classes,
            visible=visible,
            render=render,
            status=dict(status or {}),
            texts=dict(texts or compare_texts("en")),
            **kwargs,
        )

    def preprocess(self, payload: Any) -> Any:
        """Nothing of the view comes back from the browser."""
        return None

    def postprocess(self, value: Any) -> Any:
        """A dict of `CompareModel`'s fields; pictures as path, FileData or None."""
        if value is None or isinstance(value, CompareModel):
            return value or CompareModel()
        fields = dict(value)
        for name in PICTURES:
            if isinstance(fields.get(name), (str, Path)):
                fields[name] = FileData(path=str(fields[name]))
        return CompareModel.model_validate(fields)

    def api_info(self) -> dict[str, Any]:
        schema = CompareModel.model_json_schema()
        schema["additional_description"] = schema.pop("description", None)
        return schema

    def example_payload(self) -> Any:
        return {}

    def example_value(self) -> Any:
        return {}


class Notes(gr.HTML):
    """`items`: {error: {what, kept, do, reference} | None, notes: [{key, args}]}; nothing is shown where both are empty."""

    def __init__(
        self,
        value: str | None = None,
        *,
        items: Mapping[str, Any] | None = None,
        texts: Mapping[str, str] | None = None,
        elem_id: str | None = None,
        elem_classes: list[str] | str | None = None,
        label: str | None = None,
        visible: bool = True,
        render: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            value=value,
            label=label,
            html_template='<div class="nt-root"></div>',
            css_template=style("notes.css"),
            js_on_load=script("notes.js"),
            apply_default_css=False,
            elem_id=elem_id,
            elem_classes=elem_classes,
            visible=visible,
            render=render,
            items=dict(items or {}),
            texts=dict(texts or notes_texts("en")),
            **kwargs,
        )


def compare_texts(lang: str) -> dict[str, str]:
    """The compare view's words: its own, the states of a render, and the names of methods."""
    return _texts(lang, "compare.", "status.", "method.")


def notes_texts(lang: str) -> dict[str, str]:
    """The words of notes and errors."""
    return _texts(lang, "note.", "error.")
