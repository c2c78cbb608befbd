"""Examples: folders with two pictures, their maps, settings and stored results; and the row of cards."""

from __future__ import annotations

import io
import logging
import tomllib
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, cast

from gradio.data_classes import FileData, GradioModel
from PIL import Image

from scsa_core.errors import ScsaError
from scsa_core.images import load_image
from scsa_core.knobs import ALL_METHODS, Knobs, Method
from scsa_core.labels import LabelMap, Region, default_region, read_maps

from .component import ModelComponent
from .painter import from_label_maps
from .text import language
from .words_examples import EXAMPLE_ZH

log = logging.getLogger("scsa.demo")

Publish = Callable[[bytes, str], str]
THUMBNAIL = 260


@dataclass(frozen=True)
class Example:
    """One example. Paths are of its own folder; maps carry the regions' names; knobs: those that differ from the family's."""

    name: str
    title: str
    line: str
    content: Path
    style: Path
    size: tuple[int, int]
    content_map: LabelMap
    style_map: LabelMap
    regions: tuple[Region, ...]
    links: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    knobs: Mapping[str, float] = field(default_factory=dict)
    backbone: str = "lite"
    method: Method = "scsa"
    result: Path | None = None
    baseline: Path | None = None
    order: int = 100
    step: ClassVar[str] = "load"
    """What the painter calls putting it on the desk."""

    def files(self, publish: Publish) -> dict[str, str]:
        """Content, style, and result and baseline where they are stored: paths that the browser may fetch.

        Published at every use: old files are swept away, also by another server on this machine.
        """
        found = {"content": self.content, "style": self.style, "result": self.result, "baseline": self.baseline}
        return {kind: publish(path.read_bytes(), f"{self.name}-{path.name}") for kind, path in found.items() if path}

    def painter_value(self, files: Mapping[str, str]) -> dict[str, Any]:
        """The painter with this example's pictures and maps."""
        return from_label_maps(
            files["content"], files["style"], self.content_map, self.style_map, self.regions, by=self.step, links=self.links
        )

    def words(self, lang: str) -> tuple[str, str]:
        """Title and line."""
        title, line = EXAMPLE_ZH.get(self.name, ("", "")) if language(lang) == "zh" else ("", "")
        return title or self.title, line or self.line


def load_examples(folder: Path) -> list[Example]:
    """All usable examples of a folder, by their `order` and name; a damaged one is logged and left out."""
    with ThreadPoolExecutor() as pool:
        found = pool.map(_usable, sorted(folder.glob("*/example.toml")))
    return sorted((e for e in found if e is not None), key=lambda e: (e.order, e.name))


def _usable(file: Path) -> Example | None:
    try:
        return _load(file)
    except (ScsaError, OSError, ValueError, KeyError, TypeError) as error:
        log.warning("example %s cannot be used: %s", file.parent.name, error)
        return None


def _load(file: Path) -> Example:
    record = tomllib.loads(file.read_text(encoding="utf-8"))
    here = file.parent
    maps = read_maps(here / "content_map.png", here / "style_map.png")
    names = {int(r["id"]): r for r in record.get("regions", [])}
    ids = sorted({0, *names, *(k for m in maps if m is not None for k in m.region_ids)})
    regions = tuple(_region(k, names.get(k, {}), maps) for k in ids)
    content_map, style_map = (LabelMap.from_ids(m.ids, regions) for m in maps if m is not None)

    stored = {name: here / f"{name}.png" for name in ("result", "baseline") if (here / f"{name}.png").is_file()}
    load_image(here / "style.jpg")  # refuses a damaged one now
    knobs = {k: v for k, v in record.get("knobs", {}).items() if isinstance(v, int | float)}
    Knobs().replace(**knobs)  # refuses what is out of range
    method = record.get("method", "scsa")
    return Example(
        name=here.name,
        title=str(record.get("title", here.name)),
        line=str(record.get("line", "")),
        content=here / "content.jpg",
        style=here / "style.jpg",
        size=load_image(here / "content.jpg").size,
        content_map=content_map,
        style_map=style_map,
        regions=regions,
        links={int(k): tuple(int(i) for i in v) for k, v in record.get("links", {}).items()},
        knobs=knobs,
        backbone=str(record.get("backbone", "lite")),
        method=cast(Method, method if method in ALL_METHODS else "scsa"),
        result=stored.get("result"),
        baseline=stored.get("baseline"),
        order=int(record.get("order", 100)),
    )


def _region(region_id: int, record: Mapping[str, Any], maps: tuple[LabelMap | None, LabelMap | None]) -> Region:
    known = next((r for m in maps if m is not None for r in m.regions if r.id == region_id), default_region(region_id))
    name = str(record.get("name", "") or known.name)[:40]
    return Region(region_id, name, str(record.get("colour", known.colour)).lower())


class CardModel(GradioModel):
    """One card."""

    name: str
    title: str
    line: str = ""
    content: FileData
    style: FileData
    result: FileData | None = None


class GalleryModel(GradioModel):
    """The cards of the row."""

    cards: list[CardModel] = []


class Gallery(ModelComponent):
    """A row of cards; event ``pick`` with data {name}."""

    sheet, root, data_model = "gallery", "ga-root", GalleryModel


class Cards:
    """The row's value in each language, with thumbnails made once."""

    def __init__(self, examples: list[Example], publish: Publish) -> None:
        self._examples = examples
        with ThreadPoolExecutor() as pool:
            made = [{k: pool.submit(_thumbnail, e.name, p, publish) for k, p in _pictures(e).items()} for e in examples]
        self._thumbnails = [{k: future.result() for k, future in pictures.items()} for pictures in made]

    def value(self, lang: str) -> dict[str, Any]:
        cards = []
        for example, pictures in zip(self._examples, self._thumbnails, strict=True):
            title, line = example.words(lang)
            cards.append({"name": example.name, "title": title, "line": line, **{k: FileData(path=p) for k, p in pictures.items()}})
        return {"cards": cards}


def _pictures(example: Example) -> dict[str, Path]:
    pictures = {"content": example.content, "style": example.style}
    return pictures | ({"result": example.result} if example.result else {})


def _thumbnail(name: str, path: Path, publish: Publish) -> str:
    image = Image.open(path)
    image.thumbnail((THUMBNAIL, THUMBNAIL), Image.Resampling.LANCZOS)  # before it is decoded: a JPEG gives a smaller one in less time
    out = io.BytesIO()
    image.convert("RGB").save(out, "JPEG", quality=84)
    return publish(out.getvalue(), f"{name}-{path.stem}-small.jpg")
