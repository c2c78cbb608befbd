"""What the host of the page decides: limits, places and how long things are kept."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from scsa_core.images import Limits
from scsa_core.knobs import SIZES

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Settings:
    """device: "auto", "cpu" or "cuda". max_size: largest working size offered, in pixels.

    upload_megabytes: of one file. keep_hours: files of visitors are deleted after that.
    examples: folder with one folder per example. preload: load the model behind the first picture.
    may_fetch: visitors may have this machine download weights. data: folder of studies and kept links, which outlives the
    process. database_url: of PostgreSQL, for studies; empty: SQLite in `data`. studies: whether visitors may make them;
    study_megabytes: of all their pictures. link_days, link_megabytes: how long, and how many bytes of, kept links stay.
    forgets: the data folder does not outlive a restart. metrics: who may read them (`metrics.py`).
    rate: scales what one client may ask for, 0: no limit (`guard.py`). proxies: how many trusted ones stand before the app.
    """

    device: str = "auto"
    max_size: int = 2048
    limits: Limits = field(default_factory=Limits)
    upload_megabytes: int = 60
    keep_hours: int = 24
    examples: Path = ROOT / "assets" / "examples"
    preload: bool = True
    may_fetch: bool = True
    data: Path = ROOT / ".data"
    database_url: str = ""
    studies: bool = True
    study_megabytes: int = 2000
    link_days: int = 30
    link_megabytes: int = 500
    forgets: bool = False
    metrics: str = ""
    rate: float = 1.0
    proxies: int = 0

    @property
    def sizes(self) -> tuple[int, ...]:
        """Working sizes offered on the page, at least the smallest."""
        return tuple(size for size in SIZES if size <= self.max_size) or SIZES[:1]

    def offered(self, size: float) -> int:
        """The nearest of them, the smaller one of two."""
        return min(self.sizes, key=lambda each: abs(each - size))

    @classmethod
    def from_environment(cls, *, device: str = "auto", share: bool = False) -> Settings:
        """The defaults, changed by variables of the environment (README, Settings).

        share: the page gets a public address. Raises ValueError for a bad number."""
        found = cls(device=device)
        if size := os.environ.get("SCSA_MAX_SIZE"):
            found = replace(found, max_size=int(size))
        if folder := os.environ.get("SCSA_EXAMPLES"):
            found = replace(found, examples=Path(folder).resolve())
        if os.environ.get("SCSA_PRELOAD") == "0":
            found = replace(found, preload=False)
        # On a shared host the disk is not the visitors' to fill, unless the host says so.
        if os.environ.get("SCSA_FETCH", "0" if share or "SPACE_ID" in os.environ else "1") == "0":
            found = replace(found, may_fetch=False)
        found = replace(found, metrics=os.environ.get("SCSA_METRICS", "").strip())
        proxies = os.environ.get("SCSA_PROXIES") or ("1" if "SPACE_ID" in os.environ else "0")
        found = replace(found, rate=float(os.environ.get("SCSA_RATE") or 1), proxies=int(proxies))
        return _with_data(found)


def _with_data(found: Settings) -> Settings:
    """SCSA_DATA, SCSA_DATABASE_URL, SCSA_STUDIES, SCSA_STUDY_MB, SCSA_LINK_DAYS and SCSA_LINK_MB.

    A Space's own disk is forgotten at its restart, but for what is mounted at /data.
    """
    lasting = Path("/data")
    on_space = "SPACE_ID" in os.environ
    mounted = on_space and lasting.is_dir() and os.access(lasting, os.W_OK)
    folder = os.environ.get("SCSA_DATA")
    data = Path(folder).resolve() if folder else lasting / "scsa" if mounted else found.data
    variables = {"study_megabytes": "SCSA_STUDY_MB", "link_days": "SCSA_LINK_DAYS", "link_megabytes": "SCSA_LINK_MB"}
    numbers: dict[str, Any] = {name: int(os.environ[v]) for name, v in variables.items() if os.environ.get(v)}
    return replace(
        found,
        data=data,
        database_url=os.environ.get("SCSA_DATABASE_URL", ""),
        studies=os.environ.get("SCSA_STUDIES") != "0",
        forgets=on_space and not (mounted and data.is_relative_to(lasting)),
        **numbers,
    )
