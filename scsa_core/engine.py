"""The engine: staged, cached, cancellable rendering. The command line, the page and the library call only this.

A render is a chain of stages, each kept under the hash of its inputs and of the weights::

    picture ── encode ──┐
    map ────── encode ──┼── prepare ── render ── finish
                        (no slider)   (α₁, α₂)  (colours, crop)
"""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from scsa_core import images
from scsa_core.backbones import FAMILIES
from scsa_core.backbones.base import Backbone, BackboneInfo, Pair, preparation_of
from scsa_core.cache import CacheStatistics, StageCache, digest
from scsa_core.colours import keep_colours
from scsa_core.errors import CheckpointError, KnobError, LabelError, OutOfMemory
from scsa_core.knobs import Knobs, Method
from scsa_core.labels import LabelMap, reference_labels
from scsa_core.memory import peak_memory
from scsa_core.notes import Note
from scsa_core.pairing import Pairing, notes
from scsa_core.progress import CancelToken, Progress, ProgressCallback

REFERENCE_SIZE = 512
# Share of a cold render that is done when a stage starts (measured at 512 px, rounded).
_DONE_AT_START = {
    "load_model": 0.0, "encode_content": 0.05, "encode_style": 0.25, "encode_maps": 0.45, "match": 0.75, "paint": 0.8, "finish": 0.97,
}  # fmt: skip


@dataclass(frozen=True)
class RenderRequest:
    """One render. Pictures RGB; maps may be absent: then each picture is one region.

    knobs: None takes the family's defaults. reference: the reference implementation's own
    preprocessing (512x512 squash, its label rule, its fallback), which needs `map_pictures`,
    the colour maps as they are in their files.
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


@dataclass(frozen=True)
class BackboneState:
    """A family and whether it can run here; reason and hint say why not and what to do."""

    info: BackboneInfo
    ready: bool
    reason: str = ""
    hint: str = ""


@dataclass(frozen=True)
class _Plan:
    """Sizes of one render, (width, height): as asked and padded to the family's multiple."""

    content_size: tuple[int, int]
    content_padded: tuple[int, int]
    style_size: tuple[int, int]
    style_padded: tuple[int, int]


class _Run:
    """Progress, cancellation and the clock of one render."""

    def __init__(self, progress: ProgressCallback | None, cancel: CancelToken | None) -> None:
        self._progress, self._cancel = progress, cancel
        self.timings: dict[str, float] = {}
        self.started = 0.0  # of the current stage

    def checkpoint(self) -> None:
        if self._cancel is not None:
            self._cancel.checkpoint()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        self.checkpoint()
        if self._progress is not None:
            self._progress(Progress(name, _DONE_AT_START[name]))
        self.started = time.perf_counter()
        try:
            yield
        finally:
            self.timings[name] = self.timings.get(name, 0.0) + time.perf_counter() - self.started


