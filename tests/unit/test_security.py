"""One test for each threat of SECURITY.md that no other file covers, against the app as it is launched."""

from __future__ import annotations

import io
import json
import re
import secrets
import struct
import sys
import threading
import time
import zlib
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import httpx
import pytest
from PIL import Image, PngImagePlugin

from demo.app import build_demo, launch_options
from demo.component import WebComponent
from demo.ending import close
from demo.exchange import accept
from demo.files import Pictures
from demo.metrics import Watch
from demo.settings import ROOT, Settings
from scsa_core.errors import ImageError, ScsaError
from scsa_core.images import Limits, open_image

WATCHED: dict[str, list[str]] = {}


def _hear(event, args):
    if event == "open" and WATCHED and isinstance(args[0], str) and args[0] in WATCHED:
        WATCHED[args[0]].append(str(args[1]))


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The launched app, its folders, and a picture outside of them that nobody may read."""
    folder = tmp_path_factory.mktemp("site")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(folder / "files"))
        patch.setattr("gradio.networking.url_ok", lambda url: True)  # it gives a page three seconds, too few on a busy machine
        settings = Settings(device="cpu", preload=False, data=folder / "data", examples=folder / "none", may_fetch=False)
        watch = Watch()
        demo = build_demo(settings, watch=watch)
        (folder / "data").mkdir()
        (folder / "data" / "studies.sqlite3").write_bytes(b"secret")
        Image.new("RGB", (97, 53), (12, 34, 56)).save(folder / "private.png")
        demo.queue(default_concurrency_limit=None).launch(**launch_options(settings, host="127.0.0.1", watch=watch), prevent_thread_lock=True, quiet=True)
        try:
            yield demo, folder, httpx.Client(base_url=demo.local_url, timeout=60)
        finally:
            close(demo)


def png(**text):
    out, info = io.BytesIO(), PngImagePlugin.PngInfo()
    for key, value in text.items():
        info.add_text(key, value)
    Image.new("RGB", (64, 64), (200, 10, 10)).save(out, "PNG", pnginfo=info)
    return out.getvalue()


def test_no_event_opens_a_file_that_was_not_uploaded(site):
    """Every input of every event gets hand-made files, as a value, in the painter's shape and in a list."""
    demo, folder, client = site
    private = str(folder / "private.png")
    WATCHED[private] = []
    sys.addaudithook(_hear)
    Path(private).open("rb").close()
    assert WATCHED[private].pop()  # the watch works
    file = {"path": private, "meta": {"_type": "gradio.FileData"}, "orig_name": "a.png"}
    side = {"picture": file, "w": 8, "h": 8, "map": None}
    painter = {"v": 1, "content": side, "style": side, "regions": [], "links": {}, "by": "x", "error": None, "incoming": {"side": "content", "files": [file]}}
    events = demo.config["dependencies"]
    assert len(events) > 20
    session = secrets.token_hex(5)
    for event in events:
        for value in (file, painter, [file], private):
            body = {"data": [value] * len(event["inputs"]), "event_data": {"side": "content", "path": private, "name": private}, "fn_index": event["id"], "session_hash": session}
            name = event.get("api_name")
            client.post("/gradio_api/queue/join", json=body)
            if name and value is not painter:
                client.post(f"/gradio_api/run/{name}", json=body)
    finished, end = 0, time.monotonic() + 20
    with client.stream("GET", "/gradio_api/queue/data", params={"session_hash": session}) as answer:
        for line in answer.iter_lines():
            finished += "process_completed" in line
            if "close_stream" in line or time.monotonic() > end:
                break
    assert finished > len(events)  # most of them came to an answer
    assert WATCHED.pop(private) == []


def test_the_file_route_serves_nothing_of_ours(site):
    _, folder, client = site
    places = [folder / "private.png", folder / "data" / "studies.sqlite3", ROOT / "app.py", *list((ROOT / "checkpoints").rglob("*.safetensors"))[:1], "/etc/passwd", "/proc/self/environ"]
    for place in places:
        for path in (f"{place}", f"{folder}/files/../..{place}", f"{folder}/files/%2e%2e/%2e%2e{place}", str(place).replace("/", "%2f")):
            for route in ("file=", "file/"):
                assert client.get(f"/gradio_api/{route}{path}").status_code in (400, 403, 404), (route, path)


