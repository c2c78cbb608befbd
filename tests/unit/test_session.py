"""One visitor's renders, with an engine that does what the test says: newest wins, nothing raises, nothing is lost."""

from __future__ import annotations

import asyncio
import dataclasses
import io
import threading
import time

import numpy as np
import pytest
from PIL import Image

from demo.line import Line
from demo.session import Job, Session, Sessions, View
from demo.studio import Studio
from demo.text import Said
from scsa_core.engine import RenderRequest, RenderResult
from scsa_core.errors import LabelError, OutOfMemory
from scsa_core.knobs import Knobs
from scsa_core.progress import Progress


class FakeEngine:
    """Paints one colour a request, in `seconds`, at checkpoints; fails where told."""

    def __init__(self, seconds=0.0, estimate=0.1, error=None, preview=0.1):
        self.seconds, self.estimate, self.error, self.estimate_of_preview = seconds, estimate, error, preview
        self.calls, self.lock = [], threading.Lock()

    def _work(self, kind, request, progress, cancel):
        with self.lock:
            self.calls.append((kind, request.method, request.knobs.alpha1, request.knobs.size))
        if progress:
            progress(Progress("paint", 0.5))
        end = time.monotonic() + self.seconds
        while time.monotonic() < end:
            cancel.checkpoint()
            time.sleep(0.005)
        error = self.error(request) if self.error else None
        if error:
            raise error
        colour = (round(request.knobs.alpha1 * 100), 0, 255 if kind == "preview" else 0)
        return RenderResult(Image.new("RGB", (32, 32), colour), {"total": 0.1}, (), request, 0, "ab")

    def render(self, request, *, progress=None, cancel=None):
        return self._work("render", request, progress, cancel)

    def preview(self, request, *, progress=None, cancel=None):
        return self._work("preview", request, progress, cancel)

    def estimate_seconds(self, request, *, preview=False):
        return self.estimate_of_preview if preview else self.estimate


def job(alpha1=0.5, size=256, **changes):
    picture = Image.fromarray(np.zeros((32, 32, 3), np.uint8))
    return Job(RenderRequest(picture, picture, knobs=Knobs(alpha1=alpha1, size=size), **changes), "c.png", "s.png", "Lite")


@pytest.fixture
def files():
    return {}


def studio(engine, files):
    def publish(data, name):
        path = f"{len(files)}-{name}"
        files[path] = data
        return path

    return Studio(engine, publish)


async def follow(desk, session, make, stamp=1, force=True, live=True, awaited=False):
    return [view async for view in desk.render(session, make, stamp=stamp, force=force, live=live, awaited=awaited)]


def test_a_render_shows_result_then_baseline(files):
    engine, session = FakeEngine(), Session("a")
    views = asyncio.run(follow(studio(engine, files), session, job))
    assert [v.state for v in views][-1] == "done" and views[-1].result.endswith("-scsa-256.png".replace("256", "32"))
    assert [c[1] for c in engine.calls] == ["scsa", "baseline"]
    assert views[-1].baseline and views[-1].download == views[-1].result and not views[-1].more


def test_a_slow_render_shows_a_preview_first_and_the_result_is_never_empty(files):
    engine, session = FakeEngine(estimate=5.0), Session("a", View(result="old.png"))
    session.full = "old.png"
    views = asyncio.run(follow(studio(engine, files), session, job))
    assert engine.calls[0][0] == "preview" and any(v.preview for v in views)
    assert all(v.result for v in views) and not views[-1].preview


@pytest.mark.parametrize(
    ("estimate", "preview", "first"), [(0.6, 0.1, "preview"), (0.6, 0.5, "render"), (0.6, None, "render"), (0.2, 0.01, "render")]
)
def test_a_preview_comes_first_where_it_is_much_sooner(files, estimate, preview, first):
    engine = FakeEngine(estimate=estimate, preview=preview)
    views = asyncio.run(follow(studio(engine, files), Session("a"), job))
    assert engine.calls[0][0] == first and views[-1].state == "done" and not views[-1].preview