class Engine:
    """Renders requests with loaded models and a shared stage cache. Safe to call from several threads.

    One render computes at a time: two would only slow each other on the same cores.
    """

    def __init__(self, device: str = "auto", cache_bytes: int = 1_500_000_000) -> None:
        self.device = torch.device(("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device)
        self._cache = StageCache(cache_bytes)
        self._models: dict[str, Backbone] = {}
        self._loading = threading.Lock()
        self._computing = threading.Lock()
        self._rates: dict[tuple[str, str], float] = {}  # (family, stage) -> seconds a megapixel

    # -- families ---------------------------------------------------------------------

    def backbones(self) -> list[BackboneState]:
        """Every family with its state; looks at files, loads nothing."""
        states = []
        for name, family in FAMILIES.items():
            try:
                if name not in self._models:
                    family.probe()
                states.append(BackboneState(family.info, True))
            except CheckpointError as error:
                states.append(BackboneState(family.info, False, str(error), error.hint))
        return states

    def info(self, backbone: str) -> BackboneInfo:
        """Raises KnobError for a name that no family has."""
        if backbone not in FAMILIES:
            raise KnobError(
                f"there is no model named {backbone!r}", knob="backbone", hint=f"Choose one of: {', '.join(FAMILIES)}."
            )
        return FAMILIES[backbone].info

    def defaults(self, backbone: str) -> Knobs:
        """The family's own knob defaults."""
        return Knobs.for_family(self.info(backbone).defaults)

    def load(self, backbone: str) -> Backbone:
        """The loaded model, from memory or from its files. Raises CheckpointError."""
        self.info(backbone)
        with self._loading:
            if backbone not in self._models:
                self._models[backbone] = FAMILIES[backbone].load(self.device)
            return self._models[backbone]

    def cache_statistics(self) -> CacheStatistics:
        return self._cache.statistics()

    def clear_cache(self) -> None:
        self._cache.clear()

    # -- rendering --------------------------------------------------------------------

    def render(
        self, request: RenderRequest, *, progress: ProgressCallback | None = None, cancel: CancelToken | None = None
    ) -> RenderResult:
        """Render. Raises Cancelled at the next checkpoint after `cancel`, OutOfMemory, LabelError, CheckpointError."""
        started = time.perf_counter()
        run = _Run(progress, cancel)
        request = dataclasses.replace(request, knobs=request.knobs or self.defaults(request.backbone))
        self._check(request)
        while not self._computing.acquire(timeout=0.05):
            run.checkpoint()
        try:
            with torch.inference_mode():
                image, warnings, weights = self._render(request, run)
        except (MemoryError, torch.OutOfMemoryError) as error:
            self._cache.clear()
            raise _out_of_memory(request) from error
        except RuntimeError as error:
            if "allocate memory" not in str(error):
                raise
            self._cache.clear()
            raise _out_of_memory(request) from error
        finally:
            self._computing.release()
        run.timings["total"] = time.perf_counter() - started
        if progress is not None:
            progress(Progress("finish", 1.0))
        return RenderResult(image, run.timings, tuple(warnings), request, peak_memory(), weights)

    def preview(
        self, request: RenderRequest, *, progress: ProgressCallback | None = None, cancel: CancelToken | None = None
    ) -> RenderResult:
        """The same render on a quarter of the pixels, scaled up to the full size: soon, a little soft."""
        knobs = request.knobs or self.defaults(request.backbone)
        small = max(knobs.size // 2, self.info(request.backbone).capabilities.minimum, 64)
        half = dataclasses.replace(request, knobs=knobs.replace(size=small))
        result = self.render(half, progress=progress, cancel=cancel)
        full, _ = images.working_size(request.content.size, knobs.size)
        image = result.image.resize(full, Image.Resampling.BICUBIC)
        return dataclasses.replace(result, image=image, request=dataclasses.replace(request, knobs=knobs))

    def estimate_seconds(self, request: RenderRequest) -> float | None:
        """Expected seconds from this machine's own measured stages; None before the first render of a family."""
        knobs = request.knobs or self.defaults(request.backbone)
        request = dataclasses.replace(request, knobs=knobs)
        plan = self._plan(request)
        area = {"content": _area(plan.content_padded), "style": _area(plan.style_padded)}
        keys = self._keys(request, plan, self._models[request.backbone].fingerprint) if request.backbone in self._models else {}
        if keys.get("paint", "") in self._cache:
            return 0.0
        matched = keys.get("match", "") in self._cache
        total = 0.0
        for stage, pixels in (
            ("encode_content", area["content"]),
            ("encode_style", area["style"]),
            ("encode_maps", area["content"] + area["style"]),
            ("match", area["content"] + area["style"]),
            ("paint", area["content"]),
        ):
            if keys.get(stage, "") in self._cache or (matched and stage != "paint"):
                continue
            rate = self._rates.get((request.backbone, stage))
            if rate is None:
                if stage == "encode_maps" and request.method == "baseline":
                    continue
                return None
            total += rate * pixels
        return total

    def _check(self, request: RenderRequest) -> None:
        info = self.info(request.backbone)
        if request.method not in info.capabilities.methods:
            raise KnobError(f"{info.title} has no method {request.method!r}", knob="method")
        if request.reference and request.map_pictures is None and request.method != "baseline":
            raise LabelError("the reference's preprocessing needs both colour maps", hint="Give a content map and a style map.")

    def _plan(self, request: RenderRequest) -> _Plan:
        assert request.knobs is not None
        caps = self.info(request.backbone).capabilities
        if request.reference:
            square = (REFERENCE_SIZE, REFERENCE_SIZE)
            return _Plan(square, square, square, square)
        sizes: list[tuple[int, int]] = []
        for picture, side in ((request.content, request.knobs.size), (request.style, _style_side(request.knobs))):
            sizes += images.working_size(picture.size, side, caps.multiple_of, caps.minimum)
        return _Plan(*sizes)

    def _keys(self, request: RenderRequest, plan: _Plan, weights: str) -> dict[str, str]:
        """The cache key of every stage: hashes of everything that goes into it."""
        knobs = request.knobs
        assert knobs is not None
        sampling = "bilinear" if request.reference else "lanczos"
        content = digest("encode", weights, _picture_digest(request.content), plan.content_size, plan.content_padded, sampling)
        style = digest("encode", weights, _picture_digest(request.style), plan.style_size, plan.style_padded, sampling)
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
                maps += tuple(_picture_digest(m) for m in request.map_pictures)
        links = tuple(sorted((k, tuple(v)) for k, v in (request.links or {}).items())) if maps else ()
        match = digest(
            "match", content, style, maps, links, preparation_of(request.method), knobs.soft_borders if maps else 0.0,
            request.reference,
        )  # fmt: skip
        alphas = (knobs.alpha1, knobs.alpha2) if request.method != "baseline" else ()
        return {
            "encode_content": digest(content, "content"),
            "encode_style": digest(style, "style"),
            "match": match,
            "paint": digest("paint", match, request.method, alphas),
        }

    def _render(self, request: RenderRequest, run: _Run) -> tuple[Image.Image, list[Note], str]:
        knobs = request.knobs
        assert knobs is not None
        with run.stage("load_model"):
            model = self.load(request.backbone)
        plan = self._plan(request)
        keys = self._keys(request, plan, model.fingerprint)
        maps = _maps(request)
        warnings = notes(*maps, Pairing.identity(*maps) if request.links is None else Pairing(request.links)) if maps else []
        if maps is None and request.method != "baseline":
            maps = (_ONE_REGION, _ONE_REGION)
            warnings = [Note("no_maps", "No maps were given: each picture is one region.")]
        painted = self._cache.get(keys["paint"])
        if painted is None:
            prepared = self._cache.get(keys["match"])
            if prepared is None:
                prepared = self._prepare(request, model, plan, keys, maps, run)
            with run.stage("paint"):
                painted = model.render(prepared, knobs, request.method, run.checkpoint)
                self._measure(request.backbone, "paint", run, plan.content_padded)
            self._cache.put(keys["paint"], painted, painted.nbytes)
        with run.stage("finish"):
            if knobs.keep_colours:
                content = self._picture(request, "content", plan)
                painted = keep_colours(painted, content, knobs.keep_colours)
            image = images.to_image(painted.float().cpu(), plan.content_size)
        return image, list(warnings), model.fingerprint

    def _prepare(
        self, request: RenderRequest, model: Backbone, plan: _Plan, keys: dict[str, str], maps: tuple[LabelMap, LabelMap] | None, run: _Run
    ) -> Any:
        knobs = request.knobs
        assert knobs is not None
        features = {}
        for which in ("content", "style"):
            stage = f"encode_{which}"
            with run.stage(stage):
                picture = self._picture(request, which, plan)
                encode = partial(model.encode, picture, role=which, checkpoint=run.checkpoint)
                features[which] = self._cached(keys[stage], encode)
                self._measure(request.backbone, stage, run, _padded(plan, which))
        pair = Pair(features["content"], features["style"], fallback="mean" if request.reference else "whole")
        if request.method != "baseline":
            assert maps is not None
            with run.stage("encode_maps"):
                sides = tuple(zip(maps, ("content", "style"), strict=True))
                encoded = [self._encode_map(request, model, plan, m, which, run) for m, which in sides]
                self._measure(request.backbone, "encode_maps", run, plan.content_padded, plan.style_padded)
            labels = [_labels(m, *_sizes(plan, which)).to(self.device) for m, which in sides]
            pair = dataclasses.replace(
                pair,
                content_map=encoded[0],
                style_map=encoded[1],
                content_labels=labels[0],
                style_labels=labels[1],
                links=request.links,
                soft_borders=0.0 if request.reference else knobs.soft_borders,
                grid_labels=_reference_grids(request, maps) if request.reference else {},
            )
        with run.stage("match"):
            prepared = model.prepare(pair, preparation_of(request.method), run.checkpoint)
            self._measure(request.backbone, "match", run, plan.content_padded, plan.style_padded)
        self._cache.put(keys["match"], prepared, prepared.nbytes)
        return prepared

    def _cached(self, key: str, make: Callable[[], Mapping[str, Tensor]]) -> Mapping[str, Tensor]:
        found: Mapping[str, Tensor] = self._cache.get_or_make(key, make, lambda f: sum(t.nbytes for t in f.values()))
        return found

    def _picture(self, request: RenderRequest, which: str, plan: _Plan) -> Tensor:
        picture = request.content if which == "content" else request.style
        size, padded = _sizes(plan, which)
        if request.reference:
            return images.to_tensor(picture.resize(size, Image.Resampling.BILINEAR)).to(self.device)
        return images.to_tensor(picture, size, padded).to(self.device)

    def _encode_map(self, request: RenderRequest, model: Backbone, plan: _Plan, m: LabelMap, which: str, run: _Run) -> Mapping[str, Tensor]:
        size, padded = _sizes(plan, which)
        if request.reference:
            assert request.map_pictures is not None
            original = request.map_pictures[0 if which == "content" else 1]
            key = digest("map", model.fingerprint, _picture_digest(original))
            picture = images.to_tensor(original.convert("RGB").resize(size, Image.Resampling.BILINEAR))
        else:
            key = digest("map", model.fingerprint, m.digest(), size, padded)
            if key in self._cache:
                picture = torch.empty(0)
            else:
                picture = images.to_tensor(m.resized(size).to_colour_image(), size, padded)
        return self._cached(key, lambda: model.encode(picture.to(self.device), role="map", checkpoint=run.checkpoint))

    def _measure(self, family: str, stage: str, run: _Run, *sizes: tuple[int, int]) -> None:
        """Remember a stage's speed, unless the cache answered at once."""
        seconds = time.perf_counter() - run.started
        if seconds > 0.01:
            rate = seconds / sum(_area(s) for s in sizes)
            old = self._rates.get((family, stage), rate)
            self._rates[(family, stage)] = 0.5 * old + 0.5 * rate


def _style_side(knobs: Knobs) -> int:
    """Long side of the style: larger than the content's for larger strokes."""
    return min(2048, max(64, round(knobs.size * knobs.stroke_size)))


def _sizes(plan: _Plan, which: str) -> tuple[tuple[int, int], tuple[int, int]]:
    return (plan.content_size, plan.content_padded) if which == "content" else (plan.style_size, plan.style_padded)


def _padded(plan: _Plan, which: str) -> tuple[int, int]:
    return _sizes(plan, which)[1]


def _area(size: tuple[int, int]) -> float:
    return size[0] * size[1] / 1e6


def _picture_digest(picture: Image.Image) -> str:
    return digest(picture.mode, picture.size, picture.tobytes())


_ONE_REGION = LabelMap.from_ids(np.zeros((8, 8), dtype=np.uint8))


def _maps(request: RenderRequest) -> tuple[LabelMap, LabelMap] | None:
    """Both maps, or None where neither is given. One alone is an error: it has nothing to match."""
    if request.method == "baseline" or (request.content_map is None and request.style_map is None):
        return None
    if request.content_map is None or request.style_map is None:
        missing = "content" if request.content_map is None else "style"
        raise LabelError(f"the {missing} picture has no map", hint="Give maps for both pictures, or for none.")
    return request.content_map, request.style_map


def _labels(m: LabelMap, size: tuple[int, int], padded: tuple[int, int]) -> Tensor:
    """(H, W) int64 at the padded size; the padding repeats the last row and column."""
    ids = torch.from_numpy(m.resized(size).ids.astype("int64"))
    extra = (padded[0] - size[0], padded[1] - size[1])
    return torch.nn.functional.pad(ids[None, None].float(), (0, extra[0], 0, extra[1]), mode="replicate")[0, 0].long()


def _reference_grids(request: RenderRequest, maps: tuple[LabelMap, LabelMap]) -> dict[tuple[str, int, int], Tensor]:
    """Labels at the reference's grids by its own rule (bilinear, nearest palette colour)."""
    assert request.map_pictures is not None
    regions = [r for r in maps[0].regions if r.id in set(maps[0].region_ids) | set(maps[1].region_ids)]
    known = {r.id for r in regions}
    regions += [r for r in maps[1].regions if r.id not in known and r.id in maps[1].region_ids]
    palette = np.array([[int(r.colour[k : k + 2], 16) for k in (1, 3, 5)] for r in regions], dtype=np.int64)
    out = {}
    for which, picture in zip(("content", "style"), request.map_pictures, strict=True):
        for side in (REFERENCE_SIZE // 8, REFERENCE_SIZE // 16):
            index = reference_labels(picture, palette, side)
            ids = np.array([r.id for r in regions], dtype=np.int64)[index]
            out[(which, side, side)] = torch.from_numpy(ids)
    return out


def _out_of_memory(request: RenderRequest) -> OutOfMemory:
    assert request.knobs is not None
    return OutOfMemory(f"not enough memory for {request.knobs.size} pixels here", hint="Choose a smaller size.")
