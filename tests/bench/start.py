"""The start: from `python app.py` until a person can use its page, in a browser on the same machine.

    python -m tests.bench.start --rounds 5 [--against OTHER_CHECKOUT]

Each round is a process of its own and a browser profile of its own, so nothing is cached but
files by the system. With --against, rounds of the two checkouts take turns.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import astuple, dataclass
from pathlib import Path

import psutil

from tests.browser.conftest import ARGS, ROOT, chromium_path

LONGEST = 120.0
NAMES = ("healthz", "first paint", "picture", "usable", "app CPU to healthz", "app CPU", "browser CPU", "page MB", "requests")
WIDTH = max(len(name) for name in NAMES)


@dataclass(frozen=True)
class Start:
    """Seconds since the process was started; CPU seconds (user and system); what the page fetched until it was usable.

    usable: the example's result is decoded, the painter's canvas and legend are there."""

    healthy: float
    painted: float
    picture: float
    usable: float
    cpu_healthy: float
    cpu: float
    cpu_browser: float
    megabytes: float
    requests: float


@contextlib.contextmanager
def app(root: Path, folder: Path) -> Iterator[tuple[psutil.Process, str, float]]:
    """The checkout's app, just started: process, address, the moment of its start. Killed afterwards."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    environment = os.environ | {"GRADIO_ANALYTICS_ENABLED": "False", "GRADIO_TEMP_DIR": str(folder / "files")}
    environment |= {"SCSA_DATA": str(folder / "data")}
    environment |= dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
    environment |= dict.fromkeys(("no_proxy", "NO_PROXY"), "127.0.0.1,localhost")
    command = [sys.executable, "app.py", "--no-browser", "--host", "127.0.0.1", "--port", str(port)]
    with (folder / "log").open("w") as out:
        begun = time.monotonic()
        process = subprocess.Popen(command, cwd=root, env=environment, stdout=out, stderr=subprocess.STDOUT)
    try:
        yield psutil.Process(process.pid), f"http://127.0.0.1:{port}", begun
    finally:
        process.kill()
        process.wait(20)


def until_healthy(url: str, process: psutil.Process, log: Path) -> None:
    """Raises RuntimeError where the app ends or stays silent."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    end = time.monotonic() + LONGEST
    while time.monotonic() < end and process.is_running():
        with contextlib.suppress(OSError), opener.open(url + "/healthz", timeout=10):
            return
        time.sleep(0.02)
    raise RuntimeError("the app did not start: " + log.read_text())


def cpu(*processes: psutil.Process) -> float:
    """CPU seconds of processes and of those they started."""
    total = 0.0
    for process in processes:
        for one in (process, *process.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                times = one.cpu_times()
                total += times.user + times.system
    return total


def browser_cpu() -> float:
    """CPU seconds of the browser's processes that live, without the driver that waits for it."""
    total = 0.0
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            if "chrom" in process.name():
                times = process.cpu_times()
                total += times.user + times.system
    return total


def measure(browser: object, root: Path) -> Start:
    """One start of the app of `root`, until its page is usable."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        context = browser.new_context(viewport={"width": 1440, "height": 900})
        page = context.new_page()
        try:
            with app(root, folder) as (process, url, begun):
                until_healthy(url, process, folder / "log")
                healthy, cpu_healthy = time.monotonic() - begun, cpu(process)
                before = browser_cpu()
                opened = time.monotonic() - begun
                page.goto(url, wait_until="commit")
                picture = page.locator("#compare img.cv-image[src]").first
                picture.wait_for(state="attached", timeout=LONGEST * 1000)
                picture.evaluate("img => img.decode()")
                pictured = time.monotonic() - begun
                page.locator("#painter canvas").first.wait_for(timeout=LONGEST * 1000)
                page.locator("#painter").get_by_text("Greenery").first.wait_for(timeout=LONGEST * 1000)
                usable, cpu_usable = time.monotonic() - begun, cpu(process)
                browsed = browser_cpu() - before
                painted = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0") / 1000
                fetched = page.evaluate("performance.getEntriesByType('resource').map(e => e.transferSize)")
                return Start(
                    healthy, opened + painted, pictured, usable, cpu_healthy, cpu_usable, browsed, sum(fetched) / 1e6, len(fetched)
                )  # fmt: skip
        finally:
            context.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--against", type=Path, metavar="DIR", help="another checkout, whose rounds take turns with ours")
    args = parser.parse_args()
    roots = {"here": ROOT} | ({"against": args.against.resolve()} if args.against else {})
    found: dict[str, list[Start]] = {name: [] for name in roots}

    from playwright.sync_api import sync_playwright

    with sync_playwright() as p:
        browser = p.chromium.launch(executable_path=chromium_path(), args=ARGS)
        for k in range(args.rounds):
            for name in sorted(roots, reverse=k % 2 == 1):
                found[name].append(measure(browser, roots[name]))
                print(f"{name}: " + ", ".join(f"{n} {v:.2f}" for n, v in zip(NAMES, astuple(found[name][-1]), strict=True)), file=sys.stderr)
        browser.close()
    print(f"median of {args.rounds} (lowest to highest); seconds since the start of the process; {os.cpu_count()} cores")
    print("".rjust(WIDTH), *(name.rjust(22) for name in found), sep="  ")
    for k, what in enumerate(NAMES):
        columns = [[astuple(start)[k] for start in starts] for starts in found.values()]
        print(what.rjust(WIDTH), *(f"{statistics.median(c):.2f} ({min(c):.2f} to {max(c):.2f})".rjust(22) for c in columns), sep="  ")


if __name__ == "__main__":
    main()
