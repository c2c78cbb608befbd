"""Downloads against a server on this machine that cuts, lies, refuses and redirects."""

import hashlib
import json
import re
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest

from scsa_core import fetch
from scsa_core.errors import Cancelled, CheckpointCorrupt, FetchFailed
from scsa_core.progress import CancelToken
from scsa_core.registry import WeightsFile

BODY = bytes(range(256)) * 8192  # 2 MB: several pieces
SIZE = len(BODY)
SHA256 = hashlib.sha256(BODY).hexdigest()
QUICK = fetch.Settings(timeout=2.0, attempts=3, wait=lambda n: 0.01, insecure=True)


class Handler(BaseHTTPRequestHandler):
    """Serves BODY; what goes wrong depends on the path's first part and how often it was asked for."""

    def log_message(self, *_):
        pass

    def do_GET(self):
        how = self.path.split("/")[1]
        state = self.server.state
        state.asked[how] += 1
        state.ranges.append(self.headers.get("Range"))
        nth = state.asked[how]
        match how:
            case "missing":
                self.send_error(404)
            case "login":
                self.send_error(403)
            case "busy" if nth <= 2:
                self.send_response(503)
                self.send_header("Retry-After", "0")
                self.send_header("Content-Length", "0")
                self.end_headers()
            case "redirect":
                self.lead(f"{state.url}/file")
            case "downgrade":
                self.lead("ftp://example.org/file")
            case "page":
                self.whole(b"<!DOCTYPE html><title>Sign in</title>", kind="text/html; charset=utf-8")
            case "hidden-page":
                self.whole(b"\n <html><body>quota exceeded</body></html>")
            case "listing":
                self.whole(json.dumps({"href": f"{state.url}/file"}).encode(), kind="application/json")
            case "bad-listing":
                self.whole(b'{"error": "not found"}', kind="application/json")
            case "elsewhere-listing":
                self.whole(b'{"href": "file:///etc/passwd"}', kind="application/json")
            case "cut" if nth <= 2:
                self.body(BODY, cut=600_000)
            case "always-cut":
                self.body(BODY, cut=0)
            case "drip":
                self.body(BODY, cut=100_000 if nth < 12 else None)
            case "corrupt":
                self.body(BODY[:-1] + b"\0")
            case "short":
                self.body(BODY[:-5])
            case "long":
                self.body(BODY + b"more", length=False)
            case "stalls" if nth == 1:
                self.body(BODY, cut=300_000, stall=True)
            case "no-range":
                self.whole(BODY)
            case "other-range":
                self.body(BODY, shift=7)
            case "changed":
                self.body(BODY, etag='"new"')
            case "slow":
                self.body(BODY, pause=0.05)
            case "unsized":
                self.body(BODY, length=False)
            case _:
                self.body(BODY)

    def lead(self, where):
        self.send_response(302)
        self.send_header("Location", where)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def whole(self, data, kind="application/octet-stream"):
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def body(self, data, cut=None, length=True, stall=False, shift=0, pause=0.0, etag='"one"'):
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")
        condition = self.headers.get("If-Range")
        start = int(asked[1]) if asked and condition in (None, etag) else 0
        if asked and start >= len(data):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(data)}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("ETag", etag)
        if start:
            self.send_header("Content-Range", f"bytes {start + shift}-{len(data) - 1}/{len(data)}")
        if length:
            self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        end = len(data) if cut is None else min(len(data), start + cut)
        try:
            for at in range(start, end, 200_000):
                self.wfile.write(data[at : min(end, at + 200_000)])
                self.wfile.flush()
                time.sleep(pause)
            if stall:
                self.server.state.release.wait(8)
        except OSError:  # the reader went away
            pass
        self.close_connection = True


@pytest.fixture(scope="module")
def server():
    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    http.state = SimpleNamespace(asked=Counter(), ranges=[], release=threading.Event(), url=f"http://127.0.0.1:{http.server_port}")
    thread = threading.Thread(target=http.serve_forever, daemon=True)
    thread.start()
    yield http.state
    http.state.release.set()
    http.shutdown()
    http.server_close()


@pytest.fixture(autouse=True)
def clean(server, tmp_path, monkeypatch):
    monkeypatch.setenv("SCSA_CHECKPOINTS", str(tmp_path))
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    server.asked.clear()
    server.ranges.clear()


def weights(server, how="file", *, size=SIZE, sha256=SHA256, listing="", mirrors=(), url=None, name="w.pth"):
    url = f"{server.url}/{how}" if url is None else url
    return WeightsFile(
        family="test", name=name, what="a file", page="https://example.org/page", about=len(BODY), size=size, sha256=sha256,
        url=url, listing=listing, mirrors=tuple(f"{server.url}/{m}" for m in mirrors),
    )  # fmt: skip


def got(file, **more):
    return fetch.fetch(file, settings=QUICK, **more)


