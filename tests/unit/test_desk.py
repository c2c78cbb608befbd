"""The desk's handlers speak of values by name: nothing depends on the order of components but INPUTS and its like."""

import asyncio
from dataclasses import replace
from types import SimpleNamespace

import gradio as gr
import pytest

from demo import desk as desk_module
from demo.desk import (
    INPUTS,
    KNOBS,
    LOOKED,
    MAPPED,
    PICKED,
    RESTORED,
    SHOWN,
    Desk,
    Values,
    compare_status,
    compare_value,
    note_items,
    view_updates,
)
from demo.files import publish
from demo.knobs import SLIDERS, MethodMenu, acts, control, in_order, named, sliders, visibility
from demo.session import Job, Session, View
from demo.settings import Settings
from demo.text import TEXT, Said
from scsa_core.backbones import FAMILIES
from scsa_core.backbones.base import Capabilities
from scsa_core.engine import Engine
from scsa_core.progress import CancelToken

VISITOR = SimpleNamespace(session_hash="one")


@pytest.fixture(scope="module")
def desk():
    return Desk(Engine("cpu"), Settings(preload=False))


def values(**changes):
    found = {"painter": None, "model": "lite", "method": "scsa", "size": 256, "live": True, "stamp": 3}
    found |= {name: getattr(Engine("cpu").defaults("lite"), name) for name in SLIDERS} | changes
    return [found[name] for name in INPUTS]


def test_names_and_values_meet_or_are_refused():
    assert named(("a", "b"), (1, 2)) == {"a": 1, "b": 2}
    with pytest.raises(ValueError):
        named(("a", "b"), (1,))
    assert in_order(("a", "b"), {"b": 5})[1] == 5
    with pytest.raises(KeyError):
        in_order(("a", "b"), {"c": 5})


def test_every_name_occurs_once_and_the_stamp_comes_last():
    for names in (INPUTS, KNOBS, RESTORED, PICKED, SHOWN):
        assert len(set(names)) == len(names)
    assert INPUTS[-1] == "stamp" and set(SLIDERS) < set(INPUTS)


def test_sliders_follow_from_what_families_declare():
    made = sliders([Capabilities(8, 32, ("alpha1", "alpha2", "size", "seed")), Capabilities(8, 32, ("alpha2", "soft_borders"))])
    assert made == ("alpha1", "alpha2", "keep_colours", "soft_borders", "seed")
    assert isinstance(control("seed", 0, label="", info="", visible=True), gr.Number)
    assert isinstance(control("alpha1", 0.5, label="", info="", visible=True), gr.Slider)


@pytest.mark.parametrize("name", SLIDERS)
def test_every_knob_has_a_name_and_one_line_of_help(name):
    for key in (f"knob.{name}", f"knob.{name}.help"):
        assert all(TEXT[key])
        assert all("\n" not in words for words in TEXT[key])


def test_a_knob_shows_only_where_it_acts():
    capable = Capabilities(8, 32, ("alpha1", "alpha2", "size", "gamma"), idle={"scsa": ("gamma",)})
    assert acts("gamma", capable, "baseline") and not acts("gamma", capable, "scsa")
    assert acts("keep_colours", capable, "scsa") and not acts("soft_borders", capable, "scsa")
    for family in FAMILIES.values():
        shown = visibility(family.info.capabilities, "scsa")
        assert set(shown) == set(SLIDERS)
        assert {k for k, v in shown.items() if v["visible"]} <= {*family.info.capabilities.knobs, "keep_colours"}


def test_another_family_s_knobs_leave_no_trace(desk, monkeypatch):
    monkeypatch.setattr(desk_module, "acts", lambda name, capable, method: name != "soft_borders")
    knobs = desk._knobs(Values.of(values(soft_borders=2.0, alpha1=1.3, size=9999)))
    assert (knobs.alpha1, knobs.soft_borders, knobs.size) == (1.3, 0.0, 2048)


