"""What goes wrong around the app, provoked: no memory, no room, damage, clocks, killed writers, visitors who leave."""

from __future__ import annotations

import asyncio
import errno
import json
import multiprocessing
import os
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from demo.faults import kind_of
from demo.kept import KeptRenders
from demo.session import Job, Session
from demo.studio import Studio
from demo.text import error_words
from scsa_core import disk_cache
from scsa_core.backbones.lite import Lite
from scsa_core.clock import careful
from scsa_core.disk_cache import DiskCache
from scsa_core.engine import Engine, RenderRequest
from scsa_core.errors import CheckpointError, LinkGone, OutOfMemory
from scsa_core.files import is_full, write_atomically
from scsa_core.knobs import Knobs
from scsa_core.memory import ran_out

ROOT = Path(__file__).resolve().parents[2]
FULL = OSError(errno.ENOSPC, "No space left on device")
KEY = "0123456789abcdef"


def picture(seed=0, size=(64, 48)):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 255, (*size[::-1], 3), dtype=np.uint8))


def request(**changes):
    return RenderRequest(**({"content": picture(1), "style": picture(2), "method": "baseline", "knobs": Knobs(size=64)} | changes))


def ask_too_much(*args, **kwargs):
    """A real allocation that no machine grants: 64 TB."""
    return torch.empty(2**46, dtype=torch.uint8)


class Folder:
    """A place for published files, which may be full."""

    def __init__(self):
        self.files, self.full = {}, False

    def __call__(self, data, name):
        if self.full:
            raise FULL
        path = f"{len(self.files)}-{name}"
        self.files[path] = data
        return path


def job(size=64, **changes):
    return Job(request(knobs=Knobs(size=size), **changes), "c.png", "s.png", "Lite")


def follow(studio, session, make, stamp=1):
    async def views():
        return [view async for view in studio.render(session, make, stamp=stamp, force=True, live=True)]

    return asyncio.run(views())


# -- memory ---------------------------------------------------------------------------


def test_an_allocator_s_refusal_is_known_whoever_words_it():
    with pytest.raises(RuntimeError) as caught:
        ask_too_much()
    refused = [
        caught.value, MemoryError(), OSError(errno.ENOMEM, "Cannot allocate memory"), torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
        RuntimeError("CUDA error: out of memory"), RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("std::bad_alloc"),
    ]  # fmt: skip
    for error in refused:
        assert ran_out(error) and kind_of(error) == "OutOfMemory", error
        assert "memory" in error_words(error, size=512).what.in_("en") and "512" in error_words(error, size=512).what.in_("en")
        assert "{" not in error_words(error).what.in_("zh")
    for other in (RuntimeError("shapes do not match"), ValueError("out of memory"), FULL):
        assert not ran_out(other) and kind_of(other) != "OutOfMemory"


def test_a_render_without_memory_goes_on_smaller_and_the_next_one_is_whole(monkeypatch):
    engine, folder = Engine("cpu"), Folder()
    studio, session = Studio(engine, folder), Session("a")
    render = Lite.render

    def short(self, prepared, knobs, method, checkpoint):
        large = max(prepared.detail.shape[-2:]) > 64 // 4
        return ask_too_much() if large else render(self, prepared, knobs, method, checkpoint)

    monkeypatch.setattr(Lite, "render", short)
    monkeypatch.setattr("demo.studio.SIZES", (64, 96, 128))
    last = follow(studio, session, lambda: job(128))[-1]
    assert last.state == "done" and [note.key for note in last.notes] == ["note.smaller"] and last.notes[0].args["used"] == 64
    monkeypatch.setattr(Lite, "render", ask_too_much)
    failed = follow(studio, session, lambda: job(64, content=picture(6)), 2)[-1]
    assert failed.state == "failed" and failed.error.what.key == "error.memory" and failed.result == last.result  # the picture stays
    monkeypatch.setattr(Lite, "render", render)
    assert follow(studio, session, lambda: job(64, content=picture(6)), 3)[-1].state == "done" and len(studio.line) == 0


def test_no_memory_empties_the_cache_and_is_our_own_error(monkeypatch):
    engine = Engine("cpu")
    engine.render(request())
    assert engine.cache_statistics().bytes > 0
    engine.load("mast")
    monkeypatch.setattr(Lite, "prepare", ask_too_much)
    with pytest.raises(OutOfMemory):
        engine.render(request(content=picture(3)))
    assert engine.cache_statistics().bytes == 0
    assert "lite" in engine._models and "mast" not in engine._models  # weights of others have gone, too


