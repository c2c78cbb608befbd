"""The start check waits for a busy machine and asks for nothing that would keep it busy."""

from __future__ import annotations

import http.server
import threading

import pytest
from gradio import networking

from demo import startup


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
