"""What is asked of the engine and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from PIL import Image

from scsa_core.knobs import Knobs, Method
from scsa_core.labels import LabelMap
from scsa_core.notes import Note


@dataclass(frozen=True)
class RenderRequest:
    """One render. Pictures RGB; maps may be absent: then each picture is one region.

    knobs: None takes the family's defaults. reference: the reference implementation's own
    preprocessing (512x512 squash, its label rule, its fallback), which needs `map_pictures`,
    the colour maps as they are in their files. links: see `Pairing`. draft: for a look in
    passing, as a preview is: a family may leave out what costs much and is little seen.
    """

    content: Image.Image
    style: Image.Image
    content_map: LabelMap | None = None
    style_map: LabelMap | None = None
    links: Mapping[int, tuple[int, ...]] | None = None
    backbone: str = "lite"
    method: Method = "scsa"
    knobs: Knobs | None = None
    reference: bool = False
    map_pictures: tuple[Image.Image, Image.Image] | None = None
    draft: bool = False


@dataclass(frozen=True)
class RenderResult:
    """image: at the asked size. timings: seconds by stage, "total" included; a cached stage costs 0.

    request: with knobs filled in. peak_bytes: the process's peak resident memory. weights:
    hash of the model's files.
    """

    image: Image.Image
    timings: dict[str, float]
    notes: tuple[Note, ...]
    request: RenderRequest
    peak_bytes: int
    weights: str
