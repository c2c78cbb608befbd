"""Label maps of both pictures in one step: Segment Anything or the built-in segmenter, and matching regions.

`import scsa_core.segment` loads neither a model nor segment_anything.
"""

from __future__ import annotations

from PIL import Image

from scsa_core.errors import KnobError
from scsa_core.labels import LabelMap
from scsa_core.pairing import Pairing
from scsa_core.progress import CancelToken, Progress, ProgressCallback
from scsa_core.segment import builtin
from scsa_core.segment.match import RegionMatch, compare_regions, match_regions

METHODS = ("builtin", "sam")


def segment_pair(
    content: Image.Image,
    style: Image.Image,
    method: str = "builtin",
    regions: int | None = None,
    *,
    progress: ProgressCallback | None = None,
    cancel: CancelToken | None = None,
    device: str = "cpu",
    sam_model: str = "vit_b",
) -> tuple[LabelMap, LabelMap, Pairing]:
    """(content map, style map, links), maps at the pictures' own sizes with shared ids from 1.

    method: "builtin" (shipped weights) or "sam" (needs `sam_model`: vit_b, vit_l or vit_h). regions: how
    many (1..32); None: the method's own choice. progress and cancel are consulted between
    steps. Raises KnobError, CheckpointError, Cancelled.
    """

    def step(stage: str, fraction: float) -> None:
        if cancel is not None:
            cancel.checkpoint()
        if progress is not None:
            progress(Progress(stage, fraction))

    if method not in METHODS:
        raise KnobError(f"method must be one of {', '.join(METHODS)}, not {method!r}", knob="method")
    content, style = content.convert("RGB"), style.convert("RGB")
    if method == "sam":
        from scsa_core.segment import sam

        content_map, style_map, pairing = sam.segment_both(sam.load(sam_model, device), content, style, regions, step)
    else:
        content_map, style_map = builtin.analyse(content, style, step).maps(regions)
        pairing = builtin.pairing(content_map, style_map)
    step("finish", 1.0)
    return content_map, style_map, pairing


__all__ = ["METHODS", "RegionMatch", "compare_regions", "match_regions", "segment_pair"]
