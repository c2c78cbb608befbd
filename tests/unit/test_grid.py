"""The grid: cells painted one after another in everybody's line, kept, cancelled, opened; what is not ready says so."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from types import SimpleNamespace

import pytest
from PIL import Image

from demo import grid as grid_module
from demo.desk import INPUTS, Desk, Values
from demo.files import publish
from demo.grid import Sheets, _names
from demo.knobs import SLIDERS
from demo.settings import Settings
from demo.text import TEXT, Said
from scsa_core.engine import Engine, RenderResult
from scsa_core.errors import OutOfMemory
from scsa_core.progress import Progress

ALL = [("lite", "baseline"), ("lite", "scsa")]
VISITOR = SimpleNamespace(session_hash="one")


@pytest.fixture
def engine(tmp_path, monkeypatch):
    """Only lite is ready; a render is a plain picture, or what `engine.error` says."""
    monkeypatch.setenv("SCSA_CHECKPOINTS", str(tmp_path))
    monkeypatch.setattr(grid_module, "POLL", 0.005)
    made = Engine("cpu")
    made.requests, made.error, made.gate = [], None, threading.Semaphore(100)

    def render(request, *, progress=None, cancel=None):
        made.requests.append(request)
        progress(Progress("paint", 0.5))
        while not made.gate.acquire(timeout=0.005):
            cancel.checkpoint()
        if made.error:
            raise made.error
        return RenderResult(Image.new("RGB", (32, 24), "red"), {"total": 1.25}, (), request, 0, "ab")

    made.render = render
    return made


@pytest.fixture
def sheets(engine):
    return Sheets(Desk(engine, Settings(preload=False)))


def values(sheets, **changes):
    """What the page sends for the first example."""
    desk = sheets.desk
    painter, _, _ = desk.opening()
    for side in ("content", "style"):
        painter[side]["picture"] = {"path": painter[side]["picture"]}
    knobs = {name: getattr(desk.engine.defaults("lite"), name) for name in SLIDERS}
    return Values(painter, "lite", "scsa", 256, knobs | changes)


async def follow(sheets, session, found, names=ALL):
    return [u async for u in sheets.run(session, found, names)]


def painted(sheets, found, names=ALL):
    session = sheets.desk.sessions.get("one")
    return asyncio.run(follow(sheets, session, found, names)), sheets.of(session)


def test_cells_are_painted_in_order_and_the_first_one_opens(sheets, engine):
    updates, sheet = painted(sheets, values(sheets, alpha1=1.5))
    assert [r.method for r in engine.requests] == ["baseline", "scsa"]
    assert engine.requests[1].knobs.alpha1 == 1.5 and engine.requests[1].content_map is not None
    states = [next(f["cells"]["scsa"]["state"] for f in u[0]["items"]["families"] if f["name"] == "lite") for u in updates]
    assert states[0] == "waiting" and "painting" in states and states[-1] == "done"
    fractions = [u[0]["items"]["fraction"] for u in updates[:-1]]
    assert fractions == sorted(fractions) and max(fractions) >= 0.5
    grid, compare = updates[-1]
    assert len(grid["value"]["cells"]) == 2 and grid["items"]["running"] is False
    assert sheet.opened == ("lite", "baseline") and compare["visible"] is True and compare["value"]["result"]
    assert sheet.said.key == "grid.done" and len(sheets.desk.studio.line) == 0


def test_what_is_up_to_date_is_not_painted_again_and_the_baseline_knows_no_alpha(sheets, engine):
    found = values(sheets)
    painted(sheets, found)
    _, sheet = painted(sheets, found)
    assert len(engine.requests) == 2 and sheet.said.key == "grid.nothing"
    painted(sheets, values(sheets, alpha1=1.9))
    assert [r.method for r in engine.requests] == ["baseline", "scsa", "scsa"]


def test_families_that_are_not_ready_are_listed_with_the_reason_and_never_painted(sheets, engine):
    updates, _ = painted(sheets, values(sheets), [("sanet", "scsa"), ("nobody", "scsa")])
    assert not engine.requests
    sanet = next(f for f in updates[-1][0]["items"]["families"] if f["name"] == "sanet")
    assert not sanet["ready"] and not sanet["cells"]["scsa"]["able"]
    assert "MB" in Said(**sanet["chip"]).in_("en")


def test_another_family_keeps_its_own_defaults(sheets):
    found = values(sheets, alpha1=1.9, stroke_size=1.5)
    knobs = sheets._job(found, ("sanet", "scsa")).request.knobs
    assert (knobs.alpha1, knobs.alpha2, knobs.stroke_size, knobs.size) == (0.7, 0.3, 1.5, 256)


def cancelled_in_the_second(sheets, engine, found):
    """Paint both cells of lite; Cancel while the second is under way. The updates, and the sheet."""
    engine.gate = threading.Semaphore(1)
    session, before = sheets.desk.sessions.get("one"), len(engine.requests)

    async def main():
        async def stop():
            while len(engine.requests) < before + 2:
                await asyncio.sleep(0.005)
            sheets.stop(VISITOR)

        return (await asyncio.gather(follow(sheets, session, found), stop()))[0]

    return asyncio.run(asyncio.wait_for(main(), 20)), sheets.of(session)


def test_cancel_keeps_what_is_painted(sheets, engine):
    seen, sheet = cancelled_in_the_second(sheets, engine, values(sheets))
    assert sheet.said.key == "grid.cancelled" and sheet.token is None
    assert sheet.cell(ALL[0]).picture and sheet.cell(ALL[1]).state == "empty"
    assert seen[-1][0]["items"]["running"] is False and len(sheets.desk.studio.line) == 0


def another_pair(sheets):
    """What the page sends for the second example."""
    found, desk = values(sheets), sheets.desk
    painter = desk.examples[1].painter_value(desk.examples[1].files(publish))
    for side in ("content", "style"):
        painter[side]["picture"] = {"path": painter[side]["picture"]}
    return replace(found, painter=painter)


def test_pictures_of_an_earlier_pair_are_told_apart(sheets, engine):
    """Cancelled, unticked or just older: a picture stands beside what it was painted from, and is marked."""
    painted(sheets, values(sheets))
    old = sheets.of(sheets.desk.sessions.get("one")).cell(ALL[1])
    _, sheet = painted(sheets, another_pair(sheets), ALL[:1])
    assert not sheet.cell(ALL[0]).stale and sheet.cell(ALL[1]).stale
    sheet.opened = ALL[1]
    shown = sheets.compared(sheet)
    assert (shown["result"], shown["content"], shown["style"]) == (old.picture, old.content, old.style)
    assert shown["baseline"] is None and (shown["w"], shown["h"]) == old.size != sheet.cell(ALL[0]).size
    painted(sheets, another_pair(sheets), ALL[1:])
    shown = sheets.compared(sheet)
    assert shown["baseline"] == sheet.cell(ALL[0]).picture and not sheet.cell(ALL[1]).stale


def test_a_cancelled_grid_marks_what_it_did_not_come_to(sheets, engine):
    painted(sheets, values(sheets))
    _, sheet = cancelled_in_the_second(sheets, engine, another_pair(sheets))
    cells = [sheet.cell(name) for name in ALL]
    assert [c.state for c in cells] == ["done", "done"] and [c.stale for c in cells] == [False, True]


def test_what_the_desk_became_while_it_painted_marks_the_pictures_at_the_end(sheets, engine):
    session = sheets.desk.sessions.get("one")
    changed = values(sheets, alpha1=1.1)
    asked = {**{name: getattr(changed, name) for name in ("painter", "model", "method", "size", "live", "stamp")}, **changed.knobs}

    async def main():
        async for _ in sheets.run(session, values(sheets), ALL):
            sheets.look(VISITOR, *(asked[name] for name in INPUTS))

    asyncio.run(main())
    assert [sheets.of(session).cell(name).stale for name in ALL] == [False, True]  # the baseline knows no α


def test_a_press_while_it_paints_paints_nothing_twice(sheets, engine):
    session, found = sheets.desk.sessions.get("one"), values(sheets)

    async def main():
        return await asyncio.gather(follow(sheets, session, found), follow(sheets, session, found))

    _, again = asyncio.run(main())
    assert len(engine.requests) == 2 and len(again) == 1 and again[0][0]["items"]["running"] is True


@pytest.mark.parametrize(("error", "words"), [(OutOfMemory("x"), "error.memory"), (RuntimeError("secret"), "error.unexpected")])
def test_a_failed_cell_says_why_and_the_others_go_on(sheets, engine, error, words):
    engine.error = error
    updates, _ = painted(sheets, values(sheets))
    assert len(engine.requests) == 2
    cells = next(f["cells"] for f in updates[-1][0]["items"]["families"] if f["name"] == "lite")
    assert all(c["state"] == "failed" and c["error"]["what"]["key"] == words for c in cells.values())
    assert "secret" not in str(updates[-1])


def test_without_pictures_it_says_what_is_missing(sheets, engine):
    found = values(sheets)
    found.painter["style"]["picture"] = None
    updates, _ = painted(sheets, found)
    assert updates[-1][0]["items"]["said"]["key"] == "status.need_style" and not engine.requests


def test_changed_settings_are_marked_when_the_tab_opens_and_a_cell_can_be_opened(sheets, engine):
    painted(sheets, values(sheets))
    later = values(sheets, alpha1=0.1)
    inputs = {"painter": later.painter, "model": "lite", "method": "scsa", "size": 256, "live": True, "stamp": 1, **later.knobs}
    shown, _ = sheets.look(VISITOR, *[inputs[name] for name in INPUTS])
    cells = next(f["cells"] for f in shown["items"]["families"] if f["name"] == "lite")
    assert cells["scsa"]["stale"] and not cells["baseline"]["stale"]
    _, compare = sheets.open(SimpleNamespace(_data={"family": "lite", "method": "scsa"}), VISITOR)
    assert compare["value"]["baseline"] and compare["value"]["result"] != compare["value"]["baseline"]
    args = compare["value"]["alt"]["args"]
    assert args["method"] == "scsa" and args["size"] == 32  # of the picture, not of the photograph it was made from


@pytest.mark.parametrize("data", [None, 5, [], [["lite"]], [["lite", "other"]], [[{}, "scsa"]], "lite"])
def test_what_the_browser_sends_is_not_believed(sheets, data):
    assert _names(data) == []
    assert sheets.open(SimpleNamespace(_data=data), VISITOR)[1]["visible"] == "hidden"


def test_every_state_has_words():
    for state in ("empty", "waiting", "painting", "done", "failed"):
        assert all(TEXT[f"grid.state.{state}"])


def test_a_family_without_scsa_shows_its_own_way_with_regions(sheets):
    assert sheets.methods("lite") == ["baseline", "scsa"]
    assert sheets.methods("mast") == ["baseline", "regions"]
    shown = {f["name"]: f for f in sheets.items(sheets.of(sheets.desk.sessions.get("one")))["families"]}
    assert set(shown["mast"]["cells"]) == {"baseline", "regions"} and shown["strotss"]["slow"] and not shown["lite"]["slow"]
