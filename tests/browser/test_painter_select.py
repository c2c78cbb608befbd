"""The selection tool in a real browser: clicks, boxes, hover, keys and touch, with masks from Python and with areas."""

from __future__ import annotations

import base64
import zlib

import gradio as gr
import numpy as np
import pytest
from playwright.sync_api import expect

from tests.browser.painter_page import PHONE, Desk, ids


def packed(mask: np.ndarray) -> str:
    return base64.b64encode(zlib.compress(mask.astype(np.uint8).tobytes())).decode()


def areas() -> np.ndarray:
    """Four quarters of the 400 x 300 picture."""
    labels = np.zeros((300, 400), np.uint8)
    labels[:, 200:] += 1
    labels[150:] += 2
    return labels


class Tool:
    """Chooses the tool and answers its questions as a server would."""

    def __init__(self, desk: Desk) -> None:
        self.desk, self.page = desk, desk.page

    def next(self) -> dict:
        _, data = self.desk.host.next("select")
        return data

    def pressed(self) -> dict:
        """The next question about a box or clicks; what the pointer asked on its way is answered with nothing."""
        while True:
            question = self.next()
            if not question.get("hover"):
                return question
            self.answer(question, "mask", map=packed(np.zeros((300, 400), bool)))

    def answer(self, question: dict, state: str, **fields) -> None:
        given = {**{k: question[k] for k in ("n", "side", "path")}, "state": state, **fields}
        self.desk.push(lambda value: gr.update(selection=given))

    def open(self, state: str) -> None:
        self.desk.tool("select")
        question = self.next()
        assert question["open"] and question["side"] == "content" and (question["w"], question["h"]) == (400, 300)
        fields = {"map": packed(areas()), "merges": [[0, 1], [2, 3], [0, 2]], "missing": {"size": "375", "licence": "Apache-2.0"}}
        self.answer(question, state, **(fields if state == "areas" else {}))
        expect(self.page.locator(".sp-select-bar")).to_have_attribute("data-ground", state)

    def shown(self) -> int:
        """Device pixels of the content's layer that are not clear."""
        return self.page.evaluate(
            "() => { const c = document.querySelector('.sp-pane[data-side=content] .sp-selection');"
            " const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data; let n = 0;"
            " for (let i = 3; i < d.length; i += 4) if (d[i] > 0) n++; return n / (c.width * c.height) }"
        )

    def wait_shown(self, yes: bool) -> None:
        for _ in range(600):
            if (self.shown() > 0.01) == yes:
                return
            self.page.wait_for_timeout(50)
        raise AssertionError("shown" if not yes else "not shown")


@pytest.fixture
def tool(desk: Desk) -> Tool:
    desk.load()
    return Tool(desk)


def left() -> np.ndarray:
    mask = np.zeros((300, 400), bool)
    mask[:, :200] = True
    return mask


def test_a_mask_is_shown_under_the_pointer_clicked_kept_as_one_step_and_undone(tool):
    tool.open("sam")
    tool.page.mouse.move(*tool.desk.at(0.25, 0.5))
    hover = tool.next()
    assert hover["clicks"][0][0] == pytest.approx(100, abs=3) and not hover["open"]
    tool.answer(hover, "mask", map=packed(left()))
    tool.wait_shown(True)
    tool.desk.shot("select_hover")
    tool.desk.host.quiet()  # showing is no edit
    tool.desk.click(0.25, 0.5)
    first = tool.pressed()
    tool.answer(first, "mask", map=packed(left()))
    tool.page.mouse.click(*tool.desk.at(0.1, 0.1), button="right")
    second = tool.pressed()
    assert [c[2] for c in second["clicks"]] == [1, 0]
    mask = left()
    mask[:60, :80] = False
    tool.answer(second, "mask", map=packed(mask))
    expect(tool.page.locator(".sp-live")).to_contain_text("46 %")
    tool.wait_shown(True)
    expect(tool.page.locator("[data-action=select_keep]")).to_be_enabled()
    tool.page.keyboard.press("Enter")
    value, data = tool.desk.host.next()
    assert data == {"by": "select"} and np.array_equal(ids(value) == 1, mask)
    tool.wait_shown(False)
    tool.page.keyboard.press("Control+z")
    value, _ = tool.desk.host.next()
    assert not ids(value).any()


