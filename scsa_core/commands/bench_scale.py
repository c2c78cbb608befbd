"""`bench scale`: how time and memory of a cold render grow with the picture, each size in a process of its own.

`lite` on its own weights, another family on random ones of the true shapes.
"""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from scsa_core import checkpoints
from scsa_core.commands.bench_families import write_weights
from scsa_core.commands.bench_render import convolution_rate, picture, quarters, warm_up
from scsa_core.engine import Engine, RenderRequest

SIZES = (256, 512, 1024, 2048)


@dataclass(frozen=True)
class Step:
    """A size in pixels: seconds of the whole and of its stages, peak bytes of the process, FLOP a second of a convolution beside it."""

    size: int
    seconds: float
    stages: dict[str, float]
    peak_bytes: int
    rate: float


def measure(size: int, backbone: str = "lite") -> Step:
    """One cold render of `size` x `size` pixels and 4 equal regions in a process of its own."""
    call = f"from scsa_core.commands import bench_scale as b; b.probe({size}, {backbone!r})"
    with tempfile.TemporaryDirectory(prefix="scsa-bench-") as folder:
        environment = dict(os.environ)
        if backbone != "lite":
            write_weights(backbone, Path(folder))
            environment[checkpoints.VARIABLE] = folder
        answer = subprocess.run([sys.executable, "-c", call], check=True, stdout=subprocess.PIPE, text=True, env=environment)
    return Step(**json.loads(answer.stdout))


def probe(size: int, backbone: str) -> None:
    """What `measure` runs: prints one JSON object."""
    print(json.dumps(dataclasses.asdict(run(size, backbone))))


def run(size: int, backbone: str = "lite") -> Step:
    engine = Engine("cpu")
    knobs = engine.defaults(backbone).replace(size=size)
    warm_up(engine, backbone)
    before = convolution_rate(3)
    request = RenderRequest(picture(size, 1), picture(size, 2), quarters(size), quarters(size), backbone=backbone, knobs=knobs)
    result = engine.render(request)
    stages = {name: seconds for name, seconds in result.timings.items() if name != "total"}
    return Step(size, result.timings["total"], stages, result.peak_bytes, (before + convolution_rate(3)) / 2)


def exponent(steps: Sequence[Step], least: int = 512) -> float:
    """b of the fit seconds = a * pixels^b, from `least` pixels a side on; NaN with fewer than two sizes."""
    used = [s for s in steps if s.size >= least]
    if len(used) < 2:
        return float("nan")
    slope, _ = np.polyfit(np.log([s.size**2 for s in used]), np.log([s.seconds * s.rate for s in used]), 1)
    return float(slope)
