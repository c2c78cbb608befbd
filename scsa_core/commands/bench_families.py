"""`bench families`: the paper's families on random weights of their true shapes, beside the reference's own times.

The reference (SCSA's public implementation) was timed whole at 512x512 on an idle machine of
two cores that convolved at `REFERENCE_RATE`. Machines differ and are shared, so a plain
convolution is timed round by round beside every render, and seconds are compared after
scaling by the two rates. Each family runs in a process of its own, on files that are
loaded as a person's would be: peak memory is that of the whole process.
"""

from __future__ import annotations

import dataclasses
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from scsa_core import checkpoints, registry, weights
from scsa_core.attention import RegionIndex
from scsa_core.backbones.level import grid_labels
from scsa_core.commands.bench_render import convolution_rate, picture
from scsa_core.engine import Engine, RenderRequest
from scsa_core.knobs import Knobs
from scsa_core.labels import LabelMap, read_maps
from scsa_core.memory import give_back

REFERENCE_RATE = 175e9  # FLOP a second of the same convolution where the reference was timed
REFERENCE_MAPS = 135.0  # seconds for the label maps of one pair, all sizes, both directions
MAPS_BAR = 0.05  # seconds
GRIDS = (4, 8, 16)  # pixels a token: the sizes for which the reference makes label maps
REGIONS = 5
_FIRST_KNOB = "alpha1"


@dataclass(frozen=True)
class Case:
    """A family to measure.

    seconds, peak_bytes: the reference's own, for one render. cold, moved: how many times
    faster a cold render and a move of α have to be. memory: largest peak in bytes. None: no bar.
    """

    seconds: float
    peak_bytes: float
    cold: float | None = None
    moved: float | None = None
    memory: float | None = None


CASES: dict[str, Case] = {
    "sanet": Case(seconds=9.98, peak_bytes=1.51e9, cold=1.7, moved=10.0, memory=1.0e9),
    "stytr2": Case(seconds=42.95, peak_bytes=3.65e9, cold=3.0, memory=3.65e9 / 2),
}
"""What `bench families` measures; another family joins by a line here and files in the registry."""


@dataclass(frozen=True)
class Measured:
    """Seconds round by round, the rate of a convolution (FLOP a second) beside each round, and peak bytes."""

    cold: tuple[float, ...]
    moved: tuple[float, ...]
    maps: tuple[float, ...]
    rates: tuple[float, ...]
    stages: Mapping[str, float]
    load_seconds: float
    peak_bytes: int

    def faster(self, seconds: Sequence[float], reference: float) -> float:
        """How many times faster than the reference, at equal rates: median of the rounds."""
        return statistics.median(reference * REFERENCE_RATE / (s * rate) for s, rate in zip(seconds, self.rates, strict=True))


