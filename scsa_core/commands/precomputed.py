"""`scsa precomputed`: the reference implementation's own map files, written from colour maps and read into label pictures."""

from __future__ import annotations

import argparse
from pathlib import Path

from scsa_core.commands.base import Command, UsageError, positive
from scsa_core.commands.render import write_atomically
from scsa_core.errors import LabelError
from scsa_core.images import encode_png
from scsa_core.reference_files import MASK_SIZES, find_pairs, precomputed_names, read_precomputed, write_precomputed


def configure(parser: argparse.ArgumentParser) -> None:
    parser.epilog = "example: scsa precomputed write sem_data --out sem_precomputed_feats"
    actions = parser.add_subparsers(dest="action", metavar="action", required=True)
    writing = actions.add_parser("write", help="From a folder of pairs: masks, and maps of both directions.", allow_abbrev=False)
    writing.add_argument("folder", type=Path, metavar="FOLDER", help="Folders <id> with two pictures and two colour maps.")
    writing.add_argument("--out", type=Path, required=True, metavar="DIR", help="Files go to DIR/<id>.")
    writing.add_argument("--sizes", type=positive, nargs="+", default=MASK_SIZES, metavar="S", help="Tokens a side (default: 32 64 128).")
    writing.add_argument(
        "--rule", choices=("reference", "area"), default="reference", help="How a token gets its label (default: as the reference does)."
    )
    writing.set_defaults(do=run_write)
    reading = actions.add_parser("read", help="Into greyscale pictures of labels, which every command here takes.", allow_abbrev=False)
    reading.add_argument("folder", type=Path, metavar="FOLDER", help="Folders <id> of such files, or one of them.")
    reading.add_argument("--out", type=Path, required=True, metavar="DIR", help="DIR/<id>/<picture>_labels.png.")
    reading.set_defaults(do=run_read)


def run(args: argparse.Namespace) -> int:
    code: int = args.do(args)
    return code


def run_write(args: argparse.Namespace) -> int:
    failed = 0
    for pair in find_pairs(args.folder):
        try:
            written = write_precomputed(args.out, pair, sizes=args.sizes, rule=args.rule)
        except LabelError as error:
            failed += 1
            print(f"{pair.id}: failed: {error}")
            continue
        except OSError as error:
            raise UsageError(f"--out {args.out}: cannot be written ({error.strerror})") from error
        print(f"{pair.id}: {len(written)} files, {sum(p.stat().st_size for p in written) / 1e6:.0f} MB")
    return 1 if failed else 0


def run_read(args: argparse.Namespace) -> int:
    if not args.folder.is_dir():
        raise UsageError(f"{args.folder} is not a folder")
    found = False
    for folder in sorted([args.folder, *(p for p in args.folder.iterdir() if p.is_dir())]):
        for content, style, size in precomputed_names(folder):
            found = True
            for name, m in zip((content, style), read_precomputed(folder, content, style, size)[:2], strict=True):
                write_atomically(args.out / folder.name / f"{name}_labels.png", encode_png(m.to_index_image()))
            print(f"{folder.name}: {content} and {style}, {size} × {size}")
    if not found:
        raise UsageError(f"{args.folder} holds no pair of masks", hint="They are named <picture>_masks_64.pt.")
    return 0


PRECOMPUTED = Command("precomputed", "Write and read the reference implementation's own map files.", configure, run)