def test_a_live_render_that_would_take_long_stops_at_the_preview_unless_it_is_awaited(files):
    engine = FakeEngine(estimate=60.0)
    views = asyncio.run(follow(studio(engine, files), Session("a"), job, force=False))
    assert [c[0] for c in engine.calls] == ["preview"] and views[-1].state == "stale" and views[-1].preview
    views = asyncio.run(follow(studio(engine, files), Session("b"), job, force=False, awaited=True))
    assert views[-1].state == "done" and not views[-1].preview


def test_a_press_of_render_is_not_undone_by_the_change_before_it_that_arrives_late(files):
    engine, session = FakeEngine(seconds=0.2, estimate=60.0), Session("a")
    desk = studio(engine, files)

    async def main(late):
        pressed = asyncio.create_task(follow(desk, session, job, stamp=1))
        while session.run is None:
            await asyncio.sleep(0.01)
        return await asyncio.gather(pressed, follow(desk, session, late, stamp=1, force=False))

    pressed, late = asyncio.run(main(job))
    assert late == [] and pressed[-1].state == "done"
    pressed, late = asyncio.run(main(lambda: job(0.9)))  # another picture than the one under way: that is the newer wish
    assert pressed[-1].state != "done" and late[-1].state == "stale"


@pytest.mark.parametrize("live", [True, False])
def test_a_press_of_render_outlives_a_change_before_it_that_is_still_being_read(files, live):
    """As when a restarted server has just been given the pictures again: the same ones by other names."""
    engine, session = FakeEngine(seconds=0.2, estimate=60.0), Session("a")
    desk = studio(engine, files)

    async def main():
        made = threading.Event()

        def slowly():
            made.wait(5)
            return dataclasses.replace(job(), content_path="copy.png")

        change = asyncio.create_task(follow(desk, session, slowly, force=False, live=live))
        await asyncio.sleep(0.05)
        pressed = asyncio.create_task(follow(desk, session, job))
        while session.run is None:
            await asyncio.sleep(0.01)
        made.set()
        return await asyncio.gather(pressed, change)

    pressed, change = asyncio.run(main())
    assert change == [] and pressed[-1].state == "done" and pressed[-1].said.key == "status.done"


def test_a_change_that_renders_nothing_by_itself_stops_no_render(files):
    engine, session = FakeEngine(seconds=0.2), Session("a")
    desk = studio(engine, files)

    async def main():
        pressed = asyncio.create_task(follow(desk, session, job))
        while session.run is None:
            await asyncio.sleep(0.01)
        return await asyncio.gather(pressed, follow(desk, session, lambda: job(0.9), force=False, live=False))

    pressed, change = asyncio.run(main())
    assert change == [] and pressed[-1].state == "done" and "status.done_stale" in {v.said.key for v in pressed}


def test_the_newest_change_wins(files):
    engine, session = FakeEngine(seconds=0.4, estimate=2.0), Session("a")
    desk = studio(engine, files)

    async def main():
        first = asyncio.create_task(follow(desk, session, lambda: job(0.1), stamp=1, force=False))
        await asyncio.sleep(0.2)
        session.note(2, stops=True)
        return await asyncio.gather(first, follow(desk, session, lambda: job(0.9), stamp=2, force=False))

    old, new = asyncio.run(main())
    assert not any(v.state in ("failed", "done") for v in old)
    assert new[-1].state == "done"
    pixels = Image.open(__import__("io").BytesIO(files[new[-1].result])).getpixel((0, 0))
    assert pixels == (90, 0, 0)
    assert session.run is None and len(desk.line) == 0


def test_an_older_change_that_arrives_late_does_nothing(files):
    engine, session = FakeEngine(), Session("a")
    session.note(5, stops=True)
    assert asyncio.run(follow(studio(engine, files), session, job, stamp=3, force=False)) == []
    assert not engine.calls


def test_cancel_brings_the_last_picture_back_and_frees_the_line(files):
    engine, session = FakeEngine(seconds=5, estimate=2.0), Session("a", View(result="old.png"))
    session.full = "old.png"
    desk = studio(engine, files)

    async def main():
        task = asyncio.create_task(follow(desk, session, job))
        await asyncio.sleep(0.3)
        started = time.monotonic()
        assert session.cancel()
        return await task, time.monotonic() - started

    views, seconds = asyncio.run(main())
    assert views[-1].state == "cancelled" and views[-1].result == "old.png" and seconds < 1
    assert len(desk.line) == 0 and not session.cancel()


