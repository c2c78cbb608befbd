"""Every visible word, in English and Chinese, and the switch between them.

A message travels as a `Said` (key and values) and becomes a sentence where it is shown, so
that a change of language reaches what is already on the page.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

from scsa_core import errors
from scsa_core.files import is_full
from scsa_core.memory import ran_out

from .painter_text import TEXT_KEYS
from .text_painter_zh import PAINTER_ZH
from .words import TEXT
from .words_examples import REGION_ZH

Lang = Literal["en", "zh"]
LANGUAGES: tuple[Lang, ...] = ("en", "zh")


@dataclass(frozen=True)
class Said:
    """A sentence to be: `key` of a text, and the values for its braces."""

    key: str
    args: Mapping[str, Any] = field(default_factory=dict)

    def in_(self, lang: str) -> str:
        return t(self.key, lang, **self.args)

    def to_dict(self) -> dict[str, Any]:
        return {"key": self.key, "args": dict(self.args)}


@dataclass(frozen=True)
class ErrorWords:
    """What happened, what is kept, what to do. reference: small print that finds the log line."""

    what: Said
    do: Said
    kept: Said = Said("error.kept")
    reference: str = ""

    def line(self, lang: str) -> str:
        """What happened, what to do, and the reference, where there is room for one text only."""
        mark = [Said("note.reference_short", {"id": self.reference}).in_(lang)] if self.reference else []
        return " ".join([self.what.in_(lang), self.do.in_(lang), *mark])

    def to_dict(self) -> dict[str, Any]:
        parts = {"what": self.what.to_dict(), "kept": self.kept.to_dict(), "do": self.do.to_dict()}
        return {**parts, "reference": self.reference}


def language(code: str | None) -> Lang:
    """"zh" for any Chinese, else "en"."""
    return "zh" if (code or "").lower().startswith("zh") else "en"


def t(key: str, lang: str = "en", /, **values: Any) -> str:
    """The text of a key. Raises KeyError for an unknown key; braces without a value stay."""
    text = TEXT[key][language(lang) == "zh"]
    for name, value in values.items():
        text = text.replace("{" + name + "}", str(value))
    return text


def texts(lang: str, *prefixes: str) -> dict[str, str]:
    """Key -> text of every key that begins with one of the prefixes, for a component's JavaScript."""
    return {key: t(key, lang) for key in TEXT if key.startswith(prefixes)}


def painter_texts(lang: str) -> dict[str, str]:
    """The painter's words."""
    return {**TEXT_KEYS, **(PAINTER_ZH if language(lang) == "zh" else {}), **region_names(lang)}


def region_names(lang: str) -> dict[str, str]:
    """What a script calls the regions of examples in another language than their own: "name.Sky" -> words."""
    return {f"name.{name}": words for name, words in REGION_ZH.items()} if language(lang) == "zh" else {}


def packed(texts: Mapping[str, str] | str) -> str:
    """A component's words as they travel to it: `web/texts.js`. Those that are packed stay as they are."""
    return texts if isinstance(texts, str) else json.dumps(dict(texts), ensure_ascii=False)


class Words:
    """Which property of which component holds which text; one call gives the updates of all."""

    def __init__(self) -> None:
        self._made: dict[Any, dict[str, Callable[[str], Any]]] = {}

    def add(self, component: Any, **properties: str | Callable[[str], Any]) -> Any:
        """Register `component`; a string is a key, a function takes the language. Returns the component."""
        makers = self._made.setdefault(component, {})
        for name, source in properties.items():
            makers[name] = partial(t, source) if isinstance(source, str) else source
        return component

    @property
    def components(self) -> list[Any]:
        return list(self._made)

    def updates(self, lang: str) -> list[dict[str, Any]]:
        """Property -> value for each of `components`, in order."""
        found = [{name: make(lang) for name, make in makers.items()} for makers in self._made.values()]
        return [{name: packed(value) if name == "texts" else value for name, value in each.items()} for each in found]


def error_words(error: BaseException, *, reference: str = "", **context: Any) -> ErrorWords:
    """Words for any error. context: "model" (title), "size" (pixels), "limit" (megapixels), "form" (True: of a form without a reset)."""
    what, do = _describe(error, context)
    return ErrorWords(what, do, reference=reference)


def _describe(error: BaseException, context: Mapping[str, Any]) -> tuple[Said, Said]:
    use_other, detail = Said("error.do.use_other_file"), {"detail": str(error)}
    model = {"model": context.get("model", "")}
    match error:
        case errors.UnreadableImage(looks_like=str(kind)) if kind:
            known = f"error.looks_like.{kind}"
            return Said(known) if known in TEXT else Said("error.unreadable_like", {"kind": kind}), use_other
        case errors.UnreadableImage():
            return Said("error.unreadable"), use_other
        case errors.ImageSizeError(size=(0, 0)):
            return Said("error.far_too_large", {"limit": context.get("limit", 50)}), Said("error.do.smaller")
        case errors.ImageSizeError(size=(int(w), int(h))):
            if min(w, h) < 64:
                return Said("error.too_small", {"w": w, "h": h}), Said("error.do.larger")
            return Said("error.too_large", {"w": w, "h": h, "limit": context.get("limit", 50)}), Said("error.do.smaller")
        case errors.LabelError():
            return Said("error.map", detail), Said("error.do.map")
        case errors.KnobError():
            return Said("error.knob", detail), Said("error.do.correct" if context.get("form") else "error.do.reset")
        case errors.CheckpointMissing():
            return Said("error.weights_missing", model), Said("error.do.fetch")
        case errors.CheckpointError():
            return Said("error.weights_bad", {**model, **detail}), Said("error.do.lite")
        case errors.MissingPackage(package=package):
            return Said("error.package", {**model, "package": package}), Said("error.do.install", {"package": package})
        case errors.RecipeError():
            return Said("error.recipe", detail), Said("error.do.by_hand")
        case errors.TooMany(seconds=seconds):
            return Said("error.too_many"), Said("error.do.wait", {"minutes": max(1, round(seconds / 60))})
        case errors.RequestError():
            return Said("error.request"), Said("error.do.reload")
        case errors.StudyError(reason=str(reason), values=values) if reason:
            return Said(f"study.fault.{reason}", values), Said(f"study.fault.{reason}.do", values)
        case errors.StudyError():
            return Said("error.study", detail), Said("error.do.only_hint", {"hint": error.hint})
        case errors.NoGpu():
            return Said("error.no_gpu", detail), Said("error.do.no_gpu")
        case errors.OutOfMemory():
            return _memory(context)
        case _ if ran_out(error):
            return _memory(context)
        case _ if is_full(error):
            return Said("error.disk_full"), Said("error.do.host")
    return Said("error.unexpected"), Said("error.do.again")


def _memory(context: Mapping[str, Any]) -> tuple[Said, Said]:
    size = context.get("size", "")
    return Said("error.memory", {"size": size}) if size else Said("error.memory_any"), Said("error.do.smaller_size")