# -- a full disk ----------------------------------------------------------------------


def fills_up(monkeypatch):
    """Every file that is written by path gets half of its bytes before the disk is full."""
    write = Path.write_bytes

    def half(self, data):
        write(self, data[: len(data) // 2])
        raise FULL

    monkeypatch.setattr(Path, "write_bytes", half)


def test_a_full_disk_costs_the_cache_an_entry_and_nobody_an_error(tmp_path, monkeypatch):
    cache = DiskCache(tmp_path)
    with monkeypatch.context() as patch:
        fills_up(patch)
        cache.put(KEY, {"x": torch.ones(100)})
    assert cache.get(KEY) is None and list(tmp_path.iterdir()) == []
    cache.put(KEY, {"x": torch.ones(100)})
    assert cache.get(KEY) is not None


def test_a_full_disk_is_said_and_the_render_can_be_repeated():
    engine, folder = Engine("cpu"), Folder()
    studio, session = Studio(engine, folder), Session("a")
    first = follow(studio, session, job)[-1]
    folder.full = True
    failed = follow(studio, session, lambda: job(64, content=picture(5)), 2)[-1]
    assert failed.state == "failed" and failed.error.what.key == "error.disk_full" and failed.error.reference
    assert failed.result == first.result and kind_of(FULL) == "DiskFull" and is_full(FULL)
    folder.full = False
    assert follow(studio, session, lambda: job(64, content=picture(5)), 3)[-1].state == "done"


def test_a_link_on_a_full_disk_leaves_nothing_and_the_others_whole(tmp_path, monkeypatch):
    result = tmp_path / "result.png"
    picture(4).save(result)
    kept = KeptRenders(tmp_path / "links", 30, 50)
    key, _ = kept.keep(request(), result, None)
    with monkeypatch.context() as patch:
        fills_up(patch)
        with pytest.raises(OSError, match="No space"):
            kept.keep(request(), result, None)
    assert [path.name for path in kept.folder.iterdir()] == [key] and kept.open(key).id == key


def test_a_file_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    write_atomically(path, b"before")

    def full(self, target):
        raise FULL

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space"):
        write_atomically(path, b"after")
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"] and path.read_bytes() == b"before"


# -- damage and killed writers --------------------------------------------------------


def test_a_corrupt_checkpoint_is_said_and_a_good_one_is_taken_without_a_restart(tmp_path, monkeypatch):
    monkeypatch.setenv("SCSA_CHECKPOINTS", str(tmp_path))
    good = (ROOT / "checkpoints" / "lite" / "decoder.safetensors").read_bytes()
    bad = tmp_path / "lite" / "decoder.safetensors"
    bad.parent.mkdir()
    engine = Engine("cpu")
    for damage in (good[:-1000], good[:100], b"", b"\0" * 5000):
        bad.write_bytes(damage)
        with pytest.raises(CheckpointError) as caught:
            engine.render(request())
        words = error_words(caught.value, model="Lite")
        assert words.what.key == "error.weights_bad" and "Lite" in words.what.in_("zh")
    bad.write_bytes(good)
    assert engine.render(request()).image.size == (64, 48)


def write_for_ever(folder):
    n = 0
    while True:
        n += 1
        DiskCache(folder).put(f"{n % 4:08x}", {"x": torch.full((300_000,), float(n))})
        write_atomically(folder / "a.bin", bytes([n % 256]) * 1_000_000)


def test_a_writer_that_is_killed_leaves_whole_files_only(tmp_path):
    # not a fork: a child of threads that compute can find one of their locks taken for ever
    writer = multiprocessing.get_context("spawn").Process(target=write_for_ever, args=(tmp_path,))
    writer.start()
    end = time.monotonic() + 60
    while not (tmp_path / "a.bin").exists() and time.monotonic() < end:
        time.sleep(0.01)
    time.sleep(0.15)
    writer.kill()
    writer.join()
    data = (tmp_path / "a.bin").read_bytes()
    assert len(data) == 1_000_000 and len(set(data)) == 1
    for path in tmp_path.glob("*.safetensors"):
        assert len(DiskCache(tmp_path).get(path.stem)["x"].unique()) == 1
    left = tmp_path / ".tmp-of-the-killed"
    left.write_bytes(b"x")
    os.utime(left, (1, 1))
    DiskCache(tmp_path).put(KEY, {"x": torch.ones(1)})
    assert not left.exists()  # swept once it is surely nobody's


# -- clocks ---------------------------------------------------------------------------


class Clocks:
    """A wall clock that can be set, and one that only runs."""

    def __init__(self, now=2_000_000_000.0):
        self.jumped, self.passed, self._start = 0.0, 0.0, now

    def wall(self):
        return self._start + self.passed + self.jumped

    def run(self, seconds):
        self.passed += seconds


def test_a_careful_clock_runs_but_does_not_jump_ahead():
    clocks = Clocks()
    now = careful(clocks.wall, steady=lambda: clocks.passed)
    begin = now()
    clocks.run(100)
    assert now() == begin + 100
    clocks.jumped = 1e8
    assert now() == begin + 100
    clocks.jumped = -1e8
    assert now() == begin + 100 - 1e8  # behind: later than needed is never too early
    assert abs(careful()() - time.time()) < 5


def test_a_clock_that_jumps_expires_no_link(tmp_path, monkeypatch):
    clocks, result = Clocks(), tmp_path / "result.png"
    picture(4).save(result)
    monkeypatch.setattr("demo.kept.careful", lambda clock: careful(clock, steady=lambda: clocks.passed))
    kept = KeptRenders(tmp_path / "links", 30, 50, clocks.wall)
    first, _ = kept.keep(request(), result, None)
    clocks.jumped = 365 * 86400.0
    second, _ = kept.keep(request(), result, None)  # sweeps, a year ahead
    assert kept.open(first).id == first
    clocks.jumped = -365 * 86400.0
    third, _ = kept.keep(request(), result, None)
    assert all(kept.open(key).id == key for key in (first, second, third))
    clocks.jumped = 0.0
    clocks.run(31 * 86400.0)
    kept.sweep()
    with pytest.raises(LinkGone):
        kept.open(first)


# -- two versions on one folder -------------------------------------------------------


def test_what_a_newer_version_kept_is_left_alone(tmp_path):
    result = tmp_path / "result.png"
    picture(4).save(result)
    kept = KeptRenders(tmp_path / "links", 30, 50)
    mine, theirs, strange = (kept.keep(request(), result, None)[0] for _ in range(3))

    def change(key, **changes):
        path = kept.folder / key / "record.json"
        record = json.loads(path.read_text())
        record["recipe"] = json.dumps(json.loads(record["recipe"]) | changes)
        path.write_text(json.dumps(record | {"more": 1}))

    change(theirs, a_new_setting=3, backbone="a-new-family", app_version="99.0")
    change(strange, schema=99)
    (kept.folder / theirs / "mask.png").write_bytes(b"another file")
    other = KeptRenders(tmp_path / "links", 30, 50)  # a second process on the folder
    assert other.open(theirs).example.backbone == "a-new-family" and other.open(mine).id == mine
    with pytest.raises(LinkGone):
        other.open(strange)
    other.keep(request(), result, None)
    assert {mine, theirs, strange} <= {path.name for path in kept.folder.iterdir()}


def test_entries_of_another_version_in_the_cache_are_misses(tmp_path):
    cache = DiskCache(tmp_path)
    (tmp_path / f"{KEY}.safetensors").write_bytes(b"another format")
    (tmp_path / "index.json").write_text("{}")
    assert cache.get(KEY) is None
    cache.put(KEY, {"x": torch.ones(2)})
    assert cache.get(KEY) is not None and (tmp_path / "index.json").exists() and disk_cache.LEFT_OVER > 600


# -- visitors who leave ---------------------------------------------------------------


def test_a_visitor_who_leaves_in_the_middle_frees_the_machine_at_once(monkeypatch):
    engine, folder = Engine("cpu"), Folder()
    studio, session, began = Studio(engine, folder), Session("a"), []

    def endless(self, prepared, knobs, method, checkpoint):
        began.append(1)
        while True:
            checkpoint()
            time.sleep(0.005)

    async def leave():
        stream = studio.render(session, job, stamp=1, force=True, live=True)
        async for _ in stream:
            if began:
                break
        start = time.monotonic()
        await stream.aclose()  # what Gradio does when the connection is gone
        while engine._computing.locked() and time.monotonic() < start + 20:
            await asyncio.sleep(0.01)
        return time.monotonic() - start

    with monkeypatch.context() as patch:
        patch.setattr(Lite, "render", endless)
        assert asyncio.run(leave()) < 5
    assert len(studio.line) == 0 and session.run is None
    assert follow(studio, Session("b"), job)[-1].state == "done"
