"""What is kept of a batch: pictures, `timings.csv`, `report.txt` and contact sheets, each written whole or not at all.

`timings.csv` is also the memory of a batch: a render whose row says "done" under the same
key, and whose picture is there, is not done again.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from scsa_core.batch.jobs import Job, Outcome
from scsa_core.batch.sheet import Row, draw
from scsa_core.files import write_atomically
from scsa_core.knobs import Method
from scsa_core.progress import STAGES

TIMINGS, REPORT, SHEET = "timings.csv", "report.txt", "contact_sheet"
COLUMNS = (
    "pair", "direction", "backbone", "method", "status", "width", "height", "total", *STAGES, "peak_memory_mb", "worker", "file",
    "warnings", "error", "key",
)  # fmt: skip
ROWS = 24
"""Directed pairs on one contact sheet."""


@dataclass
class Report:
    """The state of an output folder. `rows` by (pair, direction, backbone, method)."""

    out: Path

    def __post_init__(self) -> None:
        self.rows: dict[tuple[str, str, str, str], dict[str, str]] = {}
        path = self.out / TIMINGS
        if path.is_file():
            with path.open(newline="", encoding="utf-8") as f:
                for row in csv.DictReader(f):
                    if set(COLUMNS) <= set(row):
                        self.rows[_name(row)] = {name: row[name] or "" for name in COLUMNS}

    def left(self, jobs: Sequence[Job]) -> list[Job]:
        """The jobs, each with the methods that are not done yet; what cannot be read is left to fail by itself."""
        return [part for job in jobs if (part := _with(job, tuple(m for m in job.methods if not self._done(job, m)))) is not None]

    def _done(self, job: Job, method: Method) -> bool:
        row = self.rows.get((job.pair.id, job.pair.name, job.backbone, method))
        if row is None or row["status"] != "done" or not (self.out / job.file(method)).is_file():
            return False
        try:
            return row["key"] == job.key(method)
        except OSError:
            return False

    def add(self, job: Job, outcome: Outcome) -> str:
        """Keep a render: its picture first, then its row. Returns its line of the report. Raises OSError."""
        row = dict.fromkeys(COLUMNS, "") | {
            "pair": job.pair.id, "direction": job.pair.name, "backbone": job.backbone, "method": outcome.method,
            "status": "failed" if outcome.error else "done", "worker": outcome.worker, "error": outcome.error,
            "warnings": " ".join(outcome.warnings),
        }  # fmt: skip
        if not outcome.error:
            write_atomically(self.out / job.file(outcome.method), outcome.png)
            row |= {name: f"{outcome.timings[name]:.3f}" for name in ("total", *STAGES) if name in outcome.timings}
            row |= {"width": str(outcome.size[0]), "height": str(outcome.size[1]), "file": job.file(outcome.method)}
            row |= {"peak_memory_mb": f"{outcome.peak_bytes / 1e6:.0f}", "key": job.key(outcome.method)}
        self.rows[_name(row)] = row
        self._write()
        return line(row)

    def _write(self) -> None:
        text = io.StringIO()
        writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows.values())
        write_atomically(self.out / TIMINGS, text.getvalue().encode())
        write_atomically(self.out / REPORT, "".join(line(row) + "\n" for row in self.rows.values()).encode())

    def sheets(self, jobs: Sequence[Job]) -> list[Path]:
        """Contact sheets of the jobs: content, style and every method's picture. Returns the files."""
        written = []
        pages = [jobs[k : k + ROWS] for k in range(0, len(jobs), ROWS)]
        for number, page in enumerate(pages, 1):
            path = self.out / (f"{SHEET}.jpg" if len(pages) == 1 else f"{SHEET}_{number}.jpg")
            write_atomically(path, draw([self._row(job) for job in page], page[0].methods))
            written.append(path)
        return written

    def _row(self, job: Job) -> Row:
        pictures: dict[str, Path | str] = {}
        for method in job.methods:
            row = self.rows.get((job.pair.id, job.pair.name, job.backbone, method), {})
            pictures[method] = self.out / job.file(method) if row.get("status") == "done" else row.get("error") or "not painted"
        return Row(f"{job.pair.id}: {job.pair.name}, {job.backbone}", job.pair.first, job.pair.second, pictures)


def line(row: Mapping[str, str]) -> str:
    """One render in words."""
    said = f"{row['pair']} {row['direction']} {row['backbone']} {row['method']}: "
    if row["status"] != "done":
        return said + f"failed: {row['error']}"
    return said + f"{row['total']} s" + (f" ({row['warnings']})" if row["warnings"] else "")


def _name(row: Mapping[str, str]) -> tuple[str, str, str, str]:
    return row["pair"], row["direction"], row["backbone"], row["method"]


def _with(job: Job, methods: tuple[Method, ...]) -> Job | None:
    return replace(job, methods=methods) if methods else None
