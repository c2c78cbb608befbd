"""What a request comes to before anything is computed: the sizes it works at and the cache key of every stage."""

from __future__ import annotations

from dataclasses import dataclass, replace

from PIL import Image

from scsa_core import images
from scsa_core.backbones.base import Capabilities, preparation_of
from scsa_core.cache import digest
from scsa_core.knobs import Knobs
from scsa_core.pairing import Pairing
from scsa_core.request import RenderRequest

REFERENCE_SIZE = 512
Size = tuple[int, int]
"""(width, height) in pixels."""

_ELSEWHERE = {"size", "stroke_size", "soft_borders", "keep_colours"}  # knobs that are in another stage's key, or act after painting


@dataclass(frozen=True)
class Plan:
    """Sizes of one render, as painted and padded to the family's multiple, and what the family can do.

    full_size: of the picture that comes out; larger than `content_size` where the family's attention does not reach that far.
    """

    content_size: Size
    content_padded: Size
    style_size: Size
    style_padded: Size
    full_size: Size
    capabilities: Capabilities

    @classmethod
    def of(cls, request: RenderRequest, capabilities: Capabilities) -> Plan:
        assert request.knobs is not None
        if request.reference:
            square = (REFERENCE_SIZE, REFERENCE_SIZE)
            return cls(square, square, square, square, square, capabilities)
        side = attended(request.knobs.size, capabilities)
        content, style, full = (
            images.working_size(picture.size, side, capabilities.multiple_of, capabilities.minimum)
            for picture, side in (
                (request.content, side), (request.style, _style_side(side, request.knobs)), (request.content, request.knobs.size),
            )
        )  # fmt: skip
        return cls(*content, *style, full[0], capabilities)

    def enlarged(self) -> Plan:
        """The sizes after painting: this plan itself where what is painted comes out as it is."""
        return self if self.full_size == self.content_size else replace(self, content_size=self.full_size, content_padded=self.full_size)

    def sizes(self, which: str) -> tuple[Size, Size]:
        """(as asked, padded) of the content or the style."""
        return (self.content_size, self.content_padded) if which == "content" else (self.style_size, self.style_padded)


def stage_keys(request: RenderRequest, plan: Plan, weights: str) -> dict[str, str]:
    """The cache key of every stage: hashes of everything that goes into it."""
    knobs = request.knobs
    assert knobs is not None
    sampling = ("bilinear" if request.reference else "lanczos", *encoding(knobs, plan.capabilities).items())
    content = digest("encode", weights, picture_digest(request.content), plan.content_size, plan.content_padded, sampling)
    style = digest("encode", weights, picture_digest(request.style), plan.style_size, plan.style_padded, sampling)
    maps: tuple[object, ...] = ()
    if request.method != "baseline":
        maps = tuple(
            (m.digest() if m is not None else None, size, padded)
            for m, size, padded in (
                (request.content_map, plan.content_size, plan.content_padded),
                (request.style_map, plan.style_size, plan.style_padded),
            )
        )
        if request.reference and request.map_pictures is not None:
            maps += tuple(picture_digest(m) for m in request.map_pictures)
    links = tuple(sorted((k, tuple(v)) for k, v in Pairing(request.links or {}).painted().links.items())) if maps else ()
    match = digest(
        "match", content, style, maps, links, preparation_of(request.method), knobs.soft_borders if maps else 0.0,
        request.reference, request.draft,
    )  # fmt: skip
    acting = set(plan.capabilities.acting(request.method)) - _ELSEWHERE - set(plan.capabilities.encode_knobs)
    turned = tuple((name, getattr(knobs, name)) for name in sorted(acting))
    return {
        "encode_content": digest(content, "content"),
        "encode_style": digest(style, "style"),
        "match": match,
        "paint": digest("paint", match, request.method, turned),
    }


def encoding(knobs: Knobs, capabilities: Capabilities) -> dict[str, float]:
    """The knobs that encoding a picture depends on, by name."""
    return {name: getattr(knobs, name) for name in capabilities.encode_knobs}


def picture_digest(picture: Image.Image) -> str:
    return digest(picture.mode, picture.size, picture.tobytes())


def megapixels(size: Size) -> float:
    return size[0] * size[1] / 1e6


def attended(size: int, capabilities: Capabilities) -> int:
    """Long side, in pixels, that is painted where `size` is asked for."""
    return min(size, capabilities.attends or size)


def _style_side(side: int, knobs: Knobs) -> int:
    """Long side of the style: larger than the content's for larger strokes."""
    return min(2048, max(64, round(side * knobs.stroke_size)))