def part_of(file):
    return file.target.with_name(file.name + ".part")


def litter(file):
    return sorted(p.name for p in file.target.parent.iterdir()) if file.target.parent.exists() else []


def test_a_file_arrives_whole_with_progress(server):
    file, events = weights(server), []
    assert got(file, progress=events.append) == file.target
    assert file.target.read_bytes() == BODY
    assert litter(file) == ["w.pth"]
    fractions = [e.fraction for e in events if e.stage == "fetch"]
    assert len(fractions) >= 4
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    assert events[-1].stage == "verify"


def test_a_file_that_is_there_is_kept(server):
    file = weights(server)
    file.target.parent.mkdir(parents=True)
    file.target.write_bytes(b"mine")
    assert got(file).read_bytes() == b"mine"
    assert not server.asked


def test_a_cut_connection_continues_where_it_stopped(server):
    file = weights(server, "cut")
    assert got(file).read_bytes() == BODY
    assert server.ranges == [None, "bytes=600000-", "bytes=1200000-"]


def test_as_long_as_bytes_arrive_it_goes_on(server):
    assert got(weights(server, "drip")).read_bytes() == BODY
    assert server.asked["drip"] == 12  # far more than the attempts without progress


def test_a_server_that_never_sends_is_given_up(server):
    file = weights(server, "always-cut")
    with pytest.raises(FetchFailed, match="connection broke") as failed:
        got(file)
    assert server.asked["always-cut"] == QUICK.attempts
    assert not failed.value.offline
    assert not file.target.exists()


def test_an_earlier_part_is_continued_in_a_later_call(server):
    file = weights(server)
    file.target.parent.mkdir(parents=True)
    part_of(file).write_bytes(BODY[:1_000_000])
    assert got(file).read_bytes() == BODY
    assert server.ranges == ["bytes=1000000-"]


def test_a_part_that_is_already_whole_asks_for_nothing(server):
    file = weights(server)
    file.target.parent.mkdir(parents=True)
    part_of(file).write_bytes(BODY)
    assert got(file).read_bytes() == BODY
    assert not server.asked


def test_a_whole_part_of_unknown_size_is_confirmed_by_the_server(server):
    file = weights(server, size=None, sha256="")
    file.target.parent.mkdir(parents=True)
    part_of(file).write_bytes(BODY)
    assert got(file).read_bytes() == BODY
    assert server.ranges == [f"bytes={len(BODY)}-"]


@pytest.mark.parametrize("size", [len(BODY), None])
def test_a_part_that_is_too_long_is_thrown_away(server, size):
    file = weights(server, size=size)
    file.target.parent.mkdir(parents=True)
    part_of(file).write_bytes(BODY + b"too much")
    assert got(file).read_bytes() == BODY


def test_a_part_of_other_bytes_is_noticed_and_fetched_anew(server):
    file = weights(server)
    file.target.parent.mkdir(parents=True)
    part_of(file).write_bytes(b"x" * 1_000_000)
    assert got(file).read_bytes() == BODY
    assert server.ranges == ["bytes=1000000-", None]


def test_a_file_that_changed_on_the_server_starts_again(server):
    file = weights(server, "changed")
    file.target.parent.mkdir(parents=True)
    part_of(file).write_bytes(b"old" * 1000)
    file.target.with_name(file.name + ".part.tag").write_text('"one"')
    assert got(file).read_bytes() == BODY
    assert server.asked["changed"] == 1  # If-Range: the server sent all of the new file at once


@pytest.mark.parametrize("how", ["no-range", "other-range"])
def test_servers_that_cannot_continue(server, how):
    file = weights(server, how)
    file.target.parent.mkdir(parents=True)
    part_of(file).write_bytes(BODY[:1_000_000])
    assert got(file).read_bytes() == BODY


@pytest.mark.parametrize(("how", "sha256"), [("file", ""), ("unsized", SHA256)])
def test_without_a_size_or_without_a_hash(server, how, sha256):
    assert got(weights(server, how, size=None, sha256=sha256)).read_bytes() == BODY


def test_wrong_bytes_never_take_the_name(server):
    file = weights(server, "corrupt")
    with pytest.raises(CheckpointCorrupt, match="SHA-256"):
        got(file)
    assert litter(file) == []


def test_a_mirror_makes_up_for_wrong_bytes_and_absence(server):
    file = weights(server, "corrupt", mirrors=("missing", "file"))
    assert got(file).read_bytes() == BODY
    assert server.asked == {"corrupt": 1, "missing": 1, "file": 1}


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("missing", "404"),
        ("login", "wants a login"),
        ("page", "web page"),
        ("hidden-page", "web page"),
        ("short", "not the published"),
        ("long", "more than the published"),
        ("downgrade", "not https"),
    ],
)
def test_refusals_say_why_and_what_to_do(server, how, words):
    file = weights(server, how, size=None if how == "hidden-page" or how == "page" else len(BODY))
    with pytest.raises(FetchFailed, match=words) as failed:
        got(file)
    assert server.asked[how] == 1  # trying again would not help
    assert "https://example.org/page" in failed.value.hint
    assert "import" in failed.value.hint
    assert not failed.value.offline
    assert not file.target.exists()


