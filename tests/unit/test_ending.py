"""SIGTERM while people render, vote and upload: the app as it is started goes soon, and what it acknowledged is there."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import gradio as gr
import httpx
import pytest

from demo.ending import close
from scsa_core.study.records import Design, PairPictures
from scsa_core.study.store import Store

ROOT = Path(__file__).resolve().parents[2]


def study_in(folder):
    """An open study, made before the app starts: as one that outlived a restart."""
    from PIL import Image

    store = Store(folder)
    arms = ({"name": "A", "method": "baseline"}, {"name": "B", "method": "scsa"})
    pictures = [Image.new("RGB", (32, 32), (k * 60, 0, 0)) for k in range(4)]
    design = Design(question="Which?", consent="May stop.", end_text="Thanks.", arms=arms, trials=100, checks=10, max_participants=50)
    study, secret = store.create(design, [PairPictures(f"P{k}", pictures[0], pictures[1], pictures[2:]) for k in range(3)])
    store.publish(study, secret)
    return store, study, secret


def inputs_of(config, event):
    """What a page sends that nobody touched yet."""
    values = {component["id"]: component["props"].get("value") for component in config["components"]}
    return [values[key] for key in event["inputs"]]


def test_sigterm_under_load_loses_nothing_that_was_acknowledged(tmp_path):
    store, study, secret = study_in(tmp_path / "data")
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    environment = os.environ | {"GRADIO_TEMP_DIR": str(tmp_path / "files"), "SCSA_DATA": str(tmp_path / "data"), "SCSA_RATE": "0"}
    environment |= dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
    environment |= dict.fromkeys(("no_proxy", "NO_PROXY"), "127.0.0.1,localhost")
    log = tmp_path / "log"
    with log.open("w") as out:
        app = subprocess.Popen([sys.executable, "app.py", "--no-browser", "--port", str(port)], cwd=ROOT, env=environment, stdout=out, stderr=subprocess.STDOUT)
    kept: list[tuple[str, int]] = []
    rendering, over = threading.Event(), threading.Event()

    def client():
        return httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20, trust_env=False)

    def vote():
        with client() as own, contextlib.suppress(httpx.HTTPError):
            token = own.post(f"/vote/api/{study}/start", json={}).json()["token"]
            for number in range(100):
                body = {"token": token, "number": number, "choice": 0, "ms": 900}
                if own.post(f"/vote/api/{study}/vote", json=body).json().get("kept"):
                    kept.append((token, number))
                time.sleep(0.01)

    def upload():
        with client() as own, contextlib.suppress(httpx.HTTPError):
            while not over.is_set():
                own.post("/gradio_api/upload", files={"files": ("a.png", os.urandom(300_000))})

    def render():
        with client() as own, contextlib.suppress(httpx.HTTPError):
            config = own.get("/config").json()
            button = next(c["id"] for c in config["components"] if c["props"].get("elem_id") == "render")
            event = next(e for e in config["dependencies"] if [button, "click"] in e["targets"])
            own.post("/gradio_api/queue/join", json={"data": inputs_of(config, event), "fn_index": event["id"], "session_hash": "somebody"})
            with own.stream("GET", "/gradio_api/queue/data", params={"session_hash": "somebody"}) as answer:
                for line in answer.iter_lines():
                    if "process_generating" in line:
                        rendering.set()

    people = [threading.Thread(target=work, daemon=True) for work in (vote, vote, upload, render)]
    try:
        with client() as own:
            for _ in range(600):
                assert app.poll() is None, log.read_text()
                with contextlib.suppress(httpx.HTTPError):
                    if own.get("/healthz").status_code == 200:
                        break
                time.sleep(0.1)
        for person in people:
            person.start()
        assert rendering.wait(60), log.read_text()
        end = time.monotonic() + 30
        while len(kept) < 20 and time.monotonic() < end:
            time.sleep(0.02)
        begin = time.monotonic()
        app.send_signal(signal.SIGTERM)
        assert app.wait(30) == 0, log.read_text()
        assert time.monotonic() - begin < 10  # what a container engine grants
        over.set()
        for person in people:
            person.join(10)
        said = log.read_text()
        assert "stopping" in said and "Traceback" not in said, said
        records = store.records(study, secret)
        assert len(kept) >= 20 and len(records.answers) >= len(kept)
        progress = {token: store.resume(study, token) for token, _ in kept}
        answered = {(token, trial.number) for token, found in progress.items() for trial in found.trials if trial.answered}
        assert set(kept) <= answered
    finally:
        over.set()
        app.kill()
        app.wait()
        store.close()


def test_an_app_that_gradio_left_half_closed_is_closed_all_the_same(monkeypatch):
    """Its event wakes those who wait from outside their loop, and fails where one of them leaves meanwhile."""
    with gr.Blocks() as demo:
        gr.Markdown("here")
    _, url, _ = demo.launch(prevent_thread_lock=True, quiet=True, server_name="127.0.0.1")
    assert httpx.get(url, trust_env=False).status_code == 200
    failed = []
    wake = demo.app.stop_event.set

    def once():
        wake()
        if not failed:
            failed.append(1)
            raise RuntimeError("deque mutated during iteration")

    monkeypatch.setattr(demo.app.stop_event, "set", once)
    close(demo)
    assert failed and not demo.is_running
    with pytest.raises(httpx.ConnectError):
        httpx.get(url, trust_env=False)
