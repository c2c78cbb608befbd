"""The compare view: the result beside one other picture, and one thin line of status below.

Two `gr.HTML` components without Python logic of their own: `Compare` shows pictures and
status, `Notes` what a person should know and what went wrong. The browser's half is
`web/compare.js` and `web/notes.js`.

Events of a `Compare`: ``render_now``, ``cancel_now``, ``keep_now``, and ``look_now`` {turn} of a page
that has heard nothing of a render for a while.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gradio.data_classes import FileData, GradioModel

from .component import ModelComponent, WebComponent
from .text import painter_texts, region_names
from .text import texts as _texts

PICTURES = ("result", "baseline", "content", "style", "previous", "kept")


class CompareModel(GradioModel):
    """Pictures of the view. w, h: the content's size, which gives the box its shape.

    alt: what the result shows, as {key, args} of a text; preview: it is a quarter-size one. turn: of the `View`.
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
    turn: int = 0


class Compare(ModelComponent):
    """`value`: pictures. `status`: {state, key, args, fraction, busy, turn}: what the line below says."""

    sheet, root, data_model = "compare", "cv-root", CompareModel
    shared = ("element.js",)

    def postprocess(self, value: Any) -> Any:
        """A dict of `CompareModel`'s fields; pictures as path, FileData or None."""
        if isinstance(value, Mapping):
            value = {k: FileData(path=str(v)) if k in PICTURES and isinstance(v, (str, Path)) else v for k, v in value.items()}
        return super().postprocess(value)


class Notes(WebComponent):
    """`items`: {error: {what, kept, do, reference} | None, notes: [{key, args}], turn}; nothing is shown where both are empty."""

    sheet, root = "notes", "nt-root"
    shared = ("element.js", "names.js")


def compare_texts(lang: str) -> dict[str, str]:
    """The compare view's words: its own, the states of a render, and the names of methods."""
    return _texts(lang, "compare.", "status.", "method.")


def notes_texts(lang: str) -> dict[str, str]:
    """The words of notes and errors."""
    of_regions = {key: painter_texts(lang)[key] for key in ("region_n", "rest")}
    return {**_texts(lang, "note.", "error."), **of_regions, **region_names(lang)}