def test_another_family_moves_the_knobs_still_at_their_default(desk):
    before = named(INPUTS, values(alpha2=0.9))
    update = dict(zip(KNOBS, desk.model(VISITOR, *(before[k] if k != "model" else "sanet" for k in KNOBS)), strict=True))
    assert update["alpha1"]["value"] == 0.7  # SANet's own
    assert update["alpha2"]["value"] == 0.9  # turned by hand
    assert update["model"]["value"] == "sanet"
    again = dict(zip(KNOBS, desk.model(VISITOR, *(before[k] if k != "model" else "sanet" for k in KNOBS)), strict=True))
    assert "value" not in again["alpha1"] and again["alpha1"]["visible"]  # a menu tells its choice twice


def test_a_render_that_overtakes_the_choice_of_a_family_leaves_its_defaults_to_come(desk):
    """A slider's render may start with the new family's name before the choice itself is handled."""
    other = SimpleNamespace(session_hash="two")
    picked = dict(zip(PICKED, desk.pick(SimpleNamespace(_data={"name": desk.examples[0].name}), other), strict=True))
    shown = picked["painter"]["value"]
    painter = shown | {side: shown[side] | {"picture": {"path": shown[side]["picture"]}} for side in ("content", "style")}
    chosen = named(INPUTS, values(model="sanet", painter=painter))
    assert isinstance(desk.job(desk.sessions.get("two"), Values.of(list(chosen.values()))), Job)
    update = dict(zip(KNOBS, desk.model(other, *(chosen[k] for k in KNOBS)), strict=True))
    assert update["alpha1"]["value"] == 0.7


def test_reset_and_a_card_bring_everything(desk):
    update = dict(zip(KNOBS, desk.reset("lite", VISITOR), strict=True))
    assert update["alpha1"]["value"] == 0.25 and update["method"]["value"] == "scsa"
    event = SimpleNamespace(_data={"name": desk.examples[1].name})
    picked = dict(zip(PICKED, desk.pick(event, VISITOR), strict=True))
    assert picked["alpha1"]["value"] == desk.knobs_of(desk.examples[1]).alpha1
    assert picked["painter"]["value"]["regions"]
    gone = dict(zip(PICKED, desk.pick(SimpleNamespace(_data={"name": "none"}), VISITOR), strict=True))
    assert gone["notes"]["items"]["error"] and "value" not in gone["painter"]


async def collected(stream):
    return [each async for each in stream]


def test_an_event_that_was_overtaken_ends_by_saying_nothing(desk):
    """Gradio sends an event's last answer once more at its end, over what a newer event has said meanwhile."""
    example = desk.examples[0]
    painter = example.painter_value(example.files(publish))
    painter |= {side: painter[side] | {"picture": {"path": painter[side]["picture"]}} for side in ("content", "style")}
    found = asyncio.run(collected(desk.live(VISITOR, *values(painter=painter, live=False, alpha1=1.25))))
    said = [update.get("status", {}).get("key") for update, *_ in found]
    assert said == ["status.stale", None]
    assert all(update == gr.skip() for update in found[-1])


def test_a_view_that_arrives_late_is_known_by_its_turn():
    """Answers of two events may overtake each other on their way to the browser."""
    first = View(result="a.png", notes=(Said("note.no_maps"),))
    second = replace(first, said=Said("status.stale"))
    for what in (compare_value, compare_status, note_items):
        assert what(first)["turn"] < what(second)["turn"], what.__name__
    assert first == replace(first)  # when it was made is no part of what it shows
    sent = view_updates(second, first)
    assert set(sent) == {"compare"} and "value" not in sent["compare"] and sent["compare"]["status"]["turn"] == second.turn
    assert view_updates(replace(second, result="b.png"), second)["compare"]["value"]["result"] == "b.png"


def test_a_page_that_asks_is_told_what_it_has_not_seen(desk):
    """And a visitor whom nobody knows any more keeps what the page shows: no new desk is laid."""
    visitor, session = SimpleNamespace(session_hash="asks"), desk.sessions.get("asks")

    def asked(turn, of=visitor):
        return dict(zip(LOOKED, desk.look(SimpleNamespace(_data={"turn": turn}), of), strict=True))

    assert asked(session.view.turn) == dict.fromkeys(LOOKED, gr.skip())
    news = asked(session.view.turn - 1)
    assert news["compare"]["status"] == compare_status(session.view) and news["compare"]["value"]["result"] == session.view.result
    assert asked("x")["notes"]["items"] == note_items(session.view)
    gone = SimpleNamespace(session_hash="gone")
    assert asked(0, gone) == dict.fromkeys(LOOKED, gr.skip()) and desk.sessions.find("gone") is None