def test_a_busy_server_is_asked_again_and_a_redirection_followed(server):
    assert got(weights(server, "busy")).read_bytes() == BODY
    assert server.asked["busy"] == 3
    assert got(weights(server, "redirect", name="other.pth")).read_bytes() == BODY


def test_a_stalled_connection_is_continued(server):
    quick = fetch.Settings(timeout=0.3, attempts=3, wait=lambda n: 0.01, insecure=True)
    assert fetch.fetch(weights(server, "stalls"), settings=quick).read_bytes() == BODY
    assert server.ranges == [None, "bytes=300000-"]


def test_a_listing_names_the_link(server):
    file = weights(server, url="", listing=f"{server.url}/listing")
    assert got(file).read_bytes() == BODY


@pytest.mark.parametrize("how", ["bad-listing", "elsewhere-listing"])
def test_a_listing_without_a_usable_link(server, how):
    with pytest.raises(FetchFailed, match="names no file"):
        got(weights(server, url="", listing=f"{server.url}/{how}"))


def test_offline_is_said_so_and_soon(server):
    file = weights(server, url="http://127.0.0.1:9/file")
    with pytest.raises(FetchFailed, match="seems to be offline") as failed:
        got(file)
    assert failed.value.offline
    assert "https://example.org/page" in failed.value.hint


def test_a_dead_address_beside_a_live_one_is_not_offline(server):
    file = weights(server, url="http://127.0.0.1:9/file", mirrors=("missing",))
    with pytest.raises(FetchFailed, match="404") as failed:
        got(file)
    assert not failed.value.offline


def test_a_file_without_a_link_is_for_a_person(server):
    with pytest.raises(FetchFailed, match="no direct link") as failed:
        got(weights(server, url=""))
    assert "https://example.org/page" in failed.value.hint


def test_only_https_by_default(server):
    with pytest.raises(FetchFailed, match="not https"):
        fetch.fetch(weights(server, "file"), settings=fetch.Settings(attempts=1))
    assert not server.asked


def test_cancel_stops_soon_and_keeps_what_came(server):
    file, token = weights(server, "slow"), CancelToken()

    def watch(event):
        if event.fraction > 0.3:
            token.cancel()

    with pytest.raises(Cancelled):
        got(file, progress=watch, cancel=token)
    kept = part_of(file).stat().st_size
    assert 0.3 * len(BODY) < kept < 0.8 * len(BODY)
    assert got(file).read_bytes() == BODY
    assert server.ranges[-1] == f"bytes={kept}-"


def test_cancel_while_waiting_for_the_next_try(server):
    token = CancelToken()
    threading.Timer(0.2, token.cancel).start()
    started = time.perf_counter()
    with pytest.raises(Cancelled):
        fetch.fetch(
            weights(server, "always-cut"), cancel=token, settings=fetch.Settings(attempts=9, wait=lambda n: 30.0, insecure=True)
        )
    assert time.perf_counter() - started < 5


def test_a_full_disk_is_noticed_before_and_during(server, monkeypatch):
    file = weights(server)
    with monkeypatch.context() as patch:
        patch.setattr(fetch.shutil, "disk_usage", lambda _: SimpleNamespace(free=1_000))
        with pytest.raises(FetchFailed, match="too full"):
            got(file)
    written = []

    def put(self, out, piece):
        written.append(len(piece))
        if len(written) == 3:
            raise OSError(28, "No space left on device")
        out.write(piece)

    with monkeypatch.context() as patch:
        patch.setattr(fetch._Download, "_put", put)
        with pytest.raises(FetchFailed, match="became full"):
            got(file)
    assert part_of(file).stat().st_size == sum(written[:2])
    assert got(file).read_bytes() == BODY


def test_a_folder_that_cannot_be_made(server, tmp_path):
    (tmp_path / "test").write_text("in the way")
    with pytest.raises(FetchFailed, match="cannot be written to"):
        got(weights(server))


def test_two_downloads_of_one_file_do_not_meet(server):
    file = weights(server, "slow")
    first = threading.Thread(target=got, args=(file,))
    first.start()
    while not part_of(file).exists():
        time.sleep(0.01)
    with pytest.raises(FetchFailed, match="being fetched already"):
        got(file)
    first.join()
    assert file.target.read_bytes() == BODY
    assert litter(file) == ["w.pth"]


def test_waits_grow_and_end():
    waits = [fetch.Settings().wait(n) for n in range(1, 9)]
    assert waits == sorted(waits)
    assert waits[0] >= 1
    assert waits[-1] == fetch.LONGEST_WAIT
