"""Many cases, one after another in a process of its own, so that one that hangs or dies is seen and the rest still run."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from queue import Empty, Queue
from typing import Any

from demo.beginning import keep_few_kernels

from . import maps, payloads, pictures

HANG = 30.0
"""Seconds that a case may take."""
PEAK = 1500.0
"""MB that a case may need for a moment; a picture of 50 megapixels is allowed, and it is 150 MB a copy."""
CACHE = 40_000_000
"""Bytes that each engine's stage cache may take here."""
GROWTH = 150.0
"""MB that the process may have grown by in the end."""
LIMIT = 8 << 30
"""Bytes that the process may ever hold: what wants more fails there, and not the machine."""
WEIGHTS = {"picture": 5, "map": 3, "payload": 4}
"""How often each group comes, for one of the others."""
ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Result:
    """One case and how it ended. peak: MB above what the process held before it. held: MB the process holds after it."""

    index: int
    kind: str
    how: str
    said: str
    seconds: float
    peak: float
    held: float
    good: bool


def all_kinds() -> dict[str, list[str]]:
    groups = {"picture": pictures.kinds(), "map": maps.kinds(), "payload": payloads.kinds()}
    return {group: [f"{group}/{name}" for name in names] for group, names in groups.items()}


def kind_at(index: int, only: str = "") -> str:
    """The kind of the case of an index: groups by their weights, kinds in turn. only: beginning of the kinds that are wanted."""
    if only:
        listed = [kind for group in all_kinds().values() for kind in group if kind.startswith(only)]
        return listed[index % len(listed)]
    order = [group for group, n in WEIGHTS.items() for _ in range(n)]
    turn, place = divmod(index, len(order))
    group = order[place]
    listed = all_kinds()[group]
    return listed[(turn * WEIGHTS[group] + order[:place].count(group)) % len(listed)]


def memory() -> tuple[float, float]:
    """(MB held now, most MB held since `_fresh_peak`)."""
    found = {}
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(("VmRSS:", "VmHWM:")):
            found[line[:5]] = int(line.split()[1]) / 1024
    return found["VmRSS"], found["VmHWM"]


def _fresh_peak() -> None:
    with contextlib.suppress(OSError):  # then the peak is that of the whole process, which only makes the check stricter
        Path("/proc/self/clear_refs").write_text("5")


def attempt(doors: Any, index: int, seed: str, only: str = "") -> Result:
    """Try one case here."""
    kind = kind_at(index, only)
    rng = random.Random(f"{seed} {index}")
    gc.collect()
    _fresh_peak()
    before, started = memory()[0], time.monotonic()
    ended = doors.try_one(kind, rng)
    seconds = time.monotonic() - started
    peak = memory()[1] - before
    gc.collect()
    how, said, good = ended.how, ended.said, ended.good
    if good and seconds > HANG:
        how, said, good = "too slow", f"{seconds:.0f} s, then {how}", False
    if good and peak > PEAK:
        how, said, good = "too much memory", f"{peak:.0f} MB, then {how}", False
    return Result(index, kind, how, said[-1500:], round(seconds, 2), round(peak, 1), round(memory()[0], 1), good)


def work(indices: Sequence[int], seed: str, folder: Path, only: str = "") -> None:
    """The process of its own: a line of JSON before and after each case."""
    keep_few_kernels()
    from scsa_core.engine import Engine

    from .doors import Doors

    Engine.__init__.__defaults__ = ("auto", CACHE)  # full soon: what the process holds beyond that and keeps is a leak
    resource.setrlimit(resource.RLIMIT_DATA, (LIMIT, LIMIT))
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # nothing else may speak there
    doors = Doors(folder)
    try:
        doors.warm()
        gc.collect()
        gc.freeze()  # what is loaded is not looked at again at every collection
        for index in indices:
            print(json.dumps({"began": index}), file=out, flush=True)
            print(json.dumps(asdict(attempt(doors, index, seed, only))), file=out, flush=True)
    finally:
        print(json.dumps({"end": True}), file=out, flush=True)
        doors.close()


def run(count: int, seed: str, first: int = 0, only: str = "") -> Iterator[Result]:
    """Results as they come."""
    left = list(range(first, first + count))
    while left:
        with tempfile.TemporaryDirectory(prefix="scsa-fuzz-") as folder:
            command = [sys.executable, "-m", "tests.fuzz", "--work", f"{left[0]}-{left[-1]}", "--seed", seed, "--folder", folder, "--only", only]
            done = yield from follow(command, left[0], Path(folder), only)
        left = left[done:]


def follow(command: list[str], first: int, folder: Path, only: str = "", patience: float = HANG + 60) -> Any:
    """Results of a process, until all are done, or one hangs or dies; returns how many are done then, that one included."""
    environment = os.environ | {"GRADIO_TEMP_DIR": str(folder / "files"), "GRADIO_ANALYTICS_ENABLED": "False", "OMP_NUM_THREADS": "1"}
    log = (folder / "log").open("w+")
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=log, text=True)
    lines: Queue[str | None] = Queue()

    def read() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            lines.put(line)
        lines.put(None)

    threading.Thread(target=read, daemon=True).start()
    at, done = first, 0
    try:
        while True:
            try:
                line = lines.get(timeout=patience)
            except Empty:
                yield Result(at, kind_at(at, only), "hang", f"more than {patience:g} s", patience, 0, 0, False)
                return done + 1
            if line is None:
                log.seek(0)
                yield Result(at, kind_at(at, only), "died", f"exit {process.wait(20)}: {log.read()[-800:]}", 0, 0, 0, False)
                return done + 1
            found = json.loads(line)
            if "end" in found:
                return done
            if "began" in found:
                at = found["began"]
                continue
            done += 1
            yield Result(**found)
    finally:
        process.kill()
        process.wait(20)
        log.close()


def table(results: Sequence[Result]) -> str:
    """Kind, count, how each ended, slowest, most memory; then the growth, and what ended badly."""
    kinds = sorted({r.kind for r in results})
    lines = [f"{'kind':<26}{'n':>5}  {'slowest':>8}  {'peak MB':>8}  ended"]
    for kind in [*kinds, "all"]:
        of = [r for r in results if kind in (r.kind, "all")]
        ways = {how: sum(r.how == how for r in of) for how in sorted({r.how for r in of})}
        ended = ", ".join(f"{n} {how}" for how, n in sorted(ways.items(), key=lambda item: -item[1]))
        lines.append(f"{kind:<26}{len(of):>5}  {max(r.seconds for r in of):>6.1f} s  {max(r.peak for r in of):>8.0f}  {ended}")
    fifths = [f"{results[max(0, len(results) * k // 5 - 1)].held:.0f}" for k in range(6)]
    lines.append(f"memory held, MB, from the first case by fifths: {', '.join(fifths)}; grown by {growth(results):+.0f} since the first fifth")
    bad = [r for r in results if not r.good]
    lines += [f"\n{r.index} {r.kind}: {r.how}\n    {r.said}" for r in bad]
    lines.append(f"{len(results) - len(bad)} of {len(results)} ended well")
    return "\n".join(lines)


def growth(results: Sequence[Result]) -> float:
    """MB, from the most that was held in the first fifth, when everything was loaded once, to the least of the last twentieth."""
    held = [r.held for r in results if r.held]
    early, late = held[: max(1, len(held) // 5)], held[-max(1, len(held) // 20) :]
    return min(late) - max(early)
