"""Segment Anything (Kirillov et al. 2023): automatic masks, clicks and boxes.

A picture is embedded once; every further mask of it costs the small decoder only.
"""

from __future__ import annotations

import hashlib
import threading
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
from scsa_core.errors import CheckpointMissing, KnobError, LabelError
from scsa_core.labels import LabelMap
from scsa_core.pairing import Pairing
from scsa_core.segment import features, match
from scsa_core.segment.numbering import by_share
from scsa_core.segment.partition import Masks, ScoredMask, partition

Step = Callable[[str, float], None]

FILES = {"vit_b": "sam_vit_b_01ec64.pth", "vit_l": "sam_vit_l_0b3195.pth", "vit_h": "sam_vit_h_4b8939.pth"}
MOST_REGIONS = 12  # automatic maps keep at most this many regions a picture
MODES = ("add", "cut")
_SIDE = 1024  # pictures are embedded, and masks made, at most at this size
_BATCH = 32
MOST_BYTES = 64_000_000
"""Embeddings held, about 4 MB each."""


@dataclass(frozen=True)
class Click:
    """A point in pixels of the picture; positive: inside what is meant, else outside."""

    x: float
    y: float
    positive: bool = True


class Segmenter:
    """One SAM with the embeddings of the pictures seen last. Safe to call from several threads: one computes at a time.

    The model may be any with segment_anything's parts (`image_encoder`, `prompt_encoder`,
    `mask_decoder`, `preprocess`, `postprocess_masks`): the lighter variants have them.
    """

    def __init__(self, model: Any, device: str = "cpu") -> None:
        self._model = model.to(device).eval()
        self._predictors: OrderedDict[str, Any] = OrderedDict()
        self._lock = threading.RLock()

    def predictor(self, picture: Image.Image, step: Callable[[float], None] | None = None, key: str | None = None) -> Any:
        """A predictor that holds the picture's embedding, computed at the first call.

        step: called with 0..1 between the encoder's blocks; may raise to stop. key: names the
        picture, where its pixels need not be hashed.
        """
        array = None
        if key is None:
            array = _working(picture)
            key = hashlib.blake2b(array.tobytes() + repr(array.shape).encode(), digest_size=16).hexdigest()
        with self._lock:
            if key not in self._predictors:
                self._predictors[key] = self._embed(_working(picture) if array is None else array, step or (lambda fraction: None))
            self._predictors.move_to_end(key)
            while len(self._predictors) > 1 and self.embedded_bytes > MOST_BYTES:
                self._predictors.popitem(last=False)
            return self._predictors[key]

    @property
    def embedded_bytes(self) -> int:
        """Of the embeddings that are held."""
        return sum(p.features.nbytes for p in self._predictors.values())

    def _embed(self, array: NDArray[np.uint8], step: Callable[[float], None]) -> Any:
        from segment_anything import SamPredictor

        predictor = SamPredictor(self._model)
        blocks = list(getattr(self._model.image_encoder, "blocks", None) or getattr(self._model.image_encoder, "layers", None) or ())
        hooks = [block.register_forward_pre_hook(lambda *_, k=k: step(k / len(blocks))) for k, block in enumerate(blocks)]
        try:
            step(0.0)
            with torch.inference_mode():
                predictor.set_image(array)
        finally:
            for hook in hooks:
                hook.remove()
        return predictor

    def masks(self, picture: Image.Image, step: Callable[[float], None], points_per_side: int = 24) -> list[ScoredMask]:
        """Masks of a grid of points at the working size, each kept if confident, stable and not yet there.

        step: called with 0..1 between blocks of the encoder and batches of points; may raise to stop.
        """
        step(0.0)
        predictor = self.predictor(picture, lambda fraction: step(0.5 * fraction))
        height, width = predictor.original_size
        centres = (np.arange(points_per_side) + 0.5) / points_per_side
        grid = np.stack(np.meshgrid(centres * width, centres * height), -1).reshape(-1, 1, 2)
        found: list[ScoredMask] = []
        for start in range(0, len(grid), _BATCH):
            step(0.5 + 0.5 * start / len(grid))
            points = predictor.transform.apply_coords(grid[start : start + _BATCH], (height, width))
            with self._lock, torch.inference_mode():
                found += self._at(predictor, torch.as_tensor(points, dtype=torch.float32, device=predictor.device))
        return _distinct(found)

    def _at(self, predictor: Any, points: torch.Tensor) -> list[ScoredMask]:
        """Masks of points (B, 1, 2). Doubtful ones are dropped at the decoder's size: only the others are worth enlarging."""
        model, threshold = self._model, self._model.mask_threshold
        inside = torch.ones(points.shape[:2], dtype=torch.int, device=points.device)
        sparse, dense = model.prompt_encoder(points=(points, inside), boxes=None, masks=None)
        low, quality = model.mask_decoder(
            image_embeddings=predictor.features,
            image_pe=model.prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=True,
        )
        low, quality = low.flatten(0, 1), quality.flatten()
        keep = _sure(low, quality, threshold).nonzero().flatten().tolist()
        out = []
        for k in keep:  # one by one: a batch at full size would take hundreds of megabytes
            large = model.postprocess_masks(low[k][None, None], predictor.input_size, predictor.original_size)[0, 0]
            out.append(ScoredMask((large > threshold).cpu().numpy(), float(quality[k])))
        return [m for m in out if m.mask.any()]

    def select(
        self,
        picture: Image.Image,
        clicks: Sequence[Click] = (),
        box: tuple[float, float, float, float] | None = None,
        *,
        size: tuple[int, int] | None = None,
        key: str | None = None,
        step: Callable[[float], None] | None = None,
    ) -> Masks:
        """(H, W) bool: what the clicks and the box (left, top, right, bottom, in pixels) mean.

        size: (width, height) of the mask, and of the pixels that clicks and box are in; None:
        the picture's own. key, step: as in `predictor`. Raises LabelError where neither is given.
        """
        if not clicks and box is None:
            raise LabelError("a selection needs a click or a box")
        predictor = self.predictor(picture, step, key)
        size = size or picture.size
        height, width = predictor.original_size
        scale = np.array([width / size[0], height / size[1]])
        points = np.array([[c.x, c.y] for c in clicks]) * scale if clicks else None
        inside = np.array([int(c.positive) for c in clicks]) if clicks else None
        corners = None if box is None else np.array(box) * np.tile(scale, 2)
        alone = len(clicks) + (box is not None) == 1  # a lone click is ambiguous: take the best of three readings
        with self._lock, torch.inference_mode():
            masks, quality, _ = predictor.predict(points, inside, box=corners, multimask_output=alone and box is None)
        best = np.asarray(masks[int(np.argmax(quality))], dtype=np.uint8)
        return np.asarray(Image.fromarray(best).resize(size, Image.Resampling.NEAREST)) > 0


