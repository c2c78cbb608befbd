"""The selection tool's server side: what is refused, what answers, progress, and the areas without Segment Anything."""

import asyncio
import zlib
from base64 import b64decode

import numpy as np
import pytest
from PIL import Image

from demo import sam_clicks
from demo.files import Pictures
from demo.sam_clicks import Clicks, Question
from demo.session import Session, Sessions
from scsa_core.errors import Cancelled, LabelError
from scsa_core.images import Limits
from scsa_core.segment import sam
from scsa_core.segment.areas import find_areas
from tests.unit.test_segment_sam import small_model


@pytest.fixture
def path(tmp_path):
    rng = np.random.default_rng(0)
    a = np.zeros((90, 120, 3))
    a[:45] = np.array((130, 180, 240)) + rng.normal(0, 4, (45, 120, 3))
    a[45:] = np.array((60, 90, 30)) + rng.normal(0, 4, (45, 120, 3))
    a[20:40, 20:50] = (250, 220, 40)
    where = tmp_path / "content.png"
    Image.fromarray(np.clip(a, 0, 255).astype(np.uint8)).save(where)
    return str(where)


def asked(path, **changes):
    return {"n": 4, "side": "content", "path": path, "w": 60, "h": 45, "clicks": [[10, 10, 1]], "box": None, **changes}


def answers(server, path, known=True, **changes):
    """All that was answered, the last of it the answer proper: a slow machine tells its progress before."""
    session = Session("one")
    if known:
        session.know(path)

    async def collect():
        return [a async for a in server.answers(session, asked(path, **changes))]

    return asyncio.run(collect())


def unpacked(text, w, h):
    return np.frombuffer(zlib.decompress(b64decode(text)), np.uint8).reshape(h, w)


def clicks_with(segmenter):
    return Clicks(Pictures(Limits()), Sessions(lambda s: None), load=lambda: segmenter)


