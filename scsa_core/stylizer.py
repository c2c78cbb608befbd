"""The library's front door: one call from two pictures to a third."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from scsa_core.engine import Engine, RenderRequest
from scsa_core.images import load_image, open_image
from scsa_core.knobs import Method
from scsa_core.labels import LabelMap, read_maps

Picture = str | Path | Image.Image


@dataclass(frozen=True)
class Stylized:
    """image: RGB. timings: seconds by stage with "total". warnings: sentences for a person."""

    image: Image.Image
    timings: dict[str, float]
    warnings: list[str]


def _colour_picture(m: Picture | LabelMap) -> Image.Image:
    """A colour map as it is in its file; alpha is dropped, as the reference does."""
    if isinstance(m, LabelMap):
        return m.to_colour_image()
    return (m if isinstance(m, Image.Image) else open_image(m)).convert("RGB")


class Stylizer:
    """A family ready to paint.

    >>> stylizer = Stylizer.from_pretrained("lite")  # doctest: +SKIP
    >>> stylizer("photo.jpg", "painting.jpg", "photo_map.png", "painting_map.png").image.save("out.png")  # doctest: +SKIP
    """

    def __init__(self, engine: Engine, backbone: str) -> None:
        self.engine, self.backbone = engine, backbone

    @classmethod
    def from_pretrained(cls, name: str, device: str = "auto") -> Stylizer:
        """Load a family ("lite", "sanet") on "auto", "cpu" or "cuda". Raises KnobError, CheckpointError."""
        engine = Engine(device)
        engine.load(name)
        return cls(engine, name)

    def __call__(
        self,
        content: Picture,
        style: Picture,
        content_map: Picture | LabelMap | None = None,
        style_map: Picture | LabelMap | None = None,
        *,
        method: Method | None = None,
        alpha1: float | None = None,
        alpha2: float | None = None,
        size: int = 512,
        links: Mapping[int, tuple[int, ...]] | None = None,
        reference: bool = False,
    ) -> Stylized:
        """Paint `content` like `style`, region by region.

        Maps: colour-coded pictures (the same colour in both is the same region), integer
        PNGs, or LabelMaps; both or none. method, alpha1, alpha2: None takes the family's defaults.
        size: long side of the result in pixels. Raises ImageError, LabelError, KnobError,
        OutOfMemory.
        """
        if isinstance(content_map, LabelMap) or isinstance(style_map, LabelMap):
            maps = tuple(m if isinstance(m, LabelMap) or m is None else read_maps(m, None)[0] for m in (content_map, style_map))
        else:
            maps = read_maps(content_map, style_map)
        pictures = None
        if reference and content_map is not None and style_map is not None:
            pictures = tuple(_colour_picture(m) for m in (content_map, style_map))
        request = RenderRequest(
            content=load_image(content),
            style=load_image(style),
            content_map=maps[0],
            style_map=maps[1],
            links=links,
            backbone=self.backbone,
            method=method or self.engine.info(self.backbone).capabilities.methods[0],
            knobs=self.engine.defaults(self.backbone).replace(alpha1=alpha1, alpha2=alpha2, size=size),
            reference=reference,
            map_pictures=pictures,  # type: ignore[arg-type]
        )
        result = self.engine.render(request)
        return Stylized(result.image, result.timings, [note.text for note in result.notes])
