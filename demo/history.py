"""The history: the last results of this browser, kept by the browser itself.

Python names each full result once (`entry`); the browser fetches the files, keeps them in
IndexedDB, and brings them back as an upload when a person wants that result again: then the
component's value holds the files, checked by Gradio, and one of its events says what for.
The browser's half is `web/history.js`, the handlers are in `history_desk.py`.

Events of a `History`: ``restore_result`` and ``link_result``, each about the value's files.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gradio.data_classes import FileData, GradioModel

from scsa_core.backbones import FAMILIES
from scsa_core.errors import RequestError
from scsa_core.knobs import Knobs

from .component import ModelComponent
from .knobs import FIRST, SLIDERS, acts
from .session import Made
from .studio import described
from .text import texts

FILES = ("result", "content", "style")


class HistoryModel(GradioModel):
    """One result. mark: equal for equal results. facts: what the strip says of it. recipe: see `Made`."""

    mark: str = ""
    result: FileData | None = None
    content: FileData | None = None
    style: FileData | None = None
    facts: dict[str, Any] = {}
    recipe: str = ""


class History(ModelComponent):
    """`linked`: {mark, path, until}: the link that was made of a result."""

    sheet, root, data_model = "history", "hs-root", HistoryModel
    shared = ("element.js", "kept.js", "history_shelf.js")

    def preprocess(self, payload: Any) -> Any:
        """The value as a plain dict, or None. Files are dicts with `path`."""
        return payload.model_dump() if isinstance(payload, HistoryModel) else None


def entry(made: Made) -> dict[str, Any]:
    """A result for the browser to keep: a `HistoryModel`."""
    request, job = made.job.request, made.job
    assert request.knobs is not None
    family = FAMILIES[request.backbone].info
    usual = Knobs.for_family(family.defaults)
    turned = {
        name: getattr(request.knobs, name)
        for name in SLIDERS
        if name not in FIRST and acts(name, family.capabilities, request.method) and getattr(request.knobs, name) != getattr(usual, name)
    }
    facts = {
        "settings": described(family, request.method, request.knobs, max(made.size)).to_dict(),
        "turned": turned, "seconds": made.seconds, "content": job.content_sha256, "style": job.style_sha256,
    }  # fmt: skip
    files = {"result": made.path, "content": job.content_path, "style": job.style_path}
    return {"mark": job.mark(), "facts": facts, "recipe": made.recipe, **{name: FileData(path=path) for name, path in files.items()}}


def path_in(value: Mapping[str, Any] | None, name: str) -> str:
    """A file that the browser brought. Raises RequestError where it is not there."""
    path = ((value or {}).get(name) or {}).get("path")
    if not isinstance(path, str) or not path:
        raise RequestError(f"a kept result without its {name}")
    return path


def history_texts(lang: str) -> dict[str, str]:
    """The strip's words, with those of settings and methods."""
    return texts(lang, "history.", "method.", "knob.", "compare.alt_")
