"""`scsa evaluate`: render picture pairs under many methods, measure, compare, and write a report.

The output folder holds `results.csv` (one row a render), `summary.md`, one self-contained
`index.html`, and the renders. Stopped, it goes on where it was; only what is missing is
computed.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from scsa_core.backbones import FAMILIES
from scsa_core.commands.base import Command, UsageError, positive
from scsa_core.engine import Engine
from scsa_core.errors import CheckpointError
from scsa_core.evaluation import page, rows, run, tables
from scsa_core.evaluation.rows import NONE, Row, Variant
from scsa_core.files import write_atomically
from scsa_core.images import load_image, to_tensor
from scsa_core.knobs import ALL_METHODS, Knobs
from scsa_core.metrics import distributions
from scsa_core.metrics.inception import FILES as INCEPTION
from scsa_core.metrics.inception import InceptionFeatures, Kind
from scsa_core.metrics.lpips import FILES as LPIPS
from scsa_core.metrics.network import NETWORKS
from scsa_core.reference_files import PairFiles, find_pairs

SWEEP = (0.0, 0.5, 1.0, 1.5, 2.0)


def configure(parser: argparse.ArgumentParser) -> None:
    parser.epilog = "example: scsa evaluate --pairs pairs --limit 10 --size 256 --out report"
    parser.add_argument("--pairs", required=True, type=Path, metavar="DIR", help="Folder with a folder <id> for each pair.")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="Where the report goes, and is continued.")
    parser.add_argument(
        "--backbones", nargs="+", metavar="NAME", choices=tuple(FAMILIES),
        help="Models (default: all whose weights are here, but slow ones).",
    )  # fmt: skip
    parser.add_argument("--methods", nargs="+", metavar="NAME", choices=ALL_METHODS, help="Methods (default: all that each model has).")
    parser.add_argument("--limit", type=positive, metavar="N", help="Only the first N pairs.")
    parser.add_argument("--size", type=positive, default=512, metavar="N", help="Long side in pixels (default: %(default)s).")
    parser.add_argument("--one-way", action="store_true", help="Only the first picture as content, not both directions.")
    parser.add_argument("--alpha1", type=float, metavar="X", help="Instead of each model's own.")
    parser.add_argument("--alpha2", type=float, metavar="X", help="Instead of each model's own.")
    parser.add_argument(
        "--sweep-pairs", type=int, default=0, metavar="N", help=f"Also sweep α over {SWEEP} on the first N pairs (default: %(default)s)."
    )
    parser.add_argument("--network", choices=NETWORKS, default="vgg16-n", help="The network that measures (default: %(default)s).")
    parser.add_argument("--engine", choices=("local", "ray"), default="local", help="One process, or Ray workers (default: %(default)s).")
    parser.add_argument("--workers", type=positive, default=max(1, (os.cpu_count() or 2) // 2), metavar="N", help="Ray workers.")
    parser.add_argument("--address", metavar="ADDRESS", help="A running Ray cluster (default: one on this machine).")
    parser.add_argument("--import", dest="imported", type=Path, metavar="CSV", help="Take rows measured elsewhere for lite at --size.")
    parser.add_argument("--report-only", action="store_true", help="Write the report from the rows that are there.")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="Where to compute (default: %(default)s).")


def run_command(args: argparse.Namespace) -> int:
    if args.size % 8 or not 64 <= args.size <= 2048:
        raise UsageError(f"--size must be a multiple of 8 from 64 to 2048, not {args.size}")
    out: Path = args.out
    if out.exists() and not out.is_dir():
        raise UsageError(f"--out {out} is not a folder")
    pairs = [p for p in find_pairs(args.pairs) if not p.problem][: args.limit]
    table, renders = out / "results.csv", out / "renders"
    if args.imported is not None:
        _import(args, table)
    failures = [] if args.report_only else _measure(args, pairs, table, renders)
    found = rows.read_rows(table)
    if not found:
        raise UsageError("nothing was measured: " + (failures[0] if failures else "there are no rows"))
    notes = [_availability(found), *_sets(found, pairs, renders, out), *failures]
    summaries = tables.summaries(found)
    command = _command(args)
    write_atomically(out / "summary.md", tables.markdown(summaries, notes, command).encode())
    write_atomically(out / "index.html", page.page(summaries, found, pairs, renders, notes, command).encode())
    for s in summaries:
        print(f"{s.pairs} pairs, {s.size} px, {s.network}")
        for v in s.variants:
            cells = [f"{tables.WORDS[m]} {tables.shown(s.means[(v, m)])}" for m in tables.COMPARED if (v, m) in s.means]
            print(f"  {v.title:34s} " + "  ".join(cells))
    print(f"{out / 'index.html'}: {len(found)} renders")
    return 0


def _measure(args: argparse.Namespace, pairs: list[PairFiles], table: Path, renders: Path) -> list[str]:
    wanted = run.suite(_backbones(args), args.methods, args.size, (args.alpha1, args.alpha2))
    swept = run.sweep(_backbones(args), args.size, SWEEP) if args.sweep_pairs else []
    directions = run.DIRECTIONS[:1] if args.one_way else run.DIRECTIONS
    tasks = run.plan(
        pairs, wanted, swept, args.sweep_pairs, rows.read_rows(table), directions=directions, size=args.size, network=args.network,
        renders=renders,
    )  # fmt: skip
    failures: list[str] = []
    left = sum(len(t.wanted) for t in tasks)
    total = left

    def report(task: run.Task, new: list[dict[str, object]], problem: str) -> None:
        nonlocal left
        rows.append(table, new)
        left -= len(new)
        if problem:
            failures.append(f"{task.pair.id} {task.direction}: {problem}")
        if sys.stderr.isatty():
            print(f"\r\033[K{total - left} of {total} {task.pair.id} {task.direction}", end="", file=sys.stderr, flush=True)

    if args.engine == "ray" and tasks:
        run.run_on_ray(tasks, report, device=args.device, workers=args.workers, address=args.address)
    else:
        run.run_local(tasks, report, args.device)
    if sys.stderr.isatty():
        print(file=sys.stderr)
    return failures


def _backbones(args: argparse.Namespace) -> list[str]:
    """Those asked for, all of which must be ready; or all that are ready and not slow. Raises CheckpointError."""
    if args.backbones:
        for name in args.backbones:
            FAMILIES[name].probe()
        return list(args.backbones)
    states = Engine("cpu").backbones()
    return [s.info.name for s in states if s.ready and not s.info.capabilities.slow]


def _import(args: argparse.Namespace, table: Path) -> None:
    there = {rows.key(r) for r in rows.read_rows(table)}
    found = rows.import_rows(args.imported, size=args.size, defaults=Knobs.for_family(FAMILIES["lite"].info.defaults))
    rows.append(table, [r for r in found if rows.key(r) not in there])


def _command(args: argparse.Namespace) -> str:
    """The command line again, without what only this machine knows."""
    said = ["python -m scsa_core evaluate", f"--pairs {args.pairs}", f"--size {args.size}"]
    said += [f"--backbones {' '.join(args.backbones)}"] if args.backbones else []
    said += [f"--methods {' '.join(args.methods)}"] if args.methods else []
    said += [f"--limit {args.limit}"] if args.limit else []
    said += [f"--sweep-pairs {args.sweep_pairs}"] if args.sweep_pairs else []
    return " ".join([*said, f"--out {args.out}"])


def _availability(found: list[Row]) -> str:
    if any(r.get("lpips") for r in found):
        return "LPIPS is AlexNet, version 0.1."
    names = " and ".join(f"{family}/{name}" for family, name in LPIPS)
    return f"LPIPS: not available here ({names} are not in the checkpoints folder). PD-vgg16-n is another measure with other values."


def _sets(found: list[Row], pairs: list[PairFiles], renders: Path, out: Path) -> list[str]:
    """FID, KID and ArtFID of every method's pictures against the styles, or that they are not available."""
    said = []
    files = {p.id: p for p in pairs}
    for kind, words in (("fid", "FID and KID"), ("art", "ArtFID")):
        try:
            network = InceptionFeatures.load(kind)  # type: ignore[arg-type]
        except CheckpointError:
            family, name = INCEPTION[kind]  # type: ignore[index]
            said.append(f"{words}: not available here ({family}/{name} is not in the checkpoints folder).")
            continue
        for variant in tables.main_variants(found):
            own = [r for r in found if Variant.of_row(r) == variant and r["file"] and r["pair"] in files]
            mine = [r for r in own if (renders / r["file"]).exists()]
            if variant.backbone == NONE or len(mine) < 2:
                continue
            x = np.stack([_features(network, Image.open(renders / r["file"]).convert("RGB")) for r in mine])
            y = np.stack([_features(network, load_image(_style_of(files[r["pair"]], r["direction"]))) for r in mine])
            said.append(_set_line(variant, kind, x, y, [float(r["lpips"]) for r in mine if r.get("lpips")]))  # type: ignore[arg-type]
    return said


def _style_of(pair: PairFiles, direction: str) -> Path:
    return pair.second if direction == "forward" else pair.first


def _features(network: InceptionFeatures, picture: Image.Image) -> np.ndarray:
    return network(to_tensor(picture)).double().numpy()


def _set_line(variant: Variant, kind: Kind, x: np.ndarray, y: np.ndarray, lpips: list[float]) -> str:
    doubt = f", n = {len(x)}" + (" (unreliable)" if len(x) < distributions.RELIABLE else "")
    fid = distributions.fid(x, y)
    if kind == "fid":
        low, high = distributions.kid_interval(x, y, resamples=199)
        return f"{variant.title}: FID {fid:.2f}, KID {distributions.kid(x, y):.4f} [{low:.4f}, {high:.4f}]{doubt}."
    if len(lpips) < len(x):
        return f"{variant.title}: FID on the art Inception {fid:.2f}; ArtFID needs LPIPS{doubt}."
    return f"{variant.title}: ArtFID {distributions.art_fid(float(np.mean(lpips)), fid):.2f}{doubt}."


EVALUATE = Command("evaluate", "Measure methods on picture pairs and write a report.", configure, run_command)