@pytest.mark.parametrize("error", [LabelError("bad"), OutOfMemory("no room"), MemoryError(), RuntimeError("secret")])
def test_a_failure_is_words_and_keeps_the_picture(files, error):
    engine, session = FakeEngine(error=lambda _: error), Session("a", View(result="old.png"))
    session.full = "old.png"
    views = asyncio.run(follow(studio(engine, files), session, job))
    last = views[-1]
    assert last.state == "failed" and last.result == "old.png" and last.error
    said = last.error.what.in_("en") + last.error.do.in_("en")
    assert "secret" not in said
    assert last.error.reference and session.run is None


def test_too_little_memory_is_tried_smaller_and_said(files):
    engine = FakeEngine(error=lambda r: OutOfMemory("x") if r.knobs.size > 384 and r.method == "scsa" else None)
    views = asyncio.run(follow(studio(engine, files), Session("a"), lambda: job(size=768)))
    assert views[-1].state == "done" and [n.key for n in views[-1].notes] == ["note.smaller"]
    assert [c[3] for c in engine.calls if c[1] == "scsa"] == [768, 512, 384]


def test_a_failed_baseline_leaves_the_result_alone(files):
    engine = FakeEngine(error=lambda r: RuntimeError("x") if r.method == "baseline" else None)
    views = asyncio.run(follow(studio(engine, files), Session("a"), job))
    assert views[-1].state == "done" and views[-1].result and not views[-1].baseline


def test_without_live_a_change_only_says_that_it_is_stale(files):
    engine = FakeEngine()
    views = asyncio.run(follow(studio(engine, files), Session("a"), job, force=False, live=False))
    assert [v.state for v in views] == ["stale"] and not engine.calls


def test_what_is_missing_is_said(files):
    views = asyncio.run(follow(studio(FakeEngine(), files), Session("a"), lambda: Said("status.need_style")))
    assert views[-1].said.key == "status.need_style" and views[-1].state == "idle"


def test_two_visitors_take_turns_and_see_their_place(files):
    engine = FakeEngine(seconds=0.7)
    desk = studio(engine, files)

    async def main():
        return await asyncio.gather(
            follow(desk, Session("a"), lambda: job(0.1)), follow(desk, Session("b"), lambda: job(0.9))
        )

    first, second = asyncio.run(main())
    assert first[-1].state == second[-1].state == "done"
    assert any(v.state == "queued" for v in first + second)
    assert {Image.open(__import__("io").BytesIO(files[v[-1].result])).getpixel((0, 0))[0] for v in (first, second)} == {10, 90}


def test_sessions_are_kept_by_key_and_dropped_when_closed():
    opened = []
    sessions = Sessions(opened.append)
    assert sessions.get("a") is sessions.get("a") and len(opened) == 1
    assert sessions.get(None) is not sessions.get(None)
    run = sessions.get("a").begin(1)
    sessions.close("a")
    assert run.token.cancelled and sessions.get("a") is not opened[0]


def test_a_place_given_up_for_a_newer_request_is_kept_for_a_moment():
    now = [0.0]
    line = Line(lambda: now[0])
    first, mine, other = line.enter("x"), line.enter("me"), line.enter("y")
    line.leave(mine, returning=True)
    again = line.enter("me")
    assert line.position(again) == 1 and line.position(other) == 2
    line.leave(again, returning=True)
    now[0] = 10.0
    assert line.position(other) == 1
    line.leave(first)
    assert line.position(other) == 0 and len(line) == 1


def test_a_slow_family_starts_by_the_button_alone_and_brings_no_baseline(files):
    engine, session = FakeEngine(estimate=None), Session("a")
    desk = studio(engine, files)

    def slow():
        return job(backbone="strotss", method="regions")

    views = asyncio.run(follow(desk, session, slow, force=False, live=True))
    assert views[-1].state == "stale" and not engine.calls
    views = asyncio.run(follow(desk, session, slow, stamp=2, force=True))
    assert views[-1].state == "done" and [c[:2] for c in engine.calls] == [("render", "regions")]  # no preview of its own: it shows its way


