"""python -m tests.bench.gpu: what a GPU makes of every family, beside its own convolutions and beside full precision.

Random weights of the true shapes, but for `lite`. A row: seconds of a whole cold render (two
new pictures and maps, from pixels to pixels), with a new style, and after a move of α;
milliseconds of the last's painting alone; peak of the card's memory; how far half
precision is from full, in dB. Then the painting as a CUDA graph, and StyleID.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from scsa_core import checkpoints
from scsa_core.backbones.styleid import loading, model
from scsa_core.backbones.styleid.network import Network
from scsa_core.backbones.styleid.schedule import Schedule
from scsa_core.commands.bench_families import write_weights
from scsa_core.commands.bench_render import picture, quarters
from scsa_core.engine import Engine
from scsa_core.precision import VARIABLE
from scsa_core.request import RenderRequest

REPEAT = 5
GB = 1e9


def request(engine: Engine, family: str, size: int, seed: int, **knobs: float) -> RenderRequest:
    known = engine.defaults(family).replace(size=size, **knobs)
    maps = quarters(size), quarters(size)
    return RenderRequest(picture(size, 1 + seed), picture(size, 100 + seed), *maps, backbone=family, knobs=known)


def timed(run: Callable[[], Any]) -> tuple[float, Any]:
    torch.cuda.synchronize()
    started = time.perf_counter()
    out = run()
    torch.cuda.synchronize()
    return time.perf_counter() - started, out


def milliseconds(run: Callable[[], Any], repeat: int = 20) -> float:
    """Median by the card's own clock."""
    found = []
    for _ in range(repeat + 3):
        a, b = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        a.record()
        run()
        b.record()
        b.synchronize()
        found.append(a.elapsed_time(b))
    return statistics.median(found[3:])


def psnr(a: Any, b: Any) -> float:
    d = np.asarray(a).astype(float) - np.asarray(b).astype(float)
    return float(10 * np.log10(255**2 / max(1e-9, np.square(d).mean())))


def family(name: str, size: int) -> None:
    images, row = {}, ""
    for precision in ("fp32", "fp16"):
        os.environ[VARIABLE] = precision
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        engine = Engine("cuda")
        loaded = engine.load(name)
        paint, prepared = loaded.render, [None]

        def render(given: Any, *rest: Any, paint: Any = paint, prepared: list[Any] = prepared) -> Any:
            prepared[0] = given
            return paint(given, *rest)

        loaded.render = render  # type: ignore[method-assign]
        engine.render(request(engine, name, size, 50))
        cold, style, moved = [], [], []
        for k in range(REPEAT):
            engine.clear_cache()
            asked = request(engine, name, size, k)
            cold.append(timed(lambda a=asked: engine.render(a))[0])
            asked = dataclasses.replace(asked, style=picture(size, 200 + k))
            seconds, result = timed(lambda a=asked: engine.render(a))
            style.append(seconds)
            other = dataclasses.replace(asked, knobs=asked.knobs.replace(alpha1=0.9))
            moved.append(timed(lambda a=other: engine.render(a))[0])
        images[precision] = result.image
        with torch.inference_mode():
            alone = milliseconds(lambda: paint(prepared[0], asked.knobs, "scsa"))
        peak = torch.cuda.max_memory_allocated() / GB
        cells = [statistics.median(x) for x in (cold, style, moved)]
        row = f"{name:8s} {size:5d} {precision}  cold {cells[0]:.3f}  new style {cells[1]:.3f}  alpha {cells[2]:.3f} s"
        row += f"  painting {alone:7.2f} ms  peak {peak:.2f} GB"
        if precision == "fp16":
            row += f"  {psnr(images['fp16'], images['fp32']):.1f} dB to fp32"
        print(row, flush=True)
        if precision == "fp16" and name in ("lite", "sanet"):
            graph(name, size, paint, prepared[0], asked)


def graph(name: str, size: int, paint: Any, prepared: Any, asked: RenderRequest) -> None:
    """The painting of one α as a CUDA graph: what launches cost at most."""
    try:
        with torch.inference_mode():
            side = torch.cuda.Stream()
            with torch.cuda.stream(side):
                for _ in range(3):
                    paint(prepared, asked.knobs, "scsa")
            torch.cuda.synchronize()
            captured = torch.cuda.CUDAGraph()
            with torch.cuda.graph(captured):
                paint(prepared, asked.knobs, "scsa")
            print(f"{name:8s} {size:5d} as a CUDA graph: {milliseconds(captured.replay):.2f} ms", flush=True)
    except RuntimeError as error:
        print(f"{name}: no graph: {str(error).splitlines()[0]}", flush=True)


def styleid(size: int, steps: int) -> None:
    """Stable Diffusion 1's shapes, random weights, half precision."""
    from diffusers import AutoencoderKL, UNet2DConditionModel

    torch.manual_seed(0)
    with torch.device("cuda"):
        unet = UNet2DConditionModel(**loading.SD1_UNET).half().eval().requires_grad_(False)
        vae = AutoencoderKL(**loading.SD1_VAE).eval().requires_grad_(False)
        context = torch.randn(1, 77, 768)
    for mode in ("recompute", "memory"):
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        made = model.StyleID(Network(unet, context), vae, Schedule.scaled_linear(), "bench", features=mode, budget=40_000_000_000)
        engine = Engine("cuda")
        engine._models.load("styleid", lambda made=made: made)
        cold, _ = timed(lambda: engine.render(request(engine, "styleid", size, 0, timesteps=steps)))
        moved, _ = timed(lambda: engine.render(request(engine, "styleid", size, 0, timesteps=steps, alpha1=0.9)))
        peak = torch.cuda.max_memory_allocated() / GB
        print(f"styleid  {size:5d} fp16 {steps} steps, features {mode}: cold {cold:.2f}  alpha {moved:.2f} s  peak {peak:.2f} GB", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.gpu", description=__doc__)
    parser.add_argument("--families", nargs="*", default=["lite", "sanet", "stytr2", "styleid"])
    parser.add_argument("--sizes", nargs="*", type=int, default=[512, 1024, 2048])
    parser.add_argument("--steps", type=int, default=50)
    args = parser.parse_args()
    if not torch.cuda.is_available():
        raise SystemExit("This bench needs a GPU that CUDA sees, and there is none here.")
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}, median of {REPEAT}")
    x = torch.randn(8, 512, 64, 64, device="cuda", dtype=torch.float16).contiguous(memory_format=torch.channels_last)
    layer = torch.nn.Conv2d(512, 512, 3, padding=1, device="cuda", dtype=torch.float16).to(memory_format=torch.channels_last)
    with torch.inference_mode():
        rate = 8 * 2 * 512 * 512 * 9 * 64 * 64 / milliseconds(lambda: layer(x)) / 1e9
    print(f"3x3 convolution 512 -> 512 at 64x64, batch 8, fp16: {rate:.0f} TFLOP/s")
    with tempfile.TemporaryDirectory() as folder:
        for name in {"sanet", "stytr2"} & set(args.families):
            write_weights(name, Path(folder))
        os.environ[checkpoints.VARIABLE] = folder
        for name in args.families:
            if name == "styleid":
                styleid(512, args.steps)
                continue
            for size in args.sizes if name == "lite" else args.sizes[:2]:
                family(name, size)


if __name__ == "__main__":
    main()
