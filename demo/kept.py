"""Kept renders: settings and small pictures behind an unguessable link, for some days and within a bounded space."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
from PIL import Image

from scsa_core import __version__
from scsa_core.clock import careful
from scsa_core.engine import RenderRequest
from scsa_core.errors import ImageError, LinkGone, RecipeError
from scsa_core.images import load_image, working_size
from scsa_core.labels import LabelMap, default_region
from scsa_core.recipe import Recipe

from .gallery import Example
from .painter import MAX_MAP_SIDE, SIDES
from .text import t

SIDE = 512
_ID = re.compile(r"[A-Za-z0-9_-]{22}")
_PICTURES = ("content", "style", "result", "baseline")


class KeptRender(Example):
    """A kept render as an example: it is put on the desk the same way."""

    step = "kept"

    @classmethod
    def of(cls, recipe: Recipe, files: Mapping[str, Path], name: str) -> Self:
        """files: content, style, result, and baseline where there is one. Raises ImageError, KeyError."""
        sizes = {side: load_image(files[side]).size for side in SIDES}
        maps = tuple(_paintable(m, sizes[side]) for m, side in zip((recipe.content_map, recipe.style_map), SIDES, strict=True))
        regions = {r.id: r for m in reversed(maps) for r in m.regions} or {0: default_region(0)}
        return cls(
            name=name, title="", line="", content=files["content"], style=files["style"], size=sizes["content"],
            content_map=maps[0], style_map=maps[1], regions=tuple(regions[k] for k in sorted(regions)), links=recipe.links or {},
            knobs=recipe.knobs.as_dict(), backbone=recipe.backbone, method=recipe.method, result=files["result"],
            baseline=files.get("baseline"),
        )  # fmt: skip

    def words(self, lang: str) -> tuple[str, str]:
        return t("link.title", lang), ""


@dataclass(frozen=True)
class Kept:
    """A kept render. expires: seconds since 1970."""

    id: str
    example: KeptRender
    expires: float


class KeptRenders:
    """The folder of kept renders. Nothing in it can be listed from outside: who knows an id opens that one."""

    def __init__(self, folder: Path, days: int, megabytes: int, clock: Callable[[], float] = time.time) -> None:
        self.folder, self._seconds, self._bytes = folder, days * 86400, int(megabytes * 1e6)
        self._clock, self._surely = clock, careful(clock)
        self._lock = threading.Lock()

    def keep(self, request: RenderRequest, result: Path, baseline: Path | None) -> tuple[str, float]:
        """Keep what made `result` and the pictures themselves, small. (id, expiry). Raises OSError, ImageError."""
        assert request.knobs is not None
        key = secrets.token_urlsafe(16)
        pictures = {"content": request.content, "style": request.style, "result": load_image(result)}
        if baseline is not None:
            pictures["baseline"] = load_image(baseline)
        size = working_size(request.content.size, request.knobs.size)[0]
        small = replace(request, content_map=_small(request.content_map), style_map=_small(request.style_map))
        recipe = Recipe.asked(small, __version__, size)
        self.folder.mkdir(parents=True, exist_ok=True)
        partial = self.folder / f".{key}"
        partial.mkdir()
        try:
            for name, image in pictures.items():
                (partial / f"{name}.jpg").write_bytes(_jpeg(image))
            record = {"schema": 1, "created": self._clock(), "recipe": recipe.to_text()}
            (partial / "record.json").write_text(json.dumps(record), encoding="utf-8")
            os.utime(partial, (self._clock(), self._clock()))  # its age counts from here
            os.replace(partial, self.folder / key)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
        self.sweep()
        return key, self._clock() + self._seconds

    def open(self, key: str) -> Kept:
        """Raises LinkGone for what is unknown, expired or damaged."""
        gone = LinkGone("this link is not kept any more", hint="Choose an example, or add two pictures of your own.")
        here = self.folder / key
        if not _ID.fullmatch(key) or not here.is_dir():
            raise gone
        try:
            record = json.loads((here / "record.json").read_text(encoding="utf-8"))
            expires = float(record["created"]) + self._seconds
            recipe = Recipe.from_text(record["recipe"])
            files = {name: here / f"{name}.jpg" for name in _PICTURES if (here / f"{name}.jpg").is_file()}
            example = KeptRender.of(recipe, files, f"kept-{key[:8]}")
        except (OSError, ValueError, KeyError, TypeError, RecipeError, ImageError) as error:
            raise gone from error
        if expires < self._surely():
            shutil.rmtree(here, ignore_errors=True)
            raise gone
        return Kept(key, example, expires)

    def sweep(self) -> None:
        """Delete what is expired, and the oldest ones beyond the space."""
        with self._lock:
            found = []
            for here in self.folder.iterdir():
                with contextlib.suppress(OSError):
                    age = here.stat().st_mtime
                    if here.name.startswith("."):
                        if age < self._surely() - 3600:
                            shutil.rmtree(here, ignore_errors=True)
                        continue
                    found.append((age, sum(f.stat().st_size for f in here.iterdir()), here))
            total = sum(size for _, size, _ in found)
            for age, size, here in sorted(found, key=lambda item: item[0]):
                if total > self._bytes or age + self._seconds < self._surely():
                    shutil.rmtree(here, ignore_errors=True)
                    total -= size


def usable(example: KeptRender, ready: set[str], methods: Callable[[str], tuple[str, ...]], sizes: tuple[int, ...]) -> KeptRender:
    """The example within what this machine can do now."""
    backbone = example.backbone if example.backbone in ready else "lite"
    method = example.method if example.method in methods(backbone) else "scsa"
    size = min(sizes, key=lambda s: abs(s - example.knobs["size"]))
    return replace(example, backbone=backbone, method=method, knobs={**example.knobs, "size": size})


def _small(found: LabelMap | None) -> LabelMap | None:
    if found is None or max(found.size) <= SIDE:
        return found
    k = SIDE / max(found.size)
    return found.resized((max(1, round(found.size[0] * k)), max(1, round(found.size[1] * k))))


def _paintable(found: LabelMap | None, picture: tuple[int, int]) -> LabelMap:
    """The map; one without a region of its own at a size that a person can paint on."""
    if found is not None and found.ids.any():
        return found
    k = min(1.0, MAX_MAP_SIDE / max(picture))
    width, height = (max(1, round(n * k)) for n in picture)
    return LabelMap.from_ids(np.zeros((height, width), np.uint8), found.regions if found else ())


def _jpeg(image: Image.Image) -> bytes:
    image = image.convert("RGB")
    image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)  # a copy: `convert` may give back the picture itself
    out = io.BytesIO()
    image.save(out, "JPEG", quality=92, subsampling=0)
    return out.getvalue()
