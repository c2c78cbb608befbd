"""The history: what the browser is given to keep, and what it may bring back, as files that anybody may have made."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from demo.desk import PICKED, SHOWN, Desk, Values
from demo.history import HistoryModel, entry
from demo.history_desk import HistoryDesk
from demo.knobs import SLIDERS
from demo.painter import to_label_maps
from demo.permalinks import LinkDesk
from demo.session import Job, Session, View
from demo.settings import Settings
from scsa_core.engine import Engine, RenderRequest, RenderResult
from scsa_core.knobs import Knobs
from scsa_core.labels import LabelMap, Region
from scsa_core.notes import Note
from scsa_core.recipe import Recipe, extract

REGIONS = (Region(0, "Rest", "#cccccc"), Region(1, "Sea", "#0000ff"))
HALVES = LabelMap.from_ids(np.repeat(np.arange(2, dtype=np.uint8), 20)[None].repeat(30, 0), REGIONS)
KNOBS = Knobs(alpha1=0.55, alpha2=0.75, size=256, keep_colours=0.3)  # "sca" has no α₂: it stays at the default of lite


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    return Desk(Engine("cpu"), Settings(preload=False, data=tmp_path_factory.mktemp("data")))


@pytest.fixture(scope="module")
def links(desk):
    return LinkDesk(desk, desk.settings)


@pytest.fixture
def files(tmp_path):
    """A photo and a painting, as a browser uploads them."""
    random = np.random.default_rng(5)
    paths = {}
    for k, side in enumerate(("content", "style")):
        paths[side] = tmp_path / f"{side}.png"
        Image.fromarray(random.integers(0, 255, (60 + 8 * k, 80, 3), dtype=np.uint8)).save(paths[side])
    return paths


def made(desk, files, content_map=HALVES, style_map=HALVES, links=None):
    """A result of these files, as the studio hands it out."""
    pictures = [desk.pictures.get(str(files[side])) for side in ("content", "style")]
    request = RenderRequest(pictures[0].image, pictures[1].image, content_map, style_map, links, "lite", "sca", KNOBS)
    job = Job(request, str(files["content"]), str(files["style"]), "Lite", pictures[0].sha256, pictures[1].sha256)
    painted = RenderResult(Image.new("RGB", (256, 192), "teal"), {"total": 1.25}, (Note("no_maps", "x"),), request, 0, "ab12")
    return desk.studio.publish_result(job, painted)


def brought(done, files, **changes):
    """What the browser sends to have `done` back."""
    value = {"mark": done.job.mark(), "recipe": done.recipe}
    value |= {name: {"path": str(path)} for name, path in {"result": done.path, **files}.items()}
    return value | changes


def restored(desk, links, value, visitor):
    return dict(zip(PICKED, HistoryDesk(links).restore(value, SimpleNamespace(session_hash=visitor)), strict=True))


def test_an_entry_says_what_was_turned_and_names_its_files(desk, files):
    done = made(desk, files)
    found = HistoryModel.model_validate(entry(done))
    assert found.facts["settings"] == {
        "key": "compare.alt_alpha1",
        "args": {"model": "Lite", "method": "sca", "size": 256, "alpha1": "0.55"},
    }
    assert found.facts["turned"] == {"keep_colours": 0.3} and found.facts["seconds"] == "1.2"
    assert (found.facts["content"], found.facts["style"]) == (done.job.content_sha256, done.job.style_sha256)
    assert found.result.path == done.path and found.recipe == "" and extract(done.path).knobs == KNOBS


def test_a_mark_is_the_same_for_other_files_of_the_same_pictures_and_not_for_other_settings(desk, files):
    job = made(desk, files).job
    assert replace(job, content_path="elsewhere.png").mark() == job.mark()
    assert replace(job, content_path="elsewhere.png").fingerprint() != job.fingerprint()
    others = [replace(job.request, method="ssa"), replace(job.request, knobs=KNOBS.replace(seed=1)), replace(job.request, links={1: (0,)})]
    assert len({job.mark(), replace(job, content_sha256="x").mark(), *(replace(job, request=r).mark() for r in others)}) == 5


def test_everything_comes_back_on_another_desk_without_a_render(desk, links, files):
    done = made(desk, files, links={1: (0, 1)})
    session = desk.sessions.get("one")
    session.full = "before.png"
    updates = restored(desk, links, brought(done, files), "one")
    painter = updates["painter"]["value"]
    assert painter["by"] == "kept"  # "Undo Open result", not "Undo Load example"
    maps = to_label_maps(painter)
    assert [m.digest() for m in maps] == [HALVES.digest()] * 2 and painter["links"] == {"1": [0, 1]}
    assert [r["name"] for r in painter["regions"]] == ["Rest", "Sea"]
    assert (updates["model"]["value"], updates["method"]["value"], updates["size"]["value"]) == ("lite", "sca", 256)
    assert all(updates[name]["value"] == getattr(KNOBS, name) for name in SLIDERS)
    shown = updates["compare"]["value"]
    assert np.array_equal(np.asarray(Image.open(shown["result"])), np.asarray(Image.open(done.path)))
    assert shown["previous"] == "before.png" and shown["alt"]["args"]["alpha1"] == "0.55"
    assert updates["download"]["value"] == shown["result"] and extract(shown["result"]).links == {1: (0, 1)}
    assert updates["compare"]["status"]["key"] == "status.restored" and updates["notes"]["items"] == {"error": None, "notes": [], "turn": session.view.turn}
    # What the page holds now is what is shown: nothing is to be painted anew.
    values = {name: updates[name]["value"] for name in SLIDERS}
    value = {**painter, **{side: {**painter[side], "picture": {"path": painter[side]["picture"]}} for side in ("content", "style")}}
    job = desk.job(session, Values(value, "lite", "sca", 256, values))
    assert job.fingerprint() == session.shown and job.mark() == done.job.mark()


@pytest.mark.parametrize("maps", [(None, None), (HALVES, LabelMap.from_ids(np.zeros((8, 8), np.uint8)))])
def test_a_picture_without_regions_can_be_painted_on(desk, links, files, maps):
    painter = restored(desk, links, brought(made(desk, files, *maps), files), "two")["painter"]["value"]
    assert (painter["style"]["w"], painter["style"]["h"]) == (80, 68)
    if maps[0] is None:
        assert to_label_maps(painter) == (None, None)


def test_maps_that_the_picture_has_no_room_for_travel_beside_it(desk, links, files):
    noisy = LabelMap.from_ids(np.random.default_rng(0).integers(0, 6, (540, 540)).astype(np.uint8))
    done = made(desk, files, noisy, noisy)
    assert extract(done.path).maps_left_out and Recipe.from_text(done.recipe).content_map.digest() == noisy.digest()
    painter = restored(desk, links, brought(done, files), "three")["painter"]["value"]
    assert to_label_maps(painter)[0].digest() == noisy.digest()


def test_what_is_no_result_is_refused_and_what_is_on_the_desk_stays(desk, links, files, tmp_path):
    done, session = made(desk, files), desk.sessions.get("four")
    before = session.view
    plain = tmp_path / "plain.png"
    Image.new("RGB", (64, 64)).save(plain)
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    whole = brought(done, files)
    for value in (
        None, {}, {**whole, "result": {"path": str(plain)}}, {**whole, "result": {"path": str(broken)}}, {**whole, "style": None},
        {**whole, "content": {"path": str(broken)}}, {**whole, "recipe": "{}"},
    ):  # fmt: skip
        updates = restored(desk, links, value, "four")
        assert updates["notes"]["items"]["error"]["what"] and "value" not in updates["painter"]
        assert session.view is before


def test_a_result_of_the_history_becomes_one_link_that_opens(desk, links, files):
    done = made(desk, files)
    history = HistoryDesk(links)
    visitor = SimpleNamespace(session_hash="five", client=SimpleNamespace(host="1.2.3.4"), headers={})
    (first, _), (second, _) = (history.link(brought(done, files), visitor) for _ in range(2))
    assert first["linked"] == second["linked"] and first["linked"]["mark"] == done.job.mark()
    assert len(first["linked"]["until"]) == 10
    kept = links.kept.open(first["linked"]["path"].removeprefix("?r="))
    assert kept.example.knobs["keep_colours"] == 0.3 and kept.example.content_map.digest() == HALVES.digest()
    guest = SimpleNamespace(session_hash="guest", client=visitor.client, headers={})
    links.open(first["linked"]["path"].removeprefix("?r="), guest)
    described = desk.sessions.get("guest").view.alt.in_("en")
    assert "α₁ 0.55" in described and "example" not in described  # what it shows, not where it came from
    refused, notes = history.link({"mark": "x"}, visitor)
    assert refused["linked"] == {"mark": "x"} and notes["items"]["error"]


def test_a_visitor_s_stream_names_each_full_result_once(desk, files):
    """The desk sends an entry when a result is painted, and no other time."""
    done, session = made(desk, files), desk.sessions.get("six")
    assert session.made is None and isinstance(session, Session)

    async def views(*args, **kwargs):
        yield View(state="rendering")
        session.made = done
        yield View(state="done", result=done.path)
        yield View(state="done", result=done.path, more=True)

    async def sent():
        original, desk.studio.render = desk.studio.render, views
        try:
            values = Values(None, "lite", "scsa", 256, {})
            stream = desk._stream(values, force=False, request=SimpleNamespace(session_hash="six"))
            return [dict(zip(SHOWN, update, strict=True)) async for update in stream]
        finally:
            desk.studio.render = original

    updates = asyncio.run(sent())
    assert [update["history"].get("value", {}).get("mark") for update in updates[:3]] == [None, done.job.mark(), None]


@pytest.mark.parametrize("value", [None, {}, {"result": None}, {"result": {"path": 5}}, {"result": {"path": ""}}])
def test_what_no_browser_of_ours_brings_is_said(links, value):
    back = dict(zip(PICKED, HistoryDesk(links).restore(value, SimpleNamespace(session_hash="none")), strict=True))
    assert back["notes"]["items"]["error"]["what"]["key"] == "error.request" and "value" not in back["painter"]


def test_what_the_browser_keeps(passes_in_node):
    passes_in_node("history_shelf_test.js")
