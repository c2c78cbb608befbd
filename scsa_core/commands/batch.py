"""`scsa batch`: every pair of a folder, with its baseline; goes on where it stopped.

Exit codes: 0 all renders are there; 1 some failed, and the report says why; 2 bad input;
130 interrupted, and the next call continues.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch

from scsa_core.backbones import FAMILIES
from scsa_core.batch import Job, Outcome, Report, plan, run_local, run_on_ray
from scsa_core.commands.base import Command, UsageError, add_knobs, knob_values, positive
from scsa_core.engine import Engine
from scsa_core.knobs import ALL_METHODS
from scsa_core.plan import REFERENCE_SIZE
from scsa_core.reference_files import find_pairs


def configure(parser: argparse.ArgumentParser) -> None:
    parser.epilog = "example: scsa batch sem_data --backbone lite --both-directions --out out"
    parser.add_argument(
        "folder",
        type=Path,
        metavar="FOLDER",
        help="A folder for each pair: <id>.jpg, <id>_paint.jpg, <id>_sem.png, <id>_paint_sem.png (or content, style, content_map, ...).",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="Pictures, timings.csv, report.txt and contact_sheet.jpg.")
    parser.add_argument("--backbone", choices=tuple(FAMILIES), default="lite", help="The model (default: %(default)s).")
    parser.add_argument(
        "--methods", nargs="+", choices=ALL_METHODS, default=["baseline", "scsa"], metavar="METHOD",
        help=f"What to paint each pair with: {', '.join(ALL_METHODS)} (default: baseline scsa).",
    )  # fmt: skip
    parser.add_argument("--both-directions", action="store_true", help="Also the second picture painted like the first.")
    parser.add_argument("--only", nargs="+", metavar="ID", help="These pairs alone.")
    parser.add_argument("--precomputed", type=Path, metavar="DIR", help="Take maps from the reference's own files, DIR/<id>/*_masks_64.pt.")
    parser.add_argument("--reference", action="store_true", help=f"The reference's own preprocessing, {REFERENCE_SIZE}x{REFERENCE_SIZE}.")
    add_knobs(parser)
    running = parser.add_argument_group("running")
    running.add_argument("--engine", choices=("local", "ray"), default="local", help="One engine here, or one a worker of a Ray cluster.")
    running.add_argument("--address", metavar="HOST:PORT", help="The Ray cluster; without it one of this machine is started.")
    running.add_argument("--workers", type=positive, metavar="N", help="Engines on the cluster (default: one a node).")
    running.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="Where to compute (default: %(default)s).")


def run(args: argparse.Namespace) -> int:
    jobs = _jobs(args)
    try:
        report = Report(args.out)
        left = report.left(jobs)
        total, kept = sum(len(j.methods) for j in jobs), sum(len(j.methods) for j in jobs) - sum(len(j.methods) for j in left)
        if kept:
            print(f"{kept} of {total} renders are there already")
        done = kept

        def keep(job: Job, outcome: Outcome) -> None:
            nonlocal done
            done += 1
            print(f"[{done}/{total}] {report.add(job, outcome)}", flush=True)

        if args.engine == "ray" and left:
            run_on_ray(left, keep, address=args.address, workers=args.workers, device=args.device)
        elif left:
            engine = Engine(args.device)
            engine.load(args.backbone)  # unusable weights are one error, not one a render
            run_local(left, engine, keep)
        sheets = report.sheets(jobs)
    except OSError as error:
        raise UsageError(f"--out {args.out}: cannot be written ({error.strerror or error})") from error
    names = {(j.pair.id, j.pair.name, j.backbone, m) for j in jobs for m in j.methods}
    failed = [row for name, row in report.rows.items() if name in names and row["status"] != "done"]
    print(f"{args.out}: {total - len(failed)} of {total} renders, {', '.join(path.name for path in sheets)}")
    if failed:
        print(f"scsa: {len(failed)} renders failed; see {args.out / 'report.txt'}.", file=sys.stderr)
    return 1 if failed else 0


def _jobs(args: argparse.Namespace) -> list[Job]:
    """What is asked for. Raises UsageError, KnobError, LabelError."""
    if args.device == "cuda" and args.engine == "local" and not torch.cuda.is_available():
        raise UsageError("there is no CUDA device here", hint="Leave --device out.")
    if args.engine == "local" and (args.address or args.workers):
        raise UsageError("--address and --workers are for --engine ray")
    if args.reference and args.precomputed:
        raise UsageError("--reference needs the colour maps, not --precomputed")
    family = FAMILIES[args.backbone].info
    unknown = [m for m in args.methods if m not in family.capabilities.methods]
    if unknown:
        raise UsageError(f"{family.title} has no method {unknown[0]}", hint=f"Choose from {', '.join(family.capabilities.methods)}.")
    if args.engine == "local":
        FAMILIES[args.backbone].probe()
    pairs = find_pairs(args.folder)
    if args.only:
        missing = sorted(set(args.only) - {p.id for p in pairs})
        if missing:
            raise UsageError(f"--only: {args.folder} has no pair {missing[0]}")
        pairs = [p for p in pairs if p.id in args.only]
    values = knob_values(args)
    if args.reference:
        values["size"] = REFERENCE_SIZE
    if args.out.exists() and not args.out.is_dir():
        raise UsageError(f"--out {args.out}: this is a file")
    return plan(
        pairs,
        backbone=args.backbone,
        methods=list(dict.fromkeys(args.methods)),
        knobs=Engine("cpu").defaults(args.backbone).replace(**values),
        both_directions=args.both_directions,
        reference=args.reference,
        precomputed=args.precomputed,
    )


BATCH = Command("batch", "Paint every pair of a folder, with its baseline; goes on where it stopped.", configure, run)
