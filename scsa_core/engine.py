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
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from scsa_core import images
from scsa_core.attention import Fallback
from scsa_core.backbones import FAMILIES
from scsa_core.backbones.base import Backbone, BackboneInfo, Pair, preparation_of
from scsa_core.cache import CacheStatistics, StageCache, bound, digest
from scsa_core.colours import keep_colours
from scsa_core.detail import transfer_detail
from scsa_core.errors import CheckpointError, KnobError, LabelError, MissingPackage, OutOfMemory
from scsa_core.knobs import Knobs
from scsa_core.labels import LabelMap, reference_labels
from scsa_core.left_alone import leave_as_it_is
from scsa_core.memory import give_back, peak_memory, ran_out
from scsa_core.notes import Note
from scsa_core.pairing import Pairing, notes, too_small, vanishing
from scsa_core.parts import Parts
from scsa_core.plan import REFERENCE_SIZE, Plan, encoding, megapixels, picture_digest, stage_keys
from scsa_core.progress import CancelToken, Progress, ProgressCallback
from scsa_core.rates import Rates
from scsa_core.request import RenderRequest, RenderResult
from scsa_core.resident import Resident, budget
from scsa_core.run import Run
from scsa_core.transfer import upload

TIDY_SECONDS = 5.0
TIDY_ABOVE = 0.6  # megapixels

__all__ = ["BackboneState", "Engine", "RenderRequest", "RenderResult"]


@dataclass(frozen=True)
class BackboneState:
    """A family and whether it can run here; reason and hint say why not and what to do."""

    info: BackboneInfo
    ready: bool
    reason: str = ""
    hint: str = ""


