"""The strip at the top: name, language, light or dark, and the sheet of keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gradio as gr

from .text import texts as _texts
from .theme import script, style


class Header(gr.HTML):
    """Event ``language`` with data {lang}. Theme and keys are the browser's own affair."""

    def __init__(
        self,
        value: str | None = None,
        *,
        lang: str = "en",
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
            html_template='<div class="hd-root"></div>',
            css_template=style("header.css"),
            js_on_load=script("header.js"),
            apply_default_css=False,
            elem_id=elem_id,
            elem_classes=elem_classes,
            visible=visible,
            render=render,
            lang=lang,
            texts=dict(texts or header_texts("en")),
            **kwargs,
        )


def header_texts(lang: str) -> dict[str, str]:
    """The header's words."""
    return _texts(lang, "page.", "header.", "keys.")
