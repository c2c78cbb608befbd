"""The Models tab: every state in words, downloads in a thread that the page follows, failures that say what to do."""

import asyncio
import threading
from dataclasses import replace

import pytest

from demo import downloads as downloads_module
from demo import models
from demo.downloads import Download, Downloads, failure_of
from demo.models import Shelf, model_states
from demo.text import TEXT, Said, t
from scsa_core import registry
from scsa_core.engine import Engine
from scsa_core.errors import CheckpointCorrupt, FetchFailed
from scsa_core.progress import Progress


@pytest.fixture(autouse=True)
def empty(tmp_path, monkeypatch):
    """A machine with the shipped weights only."""
    monkeypatch.setenv("SCSA_CHECKPOINTS", str(tmp_path / "weights"))
    return tmp_path / "weights"


@pytest.fixture(scope="module")
def engine():
    return Engine("cpu")


class Server:
    """Stands in for `weights.obtain`: waits for a push at every tenth of a file, then puts something in its place."""

    def __init__(self, error=None):
        self.push, self.reached, self.error = threading.Semaphore(0), threading.Event(), error

    def __call__(self, file, *, progress, cancel):
        for k in range(1, 11):
            while not self.push.acquire(timeout=0.01):
                cancel.checkpoint()
            progress(Progress("fetch", k / 10))
            self.reached.set()
        if self.error:
            raise self.error
        progress(Progress("verify", 1.0))
        file.target.parent.mkdir(parents=True, exist_ok=True)
        file.target.write_bytes(b"weights")
        return file.target

    def release(self, times=100):
        for _ in range(times):
            self.push.release()


def wait(download):
    for thread in threading.enumerate():
        if thread.name.startswith("fetch-"):
            thread.join(10)
    assert download.finished


def item(shelf, name):
    return next(i for i in shelf.items() if i["name"] == name)


def test_every_family_says_its_state(engine):
    found = {state.name: state for state in model_states(engine, segmenter=True)}
    assert found["lite"].ready and found["lite"].alphas == (0.25, 0.75)
    assert found["sanet"].status == "fetch" and found["sanet"].megabytes == pytest.approx(112, abs=1)
    assert found["sam"].status == "fetch" and [f.name for f in found["sam"].missing] == ["sam_vit_b_01ec64.pth"]
    for state in found.values():
        for lang in ("en", "zh"):
            assert "{" not in state.choice(lang) + state.chip().in_(lang)
    assert "112" in found["sanet"].choice("en")


def test_a_file_that_painting_does_without_is_told_apart(engine):
    shelf = Shelf(engine, may_fetch=True)
    spare = {name: [f["name"] for f in item(shelf, name)["files"] if f["spare"]] for name in ("sanet", "stytr2")}
    assert spare == {"sanet": [], "stytr2": ["vgg_normalised.pth"]}
    assert not any(f["wanted"] for f in item(shelf, "stytr2")["files"] if f["spare"])


def test_without_a_direct_link_it_is_by_hand_and_with_all_files_it_is_ready_or_says_why(engine, empty, monkeypatch):
    listed = registry.families()
    sanet = listed["sanet"]
    by_hand = replace(sanet, files=(replace(sanet.files[0], listing=""), *sanet.files[1:]))
    monkeypatch.setattr(registry, "families", lambda: listed | {"sanet": by_hand})
    state = next(s for s in model_states(engine) if s.name == "sanet")
    assert state.status == "hand" and len(state.missing) == 3
    for file in sanet.files:
        file.target.parent.mkdir(parents=True, exist_ok=True)
        file.target.write_bytes(b"x")
    assert next(s for s in model_states(engine) if s.name == "sanet").ready


def test_a_family_that_cannot_run_here_says_why(engine, empty, monkeypatch):
    from scsa_core.backbones import FAMILIES
    from scsa_core.errors import CheckpointMissing

    for file in registry.family("sanet").files:
        file.target.parent.mkdir(parents=True, exist_ok=True)
        file.target.write_bytes(b"x")

    class Broken:
        info, files, load = FAMILIES["sanet"].info, (), None

        def probe(self):
            raise CheckpointMissing("a package is not installed", path="", hint="Run `pip install it`.")

    monkeypatch.setitem(FAMILIES, "sanet", Broken())
    state = next(s for s in model_states(engine) if s.name == "sanet")
    assert state.status == "unavailable" and state.reason == "a package is not installed. Run `pip install it`."


def test_items_speak_only_in_known_words(engine):
    def words(value):
        if isinstance(value, dict) and set(value) == {"key", "args"}:
            yield value
        for child in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            yield from words(child)

    found = list(words(Shelf(engine, may_fetch=True).items()))
    assert len(found) > 10
    for message in found:
        assert message["key"] in TEXT
        assert "{" not in t(message["key"], "zh", **message["args"])


