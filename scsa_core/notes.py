"""What a render has to tell a person about their maps. The page translates `code`; `text` is English."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Note:
    """code: "no_maps", "unmatched", "style_only", "no_shared_region", "vanishes", "no_gpu" or "enlarged".

    regions: the ids it is about. pixels: the size it is about.
    """

    code: str
    text: str
    regions: tuple[int, ...] = ()
    pixels: int = 0