def test_a_render_given_up_while_it_was_still_being_planned_says_nothing(files):
    go = threading.Event()

    class Thinking(FakeEngine):
        def estimate_seconds(self, request, *, preview=False):
            go.wait(5)
            return 0.1

    async def main():
        engine, session = Thinking(), Session("a")
        desk = studio(engine, files)
        older = asyncio.create_task(follow(desk, session, job, force=False))
        while session.run is None:
            await asyncio.sleep(0.01)
        newer = await follow(desk, session, lambda: job(backbone="strotss", method="regions"), stamp=2, force=False)
        go.set()
        return await older, newer, session, engine

    older, newer, session, engine = asyncio.run(main())
    assert older == [] and newer[-1].state == session.view.state == "stale" and not engine.calls


def test_a_baseline_stays_with_its_family(files):
    engine, session = FakeEngine(), Session("a")
    desk = studio(engine, files)
    old = asyncio.run(follow(desk, session, job))[-1].baseline
    views = asyncio.run(follow(desk, session, lambda: job(size=512), stamp=2))
    assert views[0].baseline == old != views[-1].baseline  # of another size: better than none for a moment
    views = asyncio.run(follow(desk, session, lambda: job(backbone="styleid"), stamp=3))  # slow: paints none of its own
    assert {v.baseline for v in views} == {None} and views[-1].state == "done"


def test_pictures_on_the_way_are_shown_as_previews(files):
    class Showing(FakeEngine):
        def render(self, request, *, progress=None, cancel=None):
            progress(Progress("paint", 0.4, Image.new("RGB", (32, 32), (9, 9, 9))))
            time.sleep(0.3)
            return super().render(request, progress=progress, cancel=cancel)

    views = asyncio.run(follow(studio(Showing(), files), Session("a"), lambda: job(backbone="strotss", method="regions")))
    assert any(v.preview and v.result for v in views) and not views[-1].preview


def test_a_short_render_is_told_of_twice_and_a_long_one_by_its_stages(files):
    """Each word is work for the page, which a short render would have to wait for."""
    short = asyncio.run(follow(studio(FakeEngine(), files), Session("a"), job))
    assert [v.said.key for v in short if v.state == "rendering"] == ["status.starting"]
    long = asyncio.run(follow(studio(FakeEngine(seconds=1.0), files), Session("b"), job))
    assert [v.said.key for v in long if v.state == "rendering"] == ["status.starting", "status.paint"]


def test_previews_are_quickly_read_and_results_are_exact(files):
    views = asyncio.run(follow(studio(FakeEngine(estimate=5.0), files), Session("a"), job))
    kinds = {Image.open(io.BytesIO(files[v.result])).format for v in views if v.preview}
    assert kinds == {"JPEG"}
    assert {Image.open(io.BytesIO(files[path])).format for path in (views[-1].result, views[-1].baseline)} == {"PNG"}


def test_a_change_read_slowly_does_not_undo_a_newer_one(files):
    """Its pictures were still being read when Render was pressed for later settings."""
    engine, session = FakeEngine(seconds=0.2), Session("a")
    desk, go = studio(engine, files), threading.Event()

    def slow():
        go.wait(5)
        return job(0.1)

    async def main(make):
        older = asyncio.create_task(follow(desk, session, make, stamp=5, force=False))
        await asyncio.sleep(0.05)
        newer = asyncio.create_task(follow(desk, session, lambda: job(0.9), stamp=6))
        while session.run is None:
            await asyncio.sleep(0.01)
        go.set()
        return await asyncio.gather(older, newer)

    older, newer = asyncio.run(main(slow))
    assert older == [] and newer[-1].state == "done"
    assert [c[2] for c in engine.calls if c[1] == "scsa"] == [0.9]

    def broken():
        go.wait(5)
        raise ValueError("unreadable")

    go.clear()
    session.newest = 0
    older, newer = asyncio.run(main(broken))
    assert older == [] and newer[-1].state == "done" and not session.view.error


def test_a_baseline_does_not_hold_up_a_newer_change(files):
    engine, session = FakeEngine(seconds=0.1), Session("a")

    async def main():
        first = asyncio.create_task(follow(studio(engine, files), session, job))
        while not engine.calls:
            await asyncio.sleep(0.01)
        session.note(2, stops=True)  # the render is quick and so not stopped
        return await first

    views = asyncio.run(main())
    assert views[-1].state == "done" and [c[1] for c in engine.calls] == ["scsa"]


