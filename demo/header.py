"""The strip at the top: name, language, light or dark, and the sheet of keys."""

from __future__ import annotations

from .component import WebComponent
from .text import texts as _texts


class Header(WebComponent):
    """`lang`: the language shown. Event ``language`` with data {lang}. Theme and keys are the browser's own affair.

    Its script brings the mending of Gradio's menus along: it is on every page, once.
    """

    sheet, root = "header", "hd-root"
    shared = ("menus.js",)


def header_texts(lang: str) -> dict[str, str]:
    """The header's words."""
    return _texts(lang, "page.", "header.", "keys.")