class Known:
    """A segmenter whose mask is the left half, whatever is asked; it remembers the questions."""

    def __init__(self):
        self.asked, self.embedded = [], []

    def predictor(self, picture, step, key):
        step(0.5)
        self.embedded.append(key)

    def select(self, picture, clicks, box, *, size, key, step):
        self.asked.append((clicks, box, size, key))
        mask = np.zeros(size[::-1], bool)
        mask[:, : size[0] // 2] = True
        return mask


@pytest.mark.parametrize("wrong", [
    {"side": "result"}, {"side": None}, {"n": -1}, {"n": True}, {"w": 0}, {"w": 5000}, {"w": "60"}, {"h": 1.5}, {"clicks": [[1, 2]]},
    {"clicks": "x"}, {"clicks": [[1, 2, 1]] * 65}, {"clicks": [["a", 2, 1]]}, {"clicks": [[float("nan"), 2, 1]]}, {"box": [1, 2, 3]},
    {"box": [1, 2, 3, float("inf")]}, {"path": 5}, {"path": "/etc/passwd"},
])  # fmt: skip
def test_what_is_not_a_question_is_refused(path, wrong):
    with pytest.raises(LabelError):
        Question.of({**asked(path), **wrong}, lambda p: p == path)


def test_places_are_brought_into_the_picture_and_boxes_are_turned_right():
    q = Question.of(asked("p", clicks=[[-5, 500, 0], [3, 4, 1]], box=[90, 40, -1, 3]), lambda p: True)
    assert [(c.x, c.positive) for c in q.clicks] == [(0, False), (3, True)] and 44 < q.clicks[0].y < 45
    assert q.box[0] == 0 and q.box[1] == 3 and 59 < q.box[2] < 60 and q.box[3] == 40


def test_a_picture_of_another_visitor_answers_nothing(path):
    known = Known()
    assert answers(clicks_with(known), path, known=False) == [{"n": 4, "side": "content", "path": path, "state": "failed"}]
    assert known.asked == []


def test_a_visitors_list_of_pictures_is_bounded():
    session = Session("one")
    session.know(*(str(k) for k in range(150)), "100")
    assert session.knows("149") and session.knows("100") and not session.knows("49")


def test_the_mask_comes_at_the_maps_size_and_the_question_arrives_whole(path):
    known = Known()
    answer = answers(clicks_with(known), path, clicks=[[10, 10, 1], [50, 10, 0]], box=[0, 0, 30, 30])[-1]
    assert answer["state"] == "mask" and answer["n"] == 4
    mask = unpacked(answer["map"], 60, 45)
    assert mask[:, :30].all() and not mask[:, 30:].any()
    (given, box, size, key) = known.asked[0]
    assert [(c.x, c.y, c.positive) for c in given] == [(10, 10, True), (50, 10, False)]
    assert box == (0, 0, 30, 30) and size == (60, 45) and len(key) == 64


def test_opening_embeds_only_and_tells_its_progress(path, monkeypatch):
    import time

    known = Known()
    known.predictor = lambda picture, step, key: [(step(k / 4), time.sleep(0.25)) for k in range(4)]
    found = answers(clicks_with(known), path, open=True, clicks=[])
    assert found[-1]["state"] == "sam" and {a["state"] for a in found[:-1]} == {"reading"}
    assert [a["percent"] for a in found[:-1]] == sorted(a["percent"] for a in found[:-1]) and found[0]["percent"] > 0


def test_a_page_that_goes_away_stops_the_embedding(path):
    import time

    stopped = []

    class Slow(Known):
        def predictor(self, picture, step, key):
            try:
                for _ in range(200):
                    step(0.1)
                    time.sleep(0.02)
            except Cancelled:
                stopped.append(True)
                raise

    async def leave():
        session = Session("one")
        session.know(path)
        stream = clicks_with(Slow()).answers(session, asked(path, open=True, clicks=[]))
        await anext(stream)
        await stream.aclose()
        for _ in range(100):
            if stopped:
                return
            await asyncio.sleep(0.05)

    asyncio.run(leave())
    assert stopped


def test_a_failure_is_an_answer(path, caplog):
    known = Known()
    known.select = lambda *a, **k: 1 / 0
    answer = answers(clicks_with(known), path)[-1]
    assert answer["state"] == "failed" and "ZeroDivisionError" in caplog.text


def test_a_small_real_model_embeds_once_for_all_questions(path):
    ours = sam.Segmenter(small_model())
    calls = []
    ours._model.image_encoder.register_forward_hook(lambda *a: calls.append(1))
    clicks = clicks_with(ours)
    assert answers(clicks, path, open=True, clicks=[])[-1]["state"] == "sam"
    for change in ({}, {"clicks": [[5, 5, 1], [20, 20, 0]]}, {"clicks": [], "box": [2, 2, 20, 20]}):
        mask = unpacked(answers(clicks, path, **change)[-1]["map"], 60, 45)
        assert set(np.unique(mask)) <= {0, 1}
    assert len(calls) == 1


def test_without_weights_the_areas_come_once_with_what_is_missing(path, monkeypatch):
    made = []
    monkeypatch.setattr(sam_clicks, "find_areas", lambda *a: made.append(1) or find_areas(*a))
    clicks = clicks_with(None)
    for _ in range(2):
        answer = answers(clicks, path, open=True, clicks=[])[-1]
    labels = unpacked(answer["map"], 60, 45)
    assert answer["state"] == "areas" and len(made) == 1 and float(answer["missing"]["size"]) > 300
    present = set(np.unique(labels).tolist())
    merged = {absorbed for _, absorbed in answer["merges"]}
    assert present - merged <= {0} | {answer["merges"][-1][0]}  # all end in one
    upper, lower = labels[:18], labels[27:]
    assert not set(np.unique(upper)) & set(np.unique(lower)) or len(present) > 2
    sun = np.bincount(labels[12:18, 12:23].ravel()).argmax()
    assert (labels == sun).mean() < 0.3  # an area is a part of the picture, not half of it
