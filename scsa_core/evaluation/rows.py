"""`results.csv`: one row a render. Rows are only added; what is there is not computed again."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from scsa_core.errors import ScsaError
from scsa_core.knobs import Knobs
from scsa_core.metrics.network import LAYERS

Row = dict[str, str]
NONE = "none"
"""Stands for the backbone of rows that no model painted."""
TRIVIAL = ("content", "colour")
"""Rows of NONE: the content itself, and the per-region colour match."""
METRICS = ("ssl", "gram", "swd", "cfsd", "content_distance", "lpips", "colour", "colour_regions")
FIELDS = (
    "pair", "direction", "backbone", "method", "alpha1", "alpha2", "size", "network", "seconds",
    *METRICS, *LAYERS, "regions", "file",
)  # fmt: skip
IMPORTED = ("pair", "direction", "method", "ssl", "gram", "swd", "cfsd", "seconds", *LAYERS)
"""Columns a foreign table needs (that of the model card's measurements)."""


@dataclass(frozen=True)
class Variant:
    """What is compared: a method of a backbone at its α. α is empty where it does nothing."""

    backbone: str
    method: str
    alpha1: str = ""
    alpha2: str = ""

    @classmethod
    def of(cls, backbone: str, method: str, knobs: Knobs | None, acting: Iterable[str] = ()) -> Variant:
        a1, a2 = (f"{getattr(knobs, k):g}" if knobs is not None and k in acting else "" for k in ("alpha1", "alpha2"))
        return cls(backbone, method, a1, a2)

    @classmethod
    def of_row(cls, row: Mapping[str, str]) -> Variant:
        return cls(row["backbone"], row["method"], row["alpha1"], row["alpha2"])

    @property
    def title(self) -> str:
        if self.backbone == NONE:
            return {"content": "content itself", "colour": "region colour match, no network"}.get(self.method, self.method)
        names = {("mast", "regions"): "mast", ("mast", "single"): "mast-1", ("mast", "baseline"): "mast without maps"}
        name = names.get((self.backbone, self.method), f"{self.backbone} {self.method}")
        return name + (f" {self.alpha1}/{self.alpha2}" if self.alpha1 or self.alpha2 else "")


def key(row: Mapping[str, str]) -> tuple[str, ...]:
    """What makes two rows the same measurement."""
    return tuple(row[k] for k in ("pair", "direction", "backbone", "method", "alpha1", "alpha2", "size", "network"))


def read_rows(path: Path) -> list[Row]:
    """Rows of a table written here; [] where there is none. Raises ScsaError for another file."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as f:
        rows = list(csv.DictReader(f))
    if rows and (missing := [k for k in FIELDS if k not in rows[0]]):
        raise ScsaError(f"{path.name} is not a table of `scsa evaluate`: no column {missing[0]}", hint="Give another --out.")
    return [r for r in rows if None not in r.values()]  # a last line cut short by a crash is measured again


def append(path: Path, rows: Iterable[Mapping[str, object]]) -> None:
    """Add rows; a new file gets its head first."""
    fresh = not path.exists()
    path.parent.mkdir(parents=True, exist_ok=True)
    if not fresh and not path.read_bytes().endswith(b"\n"):  # what a crash cut short must not swallow the next row
        with path.open("ab") as f:
            f.write(b"\n")
    with path.open("a", newline="", encoding="utf-8") as f:
        writer = csv.DictWriter(f, FIELDS)
        if fresh:
            writer.writeheader()
        writer.writerows(rows)
        f.flush()


def import_rows(path: Path, *, size: int, defaults: Knobs, backbone: str = "lite", network: str = "vgg16-n") -> list[Row]:
    """Rows of a table with IMPORTED columns, as ours. Raises ScsaError where a column is missing."""
    with path.open(newline="", encoding="utf-8") as f:
        rows = list(csv.DictReader(f))
    if not rows or any(k not in rows[0] for k in IMPORTED):
        raise ScsaError(f"{path} has no rows with the columns {', '.join(IMPORTED[:8])}", hint="Give a table of measurements.")
    found = []
    for r in rows:
        trivial = r["method"] in TRIVIAL
        acts = not trivial and r["method"] != "baseline"
        variant = Variant.of(NONE if trivial else backbone, r["method"], defaults, ("alpha1", "alpha2") if acts else ())
        own: Row = dict.fromkeys(FIELDS, "") | {k: r[k] for k in IMPORTED}
        own |= {
            "backbone": variant.backbone, "alpha1": variant.alpha1, "alpha2": variant.alpha2, "size": str(size), "network": network,
        }  # fmt: skip
        found.append(own)
    return found