def apply_mask(label_map: LabelMap, mask: Masks, region_id: int, mode: str = "add", rest: int = 0) -> LabelMap:
    """add: the mask becomes part of the region; cut: the region's pixels under it become `rest`. Raises LabelError."""
    if mask.shape != label_map.ids.shape:
        raise LabelError("the mask and the map differ in size")
    if mode not in MODES:
        raise LabelError(f"mode must be one of {', '.join(MODES)}, not {mode!r}")
    ids = label_map.ids.copy()
    ids[mask if mode == "add" else mask & (ids == region_id)] = region_id if mode == "add" else rest
    return LabelMap.from_ids(ids, label_map.regions)


def is_here(name: str = "vit_b") -> bool:
    """Whether the weights are on this machine; looks for the file, opens nothing."""
    try:
        checkpoints.find("sam", FILES[name])
    except CheckpointMissing:
        return False
    return True


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
    return by_share(*share_ids(maps[0], maps[1], found.pairing))


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


def _sure(logits: torch.Tensor, quality: torch.Tensor, threshold: float, least: float = 0.86, stable: float = 0.9) -> torch.Tensor:
    """Which of (N, h, w) have a predicted IoU and a stability (IoU between a higher and a lower threshold) that are high enough."""
    wide = (logits > threshold - 1).flatten(1).sum(1)
    narrow = (logits > threshold + 1).flatten(1).sum(1)
    return (quality >= least) & (narrow >= stable * wide) & (narrow > 0)


def _distinct(masks: list[ScoredMask], most_overlap: float = 0.7) -> list[ScoredMask]:
    """Without those that overlap a better one by more than an IoU of `most_overlap`."""
    kept: list[ScoredMask] = []
    for m in sorted(masks, key=lambda m: -m.quality):
        area = m.mask.sum()
        if all((both := (m.mask & k.mask).sum()) <= most_overlap * (area + k.mask.sum() - both) for k in kept):
            kept.append(m)
    return kept