def test_a_drag_is_a_box_and_esc_drops_it(tool):
    tool.open("sam")
    tool.desk.drag([(0.25, 0.2), (0.75, 0.8)])
    question = tool.pressed()
    assert question["box"] == pytest.approx([100, 60, 300, 240], abs=3) and question["clicks"] == []
    tool.answer(question, "mask", map=packed(left()))
    tool.wait_shown(True)
    tool.desk.shot("select_box")
    tool.page.keyboard.press("Escape")
    tool.wait_shown(False)
    tool.desk.host.quiet()


def test_an_answer_that_comes_late_changes_nothing(tool):
    tool.open("sam")
    tool.desk.click(0.25, 0.5)
    question = tool.pressed()
    tool.page.keyboard.press("Escape")
    tool.answer(question, "mask", map=packed(left()))
    tool.page.wait_for_timeout(500)
    assert tool.shown() == 0


def test_clicks_while_one_is_answered_become_one_question(tool):
    tool.open("sam")
    for u in (0.2, 0.4, 0.6):
        tool.desk.click(u, 0.5)
    first = tool.next()
    tool.desk.host.quiet()
    tool.answer(first, "mask", map=packed(left()))
    last = tool.next()
    assert len(first["clicks"]) == 1 and len(last["clicks"]) == 3


def test_without_weights_areas_answer_at_once_and_grow_with_every_click(tool):
    tool.open("areas")
    assert "Areas of the built-in" in tool.page.locator(".sp-select-note").inner_text()
    get = tool.page.locator(".sp-select-get")
    expect(get).to_be_visible()
    assert "375 MB" in get.get_attribute("title")
    tool.desk.click(0.25, 0.25)
    tool.page.keyboard.press("Enter")
    value, _ = tool.desk.host.next()
    assert np.array_equal(ids(value) == 1, areas() == 0)
    tool.page.keyboard.press("2")
    tool.desk.click(0.25, 0.25)
    tool.desk.click(0.3, 0.3)  # once more inside: the upper half
    tool.desk.shot("select_areas")
    tool.page.mouse.click(*tool.desk.at(0.75, 0.25), button="right")
    tool.page.keyboard.press("Enter")
    value, _ = tool.desk.host.next()
    assert np.array_equal(ids(value) == 2, areas() == 0)
    tool.desk.drag([(0.02, 0.02), (0.98, 0.48)])
    tool.page.keyboard.press("Enter")
    value, _ = tool.desk.host.next()
    assert np.array_equal(ids(value) == 2, areas() < 2)


def test_selecting_by_keys_alone(tool):
    canvas = tool.desk.canvas()
    canvas.focus()
    tool.page.keyboard.press("s")
    question = tool.next()
    tool.answer(question, "areas", map=packed(areas()), merges=[[0, 1], [2, 3], [0, 2]])
    expect(tool.page.locator(".sp-select-bar")).to_have_attribute("data-ground", "areas")
    canvas.focus()
    for _ in range(6):
        tool.page.keyboard.press("Shift+ArrowLeft")
    tool.page.keyboard.press("Shift+ArrowUp")
    tool.page.keyboard.press("Enter")  # a click at the crosshair
    tool.wait_shown(True)
    tool.page.keyboard.press("+")
    tool.page.keyboard.press("Enter")  # keeps
    value, _ = tool.desk.host.next()
    assert np.array_equal(ids(value) == 1, areas() < 2)


@pytest.mark.parametrize("desk", [PHONE], indirect=True)
def test_a_finger_adds_and_removes_by_the_switch(desk):
    desk.load()
    tool = Tool(desk)
    tool.open("areas")
    desk.page.touchscreen.tap(*desk.at(0.25, 0.25))
    desk.page.touchscreen.tap(*desk.at(0.3, 0.3))
    desk.page.locator("[data-action=select_remove]").tap()
    desk.page.touchscreen.tap(*desk.at(0.75, 0.25))
    assert desk.page.evaluate("document.documentElement.scrollWidth") <= 391
    desk.shot("select_390")
    desk.page.locator("[data-action=select_keep]").tap()
    value, _ = desk.host.next()
    assert np.array_equal(ids(value) == 1, areas() == 0)
