"""GPUs borrowed through the package `spaces`: when, for how long, and what happens where none comes or it goes in the middle.

The package is played by one that does what the real one does on its host: it runs the
function in a forked process and sends what it yields through a pipe.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import signal
import sys
import time
import types

import gradio as gr
import pytest
from PIL import Image

from demo import zero
from demo.faults import Tally
from demo.metrics import Watch, WatchedEngine
from demo.text import error_words
from scsa_core import errors
from scsa_core.engine import RenderRequest
from scsa_core.errors import Cancelled, KnobError, NoGpu, OutOfMemory
from scsa_core.knobs import Knobs
from scsa_core.progress import CancelToken


class Spaces(types.ModuleType):
    """asked: seconds of every loan. refuse: an error in place of a loan. pid: of the process that runs."""

    def __init__(self):
        super().__init__("spaces")
        self.asked, self.refuse, self.pid, self.lends = [], None, 0, True

    def GPU(self, *, duration):
        def decorate(task):
            def lent(*args):
                self.asked.append(duration(*args))
                if self.refuse:
                    raise self.refuse
                here, there = multiprocessing.get_context("fork").Pipe()
                pid = self.pid = os.fork()
                if pid == 0:
                    with contextlib.suppress(BaseException):
                        here.close()
                        for message in task(*args):
                            there.send(message)
                    os._exit(0)
                there.close()
                try:
                    while True:
                        try:
                            yield here.recv()
                        except EOFError:
                            if os.waitpid(pid, 0)[1] == 0:
                                return
                            raise RuntimeError("GPU task aborted") from None
                finally:
                    here.close()

            return lent if self.lends else task

        return decorate


@pytest.fixture
def spaces(monkeypatch):
    made = Spaces()
    monkeypatch.setitem(sys.modules, "spaces", made)
    monkeypatch.setattr(zero, "_DEVICE", "cpu")
    monkeypatch.setattr(zero, "BEAT", 0.05)
    return made


@pytest.fixture
def engine(spaces):
    return zero.engine_for("auto", Watch(Tally()))


def request(**changes):
    picture = Image.linear_gradient("L").convert("RGB").resize((64, 48))
    return RenderRequest(picture, picture, **({"method": "baseline", "knobs": Knobs(size=64)} | changes))


def everything_is_worth_it(monkeypatch):
    monkeypatch.setattr(zero.BorrowingEngine, "_worth_it", lambda self, request: True)


def test_without_the_package_or_where_it_lends_nothing_the_engine_is_the_usual_one(monkeypatch):
    monkeypatch.setitem(sys.modules, "spaces", None)
    assert type(zero.engine_for("cpu", Watch())) is type(zero.engine_for("auto", Watch())) is WatchedEngine
    monkeypatch.setitem(sys.modules, "spaces", Spaces())
    assert type(zero.engine_for("cpu", Watch())) is WatchedEngine  # a host that wants none
    assert type(zero.engine_for("auto", Watch())) is zero.BorrowingEngine
    sys.modules["spaces"].lends = False
    assert type(zero.engine_for("auto", Watch())) is WatchedEngine


def test_only_the_page_s_engine_imports_it():
    names = [name for name, module in sys.modules.items() if name.startswith(("demo", "scsa_core")) and hasattr(module, "spaces")]
    assert names == []


def test_a_borrowed_gpu_paints_the_same_picture_and_is_measured(engine, spaces, monkeypatch):
    here = engine.render(request()).image
    assert spaces.asked == []  # a family that takes seconds is tried on the processor first
    everything_is_worth_it(monkeypatch)
    assert engine.estimate_seconds(request()) is None
    seen = []
    result = engine.render(request(), progress=seen.append)
    assert result.image.tobytes() == here.tobytes() and result.notes == () and result.weights
    assert spaces.asked == [zero.FIRST[False]] and {"paint", "finish"} <= {step.stage for step in seen}
    assert 0 < engine.estimate_seconds(request()) < 60
    engine.render(request())
    assert spaces.asked[1] == zero.LEAST  # as long as its like took, no longer


def test_the_time_that_is_asked_for_follows_the_work():
    def asked(size, **options):
        return zero.seconds_to_ask(request(knobs=Knobs(size=size)), **({"slow": True, "speed": 60.0} | options))

    assert asked(512) < asked(1024) < asked(1536) <= zero.MOST and asked(64) == zero.LEAST and asked(2048, speed=90.0) == zero.MOST
    assert asked(1024, speed=30) < asked(1024) and asked(512, speed=None) == 120 and asked(512, slow=False, speed=None) == 40


def test_what_is_worth_a_gpu(engine, monkeypatch):
    assert engine._worth_it(request(backbone="strotss", method="regions")) and not engine._worth_it(request())
    for seconds in (1.0, 100.0):
        monkeypatch.setattr(WatchedEngine, "estimate_seconds", lambda self, request, preview=False, seconds=seconds: seconds)
        assert engine._worth_it(request()) == (seconds > zero.WORTH)


def test_no_gpu_is_said_and_painted_on_the_processor_or_told_as_an_error(engine, spaces, monkeypatch):
    everything_is_worth_it(monkeypatch)
    spaces.refuse = gr.Error("You have exceeded your quota")
    result = engine.render(request())
    assert result.image.size == (64, 48) and [note.code for note in result.notes] == ["no_gpu"] and "(You have exceeded your quota)" in result.notes[0].text
    with pytest.raises(NoGpu) as caught:
        engine.render(request(backbone="strotss", method="regions"))
    for lang in ("en", "zh"):
        assert "quota" in error_words(caught.value).what.in_(lang)


def test_a_worker_killed_in_the_middle_is_a_render_all_the_same(engine, spaces, monkeypatch):
    everything_is_worth_it(monkeypatch)
    monkeypatch.setattr(zero, "_own_engine", lambda: time.sleep(60))  # in the fork: it hangs
    killed = []

    def kill(step):
        if not killed:
            killed.append(spaces.pid)
            os.kill(spaces.pid, signal.SIGKILL)

    class Beating(CancelToken):
        def checkpoint(self):
            kill(None)

    result = engine.render(request(), cancel=Beating())
    assert killed and result.image.size == (64, 48) and [note.code for note in result.notes] == ["no_gpu"]


def test_errors_of_the_other_process_arrive_as_what_they_are(engine, monkeypatch):
    everything_is_worth_it(monkeypatch)

    class Broken:
        def __init__(self, error):
            self.error = error

        def render(self, request, *, progress, cancel):
            raise self.error

    for error, kind in ((OutOfMemory("no room", hint="Choose a smaller size."), OutOfMemory), (KnobError("x", knob="size"), KnobError)):
        monkeypatch.setattr(zero, "_engine", Broken(error))
        with pytest.raises(kind) as caught:
            engine.render(request())
        assert caught.value.hint == error.hint and str(caught.value) == str(error)
    monkeypatch.setattr(zero, "_engine", Broken(ZeroDivisionError("odd")))
    with pytest.raises(errors.ScsaError, match="ZeroDivisionError"):
        engine.render(request())


def test_a_cancel_reaches_the_other_process(engine, spaces, monkeypatch):
    everything_is_worth_it(monkeypatch)

    class Endless:
        def render(self, request, *, progress, cancel):
            while True:
                cancel.checkpoint()
                time.sleep(0.01)

    monkeypatch.setattr(zero, "_engine", Endless())
    token = CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        engine.render(request(), cancel=token)
    assert os.waitpid(spaces.pid, 0)[0] == spaces.pid  # it ends by itself: nobody listens any more


def test_every_error_travels_between_processes():
    made = [
        errors.UnreadableImage("x", hint="h", looks_like="a PDF"), errors.ImageSizeError("x", size=(1, 2)), errors.KnobError("x", knob="size"),
        errors.ShapeError("x", expected="a", actual="b"), errors.CheckpointMissing("x", path="p"), errors.CheckpointMismatch("x", missing=("k",)),
        errors.FetchFailed("x", offline=True), errors.MissingPackage("x", package="p"), errors.TooMany("x", seconds=3.0), errors.Cancelled(),
    ]  # fmt: skip
    for error in made:
        back = pickle.loads(pickle.dumps(error))
        assert type(back) is type(error) and str(back) == str(error) and back.__dict__ == error.__dict__