def test_an_example_ends_what_was_said_of_and_looked_for_in_the_pictures_before(desk):
    session = Session("before")
    session.restored, session.finding = (Said("note.photo_map"),), CancelToken()
    desk.place(session, desk.examples[0])
    assert session.restored == () and session.finding.cancelled


@pytest.mark.parametrize(("name", "doubted"), [("content.jpg", True), ("content_map.png", False)])
def test_a_photograph_chosen_as_a_map_is_doubted_beside_the_next_result_too(desk, name, doubted):
    example, visitor = desk.examples[0], SimpleNamespace(session_hash=name)
    painter = example.painter_value(example.files(publish))
    painter |= {side: painter[side] | {"picture": {"path": painter[side]["picture"]}} for side in ("content", "style")}
    painter["incoming"] = {"side": "content", "files": [{"path": str(example.content.parent / name), "orig_name": name}]}
    answer = dict(zip(MAPPED, desk.maps(painter, visitor), strict=True))
    said = [Said("note.photo_map")] if doubted else []
    assert answer["painter"]["value"]["by"] == "import"
    assert list(desk.sessions.get(name).restored) == said
    assert answer["notes"].get("items", {}).get("notes", []) == [each.to_dict() for each in said]


def test_the_page_keeps_a_late_view_out(passes_in_node):
    passes_in_node("element_test.js")


def test_a_method_of_the_family_before_is_no_fault_of_the_page():
    menu = MethodMenu(choices=[("SCSA", "scsa"), ("Baseline", "baseline")], value="scsa", render=False)
    assert menu.preprocess("regions") == "regions" and menu.preprocess("scsa") == "scsa"
    for nothing in ("no such method", 3, ["scsa", "none"]):
        with pytest.raises(gr.Error):
            menu.preprocess(nothing)
    assert menu.get_block_name() == "dropdown"


@pytest.mark.parametrize(("typed", "taken"), [(99, 2.0), (-3, 0.0), (1.25, 1.25), (None, 0.5)])
def test_a_number_beyond_an_end_is_that_end_and_an_empty_field_where_it_began(typed, taken):
    slider = control("alpha1", 0.5, label="", info="", visible=True)
    assert slider.preprocess(typed) == taken and slider.get_block_name() == "slider"
    seed = control("seed", 7, label="", info="", visible=True)
    assert seed.get_block_name() == "number"
    assert (seed.preprocess(None), seed.preprocess(-4), seed.preprocess(12)) == (7, 0, 12)
    for nothing in ("many", [1], {"a": 1}):
        with pytest.raises(Exception):  # noqa: B017 - Gradio's own, of several kinds
            slider.preprocess(nothing)


def test_what_the_fields_held_before_an_example_is_not_painted_after_it(desk):
    """Leaving a field by pressing a card tells the change and the choice at once."""
    one, other = desk.examples[0], desk.examples[1]
    painter = one.painter_value(one.files(publish))
    painter |= {side: painter[side] | {"picture": {"path": painter[side]["picture"]}} for side in ("content", "style")}
    visitor = SimpleNamespace(session_hash="two")
    session = desk.sessions.get("two")
    view = desk.place(session, other)
    past = asyncio.run(collected(desk.live(visitor, *values(painter=painter, alpha1=1.25, stamp=-1))))
    assert past == [[gr.skip()] * len(SHOWN)] and session.view is view and session.run is None

    async def overtaken():
        """The change came first, and its pictures were still being read when the example was put on the desk."""
        stream = desk.live(visitor, *values(painter=painter, alpha1=1.25))
        first = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0)
        placed = desk.place(session, other)
        answer = await first
        await stream.aclose()
        return placed, answer

    placed, answer = asyncio.run(overtaken())
    assert answer == [gr.skip()] * len(SHOWN) and session.view is placed and session.run is None


def test_a_size_that_the_menu_lacks_becomes_the_nearest_that_it_has():
    settings = Settings(device="cpu", max_size=768)
    assert [settings.offered(size) for size in (64, 256, 264, 600, 640.0, 768, 2048)] == [256, 256, 256, 512, 512, 768, 768]