def test_a_download_is_followed_and_the_menus_change_when_it_is_there(engine):
    server = Server()
    shelf = Shelf(engine, may_fetch=True, downloads=Downloads(server))
    shelf.fetch({"family": "sam"})
    asked = []

    async def follow():
        seen = []
        async for updates in shelf.follow(lambda: asked.append(1) or ["menu"]):
            seen.append((next(i for i in updates[0]["items"] if i["name"] == "sam"), updates[1]))
            server.release(3)
        return seen

    models.POLL, before = 0.02, models.POLL
    try:
        seen = asyncio.run(asyncio.wait_for(follow(), 20))
    finally:
        models.POLL = before
    fractions = [i["busy"]["fraction"] for i, _ in seen if i["busy"]]
    assert fractions == sorted(fractions) and fractions[-1] > 0.2
    assert seen[0][1] == "menu" and seen[-1][0]["status"] == "ready" and seen[-1][1] == "menu"
    assert seen[-1][0]["busy"] is None and seen[-1][0]["failure"] is None


def test_cancel_keeps_what_arrived_and_says_so(engine):
    server = Server()
    shelf = Shelf(engine, may_fetch=True, downloads=Downloads(server))
    shelf.fetch({"family": "sam"})
    again = shelf.downloads.start("sam")
    assert again is shelf.downloads.get("sam")  # one at a time
    server.release(2)
    assert server.reached.wait(5)
    shelf.stop({"family": "sam"})
    wait(again)
    shown = item(shelf, "sam")
    assert shown["failure"]["what"]["key"] == "models.stopped" and shown["busy"] is None and shown["fetch"]


def test_failures_are_words_with_what_to_do(engine, empty):
    file = registry.family("sam").files[0]
    cases = [
        (FetchFailed("no", offline=True), "models.failed.offline", "another machine"),
        (FetchFailed("x.pth cannot be fetched (host: it answers 404)"), "models.failed", str(empty)),
        (CheckpointCorrupt("its SHA-256 differs"), "models.failed.wrong", "again"),
        (RuntimeError("secret"), "models.failed.unexpected", "again"),
    ]
    for error, key, do in cases:
        found = failure_of(error, file)
        assert found.what.key == key and do in found.do.in_("en")
        assert "secret" not in found.what.in_("en") + found.do.in_("zh")
    server = Server(FetchFailed("no", offline=True))
    server.release()
    shelf = Shelf(engine, may_fetch=True, downloads=Downloads(server))
    shelf.fetch({"family": "sam", "file": "sam_vit_l_0b3195.pth"})
    wait(shelf.downloads.get("sam"))
    assert item(shelf, "sam")["failure"]["what"]["key"] == "models.failed.offline"


@pytest.mark.parametrize("data", [None, [], "x", {}, {"family": "nobody"}, {"family": "sam", "file": "../../etc/passwd"}, {"family": {"a": 1}}])
def test_what_the_browser_sends_is_not_believed(engine, data):
    def never(*_, **__):
        raise AssertionError("nothing is to be fetched")

    shelf = Shelf(engine, may_fetch=True, downloads=Downloads(never))
    shelf.fetch(data)
    shelf.stop(data)
    assert not shelf.downloads.busy


def test_a_host_may_switch_fetching_off(engine):
    shelf = Shelf(engine, may_fetch=False, downloads=Downloads(Server()))
    shelf.fetch({"family": "sam"})
    assert shelf.downloads.get("sam") is None
    shown = item(shelf, "sam")
    assert shown["locked"] and not shown["fetch"] and not any(f["fetch"] for f in shown["files"])


def test_the_line_beside_the_bar_tells_speed_and_time_left(monkeypatch):
    clock = [100.0]
    monkeypatch.setattr(downloads_module.time, "monotonic", lambda: clock[0])
    download = Download(registry.family("sam").files[:1])
    download._hear(Progress("fetch", 0.1))
    assert download.to_dict()["said"]["key"] == "models.fetching"
    clock[0] += 10
    download._hear(Progress("fetch", 0.2))
    said = Said(**{k: download.to_dict()["said"][k] for k in ("key", "args")})
    assert "75.0 of 375.0 MB" in said.in_("en") and "3.8 MB/s" in said.in_("en") and "1 min" in said.in_("en")
    clock[0] += 40
    download._hear(Progress("fetch", 0.9))
    assert "s left" in Said(**download.to_dict()["said"]).in_("en")
    download._hear(Progress("verify", 1.0))
    assert download.to_dict()["said"]["key"] == "models.checking"
