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
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ARGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


def chromium_path() -> str:
    """The browser. Without one: a failure where the environment demands it, else a skip."""
    found = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if not found:
        if os.environ.get("SCSA_REQUIRE_BROWSER") == "1":
            pytest.fail("SCSA_REQUIRE_BROWSER is set and there is no chromium")
        pytest.skip("no chromium on this machine")
    return found


@pytest.fixture(scope="session")
def app_url(tmp_path_factory):
    """The app as a person starts it, on a free port."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    log = tmp_path_factory.mktemp("app") / "log"
    environment = os.environ | {"GRADIO_ANALYTICS_ENABLED": "False", "GRADIO_TEMP_DIR": str(log.parent / "files")}
    environment["SCSA_DATA"] = str(log.parent / "data")
    # The app needs no internet, and here it has none: whatever it asks for is refused at once.
    environment |= dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
    environment |= dict.fromkeys(("no_proxy", "NO_PROXY"), "127.0.0.1,localhost")
    with log.open("w") as out:
        command = [sys.executable, "app.py", "--no-browser", "--host", "127.0.0.1", "--port", str(port)]
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=out, stderr=subprocess.STDOUT)
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(240):
            assert process.poll() is None, log.read_text()
            with contextlib.suppress(OSError), urllib.request.urlopen(url + "/healthz", timeout=2) as answer:
                if answer.status == 200:
                    break
            time.sleep(0.5)
        else:
            pytest.fail("the app did not start: " + log.read_text())
        yield url
    finally:
        process.terminate()
        process.wait(20)


@pytest.fixture(scope="module")
def browser():
    """Closed with its module: Playwright keeps an event loop running in this thread while it is open."""
    path = chromium_path()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as p:
        opened = p.chromium.launch(executable_path=path, args=ARGS)
        yield opened
        opened.close()
