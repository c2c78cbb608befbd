"""`scsa checkpoints`: what weights are here, and bringing those that are not.

Exit codes: 0 all as asked; 1 something could not be fetched on this machine (offline, disk
full, no direct link), and the output says what to do by hand; 2 a file or a name is wrong;
130 interrupted, and the next `fetch` continues.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scsa_core import fetch, registry, weights
from scsa_core.commands.base import Command, UsageError
from scsa_core.errors import CheckpointError, FetchFailed
from scsa_core.progress import Progress
from scsa_core.registry import WeightsFile


def configure(parser: argparse.ArgumentParser) -> None:
    parser.epilog = "example: scsa checkpoints fetch sam"
    actions = parser.add_subparsers(dest="action", metavar="action", required=True)
    wanted = "Families (default: all)."

    def action(name: str, words: str) -> argparse.ArgumentParser:
        return actions.add_parser(name, help=words, description=words, allow_abbrev=False)

    listing = action("list", "What there is and what is here.")
    listing.add_argument("families", nargs="*", metavar="FAMILY", help=wanted)
    listing.add_argument("--json", action="store_true", help="Print one JSON array.")
    getting = action("fetch", "Download what is missing of a family.")
    getting.add_argument("family", metavar="FAMILY", help="Whose weights.")
    getting.add_argument("file", nargs="?", metavar="FILE", help="One file of it (default: what the family needs).")
    checking = action("verify", "Check size, hash, names and shapes of the files that are here.")
    checking.add_argument("families", nargs="*", metavar="FAMILY", help=wanted)
    checking.add_argument("--json", action="store_true", help="Print one JSON array.")
    own = action("import", "Check a file of your own and copy it into place.")
    own.add_argument("path", type=Path, metavar="FILE", help="The file, under any name.")
    own.add_argument("--family", metavar="FAMILY", help="Whose it is, where that is not clear.")
    own.add_argument("--replace", action="store_true", help="Also where a file is in that place already.")
    for sub, do in ((listing, run_list), (getting, run_fetch), (checking, run_verify), (own, run_import)):
        sub.set_defaults(do=do)


def run(args: argparse.Namespace) -> int:
    code: int = args.do(args)
    return code


def run_list(args: argparse.Namespace) -> int:
    names = _names(args.families)
    if args.json:
        print(json.dumps([_described(name) for name in names], ensure_ascii=False))
        return 0
    rows = [("family", "file", "here", "MB", "licence")]
    for name in names:
        family = registry.family(name)
        rows += [(name, f.name, _presence(f), _megabytes(f), family.licence) for f in family.files]
    _table(rows)
    for name in names:
        now = registry.state(name)
        print(f"\n{name}: {now.status}" + (f", {now.megabytes:.0f} MB" if now.missing else ""))
        for line in now.instructions:
            print(f"  {line}")
    return 0


def run_fetch(args: argparse.Namespace) -> int:
    family = registry.family(args.family)
    files: Sequence[WeightsFile] = [family.file(args.file)] if args.file else registry.state(args.family).missing
    wanted = [f for f in files if f.find() is None]
    if not wanted:
        print(f"{args.family}: everything is here")
        return 0
    failed = 0
    for file in wanted:
        bar = _Bar(file)
        try:
            path = weights.obtain(file, progress=bar)
            bar.clear()
            checked = "hash, names and shapes" if file.sha256 else "names and shapes (no hash is published)"
            print(f"{path}: {path.stat().st_size / 1e6:.1f} MB, checked: {checked}")
        except FetchFailed as error:
            bar.clear()
            failed += 1
            print(f"scsa: {error}. {error.hint}", file=sys.stderr)
        finally:
            bar.clear()
    return 1 if failed else 0


def run_verify(args: argparse.Namespace) -> int:
    results = [_verified(f) for name in _names(args.families) for f in registry.family(name).files]
    if args.json:
        print(json.dumps(results, ensure_ascii=False))
    else:
        for r in results:
            print(f"{r['family']}/{r['file']}: {r['state']}" + (f" ({r['said']})" if r["said"] else ""))
    return 2 if any(r["state"] == "wrong" for r in results) else 0


def run_import(args: argparse.Namespace) -> int:
    if not args.path.is_file():
        raise UsageError(f"{args.path} is not a file")
    file = weights.import_file(args.path, args.family, replace=args.replace)
    print(f"{file.target}: {file.family}'s {file.what}")
    if file.sha256:
        try:
            fetch.verify(file, file.target)
        except CheckpointError:
            print("note: names and shapes are right; these are not the published bytes.", file=sys.stderr)
    now = registry.state(file.family)
    print(f"{file.family}: {now.status}" + (f", still missing: {', '.join(f.name for f in now.missing)}" if now.missing else ""))
    return 0


def _names(given: Sequence[str]) -> list[str]:
    """Those asked for, or all. Raises KnobError for one that is not listed."""
    return [registry.family(name).name for name in given] or list(registry.families())


def _described(name: str) -> dict[str, Any]:
    family = registry.family(name)
    files = [
        {
            "name": f.name,
            "what": f.what,
            "path": str(f.find() or f.target),
            "here": f.find() is not None,
            "fetchable": f.fetchable,
            "url": f.url or None,
            "mirrors": list(f.mirrors),
            "page": f.page,
            "bytes": f.size,
            "about_bytes": f.about,
            "sha256": f.sha256 or None,
            "note": f.note,
            "optional": f.optional,
        }
        for f in family.files
    ]
    return {**registry.state(name).as_dict(), "needs": family.needs, "files": files}


def _verified(file: WeightsFile) -> dict[str, str]:
    """state: "missing", "right" or "wrong"; said: what was compared, or what is wrong."""
    path = file.find()
    row = {"family": file.family, "file": file.name, "state": "missing", "said": ""}
    if path is None:
        return row
    try:
        fetch.verify(file, path)
        tensors = weights.check(file, path)
    except CheckpointError as error:
        return row | {"state": "wrong", "said": str(error)}
    compared = "published hash" if file.sha256 else "no hash is published"
    return row | {"state": "right", "said": f"{tensors} tensors, {compared}"}


def _presence(file: WeightsFile) -> str:
    if file.find() is not None:
        return "yes"
    return "not needed" if file.optional else "fetch" if file.fetchable else "by hand"


def _megabytes(file: WeightsFile) -> str:
    return f"{'' if file.size is not None else '~'}{file.megabytes:.0f}"


def _table(rows: Sequence[tuple[str, ...]]) -> None:
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]) - 1)]
    for row in rows:
        print("  ".join([cell.ljust(width) for cell, width in zip(row, widths, strict=False)] + [row[-1]]))


class _Bar:
    """Megabytes on one line of a terminal; silent when standard error is a file or a pipe."""

    def __init__(self, file: WeightsFile) -> None:
        self._file, self._visible = file, sys.stderr.isatty()

    def __call__(self, event: Progress) -> None:
        if self._visible:
            total = self._file.megabytes
            words = "checking" if event.stage == "verify" else f"{event.fraction * total:.1f} of {total:.1f} MB"
            print(f"\r\033[K{event.fraction:4.0%} {self._file.name} {words}", end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        if self._visible:
            print("\r\033[K", end="", file=sys.stderr, flush=True)


CHECKPOINTS = Command("checkpoints", "List, fetch, verify and import weights.", configure, run)
