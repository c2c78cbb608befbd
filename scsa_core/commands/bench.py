"""`scsa bench`: speed as ratios against something run beside it, memory, load on a running app, and the segmenter's quality."""

from __future__ import annotations

import argparse
import math
import statistics
from collections.abc import Sequence
from pathlib import Path

import torch

from scsa_core.commands import (
    bench_attention,
    bench_families,
    bench_load,
    bench_maps,
    bench_maps_ssl,
    bench_reconstruction,
    bench_render,
    bench_scale,
    bench_stop,
)
from scsa_core.commands.base import Command, UsageError, positive
from scsa_core.knobs import Knobs

MB = 1e6


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "what",
        choices=("attention", "render", "families", "scale", "stop", "load", "maps", "reconstruction"),
        help="The attention alone, a whole render with lite, the paper's families on random weights against the reference, "
        "time and memory from 256 pixels up to --size, how long a stop may wait up to --size, many clients on a running app, "
        "the segmenter against maps made by hand, or how much of a picture lite's decoder keeps.",
    )
    parser.add_argument(
        "--size", type=positive, metavar="N", help="Tokens a side (attention, default 64) or pixels (render and families, default 512)."
    )
    parser.add_argument("--repeat", type=positive, default=5, metavar="N", help="Rounds (default: %(default)s).")
    parser.add_argument(
        "--family", choices=("lite", *bench_families.CASES), default="lite", help="scale, stop: which; all but lite on random weights."
    )
    parser.add_argument("--threads", type=positive, metavar="N", help="Threads to compute with (default: torch's own choice).")
    parser.add_argument("--pairs", type=Path, metavar="DIR", help="maps, reconstruction: a folder of <id>/ with pictures and true maps.")
    parser.add_argument("--regions", choices=("true", "auto"), default="true", help="maps: number of regions on the sheet, or with --ssl.")
    parser.add_argument("--url", metavar="URL", help="load: the running app, started with SCSA_RATE=0.")
    parser.add_argument("--pid", type=positive, metavar="N", help="load: the app's process, to watch its memory.")
    parser.add_argument("--seconds", type=positive, default=60, metavar="N", help="load: for each count (default: %(default)s).")
    parser.add_argument("--clients", type=positive, nargs="+", default=bench_load.CLIENTS, metavar="N", help="load: how many at once.")
    parser.add_argument("--ssl", type=positive, metavar="N", help="maps: only render N of the pairs with true and with automatic maps.")
    parser.add_argument("--out", type=Path, metavar="DIR", help="maps: where a contact sheet (picture, truth, ours) goes.")


def run(args: argparse.Namespace) -> int:
    if args.threads:
        torch.set_num_threads(args.threads)
    if args.what == "maps":
        if args.pairs is None:
            raise UsageError("bench maps needs --pairs", hint="See `scsa bench --help`.")
        if args.ssl:
            some = bench_maps_ssl.spread(bench_maps.find_pairs(args.pairs), args.ssl)
            bench_maps_ssl.report(some, args.size or 384, args.regions == "true")
        else:
            bench_maps.report(args.pairs, args.regions, args.out)
    elif args.what == "reconstruction":
        if args.pairs is None:
            raise UsageError("bench reconstruction needs --pairs", hint="See `scsa bench --help`.")
        bench_reconstruction.report(args.pairs, args.size or 256)
    elif args.what == "attention":
        side = args.size or 64
        if not 4 <= side <= 256:
            raise UsageError(f"--size must lie between 4 and 256 tokens, not {side}")
        attention(side, args.repeat)
    elif args.what == "scale":
        scale(args.size or 2048, args.family)
    elif args.what == "stop":
        stop(args.size or 2048, args.family)
    elif args.what == "load":
        if args.url is None:
            raise UsageError("bench load needs --url of a running app", hint="See `scsa bench --help`.")
        return load(args.url, args.clients, args.seconds, args.size or 96, args.pid)
    elif args.what == "families":
        families(args.size or 512, args.repeat, args.threads)
    else:
        render(args.size or 512, args.repeat)
    return 0


