"""The PNG is its recipe: every setting of a render, embedded in its picture and read back.

Reading treats the text as hostile: bounded size, bounded inflation, checked types, clamped
ranges. Pictures are named by hash only; no file names and no EXIF travel.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from PIL import Image

from scsa_core.errors import LabelError, RecipeError
from scsa_core.images import encode_png, open_image
from scsa_core.knobs import ALL_METHODS, Knobs, Method
from scsa_core.labels import LabelMap, Region, default_region
from scsa_core.pairing import Pairing
from scsa_core.request import RenderRequest, RenderResult

KEY = "scsa"
SCHEMA = 1
MAX_READ = 512 * 1024
MAX_WRITE = 200 * 1024
MAX_SIDE = 1024
_HEX = re.compile(r"[0-9a-f]{1,64}")
_NAME = re.compile(r"[a-z0-9_-]{1,32}")


@dataclass(frozen=True)
class Recipe:
    """What made a picture. size: (width, height) of the result. maps_left_out: they were too large to embed."""

    app_version: str
    backbone: str
    weights: str
    method: Method
    knobs: Knobs
    size: tuple[int, int]
    content_map: LabelMap | None = None
    style_map: LabelMap | None = None
    links: Mapping[int, tuple[int, ...]] | None = None
    content_sha256: str = ""
    style_sha256: str = ""
    seconds: float = 0.0
    warnings: tuple[str, ...] = ()
    maps_left_out: bool = False

    @classmethod
    def asked(cls, request: RenderRequest, app_version: str, size: tuple[int, int]) -> Recipe:
        """What makes a picture of `size`, as far as the request knows: without weights, hashes, time and warnings."""
        assert request.knobs is not None
        return cls(
            app_version=app_version,
            backbone=request.backbone,
            weights="",
            method=request.method,
            knobs=request.knobs,
            size=size,
            content_map=request.content_map,
            style_map=request.style_map,
            links=request.links,
        )

    @classmethod
    def of(
        cls, result: RenderResult, app_version: str, warnings: tuple[str, ...] | None = None, hashes: tuple[str, str] | None = None
    ) -> Recipe:
        """What made a result. warnings: its own notes where absent. hashes: of content and style, where they are known already."""
        request = result.request
        content_sha256, style_sha256 = hashes or (picture_sha256(request.content), picture_sha256(request.style))
        return replace(
            cls.asked(request, app_version, result.image.size),
            weights=result.weights,
            content_sha256=content_sha256,
            style_sha256=style_sha256,
            seconds=result.timings.get("total", 0.0),
            warnings=tuple(note.text for note in result.notes) if warnings is None else warnings,
        )

    def request(self, content: Image.Image, style: Image.Image) -> RenderRequest:
        """What to ask of the engine for the same picture, given its two pictures."""
        return RenderRequest(content, style, self.content_map, self.style_map, self.links, self.backbone, self.method, self.knobs)

    def to_text(self, limit: int = MAX_WRITE) -> str:
        """JSON of at most `limit` characters; larger maps are left out and said to be."""
        value: dict[str, Any] = {
            "schema": SCHEMA,
            "app_version": self.app_version,
            "backbone": self.backbone,
            "weights": self.weights,
            "method": self.method,
            "knobs": self.knobs.as_dict(),
            "size": list(self.size),
            "links": None if self.links is None else {str(k): list(v) for k, v in self.links.items()},
            "content_sha256": self.content_sha256,
            "style_sha256": self.style_sha256,
            "seconds": round(self.seconds, 3),
            "warnings": [w[:500] for w in self.warnings[:50]],
        }
        maps = {which: _pack(m) for which, m in (("content_map", self.content_map), ("style_map", self.style_map)) if m}
        text = json.dumps(value | maps)
        return text if len(text) <= limit else json.dumps(value | {"maps_left_out": True})

    @classmethod
    def from_text(cls, text: str) -> Recipe:
        """Raises RecipeError for text that is not a recipe; clamps and drops what is out of range."""
        if len(text) > MAX_READ:
            raise RecipeError("the embedded settings are too large")
        try:
            value = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise RecipeError("the embedded settings are not JSON") from error
        if not isinstance(value, dict) or value.get("schema") != SCHEMA:
            raise RecipeError("the embedded settings are of another version", hint="Load the pictures and set the knobs by hand.")
        method = value.get("method")
        if method not in ALL_METHODS:
            raise RecipeError("the embedded settings name no known method")
        size = value.get("size")
        if not (isinstance(size, list) and len(size) == 2 and all(type(s) is int and 0 < s <= 16384 for s in size)):
            raise RecipeError("the embedded settings have no size")
        knobs = value.get("knobs")
        try:
            links = None if value.get("links") is None else Pairing.from_object(value["links"]).links
            maps = [None if value.get(k) is None else _unpack(value[k]) for k in ("content_map", "style_map")]
        except LabelError as error:
            raise RecipeError(f"the embedded maps cannot be used: {error}") from error
        seconds = value.get("seconds")
        warnings = value.get("warnings")
        return cls(
            app_version=_clean(value.get("app_version"), 20),
            backbone=_matched(value.get("backbone"), _NAME, "lite"),
            weights=_matched(value.get("weights"), _HEX),
            method=method,
            knobs=Knobs.clamped(knobs if isinstance(knobs, dict) else {}),
            size=(size[0], size[1]),
            content_map=maps[0],
            style_map=maps[1],
            links=links,
            content_sha256=_matched(value.get("content_sha256"), _HEX),
            style_sha256=_matched(value.get("style_sha256"), _HEX),
            seconds=float(seconds) if isinstance(seconds, (int, float)) and 0 <= seconds < 1e6 else 0.0,
            warnings=tuple(_clean(w, 500) for w in warnings[:50]) if isinstance(warnings, list) else (),
            maps_left_out=value.get("maps_left_out") is True,
        )


def picture_sha256(picture: Image.Image) -> str:
    """Hash of a picture's pixels and size, for recognising it again."""
    return hashlib.sha256(f"{picture.mode}{picture.size}".encode() + picture.tobytes()).hexdigest()