def measure(family: str, size: int, repeat: int, threads: int | None = None) -> Measured:
    """Run one family in a process of its own, on random weights written under their published names."""
    with tempfile.TemporaryDirectory(prefix="scsa-bench-") as folder:
        write_weights(family, Path(folder))
        call = f"from scsa_core.commands import bench_families as b; b.probe({family!r}, {size}, {repeat}, {threads})"
        environment = os.environ | {checkpoints.VARIABLE: folder, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        answer = subprocess.run([sys.executable, "-c", call], check=True, stdout=subprocess.PIPE, text=True, env=environment)
    values: dict[str, Any] = json.loads(answer.stdout)
    fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
    return Measured(**fields)


def probe(family: str, size: int, repeat: int, threads: int | None = None) -> None:
    """What `measure` runs: prints one JSON object."""
    if threads:
        torch.set_num_threads(threads)
    print(json.dumps(dataclasses.asdict(run(family, size, repeat))))


def run(family: str, size: int, repeat: int) -> Measured:
    """Render `repeat` times cold and then with another α, and make the label maps, a convolution beside each round."""
    engine = Engine("cpu")
    started = time.perf_counter()
    engine.load(family)
    load_seconds = time.perf_counter() - started
    knobs = engine.defaults(family).replace(size=size)
    _render(engine, family, 64, knobs.replace(size=64))  # untimed: libraries set themselves up
    cold, moved, maps, rates, peak = [], [], [], [], 0
    stages: Mapping[str, float] = {}
    for k in range(repeat):
        engine.clear_cache()
        request = _request(family, size, knobs, seed=k)
        before = convolution_rate(3)
        give_back()  # what the bench itself had: the peak is to be the render's
        result = engine.render(request)
        other = knobs.replace(**{_FIRST_KNOB: knobs.alpha1 / 2})
        again = engine.render(dataclasses.replace(request, knobs=other))
        peak = max(peak, again.peak_bytes)
        rates.append((before + convolution_rate(3)) / 2)
        cold.append(result.timings["total"])
        moved.append(again.timings["total"])
        maps.append(_maps_seconds(size, k))
        stages = result.timings
    return Measured(tuple(cold), tuple(moved), tuple(maps), tuple(rates), stages, load_seconds, peak)


def _request(family: str, size: int, knobs: Knobs, seed: int) -> RenderRequest:
    content_map, style_map = (blobs(size, seed=2 * seed + k) for k in range(2))
    pictures = picture(size, 10 + seed), picture(size, 100 + seed)
    return RenderRequest(*pictures, *read_maps(content_map, style_map), backbone=family, knobs=knobs)


def _render(engine: Engine, family: str, size: int, knobs: Knobs) -> None:
    engine.render(_request(family, size, knobs, seed=0))


def _maps_seconds(size: int, seed: int) -> float:
    """From two colour maps to who may see whom, at the reference's three grids and in both directions."""
    pictures = blobs(size, seed=2 * seed), blobs(size, seed=2 * seed + 1)
    started = time.perf_counter()
    content, style = read_maps(*pictures)
    assert content is not None and style is not None
    sides = [torch.from_numpy(m.ids.astype(np.int64)) for m in (content, style)]
    for step in GRIDS:
        grids = [grid_labels(side, size // step, size // step).flatten() for side in sides]
        RegionIndex.build(grids[0], grids[1])
        RegionIndex.build(grids[1], grids[0])
    return time.perf_counter() - started


# -- what is rendered -----------------------------------------------------------------


def blobs(size: int, seed: int) -> Image.Image:
    """A colour map of REGIONS regions with winding, antialiased borders, as a person's file has them.

    At 512 px 2 % of the pixels touch a border, as in maps that people made of photographs and
    paintings (mean of 30); what a map costs depends on it.
    """
    random = torch.Generator().manual_seed(seed)
    noise = F.interpolate(torch.randn(1, REGIONS, 4, 4, generator=random), (2 * size, 2 * size), mode="bicubic")
    ids = noise[0].argmax(0).numpy() + 1
    return LabelMap.from_ids(ids.astype(np.uint8)).to_colour_image().resize((size, size), Image.Resampling.BILINEAR)


def write_weights(family: str, root: Path) -> None:
    """Random weights of the true shapes in the files that the family asks for. Raises KnobError."""
    (root / family).mkdir(parents=True)
    for number, file in enumerate(f for f in registry.family(family).files if not f.optional):
        generator = torch.Generator().manual_seed(number)
        shapes = {name: tuple(t.shape) for name, t in weights.module_of(file).state_dict().items()}
        torch.save({name: random_weight(name, shape, generator) for name, shape in shapes.items()}, root / family / file.name)


def random_weight(name: str, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Weights that keep a signal's size: normal over the square root of half the inputs; norms near 1, biases near 0."""
    z = torch.randn(shape, generator=generator)
    if len(shape) > 1:
        return z.mul_((2 / z[0].numel()) ** 0.5)
    return 0.05 * z + float("norm" in name and name.endswith("weight"))
