"""Endurance: programs, pages and voters on the real app, killed and started again in the middle.

    python -m tests.bench.endure --minutes 10 --clients 32

Among the clients two are browsers that render, keep links and gather a history; a quarter
vote in a study; the others render pictures of their own through `/render`. What the app
acknowledged has to be there at the end: every link opens, every vote counts once, every
result is in its browser's history. Answers are compared with what the client got when it
was alone.

The kill takes the files that a page shows with it, and a page knows of the new app once it
has looked for it. So a page's faults count again as soon as it says that it is connected
again, which it has to do by itself within RECOVERS seconds of the app's being well.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import statistics
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from scsa_core.commands.bench_load import ALPHAS, ask_alone, new_client
from scsa_core.study.store import Store
from tests.browser.conftest import ARGS, Server, chromium_path
from tests.study.conftest import design, pairs

TRIALS = 20
PAGES = 2
RECOVERS = 60  # seconds: it looks every four, and gives its pictures again


@dataclass
class Seen:
    """What the clients were told, and what went wrong. Guarded by `lock`."""

    waits: list[float] = field(default_factory=list)
    mixed: int = 0
    errors: list[str] = field(default_factory=list)
    away: int = 0  # answers that failed while the server was being started again
    votes: dict[tuple[str, int], int] = field(default_factory=dict)
    links: list[str] = field(default_factory=list)
    recovered: list[float] = field(default_factory=list)  # seconds after which pages were seen to have noticed the new app
    histories: list[tuple[int, int]] = field(default_factory=list)  # results seen, results kept
    lock: threading.Lock = field(default_factory=threading.Lock)

    def failed(self, who: str, error: object, *, excused: bool) -> None:
        """excused: the server was being killed or started again."""
        with self.lock:
            if excused:
                self.away += 1
            else:
                self.errors.append(f"{who}: {error}"[:300])


class Watch:
    """The clock of a run: when it ends, and whether the server is expected to be there."""

    def __init__(self, seconds: float) -> None:
        self.end = time.monotonic() + seconds
        self.down = threading.Event()
        self.killed = threading.Event()
        self.well = 0.0  # when it was up again
        self.back = 0.0  # from when on programs and voters have no excuse

    @property
    def running(self) -> bool:
        return time.monotonic() < self.end

    def excuses(self, started: float) -> bool:
        """Whether something that began then may have failed because of the kill."""
        return self.down.is_set() or started < self.back


def render(client: Any, ask: Callable[[float], bytes], seen: Seen, watch: Watch) -> None:
    turn = client.number
    while watch.running:
        alpha, started = ALPHAS[turn % len(ALPHAS)], time.monotonic()
        turn += 1
        try:
            answer = ask(alpha)
        except Exception as error:
            seen.failed(f"client {client.number}", f"{type(error).__name__} {error}", excused=watch.excuses(started))
            time.sleep(1)
            continue
        with seen.lock:
            seen.waits.append(time.monotonic() - started)
            seen.mixed += answer != client.pixels[alpha]


def vote(port: int, study: str, number: int, seen: Seen, watch: Watch) -> None:
    """One participant after another, each vote insisted on as the page does."""

    def insist(path: str, body: object) -> dict[str, Any]:
        while True:
            started = time.monotonic()
            try:
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
                connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
                answer = connection.getresponse()
                found: dict[str, Any] = json.loads(answer.read())
                if answer.status == 200:
                    return found
                raise OSError(f"{answer.status}: {found}")
            except (OSError, http.client.HTTPException, ValueError) as error:
                seen.failed(f"voter {number}", error, excused=watch.excuses(started))
                time.sleep(0.5)

    while watch.running:
        person = insist(f"/vote/api/{study}/start", {})
        for trial in person["trials"]:
            if not watch.running:
                return
            choice = (number + trial["number"]) % 2
            insist(f"/vote/api/{study}/vote", {"token": person["token"], "number": trial["number"], "choice": choice, "ms": 1500})
            with seen.lock:
                seen.votes[person["token"], trial["number"]] = choice
            time.sleep(1)


def comes_back(page: Any, number: int, seen: Seen, watch: Watch) -> None:
    """Wait until a page has noticed the new app by itself; that it does not is an error."""
    from playwright.sync_api import Error

    while watch.down.is_set():
        page.wait_for_timeout(500)
    left = RECOVERS - (time.monotonic() - watch.well)
    try:
        page.locator(".sp-kept:is([data-said=kept_again], [data-said=kept_restored])").wait_for(state="attached", timeout=1000 * max(1.0, left))
        with seen.lock:
            seen.recovered.append(time.monotonic() - watch.well)
    except Error:
        seen.failed(f"page {number}", f"not connected again within {RECOVERS} s of the app's being well", excused=False)


def browse(url: str, number: int, seen: Seen, watch: Watch) -> None:
    """A person at a page: another α, the result, its link; after the kill the page as it comes back by itself."""
    from playwright.sync_api import Error, sync_playwright

    from tests.browser.studio_page import Studio

    with sync_playwright() as p:
        page = p.chromium.launch(executable_path=chromium_path(), args=ARGS).new_context(viewport={"width": 1440, "height": 900}).new_page()
        page.set_default_timeout(180_000)
        studio, turn, rendered, link, met = Studio(page, url), 0, 0, "", False
        studio.size("256 px")
        while watch.running:
            if watch.killed.is_set() and not met:
                comes_back(page, number, seen, watch)
                met = True
            turn += 1
            try:
                before = b""
                with contextlib.suppress(OSError):  # its file went with the server; the page still shows the picture
                    before = studio.shown()
                box = page.locator("#knob-alpha1 input[type=number]")
                box.fill(f"{0.02 * (turn % 90 + 1):.2f}")
                box.press("Enter")
                studio.repainted(before)
                page.locator("#link").click()
                page.wait_for_function(
                    "old => { const f = document.querySelector('#link-field textarea, #link-field input'); "
                    "return f && f.value.includes('?r=') && f.value !== old }",
                    arg=link, timeout=60_000,
                )  # fmt: skip
                link = page.locator("#link-field textarea, #link-field input").first.input_value()
                rendered += 1
                with seen.lock:
                    if link in seen.links:
                        seen.errors.append(f"page {number}: the same link twice")
                    seen.links.append(link)
            except (Error, AssertionError, OSError) as error:
                said = f"{str(error).splitlines()[0]}; it says {studio.status()!r}, {page.locator('#notes').inner_text()!r}"
                seen.failed(f"page {number}", said, excused=watch.killed.is_set() and not met)
                page.wait_for_timeout(1000)
        if watch.killed.is_set() and not met:
            comes_back(page, number, seen, watch)
        page.wait_for_timeout(3000)
        page.reload()
        page.locator(".hs-item").first.wait_for()
        page.wait_for_timeout(3000)
        with seen.lock:
            seen.histories.append((rendered, page.locator(".hs-item").count()))
            seen.errors += [f"page {number}: {problem}"[:300] for problem in studio.problems]


def not_opening(links: list[str]) -> list[str]:
    """Those that do not show their picture on a fresh page."""
    from playwright.sync_api import Error, sync_playwright

    lost = []
    with sync_playwright() as p:
        browser = p.chromium.launch(executable_path=chromium_path(), args=ARGS)
        for link in links:
            page = browser.new_page()
            try:
                page.goto(link)
                page.locator("#compare [role=status]").get_by_text("The result that was kept").wait_for(timeout=60_000)
                image = page.locator("#compare .cv-result img.cv-image[src]")
                image.evaluate("image => image.decode()")  # an error where it is none
            except Error:
                lost.append(link)
            page.close()
    return lost


def run(minutes: float, clients: int, size: int) -> int:
    seen = Seen()
    with tempfile.TemporaryDirectory(prefix="scsa-endure-") as text:
        folder = Path(text)
        server = Server(folder, SCSA_RATE="0")
        store = Store(folder / "data")
        study, secret = store.create(design(trials=TRIALS, checks=4), pairs(8))
        store.publish(study, secret)
        server.start()
        voters = max(1, clients // 4)
        programs = [new_client(k, server.url, folder, size) for k in range(max(1, clients - voters - PAGES))]
        ask_alone(programs)
        watch = Watch(60 * minutes)
        threads = [threading.Thread(target=render, args=(c, ask, seen, watch)) for c, ask in programs]
        threads += [threading.Thread(target=vote, args=(server.port, study, k, seen, watch)) for k in range(voters)]
        threads += [threading.Thread(target=browse, args=(server.url, k, seen, watch)) for k in range(PAGES)]
        for thread in threads:
            thread.start()
        print(f"{len(programs)} programs, {voters} voters, {PAGES} pages; {minutes:g} minutes", flush=True)
        memory = []
        while watch.running:
            time.sleep(5)
            with contextlib.suppress(psutil.Error):
                memory.append(psutil.Process(server.process.pid).memory_info().rss)
            if server.starts == 1 and watch.end - time.monotonic() < 30 * minutes:
                print(f"killed with {len(seen.waits)} answers, {len(seen.votes)} votes, {len(seen.links)} links", flush=True)
                watch.down.set()
                watch.killed.set()
                server.kill()
                began = time.monotonic()
                server.start()
                watch.well = time.monotonic()
                watch.back = watch.well + 5
                watch.down.clear()
                print(f"well again after {time.monotonic() - began:.1f} s", flush=True)
        for thread in threads:
            thread.join()
        records = store.records(study, secret)
        kept = {(a.participant, a.ordinal): a.choice for a in records.answers}
        lost = not_opening(seen.links)
        with urllib.request.urlopen(server.url + "/healthz", timeout=30) as answer:
            well = answer.status == 200
        server.stop()
        store.close()
    third = max(1, len(memory) // 6)
    print(f"answers {len(seen.waits)}, median {statistics.median(seen.waits):.1f} s, slowest {max(seen.waits):.1f} s; mixed up {seen.mixed}")
    print(f"errors {len(seen.errors)}; failed while it was away {seen.away}")
    print(f"pages seen connected again after {', '.join(f'{seconds:.1f}' for seconds in seen.recovered)} s")
    print(f"votes acknowledged {len(seen.votes)}, kept {len(kept)}, rows {len(records.answers)}")
    print(f"links acknowledged {len(seen.links)}, lost {len(lost)}")
    print(f"histories (seen, kept): {seen.histories}; healthy at the end: {well}")
    print(f"memory of the server, MB: {[round(statistics.median(memory[k : k + third]) / 1e6) for k in range(0, len(memory), third)]}")
    for error in seen.errors[:20]:
        print("  " + error)
    short = [1 for rendered, found in seen.histories if found < min(rendered, 50)]
    failed = seen.mixed or seen.errors or lost or short or len(seen.histories) != PAGES or not well
    return 1 if failed or not len(seen.votes) <= len(kept) == len(records.answers) <= len(seen.votes) + voters else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--size", type=int, default=128, help="pixels of the programs' renders")
    args = parser.parse_args()
    return run(args.minutes, args.clients, args.size)


if __name__ == "__main__":
    raise SystemExit(main())
