"""The real app in a process of its own, and a browser to drive it."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page

ROOT = Path(__file__).resolve().parents[2]
ARGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
KEPT = "cookies,local_storage,indexeddb,cache_storage,file_systems,service_workers"  # all that a page keeps, but not the browser's own cache


def chromium_path() -> str:
    """The browser: the headless one where it is there, at half the processor time. Without any: a failure where that is demanded, else a skip."""
    found = os.environ.get("CHROMIUM") or shutil.which("chromium-headless-shell") or shutil.which("chromium")
    if not found:
        if os.environ.get("SCSA_REQUIRE_BROWSER") == "1":
            pytest.fail("SCSA_REQUIRE_BROWSER is set and there is no chromium")
        pytest.skip("no chromium on this machine")
    return found


class Server:
    """The app as a person starts it, on a free port, which it keeps when it is started again."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder, self.starts, self.settings = folder, 0, settings
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """With an empty folder of files each time."""
        self.starts += 1
        log = self.folder / f"log{self.starts}"
        files = self.folder / f"files{self.starts}"
        environment = os.environ | {"GRADIO_ANALYTICS_ENABLED": "False", "GRADIO_TEMP_DIR": str(files)}
        environment |= {"SCSA_DATA": str(self.folder / "data")} | self.settings
        # The app needs no internet, and here it has none: whatever it asks for is refused at once.
        environment |= dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
        environment |= dict.fromkeys(("no_proxy", "NO_PROXY"), "127.0.0.1,localhost")
        with log.open("w") as out:
            command = [sys.executable, "app.py", "--no-browser", "--host", "127.0.0.1", "--port", str(self.port)]
            self.process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=out, stderr=subprocess.STDOUT)
        for _ in range(600):
            assert self.process.poll() is None, log.read_text()
            with contextlib.suppress(OSError), urllib.request.urlopen(self.url + "/healthz", timeout=2) as answer:
                if answer.status == 200:
                    return
            time.sleep(0.5)
        pytest.fail("the app did not start: " + log.read_text())

    def kill(self) -> None:
        """As a crash would: at once."""
        self.process.kill()
        self.process.wait(20)

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(20)


@contextlib.contextmanager
def running(folder: Path, **settings: str) -> Iterator[Server]:
    """A server that has started, and is stopped afterwards."""
    server = Server(folder, **settings)
    try:
        server.start()
        yield server
    finally:
        server.stop()


def small_examples(folder: Path) -> Path:
    """A copy of the examples that opens at 256 px: whoever changes something there waits a quarter as long as at 512."""
    shutil.copytree(ROOT / "assets" / "examples", folder)
    for record in folder.glob("*/example.toml"):
        record.write_text(record.read_text() + "\n[knobs]\nsize = 256\n")
    return folder


@pytest.fixture(scope="session")
def app_url(tmp_path_factory):
    folder = tmp_path_factory.mktemp("app")
    with running(folder, SCSA_EXAMPLES=str(small_examples(folder / "examples"))) as server:
        yield server.url


@pytest.fixture(scope="module")
def browser():
    """Closed with its module: Playwright keeps an event loop running in this thread while it is open."""
    path = chromium_path()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as p:
        opened = p.chromium.launch(executable_path=path, args=ARGS)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    """A page with nothing but the painter."""
    chromium_path()
    from demo.ending import close
    from tests.browser.painter_page import Host

    made = Host(tmp_path_factory.mktemp("painter"))
    yield made
    close(made.demo)


@pytest.fixture(scope="module")
def visit(browser):
    """Opens an empty page for someone who has kept nothing, but has the app's scripts already fetched and compiled."""
    contexts: dict[str, BrowserContext] = {}

    @contextlib.contextmanager
    def visited(url: str, **options) -> Iterator[Page]:
        who = repr(options)
        if who not in contexts:
            contexts[who] = browser.new_context(**options)
        context = contexts[who]
        page = context.new_page()
        context.clear_cookies()
        context.new_cdp_session(page).send("Storage.clearDataForOrigin", {"origin": url, "storageTypes": KEPT})
        try:
            yield page
        finally:
            for each in context.pages:
                each.close()

    return visited


@pytest.fixture
def desk(visit, host, request):
    """That page, open. A parameter is the browser context's options. Ends with no error on the page."""
    from tests.browser.painter_page import Desk

    options = getattr(request, "param", {"viewport": {"width": 1440, "height": 900}})
    with visit(host.url, **options) as page:
        page.set_default_timeout(60_000)
        made = Desk(page, host)
        yield made
    assert made.problems == []


@pytest.fixture
def studio(visit, app_url):
    """The real page, open on its first example. Ends with no error on it."""
    from tests.browser.studio_page import SLOW, Studio

    with visit(app_url, viewport={"width": 1440, "height": 900}) as page:
        page.set_default_timeout(SLOW)
        opened = Studio(page, app_url)
        yield opened
        assert not opened.problems and opened.toasts() == []
