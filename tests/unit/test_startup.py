"""The start check waits for a busy machine and asks for nothing that would keep it busy."""

from __future__ import annotations

import http.server
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from gradio import networking

from demo import startup

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def app(monkeypatch):
    """An app that answers as `codes` say, one after the other, the last one for ever. `asked`: paths."""

    class App(http.server.BaseHTTPRequestHandler):
        codes, asked = [200], []

        def do_GET(self):
            self.asked.append(self.path)
            self.send_response(self.codes.pop(0) if len(self.codes) > 1 else self.codes[0])
            self.end_headers()

        def log_message(self, *args):
            pass

    monkeypatch.setattr(startup, "PAUSE", 0.01)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")  # none is needed to reach this very machine
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), App)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    App.url = f"http://127.0.0.1:{server.server_port}/"
    yield App
    server.shutdown()
    server.server_close()


def test_the_check_goes_on_asking_for_what_costs_nothing(app, monkeypatch):
    monkeypatch.setattr(networking, "url_ok", None)
    startup.be_patient()
    app.codes = [503, 503, 200]
    assert networking.url_ok(app.url) and app.asked == ["/healthz"] * 3


def test_an_app_that_never_answers_is_given_up(app, monkeypatch):
    app.codes = [500]
    assert not startup.answers(app.url) and len(app.asked) == startup.TRIES
    monkeypatch.setattr(startup, "TRIES", 2)
    assert not startup.answers("http://127.0.0.1:9")


def test_the_app_starts_without_gradios_stub_files():
    code = (
        "import demo.component, sys, gradio.component_meta as m; from pathlib import Path; "
        "assert m.create_or_modify_pyi.__module__ == 'demo.stubs'; "
        "assert callable(sys.modules['gradio'].Button.click) and callable(demo.component.gr.HTML.click); "
        "print(sorted(p.name for p in Path('demo').glob('*.pyi')))"
    )
    before = sorted(p.name for p in (ROOT / "demo").glob("*.pyi"))
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(before)