class Engine:
    """Renders requests with loaded models and a shared stage cache. Safe to call from several threads.

    One render computes at a time: two would only slow each other on the same cores.
    """

    def __init__(self, device: str = "auto", cache_bytes: int | None = None) -> None:
        """cache_bytes: what the stages may keep; None: as this machine allows (`cache.bound`)."""
        self.device = torch.device(("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device)
        self._cache = StageCache(bound(self.device.type == "cpu") if cache_bytes is None else cache_bytes)
        self._models = Resident(budget(self.device))
        self._computing = threading.Lock()
        self._tidied = 0.0
        self._rates = Rates()

    # -- families ---------------------------------------------------------------------

    def backbones(self) -> list[BackboneState]:
        """Every family with its state; looks at files, loads nothing."""
        states = []
        for name, family in FAMILIES.items():
            try:
                if name not in self._models:
                    family.probe()
                states.append(BackboneState(family.info, True))
            except (CheckpointError, MissingPackage) as error:
                states.append(BackboneState(family.info, False, str(error), error.hint))
        return states

    def info(self, backbone: str) -> BackboneInfo:
        """Raises KnobError for a name that no family has."""
        if not isinstance(backbone, str) or backbone not in FAMILIES:  # a page may be sent anything
            raise KnobError(
                f"there is no model named {backbone!r}", knob="backbone", hint=f"Choose one of: {', '.join(FAMILIES)}."
            )
        return FAMILIES[backbone].info

    def defaults(self, backbone: str) -> Knobs:
        """The family's own knob defaults."""
        return Knobs.for_family(self.info(backbone).defaults)

    def load(self, backbone: str) -> Backbone:
        """The loaded model, from memory or from its files. Raises CheckpointError, MissingPackage."""
        self.info(backbone)
        return self._models.load(backbone, lambda: FAMILIES[backbone].load(self.device))

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
        request = dataclasses.replace(request, knobs=request.knobs or self.defaults(request.backbone))
        self._check(request)
        capabilities = self.info(request.backbone).capabilities
        plan = Plan.of(request, capabilities)
        run = Run(progress, cancel, capabilities.timeline, plan.content_size)
        while not self._computing.acquire(timeout=0.05):
            run.checkpoint()
        try:
            with torch.inference_mode():
                image, warnings, weights = self._render(request, plan, run)
        except Exception as error:
            if not ran_out(error):
                raise
            traceback.clear_frames(error.__traceback__)  # they hold what was being computed
            self._cache.clear()
            self._models.keep_only(request.backbone)
            if self.device.type == "cuda":
                torch.cuda.empty_cache()
            raise _out_of_memory(request) from error
        finally:
            if run.timings.keys() - {"load_model", "finish"}:  # something was computed
                self._tidy(plan, run)
            self._computing.release()
        run.timings["total"] = time.perf_counter() - started
        if progress is not None:
            progress(Progress("finish", 1.0))
        return RenderResult(image, run.timings, tuple(warnings), request, peak_memory(), weights)

    def preview(
        self, request: RenderRequest, *, progress: ProgressCallback | None = None, cancel: CancelToken | None = None
    ) -> RenderResult:
        """The same render on a quarter of the pixels, or fewer on a slow machine, scaled up to the full size: soon, a little soft."""
        request = dataclasses.replace(request, knobs=request.knobs or self.defaults(request.backbone))
        full = Plan.of(request, self.info(request.backbone).capabilities).full_size
        result = self.render(self._smaller(request), progress=progress, cancel=cancel)
        return dataclasses.replace(result, image=result.image.resize(full, Image.Resampling.BICUBIC), request=request)

    def _smaller(self, request: RenderRequest) -> RenderRequest:
        """What a preview renders (`Rates.previewed`)."""
        request = dataclasses.replace(request, knobs=request.knobs or self.defaults(request.backbone))
        return self._rates.previewed(request, self.info(request.backbone).capabilities)

    def estimate_seconds(self, request: RenderRequest, *, preview: bool = False) -> float | None:
        """Expected seconds from this machine's own measured stages; None before the first render of a family.

        preview: of the preview of that request.
        """
        if preview:
            request = self._smaller(request)
        knobs = request.knobs or self.defaults(request.backbone)
        request = dataclasses.replace(request, knobs=knobs)
        plan = Plan.of(request, self.info(request.backbone).capabilities)
        area = {"content": megapixels(plan.content_padded), "style": megapixels(plan.style_padded)}
        model = self._models.get(request.backbone)
        keys = stage_keys(request, plan, model.fingerprint) if model else {}
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
            if stage == "encode_maps" and model is not None and self._has_maps(request, model, plan):
                continue
            rate = self._rates.of(request, plan.capabilities, stage)
            if rate is None:
                if stage == "encode_maps" and request.method == "baseline":
                    continue
                return None
            total += rate * pixels
        return total

    def _has_maps(self, request: RenderRequest, model: Backbone, plan: Plan) -> bool:
        """Whether both maps' features are there still."""
        maps = request.content_map, request.style_map
        if request.reference or maps[0] is None or maps[1] is None:
            return False
        sides = ((maps[0], "content"), (maps[1], "style"))
        return all(_map_key(request, model, plan, m, which) in self._cache for m, which in sides)

    def _check(self, request: RenderRequest) -> None:
        info = self.info(request.backbone)
        if request.method not in info.capabilities.methods:
            raise KnobError(f"{info.title} has no method {request.method!r}", knob="method")
        if request.reference and request.map_pictures is None and request.method != "baseline":
            raise LabelError("the reference's preprocessing needs both colour maps", hint="Give a content map and a style map.")

    def _render(self, request: RenderRequest, plan: Plan, run: Run) -> tuple[Image.Image, list[Note], str]:
        knobs = request.knobs
        assert knobs is not None
        with run.stage("load_model"):
            model = self.load(request.backbone)
        keys = stage_keys(request, plan, model.fingerprint)
        maps = _maps(request)
        warnings = notes(*maps, Pairing.identity(*maps) if request.links is None else Pairing(request.links)) if maps else []
        if maps is None and request.method != "baseline":
            maps = (_ONE_REGION, _ONE_REGION)
            warnings = [Note("no_maps", "No maps were given: each picture is one region.")]
        alone = Pairing(request.links or {}).left_alone(maps[0]) if maps else ()
        if maps is not None and request.method != "baseline" and not request.reference:
            # What is left as it is is a matter of pixels, however few.
            warnings = [*warnings, *too_small(*maps, self._vanishing(maps, plan).difference(alone))]
        painted = self._cache.get(keys["paint"])
        if painted is None:
            prepared = self._cache.get(keys["match"])
            if prepared is None:
                prepared = self._prepare(request, model, plan, keys, maps, run)
                self._tidy(plan, run)  # what matching held, before the decoder asks for more
            with run.stage("paint"):
                painted = model.render(prepared, knobs, request.method, run.checkpoint)
                self._measure(request, "paint", run, plan.content_padded)
            self._cache.put(keys["paint"], painted, painted.nbytes)
        with run.stage("finish"):
            out = plan.enlarged()
            content = lru_cache(maxsize=1)(partial(self._picture, request, "content", out))
            if out is not plan:
                (width, height), small = plan.content_size, self._picture(request, "content", plan)
                run.checkpoint()
                content()
                run.checkpoint()
                painted = transfer_detail(painted[..., :height, :width], small[..., :height, :width], content(), run.checkpoint)
                warnings = [*warnings, _enlarged(model.info, plan)]
            if knobs.keep_colours:
                painted = keep_colours(painted, content(), knobs.keep_colours, run.checkpoint)
            if maps is not None and alone:
                labels = _labels(maps[0], out.content_size, out.content_padded)
                painted = leave_as_it_is(painted, content(), labels, alone, knobs.soft_borders)
            image = images.to_image(painted, out.content_size)
        return image, list(warnings), model.fingerprint

    def _vanishing(self, maps: tuple[LabelMap, LabelMap], plan: Plan) -> set[int]:
        """Ids that are lost in either map at these sizes."""
        found: set[int] = set()
        for m, size in zip(maps, (plan.content_size, plan.style_size), strict=True):
            key = digest("vanishing", m.digest(), size)
            found |= set(self._cache.get_or_make(key, partial(vanishing, m, size), lambda ids: 100))
        return found

    def _prepare(
        self, request: RenderRequest, model: Backbone, plan: Plan, keys: dict[str, str], maps: tuple[LabelMap, LabelMap] | None, run: Run
    ) -> Any:
        knobs = request.knobs
        assert knobs is not None
        features = {}
        for which in ("content", "style"):
            stage = f"encode_{which}"
            with run.stage(stage):
                run.cold = run.cold or keys[stage] not in self._cache
                picture = partial(self._picture, request, which, plan)
                features[which] = self._cached(keys[stage], partial(_encode, request, model, plan, picture, which, run), run)
                self._measure(request, stage, run, plan.sizes(which)[1])
        origins = {"style": keys["encode_style"]}
        parts = Parts(self._cache, origins)
        fallback: Fallback = "mean" if request.reference else "whole"
        pair = Pair(features["content"], features["style"], fallback=fallback, parts=parts, draft=request.draft)
        if request.method != "baseline":
            assert maps is not None
            with run.stage("encode_maps"):
                sides = tuple(zip(maps, ("content", "style"), strict=True))
                encoded = []
                for part, (m, which) in enumerate(sides):
                    run.part(part, len(sides))
                    run.checkpoint()
                    key, reused = _map_key(request, model, plan, m, which), run.reused
                    twice = key in origins.values()  # one map for both: half the work, and yet measured
                    encoded.append(self._encode_map(key, request, model, plan, m, which, run))
                    run.reused = reused if twice else run.reused
                    origins[f"{which}_map"] = key
                self._measure(request, "encode_maps", run, plan.content_padded, plan.style_padded)
            labels = [_labels(m, *plan.sizes(which)) for m, which in sides]
            pair = dataclasses.replace(
                pair,
                content_map=encoded[0],
                style_map=encoded[1],
                content_labels=labels[0],
                style_labels=labels[1],
                links=None if request.links is None else Pairing(request.links).painted().links,
                soft_borders=0.0 if request.reference else knobs.soft_borders,
                parts=Parts(self._cache, origins),
                grid_labels=_reference_grids(request, maps) if request.reference else {},
            )
        self._tidy(plan, run)
        with run.stage("match"):
            prepared = model.prepare(pair, preparation_of(request.method), run.checkpoint)
            run.reused = run.reused or pair.parts.found > 0
            self._measure(request, "match", run, plan.content_padded, plan.style_padded)
        self._cache.put(keys["match"], prepared, prepared.nbytes)
        return prepared

    def _tidy(self, plan: Plan, run: Run) -> None:
        """Return freed memory to the system: in a cold render, in a large one, or when that was not done for a while.

        Pages that are given back must be had again: in the quick renders that follow a knob or a
        stroke on a small picture that was a seventh of the time, for some 80 MB.
        """
        due = time.monotonic() - self._tidied > TIDY_SECONDS
        if run.cold or due or megapixels(plan.content_padded) > TIDY_ABOVE:
            give_back()
            self._tidied = time.monotonic()

    def _cached(self, key: str, make: Callable[[], Mapping[str, Tensor]], run: Run) -> Mapping[str, Tensor]:
        run.reused = run.reused or key in self._cache
        found: Mapping[str, Tensor] = self._cache.get_or_make(key, make, lambda f: sum(t.nbytes for t in f.values()))
        return found

    def _picture(self, request: RenderRequest, which: str, plan: Plan) -> Tensor:
        picture = request.content if which == "content" else request.style
        size, padded = plan.sizes(which)
        if request.reference:
            return upload(images.to_tensor(picture.resize(size, Image.Resampling.BILINEAR)), self.device)
        return upload(images.to_tensor(picture, size, padded), self.device)

    def _encode_map(
        self, key: str, request: RenderRequest, model: Backbone, plan: Plan, m: LabelMap, which: str, run: Run
    ) -> Mapping[str, Tensor]:
        size, padded = plan.sizes(which)

        def picture() -> Tensor:
            if request.reference:
                original = _map_picture(request, which)
                found = images.to_tensor(original.convert("RGB").resize(size, Image.Resampling.BILINEAR))
            else:
                coloured = m.resized(size).to_colour_image()
                run.checkpoint()
                found = images.to_tensor(coloured, size, padded)
                run.checkpoint()
            return upload(found, self.device)

        return self._cached(key, partial(_encode, request, model, plan, picture, "map", run), run)

    def _measure(self, request: RenderRequest, stage: str, run: Run, *sizes: tuple[int, int]) -> None:
        """Remember the speed of a stage that was computed whole."""
        if not run.reused:
            seconds = time.perf_counter() - run.started
            self._rates.measured(request, self.info(request.backbone).capabilities, stage, seconds, *sizes)


def _map_key(request: RenderRequest, model: Backbone, plan: Plan, m: LabelMap, which: str) -> str:
    """The cache key of a map's features."""
    assert request.knobs is not None
    turned = tuple(encoding(request.knobs, plan.capabilities).items())
    if request.reference:
        return digest("map", model.fingerprint, picture_digest(_map_picture(request, which)), turned)
    return digest("map", model.fingerprint, m.digest(), *plan.sizes(which), turned)


def _map_picture(request: RenderRequest, which: str) -> Image.Image:
    """The map as it was given, for the reference's own preprocessing."""
    assert request.map_pictures is not None
    return request.map_pictures[0 if which == "content" else 1]


def _encode(
    request: RenderRequest, model: Backbone, plan: Plan, picture: Callable[[], Tensor], role: str, run: Run
) -> Mapping[str, Tensor]:
    assert request.knobs is not None
    extra: dict[str, Any] = encoding(request.knobs, plan.capabilities)
    return model.encode(picture(), role=role, checkpoint=run.checkpoint, **extra)


_ONE_REGION = LabelMap.from_ids(np.zeros((8, 8), dtype=np.uint8))


def _maps(request: RenderRequest) -> tuple[LabelMap, LabelMap] | None:
    """Both maps, or None where neither is given. One alone is an error: it has nothing to match."""
    if request.method == "baseline" or (request.content_map is None and request.style_map is None):
        return None
    if request.content_map is None or request.style_map is None:
        missing = "content" if request.content_map is None else "style"
        raise LabelError(f"the {missing} picture has no map", hint="Give maps for both pictures, or for none.")
    return request.content_map, request.style_map


def _enlarged(info: BackboneInfo, plan: Plan) -> Note:
    side, full = max(plan.content_size), max(plan.full_size)
    text = f"{info.title} painted at {side} px, as far as its attention reaches; what is finer at {full} px is the content's own detail."
    return Note("enlarged", text, pixels=side)


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
