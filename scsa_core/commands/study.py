"""`scsa study`: the studies of this machine, for whoever runs it. A lost results link is replaced here."""

from __future__ import annotations

import argparse
import json
import os
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scsa_core.commands.base import Command

if TYPE_CHECKING:
    from scsa_core.study.store import Store


def configure(parser: argparse.ArgumentParser) -> None:
    parser.epilog = "example: scsa study export 9sOmEId-1234abcd --format csv > answers.csv"
    data, url = os.environ.get("SCSA_DATA", ".data"), os.environ.get("SCSA_DATABASE_URL", "")
    parser.add_argument("--data", type=Path, default=Path(data), metavar="DIR", help="Data folder (default: SCSA_DATA, or .data).")
    parser.add_argument("--database", default=url, metavar="URL", help="Database (default: SCSA_DATABASE_URL, or SQLite in the folder).")
    actions = parser.add_subparsers(dest="action", metavar="action", required=True)

    def action(name: str, words: str) -> argparse.ArgumentParser:
        return actions.add_parser(name, help=words, description=words, allow_abbrev=False)

    listing = action("list", "Every study with its state and its number of answers.")
    listing.add_argument("--json", action="store_true", help="Print one JSON array.")
    export = action("export", "Print a study's answers.")
    export.add_argument("--format", choices=("csv", "json"), default="csv", help="A line a vote, or everything (default: csv).")
    link = action("link", "Print a new results link; the old one stops working.")
    gone = action("delete", "Delete a study: answers, participants, pictures.")
    for sub in (export, link, gone):
        sub.add_argument("study", metavar="ID", help="The study's id, as `list` prints it; an older one that begins with - goes after --.")
    for sub, do in ((listing, run_list), (export, run_export), (link, run_link), (gone, run_delete)):
        sub.set_defaults(do=do)


def run(args: argparse.Namespace) -> int:
    from scsa_core.study.store import Store

    with closing(Store(args.data, args.database)) as store:
        args.do(args, store)
    return 0


def run_list(args: argparse.Namespace, store: Store) -> None:
    rows: list[dict[str, Any]] = []
    for info in store.studies():
        records = store.records_of(info.id)
        created = datetime.fromtimestamp(info.created / 1000, UTC).strftime("%Y-%m-%d")
        votes = sum(a.kind == "main" for a in records.answers)
        title = info.design.title or info.design.question
        counts = {"people": len(records.participants), "votes": votes}
        rows.append({"id": info.id, "state": info.state, "created": created, **counts, "title": title})
    if args.json:
        print(json.dumps(rows, ensure_ascii=False))
        return
    for row in rows:
        print(f"{row['id']}  {row['state']:6}  {row['created']}  {row['people']:4} people  {row['votes']:6} votes  {row['title'][:60]}")


def run_export(args: argparse.Namespace, store: Store) -> None:
    from scsa_core.study import report

    records = store.records_of(args.study)
    print(report.as_csv(records) if args.format == "csv" else json.dumps(report.as_json(records), ensure_ascii=False, indent=1), end="")


def run_link(args: argparse.Namespace, store: Store) -> None:
    print(f"results?study={args.study}#{store.renew(args.study)}")


def run_delete(args: argparse.Namespace, store: Store) -> None:
    store.forget(args.study)
    print(f"{args.study}: deleted")


STUDY = Command("study", "List, export and delete user studies.", configure, run)
