"""What weights there are, where they come from, and what this machine has of them.

`checkpoints/registry.toml` is the list; this module reads it and looks at files. Nothing
is downloaded (`fetch`) and no weights are opened (`weights`) here, so the page may ask at
any time.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from scsa_core import checkpoints
from scsa_core.errors import CheckpointCorrupt, CheckpointMissing, KnobError

REGISTRY = checkpoints.SHIPPED / "registry.toml"
Status = Literal["ready", "fetchable", "by hand"]
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_KEYS = {"name", "what", "page", "url", "listing", "mirrors", "bytes", "about_bytes", "sha256", "note", "optional"}
_FAMILY_KEYS = {"title", "needs", "licence", "page", "files"}


@dataclass(frozen=True)
class WeightsFile:
    """One file of a family.

    url: direct link, or "". listing: an address that answers JSON with the direct link, or
    "". mirrors: more direct links to the same bytes. size: exact bytes, or None where none
    is published; about: bytes, exact or estimated. sha256: 64 hex digits, or "". optional:
    published with the others, and painting does without it.
    """

    family: str
    name: str
    what: str
    page: str
    about: int
    url: str = ""
    listing: str = ""
    mirrors: tuple[str, ...] = ()
    size: int | None = None
    sha256: str = ""
    note: str = ""
    optional: bool = False

    @property
    def fetchable(self) -> bool:
        return bool(self.url or self.listing or self.mirrors)

    @property
    def megabytes(self) -> float:
        """Millions of bytes, exact or estimated."""
        return self.about / 1e6

    @property
    def target(self) -> Path:
        """Where a fetched or imported copy goes."""
        return checkpoints.root() / self.family / self.name

    def find(self) -> Path | None:
        """The file on this machine, or None."""
        try:
            return checkpoints.find(self.family, self.name)
        except CheckpointMissing:
            return None


@dataclass(frozen=True)
class WeightsFamily:
    """The files of a family. needs: "all" that are not optional, or "any" one, the first being preferred."""

    name: str
    title: str
    needs: Literal["all", "any"]
    licence: str
    page: str
    files: tuple[WeightsFile, ...]

    def file(self, name: str) -> WeightsFile:
        """Raises KnobError, naming those that there are."""
        for f in self.files:
            if f.name == name:
                return f
        raise KnobError(f"{self.title} has no file {name!r}", knob="file", hint=f"Choose one of: {', '.join(f.name for f in self.files)}.")


@dataclass(frozen=True)
class FamilyState:
    """What a page or a table says of a family.

    status: "ready"; "fetchable", and then `missing` can be downloaded; or "by hand", because
    at least one missing file has no direct link. missing: files still wanted, the preferred
    one alone where any would do. megabytes: of `missing`. instructions: sentences for a
    person, one a line; empty when ready.
    """

    family: str
    title: str
    status: Status
    missing: tuple[WeightsFile, ...]
    megabytes: float
    licence: str
    page: str
    folder: Path
    instructions: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """The same as plain values for JSON."""
        return {
            "family": self.family,
            "title": self.title,
            "status": self.status,
            "missing": [f.name for f in self.missing],
            "megabytes": round(self.megabytes, 1),
            "licence": self.licence,
            "page": self.page,
            "folder": str(self.folder),
            "instructions": list(self.instructions),
        }


def families() -> dict[str, WeightsFamily]:
    """Every family of the registry, in its order."""
    return dict(_read(REGISTRY))


def family(name: str) -> WeightsFamily:
    """Raises KnobError for a name that the registry does not list."""
    known = families()
    if name not in known:
        raise KnobError(f"no weights are listed for {name!r}", knob="family", hint=f"Choose one of: {', '.join(known)}.")
    return known[name]


def state(name: str) -> FamilyState:
    """What is here of a family and what is not; looks for names, opens no file. Raises KnobError."""
    listed = family(name)
    missing = [f for f in listed.files if f.find() is None and not f.optional]
    if listed.needs == "any":
        missing = missing[:1] if len(missing) == len(listed.files) else []
    status: Status = "ready" if not missing else "fetchable" if all(f.fetchable for f in missing) else "by hand"
    return FamilyState(
        family=name,
        title=listed.title,
        status=status,
        missing=tuple(missing),
        megabytes=sum(f.megabytes for f in missing),
        licence=listed.licence,
        page=listed.page,
        folder=checkpoints.root() / name,
        instructions=_instructions(listed, status, missing),
    )


def _instructions(listed: WeightsFamily, status: Status, missing: list[WeightsFile]) -> tuple[str, ...]:
    if status == "ready":
        return ()
    total = sum(f.megabytes for f in missing)
    lines = []
    if status == "fetchable":
        lines.append(f"Run `scsa checkpoints fetch {listed.name}` ({total:.0f} MB).")
    else:
        lines.append(f"{listed.title} has to be fetched by hand ({total:.0f} MB).")
        for f in missing:
            why = f" {f.note}" if f.note and not f.fetchable else ""
            lines.append(f"Get {f.name} from {f.page} and put it into {f.target.parent}.{why}")
        lines.append(f"Or check and copy each one with `scsa checkpoints import FILE --family {listed.name}`.")
    lines.append(f"Licence: {listed.licence}.")
    return tuple(lines)


# -- reading the list -----------------------------------------------------------------


def parse(text: str) -> dict[str, WeightsFamily]:
    """Families from TOML. Raises CheckpointCorrupt, naming the entry that is wrong."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _wrong(str(error)) from error
    entries = data.get("families")
    if not isinstance(entries, dict) or set(data) != {"families"}:
        raise _wrong("it holds one table, [families]")
    return {name: _family(name, entry) for name, entry in entries.items()}


