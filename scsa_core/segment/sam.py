"""Segment Anything (Kirillov et al. 2023): automatic masks, clicks and boxes.

A picture is embedded once; every further mask of it costs the small decoder only.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from scsa_core import checkpoints
from scsa_core.errors import KnobError, LabelError
from scsa_core.labels import LabelMap
from scsa_core.pairing import Pairing
from scsa_core.segment import features, match
from scsa_core.segment.partition import Masks, ScoredMask, partition

Step = Callable[[str, float], None]

FILES = {"vit_b": "sam_vit_b_01ec64.pth", "vit_l": "sam_vit_l_0b3195.pth", "vit_h": "sam_vit_h_4b8939.pth"}
MOST_REGIONS = 12  # automatic maps keep at most this many regions a picture
MODES = ("add", "cut")
_SIDE = 1024  # pictures are embedded, and masks made, at most at this size
_BATCH = 64
_KEPT = 4  # embeddings held, about 4 MB each


@dataclass(frozen=True)
class Click:
    """A point in pixels of the picture; positive: inside what is meant, else outside."""

    x: float
    y: float
    positive: bool = True


class Segmenter:
    """One SAM with the embeddings of the pictures seen last. The model may be any of the segment_anything interface."""

    def __init__(self, model: Any, device: str = "cpu") -> None:
        self._model = model.to(device).eval()
        self._predictors: OrderedDict[str, Any] = OrderedDict()

    def predictor(self, picture: Image.Image) -> Any:
        """A predictor that holds the picture's embedding, computed at the first call."""
        from segment_anything import SamPredictor

        array = _working(picture)
        key = hashlib.blake2b(array.tobytes() + repr(array.shape).encode(), digest_size=16).hexdigest()
        if key not in self._predictors:
            predictor = SamPredictor(self._model)
            with torch.inference_mode():
                predictor.set_image(array)
            self._predictors[key] = predictor
        self._predictors.move_to_end(key)
        while len(self._predictors) > _KEPT:
            self._predictors.popitem(last=False)
        return self._predictors[key]

    def masks(self, picture: Image.Image, step: Callable[[float], None], points_per_side: int = 24) -> list[ScoredMask]:
        """Masks of a grid of points at the working size, each kept if confident, stable and not yet there.

        step: called with 0..1 between batches; may raise to stop.
        """
        step(0.0)
        predictor = self.predictor(picture)
        height, width = predictor.original_size
        centres = (np.arange(points_per_side) + 0.5) / points_per_side
        grid = np.stack(np.meshgrid(centres * width, centres * height), -1).reshape(-1, 1, 2)
        found: list[ScoredMask] = []
        for start in range(0, len(grid), _BATCH):
            step(0.5 + 0.5 * start / len(grid))
            points = predictor.transform.apply_coords(grid[start : start + _BATCH], (height, width))
            coordinates = torch.as_tensor(points, dtype=torch.float32, device=predictor.device)
            inside = torch.ones(coordinates.shape[:2], dtype=torch.int, device=predictor.device)
            with torch.inference_mode():
                logits, quality, _ = predictor.predict_torch(coordinates, inside, multimask_output=True, return_logits=True)
            found += _confident(logits.flatten(0, 1), quality.flatten(), predictor.model.mask_threshold)
        return _distinct(found)

    def select(self, picture: Image.Image, clicks: Sequence[Click] = (), box: tuple[float, float, float, float] | None = None) -> Masks:
        """(H, W) bool at the picture's size: what the clicks and the box (left, top, right, bottom, in pixels) mean.

        Raises LabelError where neither is given.
        """
        if not clicks and box is None:
            raise LabelError("a selection needs a click or a box")
        predictor = self.predictor(picture)
        height, width = predictor.original_size
        scale = np.array([width / picture.width, height / picture.height])
        points = np.array([[c.x, c.y] for c in clicks]) * scale if clicks else None
        inside = np.array([int(c.positive) for c in clicks]) if clicks else None
        corners = None if box is None else np.array(box) * np.tile(scale, 2)
        alone = len(clicks) + (box is not None) == 1  # a lone click is ambiguous: take the best of three readings
        with torch.inference_mode():
            masks, quality, _ = predictor.predict(points, inside, box=corners, multimask_output=alone and box is None)
        best = np.asarray(masks[int(np.argmax(quality))], dtype=np.uint8)
        return np.asarray(Image.fromarray(best).resize(picture.size, Image.Resampling.NEAREST)) > 0


