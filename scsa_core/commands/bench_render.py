"""A whole render with `lite`: cold, with a new style, and after a move of α; and how fast this machine convolves."""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass, field

import numpy as np
import torch
from PIL import Image

from scsa_core.backbones.winograd import plain_convolutions
from scsa_core.engine import Engine, RenderRequest
from scsa_core.knobs import Knobs
from scsa_core.labels import LabelMap


@dataclass
class Timed:
    """One kind of render: seconds per round, arithmetic of one, and its stages' seconds in the last round.

    flops: of plain convolutions, whatever ways around them are taken, so that seconds alone make the rate better.
    """

    name: str
    seconds: list[float] = field(default_factory=list)
    flops: float = 0.0
    stages: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """renders in the order measured. peak_bytes: of the process. convolution: its FLOP a second, median."""

    renders: tuple[Timed, ...]
    load_seconds: float
    peak_bytes: int
    convolution: float


def picture(size: int, seed: int) -> Image.Image:
    """A square picture of soft patches and fine grain; the same for the same seed."""
    random = np.random.default_rng(seed)
    patches = Image.fromarray(random.integers(0, 256, (8, 8, 3), dtype=np.uint8)).resize((size, size), Image.Resampling.BICUBIC)
    grain = random.normal(0, 12, (size, size, 3))
    return Image.fromarray((np.asarray(patches) + grain).clip(0, 255).astype(np.uint8))


def quarters(size: int) -> LabelMap:
    """Four equal regions."""
    half = np.arange(size) * 2 // size
    return LabelMap.from_ids(half[:, None] * 2 + half[None, :] + 1)


def measure(size: int, repeat: int, backbone: str = "lite") -> Outcome:
    """Render `repeat` times cold, with a new style and with another α, and convolve beside it."""
    engine = Engine("cpu")
    started = time.perf_counter()
    engine.load(backbone)
    load_seconds = time.perf_counter() - started
    knobs = engine.defaults(backbone).replace(size=size)
    content, maps = picture(size, 1), quarters(size)
    kinds = cold, style, alpha = Timed("cold"), Timed("new style"), Timed("alpha move")
    peak = 0
    warm_up(engine, backbone)
    for k in range(repeat):
        engine.clear_cache()
        request = RenderRequest(content, picture(size, 10 + k), maps, maps, backbone=backbone, knobs=knobs)
        _render(engine, request, cold)
        request = dataclasses.replace(request, style=picture(size, 100 + k))
        _render(engine, request, style)
        moved = dataclasses.replace(request, knobs=knobs.replace(alpha1=_other(knobs)))
        peak = _render(engine, moved, alpha)
    from torch.utils.flop_counter import FlopCounterMode  # only now: it brings 80 MB with it, which are no render's

    engine.clear_cache()
    request = RenderRequest(content, picture(size, 10), maps, maps, backbone=backbone, knobs=knobs)
    styled = dataclasses.replace(request, style=picture(size, 100))
    for kind, counted in zip(kinds, (request, styled, dataclasses.replace(styled, knobs=knobs.replace(alpha1=_other(knobs)))), strict=True):
        with plain_convolutions(), FlopCounterMode(display=False) as counter:
            engine.render(counted)
        kind.flops = float(counter.get_total_flops())
    return Outcome(kinds, load_seconds, peak, convolution_rate(max(3, repeat)))


def warm_up(engine: Engine, backbone: str) -> None:
    """A small render, untimed: libraries set themselves up."""
    knobs = engine.defaults(backbone).replace(size=64)
    engine.render(RenderRequest(picture(64, 0), picture(64, 2), quarters(64), quarters(64), backbone=backbone, knobs=knobs))


def convolution_rate(repeat: int) -> float:
    """FLOP a second of a 3x3 convolution, 512 -> 512 channels at 64x64, channels last; median."""
    x = torch.randn(1, 512, 64, 64).contiguous(memory_format=torch.channels_last)
    layer = torch.nn.Conv2d(512, 512, 3, padding=1).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    seconds = []
    with torch.inference_mode():
        for _ in range(repeat + 1):
            started = time.perf_counter()
            layer(x)
            seconds.append(time.perf_counter() - started)
    return 2 * 512 * 512 * 9 * 64 * 64 / float(np.median(seconds[1:]))


def _render(engine: Engine, request: RenderRequest, kind: Timed) -> int:
    result = engine.render(request)
    kind.seconds.append(result.timings["total"])
    kind.stages = result.timings
    return result.peak_bytes


def _other(knobs: Knobs) -> float:
    """An α₁ that differs from the one set."""
    return 0.9 if knobs.alpha1 < 0.9 else 0.4