def test_no_address_is_fetched_for_a_client(site):
    _, _, client = site
    asked = []

    class Inside(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()

        do_HEAD = do_GET  # noqa: N815

        def log_message(self, *args):
            pass

    server = HTTPServer(("127.0.0.1", 0), Inside)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        url = f"http://127.0.0.1:{server.server_port}/inside.png"
        for path in (f"file={url}", f"file/{url}", f"proxy={url}"):
            assert client.get(f"/gradio_api/{path}").status_code == 404
        assert asked == []
    finally:
        server.shutdown()
        server.server_close()


def test_headers_and_health_of_the_launched_app(site):
    _, _, client = site
    answer = client.get("/")
    assert answer.status_code == 200 and answer.headers["x-content-type-options"] == "nosniff" and "frame-ancestors" in answer.headers["content-security-policy"]
    assert "lite" in client.get("/healthz").json()["models"]
    assert b"scsa_render" not in client.get("/metrics").content


@pytest.mark.parametrize(
    "data",
    [b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>", b"<?xml version='1.0'?><svg/>", b"<html><script>1</script>", b"%PDF-1.7", b"%!PS-Adobe-3.0 EPSF-3.0\n", b"PK\x03\x04", b"GIF89a", b"", b"\x00" * 99],
)  # fmt: skip
def test_types_are_read_from_content(tmp_path, data):
    (tmp_path / "a.png").write_bytes(data)
    with pytest.raises(ImageError):
        accept(str(tmp_path / "a.png"), "content", Pictures(Limits()))


def test_a_picture_may_have_any_name(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "files"))
    (tmp_path / "a.svg").write_bytes(png())
    assert Image.open(str(accept(str(tmp_path / "a.svg"), "content", Pictures(Limits())).path)).format == "PNG"


def test_bombs_cost_nothing():
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    def bomb(width, height, extra=b""):
        header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
        return b"\x89PNG\r\n\x1a\n" + header + extra + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")

    for data in (bomb(30_000, 30_000), bomb(2**31 - 1, 2), bomb(64, 64, chunk(b"zTXt", b"scsa\0\0" + zlib.compress(b"A" * 80_000_000, 9)))):
        with pytest.raises(ScsaError):
            open_image(data)


def test_what_is_served_back_is_pixels_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "files"))
    exif = Image.Exif()
    exif[0x010E], exif[0x8825] = "private-words", {1: "N", 2: (48.0, 51.0, 30.0)}
    Image.new("RGB", (64, 64)).save(tmp_path / "a.jpg", exif=exif, comment=b"private-words")
    (tmp_path / "b.png").write_bytes(png(note="private-words") + b"<script>private-words</script>PK\x03\x04")
    for name in ("a.jpg", "b.png"):
        assert b"private-words" in (tmp_path / name).read_bytes()
        served = Path(str(accept(str(tmp_path / name), "content", Pictures(Limits())).path)).read_bytes()
        assert b"private-words" not in served and served.endswith(b"IEND\xaeB`\x82")
        found = Image.open(io.BytesIO(served))
        assert not found.getexif() and not found.info and not found.text


def test_no_script_writes_markup():
    """People's words reach the page by textContent alone; templates are constants."""
    for path in sorted((ROOT / "demo" / "web").glob("*.js")):
        found = re.findall(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|createContextualFragment|\beval\(|new Function|srcdoc", path.read_text())
        assert not found, (path.name, found)
    for path in (ROOT / "demo").glob("*.py"):
        for template in re.findall(r"html_template=(.*)", path.read_text()):
            assert re.fullmatch(r"f?'<div class=\"([a-z]+-root|\{self\.root\})\"></div>',", template), (path.name, template)
    kinds = [WebComponent]
    for kind in kinds:
        kinds += kind.__subclasses__()
    roots = {kind.root for kind in kinds if hasattr(kind, "root")}
    assert {"sp-root", "cv-root"} <= roots and all(re.fullmatch(r"[a-z]+-root", root) for root in roots)


def test_the_page_s_configuration_tells_nothing_of_the_machine(site):
    _, folder, client = site
    config = json.dumps(client.get("/config").json())
    assert str(folder / "data") not in config and "SCSA_DATABASE_URL" not in config