def attention(side: int, repeat: int) -> None:
    """Measure and print the table of `bench attention`; a row appears as soon as it is known."""
    print(f"SCA + SSA, {side}x{side} tokens, width {bench_attention.WIDTH}; median of {repeat} (lowest to highest); {_machine()}")
    widths = (7, 22, 22, 7, 9, 9, 7, 17)
    heads = ("regions", "dense masked, s", "block-wise, s", "faster", "dense MB", "block MB", "leaner", "GFLOP/s (share)")
    print(_row(heads, widths))
    for regions in bench_attention.REGIONS:
        case = bench_attention.measure(side, regions, repeat)
        rate = case.flops / statistics.median(case.blocks)
        share = rate / (case.product_flops / statistics.median(case.product))
        ratio = statistics.median(d / b for d, b in zip(case.dense, case.blocks, strict=True))
        cells = (
            str(regions),
            _spread(case.dense),
            _spread(case.blocks),
            f"{ratio:.2f}x",
            f"{case.dense_bytes / MB:.0f}",
            f"{case.blocks_bytes / MB:.0f}",
            f"{case.dense_bytes / max(case.blocks_bytes, 1):.0f}x",
            f"{rate / 1e9:.0f} ({share:.0%})",
        )
        print(_row(cells, widths), flush=True)
    print("faster: median of the rounds' own ratios. MB: peak beyond inputs and results, in a process of its own.")
    print("share: of a plain matrix product of the same width in the same rounds.")


def render(size: int, repeat: int) -> None:
    """Measure and print the table of `bench render`."""
    outcome = bench_render.measure(size, repeat)
    print(f"lite, {size}x{size}, 4 regions; median of {repeat} (lowest to highest); {_machine()}")
    widths = (11, 24, 8, 17)
    print(_row(("render", "s", "GFLOP", "GFLOP/s (share)"), widths))
    for kind in outcome.renders:
        rate = kind.flops / statistics.median(kind.seconds)
        cells = (kind.name, _spread(kind.seconds), f"{kind.flops / 1e9:.0f}", f"{rate / 1e9:.0f} ({rate / outcome.convolution:.0%})")
        print(_row(cells, widths))
    stages = ", ".join(f"{name} {seconds:.2f}" for name, seconds in outcome.renders[0].stages.items() if name != "total")
    print(f"cold by stage, s: {stages}")
    print(f"loading the model: {outcome.load_seconds:.2f} s; peak memory of the process: {outcome.peak_bytes / 1e9:.2f} GB")
    print("GFLOP: of plain convolutions, also where quicker ways give the same numbers.")
    print(f"share: of a 512 -> 512 3x3 convolution at 64x64, which reaches {outcome.convolution / 1e9:.0f} GFLOP/s here.")


def scale(largest: int, family: str) -> None:
    """Measure and print the table of `bench scale`; a row appears as soon as it is known."""
    print(f"{family}, cold, 4 equal regions, one render a size; {_machine()}")
    widths = (6, 9, 8, 14, 8, 44)
    print(_row(("pixels", "s", "peak GB", "s/s before", "GFLOP/s", "stages, s"), widths))
    steps: list[bench_scale.Step] = []
    for size in (s for s in bench_scale.SIZES if s <= largest):
        step = bench_scale.measure(size, family)
        ratio = f"{step.seconds / steps[-1].seconds:.1f}x" if steps else "-"
        stages = " ".join(f"{name.replace('encode_', '')} {s:.1f}" for name, s in step.stages.items() if s >= 0.05)
        cells = (str(size), f"{step.seconds:.2f}", f"{step.peak_bytes / 1e9:.2f}", ratio, f"{step.rate / 1e9:.0f}", stages)
        print(_row(cells, widths), flush=True)
        steps.append(step)
    if not math.isnan(power := bench_scale.exponent(steps)):
        print(f"time times the rate of a convolution beside it grows as pixels^{power:.2f} from 512 on.")


def stop(largest: int, family: str) -> None:
    """Measure and print the table of `bench stop`; a row appears as soon as it is known."""
    print(f"{family}, cold, 4 equal regions: seconds between looks for a stop; {_machine()}")
    widths = (6, 9, 7, 9, 10, 16)
    print(_row(("pixels", "render s", "looks", "mean wait", "longest", "where"), widths))
    for found in bench_stop.run(family, largest):
        longest, stage = found.longest
        cells = (str(found.size), f"{found.seconds:.2f}", str(len(found.gaps)), f"{found.mean:.3f}", f"{longest:.3f}", stage)
        print(_row(cells, widths), flush=True)
    print("mean wait: of a stop at any moment. Each size: the second of two cold renders.")