def apply_mask(label_map: LabelMap, mask: Masks, region_id: int, mode: str = "add", rest: int = 0) -> LabelMap:
    """add: the mask becomes part of the region; cut: the region's pixels under it become `rest`. Raises LabelError."""
    if mask.shape != label_map.ids.shape:
        raise LabelError("the mask and the map differ in size")
    if mode not in MODES:
        raise LabelError(f"mode must be one of {', '.join(MODES)}, not {mode!r}")
    ids = label_map.ids.copy()
    ids[mask if mode == "add" else mask & (ids == region_id)] = region_id if mode == "add" else rest
    return LabelMap.from_ids(ids, label_map.regions)


@lru_cache(maxsize=1)
def load(name: str = "vit_b", device: str = "cpu") -> Segmenter:
    """SAM from its published file under `sam`. Raises KnobError, CheckpointError."""
    if name not in FILES:
        raise KnobError(f"sam_model must be one of {', '.join(FILES)}, not {name!r}", knob="sam_model")
    tensors = checkpoints.read_tensors(checkpoints.find("sam", FILES[name]))
    from segment_anything import sam_model_registry

    model = sam_model_registry[name](checkpoint=None)
    checkpoints.load_into(model, tensors, f"Segment Anything {name}")
    return Segmenter(model, device)


def label(segmenter: Segmenter, picture: Image.Image, regions: int | None, step: Callable[[float], None]) -> LabelMap:
    """A full partition of one picture at its own size, ids from 1 by size."""
    masks = segmenter.masks(picture, step)
    labels = partition(masks, _working(picture), regions or MOST_REGIONS) + 1
    return LabelMap.from_ids(np.asarray(Image.fromarray(labels.astype(np.uint8)).resize(picture.size, Image.Resampling.NEAREST)))


def segment_both(
    segmenter: Segmenter, content: Image.Image, style: Image.Image, regions: int | None, step: Step
) -> tuple[LabelMap, LabelMap, Pairing]:
    """Both pictures, matched into one set of ids. regions: the most for each picture, 1..32. Raises KnobError."""
    if regions is not None and not 1 <= regions <= 32:
        raise KnobError(f"regions must lie between 1 and 32, not {regions}", knob="regions")
    maps = [
        label(segmenter, picture, regions, lambda f, k=k: step(("encode_content", "encode_style")[k], 0.45 * (k + f)))  # type: ignore[misc]
        for k, picture in enumerate((content, style))
    ]
    step("match", 0.9)
    found = match.compare_regions(features.describe(content), features.describe(style), maps[0], maps[1])
    return share_ids(maps[0], maps[1], found.pairing)


def share_ids(content: LabelMap, style: LabelMap, links: Pairing) -> tuple[LabelMap, LabelMap, Pairing]:
    """Renumber the style so that linked regions share an id, and the links with it.

    A style region takes the id of the first content region that ranks it best; the
    others get free ids.
    """
    taken: dict[int, int] = {}
    for rank in range(max((len(v) for v in links.links.values()), default=0)):
        for k in content.region_ids:
            sources = links.sources(k)
            if rank < len(sources) and sources[rank] not in taken and k not in taken.values():
                taken[sources[rank]] = k
    free = (k for k in range(1, 256) if k not in content.region_ids)
    table = np.zeros(256, dtype=np.uint8)
    for s in style.region_ids:
        table[s] = taken[s] if s in taken else next(free)
    shared = {k: tuple(int(table[s]) for s in links.sources(k)) for k in content.region_ids}
    return content, LabelMap.from_ids(table[style.ids]), Pairing(shared)


def _working(picture: Image.Image) -> NDArray[np.uint8]:
    scale = min(1.0, _SIDE / max(picture.size))
    size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    return np.asarray(picture.convert("RGB").resize(size, Image.Resampling.LANCZOS))


def _confident(logits: torch.Tensor, quality: torch.Tensor, threshold: float, least: float = 0.86, stable: float = 0.9) -> list[ScoredMask]:
    """Masks whose predicted IoU and stability (IoU between a higher and a lower threshold) are high enough."""
    wide = (logits > threshold - 1).flatten(1).sum(1)
    narrow = (logits > threshold + 1).flatten(1).sum(1)
    keep = (quality >= least) & (narrow >= stable * wide) & (narrow > 0)
    return [ScoredMask((m > threshold).cpu().numpy(), float(q)) for m, q in zip(logits[keep], quality[keep], strict=True)]


def _distinct(masks: list[ScoredMask], most_overlap: float = 0.7) -> list[ScoredMask]:
    """Without those that overlap a better one by more than an IoU of `most_overlap`."""
    kept: list[ScoredMask] = []
    for m in sorted(masks, key=lambda m: -m.quality):
        area = m.mask.sum()
        if all((both := (m.mask & k.mask).sum()) <= most_overlap * (area + k.mask.sum() - both) for k in kept):
            kept.append(m)
    return kept