def embed(image: Image.Image, recipe: Recipe) -> bytes:
    """A PNG that carries its recipe."""
    return encode_png(image, {KEY: recipe.to_text()})


def extract(source: Any) -> Recipe | None:
    """The recipe of a PNG, or None where it has none. Raises RecipeError, UnreadableImage."""
    im = source if isinstance(source, Image.Image) else open_image(source)
    text = getattr(im, "text", {}).get(KEY)
    return None if text is None else Recipe.from_text(str(text))


def _pack(m: LabelMap) -> dict[str, Any]:
    if max(m.size) > MAX_SIDE:
        k = MAX_SIDE / max(m.size)
        m = m.resized((max(1, round(m.size[0] * k)), max(1, round(m.size[1] * k))))
    return {
        "size": list(m.size),
        "ids": base64.b64encode(zlib.compress(m.ids.tobytes(), 9)).decode(),
        "regions": [[r.id, r.name, r.colour] for r in m.regions],
    }


def _unpack(value: Any) -> LabelMap:
    try:
        width, height = value["size"]
        packed, listed = value["ids"], value["regions"]
    except (TypeError, KeyError, ValueError) as error:
        raise LabelError("a map is incomplete") from error
    ids = inflate_ids(packed, width, height)
    if not isinstance(listed, list) or len(listed) > 256:
        raise LabelError("the regions are not a list")
    regions = []
    for entry in listed:
        if not (isinstance(entry, list) and len(entry) == 3 and type(entry[0]) is int and 0 <= entry[0] <= 255):
            raise LabelError("a region is not [id, name, colour]")
        fallback = default_region(entry[0])
        name = _clean(entry[1], 40) or fallback.name
        colour = _matched(entry[2], re.compile(r"#[0-9a-f]{6}"), fallback.colour)
        regions.append(Region(entry[0], name, colour))
    return LabelMap.from_ids(ids, regions)


def inflate_ids(packed: object, width: object, height: object, max_side: int = MAX_SIDE) -> np.ndarray:
    """base64(zlib(ids)) -> (height, width) uint8; never inflates more than the picture holds. Raises LabelError."""
    if not (type(width) is int and type(height) is int and 0 < width <= max_side and 0 < height <= max_side):
        raise LabelError(f"a map's sides lie between 1 and {max_side}")
    if not isinstance(packed, str) or len(packed) > 4 * max_side * max_side:
        raise LabelError("a map is not text")
    try:
        inflater = zlib.decompressobj()
        data = inflater.decompress(base64.b64decode(packed, validate=True), width * height + 1)
    except (ValueError, zlib.error) as error:
        raise LabelError("a map is damaged") from error
    if len(data) != width * height:
        raise LabelError("a map does not have its own size")
    return np.frombuffer(data, dtype=np.uint8).reshape(height, width).copy()


def _clean(value: object, length: int) -> str:
    """Printable text of at most `length` characters; anything else is empty."""
    return "".join(c for c in value if c.isprintable())[:length] if isinstance(value, str) else ""


def _matched(value: object, pattern: re.Pattern[str], fallback: str = "") -> str:
    return value if isinstance(value, str) and pattern.fullmatch(value) else fallback
