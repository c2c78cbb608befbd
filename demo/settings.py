"""What the host of the page decides: limits, places and how long things are kept."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from pathlib import Path

from scsa_core.images import Limits
from scsa_core.knobs import SIZES

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Settings:
    """device: "auto", "cpu" or "cuda". max_size: largest working size offered, in pixels.

    upload_megabytes: of one file. keep_hours: files of visitors are deleted after that.
    examples: folder with one folder per example. preload: load the model behind the first picture.
    may_fetch: visitors may have this machine download weights.
    """

    device: str = "auto"
    max_size: int = 2048
    limits: Limits = field(default_factory=Limits)
    upload_megabytes: int = 60
    keep_hours: int = 24
    examples: Path = ROOT / "assets" / "examples"
    preload: bool = True
    may_fetch: bool = True

    @property
    def sizes(self) -> tuple[int, ...]:
        """Working sizes offered on the page, at least the smallest."""
        return tuple(size for size in SIZES if size <= self.max_size) or SIZES[:1]

    @classmethod
    def from_environment(cls, *, device: str = "auto") -> Settings:
        """The defaults, changed by SCSA_MAX_SIZE, SCSA_EXAMPLES, SCSA_PRELOAD and SCSA_FETCH. Raises ValueError for a bad number."""
        found = cls(device=device)
        if size := os.environ.get("SCSA_MAX_SIZE"):
            found = replace(found, max_size=int(size))
        if folder := os.environ.get("SCSA_EXAMPLES"):
            found = replace(found, examples=Path(folder).resolve())
        if os.environ.get("SCSA_PRELOAD") == "0":
            found = replace(found, preload=False)
        # On a shared host the disk is not the visitors' to fill, unless the host says so.
        if os.environ.get("SCSA_FETCH", "0" if "SPACE_ID" in os.environ else "1") == "0":
            found = replace(found, may_fetch=False)
        return found
