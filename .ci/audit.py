"""Known holes in the installed packages, asked of OSV's database: `.venv/bin/python .ci/audit.py [--strict]`.

It needs the network, so it never fails the check and hardly holds it up: where the database
does not answer within seconds, it says so. Nor does a hole that became known overnight fail a
change that has nothing to do with it; `--strict`, for before a release, exits with 1 on holes
and with 2 where nothing could be asked.
"""

from __future__ import annotations

import importlib.metadata
import json
import re
import sys
import time
import urllib.request
from collections.abc import Mapping
from typing import Any

SERVICE = "https://api.osv.dev/v1"
PATIENCE = 5
"""Seconds for one answer."""
SECONDS = 30
"""For all details together: holes beyond that are named without them."""


def installed() -> dict[str, str]:
    """Name, as the database writes it, -> version without a local part such as "+cpu"."""
    found = {}
    for package in importlib.metadata.distributions():
        if name := package.metadata["Name"]:
            found[re.sub(r"[-_.]+", "-", name).lower()] = package.version.partition("+")[0]
    return found


def ask(path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """One answer of the database. Raises OSError, ValueError."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{SERVICE}/{path}", data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
        found = json.load(answer)
    if not isinstance(found, dict):
        raise ValueError("not an answer of the database")
    return found


def holes(packages: Mapping[str, str]) -> list[str]:
    """A line for each known hole; one that has several names has one line. Raises OSError, ValueError, KeyError."""
    queries = [{"package": {"name": name, "ecosystem": "PyPI"}, "version": version} for name, version in packages.items()]
    answers = ask("querybatch", {"queries": queries})["results"]
    lines: list[str] = []
    seen: set[str] = set()
    end = time.monotonic() + SECONDS
    for (name, version), answer in zip(packages.items(), answers, strict=True):
        for hole in answer.get("vulns", ()):
            detail = ask(f"vulns/{hole['id']}") if time.monotonic() < end else {}
            names = {hole["id"], *detail.get("aliases", ())}
            if names & seen or detail.get("withdrawn"):
                continue
            seen |= names
            fixed = ", ".join(_fixed(detail, name)) or "no version that is known"
            lines.append(f"{name} {version}: {hole['id']}, mended in {fixed}. {detail.get('summary', '')}".rstrip())
    return lines


def _fixed(detail: Mapping[str, Any], name: str) -> list[str]:
    """The versions that mend a hole in a package."""
    ranges = [r for a in detail.get("affected", ()) if a["package"]["name"].lower() == name for r in a.get("ranges", ())]
    return sorted({event["fixed"] for r in ranges if r["type"] != "GIT" for event in r["events"] if "fixed" in event})


def main(arguments: list[str]) -> int:
    strict, packages = "--strict" in arguments, installed()
    try:
        found = holes(packages)
    except (OSError, ValueError, KeyError, TypeError) as error:
        print(f"Packages were not audited: the database of known holes cannot be reached ({type(error).__name__}).")
        return 2 if strict else 0
    print("\n".join([*found, f"{len(packages)} packages audited, {len(found)} known holes."]))
    return 1 if strict and found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