@lru_cache(maxsize=8)
def _read(path: Path) -> dict[str, WeightsFamily]:
    try:
        return parse(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CheckpointMissing(f"{path.name} is missing", path=str(path), hint="Fetch the project again.") from error


def _family(name: str, entry: Any) -> WeightsFamily:
    if not isinstance(entry, dict) or not _NAME.fullmatch(name):
        raise _wrong(f"family {name!r} is not a table with a plain name")
    _only(name, entry, _FAMILY_KEYS)
    files = entry.get("files")
    if not isinstance(files, list) or not files:
        raise _wrong(f"{name} lists no files")
    if entry.get("needs") not in ("all", "any"):
        raise _wrong(f'{name}: needs is "all" or "any"')
    read = tuple(_file(name, f) for f in files)
    if len({f.name for f in read}) < len(read):
        raise _wrong(f"{name} lists a file twice")
    title, licence, page = (_text(name, entry, key) for key in ("title", "licence", "page"))
    return WeightsFamily(name, title, entry["needs"], licence, _address(name, page), read)


def _file(family_name: str, entry: Any) -> WeightsFile:
    if not isinstance(entry, dict):
        raise _wrong(f"{family_name}: a file is a table")
    where = f"{family_name}/{entry.get('name', '?')}"
    _only(where, entry, _KEYS)
    name = _text(where, entry, "name")
    if not _NAME.fullmatch(name):
        raise _wrong(f"{where}: not a plain file name")
    mirrors = entry.get("mirrors", [])
    if not isinstance(mirrors, list):
        raise _wrong(f"{where}: mirrors is a list")
    sha256 = entry.get("sha256", "")
    if not isinstance(sha256, str) or not re.fullmatch(r"([0-9a-f]{64})?", sha256):
        raise _wrong(f"{where}: sha256 is 64 lower-case hex digits")
    size, about = entry.get("bytes"), entry.get("about_bytes", entry.get("bytes"))
    for value in (size, about):
        if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value <= 0):
            raise _wrong(f"{where}: sizes are positive whole numbers of bytes")
    if about is None:
        raise _wrong(f"{where}: give bytes or about_bytes")
    if "bytes" in entry and "about_bytes" in entry:
        raise _wrong(f"{where}: give bytes or about_bytes, not both")
    direct = {key: _address(where, entry[key]) for key in ("url", "listing") if key in entry}
    return WeightsFile(
        family=family_name,
        name=name,
        what=_text(where, entry, "what"),
        page=_address(where, _text(where, entry, "page")),
        about=about,
        mirrors=tuple(_address(where, m) for m in mirrors),
        size=size,
        sha256=sha256,
        note=str(entry.get("note", "")),
        optional=entry.get("optional") is True,
        **direct,
    )


def _only(where: str, entry: Mapping[str, Any], known: set[str]) -> None:
    unknown = sorted(set(entry) - known)
    if unknown:
        raise _wrong(f"{where}: unknown {', '.join(unknown)}")


def _text(where: str, entry: Mapping[str, Any], key: str) -> str:
    value = entry.get(key)
    if not isinstance(value, str) or not value.strip():
        raise _wrong(f"{where}: {key} is missing")
    return value


def _address(where: str, value: Any) -> str:
    if not isinstance(value, str) or not value.startswith("https://"):
        raise _wrong(f"{where}: addresses start with https://")
    return value


def _wrong(what: str) -> CheckpointCorrupt:
    return CheckpointCorrupt(f"the list of weights cannot be used: {what}", hint="Fetch the project again.")