def load(url: str, clients: Sequence[int], seconds: float, size: int, pid: int | None) -> int:
    """Load a running app and print the table of `bench load`. Returns 1 where an answer was wrong or missing."""
    print(f"{size} px, three settings a client, {seconds} s each, every picture compared with the one the client got alone")
    widths = (7, 7, 6, 5, 8, 8, 9, 7, 9, 16)
    heads = ("clients", "answers", "errors", "mixed", "median s", "p95 s", "slowest s", "per s", "unfair", "memory, GB")
    print(_row(heads, widths))
    failed = 0
    for x in bench_load.run(url, sorted(clients), seconds, size, pid, print):
        memory = " to ".join(f"{m / 1e9:.2f}" for m in x.memory) if pid else "-"
        times = [f"{v:.2f}" for v in (x.median, x.p95, x.slowest, x.throughput)]
        counts = (str(n) for n in (x.clients, x.answers, len(x.errors), x.mixed))
        print(_row((*counts, *times, f"{x.unfair:.2f}x", memory), widths), flush=True)
        failed += len(x.errors) + x.mixed
        for error in x.errors[:3]:
            print(f"  {error}")
    print("unfair: the slowest client's median wait over the median client's.")
    return 1 if failed else 0


def families(size: int, repeat: int, threads: int | None = None) -> None:
    """Measure and print the table of `bench families`; a family's rows appear as soon as they are known. Raises KnobError."""
    Knobs(size=size)
    print(f"{size}x{size}, {bench_families.REGIONS} regions, random weights; median of {repeat} (lowest to highest); {_machine()}")
    widths = (8, 12, 24, 12, 9, 8, 7)
    print(_row(("family", "what", "here", "reference", "faster", "bar", "holds"), widths))
    for name, case in bench_families.CASES.items():
        m = bench_families.measure(name, size, repeat, threads)
        for what, seconds, bar in (("cold SCSA", m.cold, case.cold), ("move of α₁", m.moved, case.moved)):
            faster = m.faster(seconds, case.seconds)
            said = ("-", "-") if bar is None else (f"{bar:.1f}x", _yes(faster >= bar))
            print(_row((name, what, f"{_spread(seconds)} s", f"{case.seconds} s", f"{faster:.1f}x", *said), widths))
        slowest = statistics.median(m.maps)
        cells = (f"{1e3 * slowest:.0f} ms", f"{bench_families.REFERENCE_MAPS:.0f} s")
        faster = m.faster(m.maps, bench_families.REFERENCE_MAPS)
        limit = f"{1e3 * bench_families.MAPS_BAR:.0f} ms"
        print(_row((name, "label maps", *cells, f"{faster:.0f}x", limit, _yes(slowest <= bench_families.MAPS_BAR)), widths))
        here, there = m.peak_bytes / 1e9, case.peak_bytes / 1e9
        said = ("-", "-") if case.memory is None else (f"{case.memory / 1e9:.2f} GB", _yes(m.peak_bytes <= case.memory))
        print(_row((name, "peak memory", f"{here:.2f} GB", f"{there:.2f} GB", f"{there / here:.1f}x", *said), widths))
        stages = ", ".join(f"{stage} {s:.2f}" for stage, s in m.stages.items() if stage != "total")
        rate = f"{statistics.median(m.rates) / 1e9:.0f} ({min(m.rates) / 1e9:.0f} to {max(m.rates) / 1e9:.0f})"
        print(f"  {name}: convolution beside it {rate} GFLOP/s; last cold render by stage, s: {stages}", flush=True)
    there_rate = bench_families.REFERENCE_RATE / 1e9
    print(f"reference: the public implementation's own whole render on 2 idle cores that convolve at {there_rate:.0f} GFLOP/s.")
    print("faster: its seconds times its rate over ours times ours, round by round; memory as it is. Convolution: 512 -> 512, 3x3, 64x64.")


def _yes(holds: bool) -> str:
    return "yes" if holds else "no"


def _spread(seconds: Sequence[float]) -> str:
    return f"{statistics.median(seconds):.3f} ({min(seconds):.3f} to {max(seconds):.3f})"


def _row(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(cell.rjust(width) for cell, width in zip(cells, widths, strict=True))


def _machine() -> str:
    return f"{torch.get_num_threads()} threads, torch {torch.__version__}"


BENCH = Command("bench", "Measure speed and memory on this machine.", configure, run)
