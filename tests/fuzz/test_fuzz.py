"""A seeded part of the corpus with every run of the suite, and proof that what ends badly is seen."""

from __future__ import annotations

import gc
import logging
import random
import sys
import time
from types import SimpleNamespace

import pytest
from PIL import Image

from demo import desk as desk_module

from . import maps, pictures, run
from .doors import Doors

COUNT, SEED = 60, "suite"


@pytest.fixture(scope="module")
def doors(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fuzz")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(folder / "files"))
        made = Doors(folder)
        made.warm()
        gc.freeze()  # `attempt` collects before each case
        yield made
        gc.unfreeze()
        made.close()


def test_every_case_ends_in_words_or_a_render(doors):
    results = [run.attempt(doors, k, SEED) for k in range(COUNT)]
    bad = [(r.index, r.kind, r.how, r.said) for r in results if not r.good]
    assert bad == []
    assert {"rendered", "message", "refused", "answered"} <= {r.how for r in results}
    assert max(r.seconds for r in results) < run.HANG


def test_the_same_seed_makes_the_same_bytes():
    for name in pictures.kinds():
        assert pictures.picture(name, random.Random("a")) == pictures.picture(name, random.Random("a")), name
    for name in maps.kinds():
        assert maps.map_case(name, random.Random("a")).files == maps.map_case(name, random.Random("a")).files, name
    everything = {kind for group in run.all_kinds().values() for kind in group}
    assert {run.kind_at(k) for k in range(1000)} == everything and len(everything) > 40


def test_a_fault_in_the_app_is_seen(doors, monkeypatch):
    def broken(*args, **kwargs):
        raise ZeroDivisionError

    monkeypatch.setattr(desk_module, "accept", broken)
    assert doors.try_one("picture/sound", random.Random(1)).how == "unexpected error"
    monkeypatch.undo()
    monkeypatch.setattr(desk_module.Desk, "job", broken)
    assert doors.try_one("picture/sound", random.Random(1)).how == "traceback"
    monkeypatch.undo()
    monkeypatch.setattr(doors.engine, "render", lambda request: SimpleNamespace(image=Image.new("RGB", (900, 900))))
    assert doors.try_one("picture/sound", random.Random(1)).how == "inconsistent"
    monkeypatch.undo()
    monkeypatch.setattr(desk_module.Desk, "maps", lambda *args: (logging.getLogger("scsa").error("x", exc_info=ValueError("seen")), [{}])[1])
    assert doors.try_one("map/one_region", random.Random(1)).how == "traceback in the log"
    monkeypatch.setattr(run, "HANG", 0.01)
    monkeypatch.setattr(doors, "try_one", lambda *args: (time.sleep(0.05), doors.__class__.try_one(doors, "picture/svg", random.Random(1)))[1])
    assert run.attempt(doors, 0, SEED).how == "too slow"


@pytest.mark.parametrize(("end", "how"), [("time.sleep(60)", "hang"), ("os._exit(11)", "died")])
def test_a_process_that_hangs_or_dies_is_seen(tmp_path, end, how):
    line = '{"index": 0, "kind": "picture/svg", "how": "message", "said": "", "seconds": 0, "peak": 0, "held": 9, "good": true}'
    program = f"import os, time\nprint('{{\"began\": 0}}', flush=True)\nprint('{line}', flush=True)\nprint('{{\"began\": 1}}', flush=True)\n{end}"
    results = list(run.follow([sys.executable, "-c", program], 0, tmp_path, patience=2))
    assert [(r.index, r.how, r.good) for r in results] == [(0, "message", True), (1, how, False)]
    assert "1 of 2 ended well" in run.table(results)
