"""Auto on the page: what is found becomes a painter value, and hand-made maps are known as such."""

import asyncio

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from demo import auto
from demo.auto_panel import AutoPanel, WayMenu
from demo.desk import Desk
from demo.files import Picture
from demo.painter import to_label_maps
from demo.session import Session
from demo.settings import Settings
from demo.text import Words
from scsa_core.engine import Engine
from scsa_core.errors import Cancelled
from scsa_core.labels import LabelMap
from scsa_core.pairing import Pairing
from scsa_core.progress import CancelToken
from scsa_core.segment import builtin


def picture(seed, flip=False):
    """A bright, noisy upper half over a dark, striped lower one."""
    rng = np.random.default_rng(seed)
    a = np.zeros((96, 128, 3), np.float64)
    a[:48] = np.array((130, 180, 240)) + rng.normal(0, 6, (48, 128, 3))
    a[48:] = (60, 70, 20) + 30 * (np.arange(128)[None, :, None] % 8 < 4)
    return Picture(Image.fromarray(np.clip(a[::-1] if flip else a, 0, 255).astype(np.uint8)), f"hash-{seed}-{flip}")


def test_both_pictures_get_maps_with_shared_ids_and_a_second_number_reuses_the_analysis(monkeypatch):
    made = []
    monkeypatch.setattr(builtin, "analyse", lambda *a, real=builtin.analyse: made.append(1) or real(*a))
    found = auto.AutoMaps()
    content, style, links = found.find(picture(0), picture(1), "builtin", "2")
    assert set(content.region_ids) == set(style.region_ids) == {1, 2}
    assert content.size == style.size == (128, 96)
    upper, lower = (np.bincount(m.ids[rows].ravel()).argmax() for m in (content,) for rows in (slice(4, 40), slice(56, 92)))
    assert upper != lower
    assert links == {1: (1,), 2: (2,)}
    more, _, _ = found.find(picture(0), picture(1), "builtin", "4")
    assert len(more.region_ids) > 2 and len(made) == 1


def test_only_the_last_few_analyses_are_kept(monkeypatch):
    class Fake:
        def maps(self, count):
            one = LabelMap.from_ids(np.ones((4, 4), np.uint8))
            return one, one

    made = []
    monkeypatch.setattr(builtin, "analyse", lambda *a: made.append(1) or Fake())
    found = auto.AutoMaps()
    for k in range(auto.KEPT + 1):
        found.find(picture(k), picture(99), "builtin", auto.AUTOMATIC)
    found.find(picture(auto.KEPT), picture(99), "builtin", auto.AUTOMATIC)
    assert len(made) == auto.KEPT + 1
    found.find(picture(0), picture(99), "builtin", auto.AUTOMATIC)
    assert len(made) == auto.KEPT + 2


def test_the_value_keeps_pictures_count_and_uncommon_links():
    ids = np.array([[1, 2], [1, 2]], np.uint8).repeat(8, 0).repeat(8, 1)
    one = LabelMap.from_ids(ids)
    before = {"v": 7, "content": {"picture": {"path": "/a.png"}}, "style": {"picture": {"path": "/b.png"}}}
    value = auto.value_with(before, one, one, {1: (2, 1), 2: (2,)})
    assert value["by"] == "auto" and value["v"] == 7
    assert value["links"] == {"1": [2, 1]}
    assert value["content"]["picture"] == "/a.png" and value["style"]["picture"] == "/b.png"
    content, style = to_label_maps(value)
    assert np.array_equal(content.ids, ids) and np.array_equal(style.ids, ids)


def test_a_painted_map_is_told_from_those_that_were_found():
    ids = np.ones((16, 16), np.uint8)
    one, another = (LabelMap.from_ids(ids * k) for k in (1, 2))
    painted = ids.copy()
    painted[3:6, 3:6] = 0
    session = Session("one")

    def asks(content, style):
        return session.holds_work(to_label_maps(auto.value_with({}, content, style, {})))

    assert asks(one, one) and not session.holds_work((None, None))
    session.found_maps(to_label_maps(auto.value_with({}, one, one, {})))
    assert not asks(one, one) and asks(LabelMap.from_ids(painted), one)
    assert not session.holds_work((None, one))  # the photo was replaced: its map went with it
    session.found_maps(to_label_maps(auto.value_with({}, another, one, {})))
    assert not asks(one, one)  # an earlier one, brought back by undo
    assert not session.holds_work((LabelMap.from_ids(ids * 0), None))  # nothing is painted


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_every_choice_has_words(lang):
    assert [name for _, name in auto.ways(lang)] == ["builtin", "sam"]
    assert [value for _, value in auto.numbers(lang)] == list(auto.NUMBERS)
    assert all(words for words, _ in (*auto.ways(lang), *auto.numbers(lang)))


def test_stages_are_told_and_cancel_stops_between_them():
    told, token = [], CancelToken()

    def progress(step):
        told.append(step.stage)
        if step.stage == "encode_style":
            token.cancel()

    with pytest.raises(Cancelled):
        auto.AutoMaps().find(picture(5), picture(6), "builtin", "3", progress, token)
    assert told[0] == "encode_content" and "finish" not in told


def test_another_number_costs_a_fraction_of_the_analysis():
    import time

    found, seconds = auto.AutoMaps(), []
    for number in ("3", "7"):
        began = time.perf_counter()
        found.find(picture(7), picture(8), "builtin", number)
        seconds.append(time.perf_counter() - began)
    assert seconds[1] < seconds[0] / 2


def test_every_size_of_segment_anything_that_is_here_is_a_choice(monkeypatch):
    monkeypatch.setattr(auto.sam, "is_here", lambda name: name != "vit_l")
    assert [name for _, name in auto.ways("en")] == ["builtin", "sam_vit_b", "sam_vit_h"]
    asked = []
    one = LabelMap.from_ids(np.ones((4, 4), np.uint8))
    monkeypatch.setattr(auto, "segment_pair", lambda *a, **k: asked.append((a[2], k["sam_model"], k["device"])) or (one, one, Pairing({1: (1,)})))
    auto.AutoMaps("cpu").find(picture(0), picture(1), "sam_vit_h", "5")
    assert asked == [("sam", "vit_h", "cpu")]


def test_segment_anything_is_used_where_its_weights_arrived_after_it_was_chosen(monkeypatch, tmp_path):
    """The page may still show, and send, the choice of when they were not here."""
    desk, asked = Desk(Engine("cpu"), Settings(preload=False, data=tmp_path)), []
    painter, *_ = desk.opening()
    painter |= {side: painter[side] | {"picture": {"path": painter[side]["picture"]}} for side in ("content", "style")}
    one = LabelMap.from_ids(np.ones((8, 8), np.uint8))
    monkeypatch.setattr(desk.auto_maps, "find", lambda content, style, by, *rest: asked.append(by) or (one, one, {}))
    with gr.Blocks():
        panel = AutoPanel(desk, Words())

    async def find():
        return [u async for u in panel._find(Session("a"), painter, "sam", "auto", only_untouched=False)]

    notes = asyncio.run(find())[-2][1]["items"]["notes"]
    assert asked == ["builtin"] and notes[0]["key"] == "auto.meanwhile"
    monkeypatch.setattr(auto.sam, "is_here", lambda name: name == "vit_l")
    assert asyncio.run(find())[-2][1]["items"]["notes"] == [] and asked == ["builtin", "sam_vit_l"]
    menu = WayMenu(choices=auto.ways("en"))
    assert menu.preprocess("sam") == "sam" and menu.preprocess("sam_vit_l") == "sam_vit_l"
    with pytest.raises(gr.Error):
        menu.preprocess("anything")