def test_the_baseline_is_painted_at_the_size_that_memory_had_room_for(files):
    engine = FakeEngine(error=lambda r: OutOfMemory("full") if r.knobs.size > 384 else None)
    views = asyncio.run(follow(studio(engine, files), Session("a"), lambda: job(size=512)))
    assert views[-1].state == "done" and views[-1].baseline
    assert [(c[1], c[3]) for c in engine.calls] == [("scsa", 512), ("scsa", 384), ("baseline", 384)]


def test_a_menu_that_tells_its_choice_twice_does_not_undo_the_press_between(files):
    """A large size is chosen, its live preview runs, Render is pressed: leaving the menu tells the choice again."""
    engine, session = FakeEngine(seconds=0.1, estimate=60.0), Session("a")
    desk = studio(engine, files)

    async def main():
        pressed = asyncio.create_task(follow(desk, session, job, stamp=2))
        while session.run is None:
            await asyncio.sleep(0.01)
        session.note(3, stops=True)
        again = await follow(desk, session, job, stamp=3, force=False)
        await pressed
        return again

    again = asyncio.run(main())
    assert again[-1].state == "done" and not again[-1].preview and session.pressed is None
    later = asyncio.run(follow(desk, session, lambda: job(0.9), stamp=4, force=False))
    assert later[-1].state == "stale"  # a press counts for what it was pressed for


def test_of_two_changes_with_one_count_the_later_one_wins(files):
    """As two pictures dropped one after the other: the first one's file takes longer to read."""
    engine, session = FakeEngine(), Session("a")
    desk = studio(engine, files)

    def slow():
        time.sleep(0.2)
        return job(0.1)

    async def main():
        first = asyncio.create_task(follow(desk, session, slow, stamp=1, force=False))
        await asyncio.sleep(0.05)
        second = await follow(desk, session, lambda: job(0.9), stamp=1, force=False)
        return await first, second

    first, second = asyncio.run(main())
    assert first == [] and second[-1].state == "done"
    assert [c[2] for c in engine.calls if c[1] == "scsa"] == [0.9]


def test_notes_of_settings_that_came_back_stay_beside_those_of_the_render(files):
    session = Session("a")
    session.restored = (Said("note.restored_both"),)
    desk = studio(FakeEngine(), files)
    assert [n.key for n in asyncio.run(follow(desk, session, job))[-1].notes] == ["note.restored_both"]
    assert asyncio.run(follow(desk, session, lambda: job(0.9), stamp=2))[-1].notes == ()


def test_notes_of_settings_that_came_back_stay_where_nothing_is_painted_and_end_with_the_next_change(files):
    session, said = Session("a"), (Said("note.restored"),)
    desk = studio(FakeEngine(), files)
    asyncio.run(follow(desk, session, job))
    session.restored = said  # the result on show was dropped
    same = asyncio.run(follow(desk, session, job, stamp=1, force=False))
    assert same[-1].notes == said and session.restored == ()
    session.restored = said
    stale = asyncio.run(follow(desk, session, lambda: job(0.9), stamp=1, force=False, live=False))
    assert stale[-1].state == "stale" and stale[-1].notes == said
    session.note(2, stops=False)
    assert session.restored == ()


def test_a_result_is_described_by_the_strengths_that_did_something():
    from demo.studio import described
    from scsa_core.backbones import FAMILIES

    said = {name: described(FAMILIES[name].info, method, Knobs(), 512) for name, method in (("lite", "scsa"), ("mast", "regions"))}
    assert (said["lite"].key, said["mast"].key) == ("compare.alt_result", "compare.alt_plain")
    lite = FAMILIES["lite"].info
    assert {m: described(lite, m, Knobs(), 512).key for m in ("baseline", "sca", "ssa")} == {
        "baseline": "compare.alt_plain", "sca": "compare.alt_alpha1", "ssa": "compare.alt_alpha2",
    }  # fmt: skip
    assert "alpha2" not in described(lite, "sca", Knobs(), 512).args
