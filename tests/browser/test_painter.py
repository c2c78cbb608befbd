"""The painter's tools in a real browser, with undo over everything."""

from __future__ import annotations

import contextlib
import queue
import re

import gradio as gr
import numpy as np
from playwright.sync_api import expect

from demo.painter import from_label_maps, to_label_maps
from scsa_core.labels import LabelMap, Region
from tests.browser.painter_page import Desk, ids, name_of, undo_button


def test_brush_paints_where_the_pointer_went(desk: Desk) -> None:
    desk.load()
    desk.drag([(0.2, 0.5), (0.8, 0.5)])
    value, data = desk.host.next()
    assert data == {"by": "brush"} and value["by"] == "brush" and value["v"] > 0
    painted = ids(value)
    assert painted.shape == (300, 400)
    rows, columns = np.nonzero(painted == 1)
    assert abs(rows.mean() - 150) < 3 and abs(columns.min() - (80 - 24)) < 4 and abs(columns.max() - (320 + 24)) < 4
    assert painted[150, 90:310].all() and abs(np.ptp(rows) - 48) < 4
    assert not ids(value, "style").any()
    maps = to_label_maps(value)
    assert maps[0] is not None and maps[1] is not None and maps[0].size == (400, 300)


def test_a_stroke_that_leaves_the_canvas_goes_on(desk: Desk) -> None:
    desk.load()
    box = desk.canvas().bounding_box()
    desk.page.mouse.move(*desk.at(0.5, 0.5))
    desk.page.mouse.down()
    desk.page.mouse.move(box["x"] - 80, box["y"] + 100, steps=4)
    desk.page.mouse.move(*desk.at(0.5, 0.9), steps=4)
    desk.page.mouse.up()
    painted = ids(desk.host.next()[0])
    assert painted[150, 200] and painted[260, 200]
    desk.host.quiet()


def test_eraser_regions_and_sizes(desk: Desk) -> None:
    desk.load()
    page = desk.page
    page.locator('.sp-chip[data-region="2"] .sp-chip-main').click()
    desk.drag([(0.3, 0.3), (0.7, 0.3)])
    assert (ids(desk.host.next()[0]) == 2).any()
    desk.canvas().focus()
    page.keyboard.press("e")
    for _ in range(30):
        page.keyboard.press("[")
    desk.drag([(0.5, 0.3), (0.5, 0.31)])
    value, _ = desk.host.next()
    assert value["by"] == "eraser"
    hole = ids(value)[90, 150:250] == 0
    assert 0 < hole.sum() < 8
    for _ in range(80):
        page.keyboard.press("]")
    number = page.locator(".sp-for-size .sp-number")
    expect(number).to_have_value("200")
    page.keyboard.press("b")
    expect(number).to_have_value("48")  # the eraser has a size of its own
    number.fill("999")
    number.press("Enter")
    expect(number).to_have_value("200")
    number.fill("1")
    number.press("Enter")
    desk.click(0.5, 0.3)
    assert (ids(desk.host.next()[0]) == 2).sum() - (ids(value) == 2).sum() in (0, 1)


def test_fill_takes_the_connected_area_and_stops_at_edges(desk: Desk) -> None:
    desk.load()
    page = desk.page
    desk.tool("fill")
    page.locator(".sp-check input").first.check()
    desk.click(0.9, 0.2)
    value, _ = desk.host.next()
    painted = ids(value)
    assert value["by"] == "fill"
    assert painted[10, 10] == 1 and not painted[152:].any() and not painted[60, 130]
    assert abs((painted == 1).mean() - (0.5 - np.pi * 900 / 120000)) < 0.01
    page.locator(".sp-check input").first.uncheck()
    page.keyboard.press("2")
    desk.click(0.5, 0.8)
    assert set(np.unique(ids(desk.host.next()[0]))) == {0, 1, 2}  # the disc is enclosed and stays Rest


def test_lasso_freehand_and_polygon(desk: Desk) -> None:
    desk.load()
    page = desk.page
    desk.tool("lasso")
    desk.drag([(0.1, 0.1), (0.4, 0.1), (0.4, 0.5), (0.1, 0.5)])
    value, data = desk.host.next()
    assert data["by"] == "lasso" and abs((ids(value) == 1).mean() - 0.12) < 0.01
    page.keyboard.press("2")
    for point in ((0.6, 0.6), (0.9, 0.6), (0.9, 0.9)):
        desk.click(*point)
    expect(page.locator('[data-side="content"] .sp-outline-light')).to_have_attribute("points", re.compile(r"(.*,){3}"))
    page.keyboard.press("Enter")
    assert abs((ids(desk.host.next()[0]) == 2).mean() - 0.045) < 0.005
    desk.click(0.2, 0.2)
    desk.click(0.3, 0.2)
    page.keyboard.press("Escape")
    desk.host.quiet()


def test_pick_by_tool_and_by_alt(desk: Desk) -> None:
    regions = (Region(0, "Rest", "#cccccc"), Region(1, "sky", "#33ccff"), Region(2, "sea", "#663399"))
    content = np.ones((300, 400), np.uint8)
    content[150:] = 2
    desk.load(LabelMap.from_ids(content, regions), LabelMap.from_ids(content, regions))
    page = desk.page
    page.keyboard.down("Alt")
    desk.click(0.5, 0.9)
    page.keyboard.up("Alt")
    expect(page.locator('.sp-chip[data-region="2"] .sp-chip-main')).to_have_attribute("aria-pressed", "true")
    desk.tool("pick")
    desk.click(0.5, 0.1)
    expect(page.locator('.sp-chip[data-region="1"] .sp-chip-main')).to_have_attribute("aria-pressed", "true")
    expect(page.locator('[data-tool="brush"]')).to_have_attribute("aria-pressed", "true")
    desk.host.quiet()


def test_undo_spans_both_pictures_and_the_legend(desk: Desk) -> None:
    desk.load()
    page = desk.page
    desk.drag([(0.2, 0.5), (0.8, 0.5)])
    first, _ = desk.host.next()
    desk.drag([(0.2, 0.5), (0.8, 0.5)], "style")
    desk.host.next()
    page.locator("text=Add region").click()
    value, _ = desk.host.next()
    assert [region["name"] for region in value["regions"]] == ["Rest", "Region 1", "Region 2", "Region 3"]
    undo = page.locator('.sp-toolbar [aria-keyshortcuts="Control+Z"]')
    assert undo.get_attribute("title") == "Undo Add region (Ctrl+Z)"
    undo.click()
    assert len(desk.host.next()[0]["regions"]) == 3
    undo.click()
    value, data = desk.host.next()
    assert data == {"by": "undo"} and not ids(value, "style").any() and np.array_equal(ids(value), ids(first))
    desk.canvas().focus()
    page.keyboard.press("Control+z")
    assert not ids(desk.host.next()[0]).any()
    assert "Load example" in undo.get_attribute("title")
    page.keyboard.press("Control+Shift+Z")
    value, data = desk.host.next()
    assert data == {"by": "redo"} and np.array_equal(ids(value), ids(first))
    page.keyboard.press("Control+z")
    desk.host.next()
    page.keyboard.press("Control+z")
    value, _ = desk.host.next()
    assert value["content"]["picture"] is None
    expect(desk.pane("content").locator(".sp-zone")).to_be_visible()
    page.locator('.sp-toolbar [aria-keyshortcuts="Control+Shift+Z"]').click()
    assert name_of(desk.host.next()[0]) == "content.png"


def test_a_hundred_steps_come_back(desk: Desk) -> None:
    desk.load()
    page = desk.page
    # Pointer events made in the page: a hundred clicks through the browser's front door take most of a minute.
    page.evaluate("""(places) => {
        const canvas = document.querySelector('[data-side="content"] .sp-map');
        for (const [clientX, clientY] of places) for (const kind of ["pointerdown", "pointerup"]) {
            canvas.dispatchEvent(new PointerEvent(kind, { clientX, clientY, pointerId: 7, pointerType: "mouse", bubbles: true, cancelable: true }));
        }
    }""", [desk.at(0.05 + 0.9 * (i % 21) / 20, 0.1 + 0.8 * (i // 21) / 4) for i in range(105)])  # fmt: skip
    first = desk.host.next()[0]
    while (ids(first) == 1).mean() < 0.5:
        first = desk.host.next()[0]
    page.evaluate("""() => {
        const canvas = document.querySelector('[data-side="content"] .sp-map');
        for (let i = 0; i < 105; i++) canvas.dispatchEvent(new KeyboardEvent("keydown", { key: "z", ctrlKey: true, bubbles: true, cancelable: true }));
    }""")
    last = desk.host.next()[0]
    with contextlib.suppress(queue.Empty):
        while ids(last).any() or last["content"]["picture"] is None:
            last = desk.host.events.get(timeout=30)[1]
    assert not ids(last).any() and last["content"]["picture"] is not None


def test_clearing(desk: Desk) -> None:
    desk.load(LabelMap.from_ids(np.ones((300, 400), np.uint8)), LabelMap.from_ids(np.full((400, 300), 2, np.uint8)))
    page = desk.page
    page.locator('.sp-chip[data-region="1"] .sp-chip-main').click()
    page.locator(".sp-bar >> text=Clear").click()
    value, _ = desk.host.next()
    assert not ids(value).any() and ids(value, "style").all()
    page.locator("text=Clear all").click()
    value, data = desk.host.next()
    assert data["by"] == "clear" and not ids(value, "style").any()
    assert to_label_maps(value) == (None, None)
    page.locator("text=Clear all").click()
    desk.host.quiet()


def test_polygon_closes_at_its_start_or_by_double_click(desk: Desk) -> None:
    desk.load()
    page = desk.page
    desk.tool("lasso")
    corners = [(0.6, 0.6), (0.9, 0.6), (0.9, 0.9)]
    for point in corners:
        desk.click(*point)
    start = desk.pane("content").locator(".sp-outline-start")
    expect(start).to_be_visible()
    page.mouse.move(*desk.at(0.605, 0.605))
    expect(start).to_have_class("sp-outline-start sp-near")
    desk.peek("lasso_polygon")
    desk.click(0.6, 0.6)
    value, data = desk.host.next()
    assert data["by"] == "lasso" and abs((ids(value) == 1).mean() - 0.045) < 0.005
    page.keyboard.press("2")
    for point in [(0.1, 0.1), (0.4, 0.1), (0.2, 0.2), (0.4, 0.4)]:
        desk.click(*point)
    page.keyboard.press("Backspace")
    page.keyboard.press("Control+z")  # while a polygon is open, undo takes corners back, not steps
    page.mouse.dblclick(*desk.at(0.1, 0.4))
    value, _ = desk.host.next()
    assert abs((ids(value) == 2).mean() - 0.045) < 0.005 and abs((ids(value) == 1).mean() - 0.045) < 0.005
    desk.host.quiet()


def test_fill_reaches_as_far_as_it_is_dragged(desk: Desk) -> None:
    desk.load()
    page = desk.page
    desk.tool("fill")
    page.locator(".sp-check input").first.check()
    tolerance = page.locator('.sp-slider:has-text("Tolerance") .sp-number')
    expect(tolerance).to_have_value("30")
    x, y = desk.at(0.1, 0.2)
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 150, y, steps=5)
    tag = desk.pane("content").locator(".sp-tag")
    expect(tag).to_have_text("Tolerance 80")
    desk.peek("fill_drag")
    page.mouse.move(x + 60, y, steps=5)
    expect(tag).to_have_text("Tolerance 50")
    page.keyboard.press("Escape")
    page.mouse.up()
    expect(tag).to_be_hidden()
    desk.host.quiet()  # dropped
    expect(tolerance).to_have_value("50")
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x - 60, y, steps=5)
    page.mouse.up()
    value, data = desk.host.next()
    assert data["by"] == "fill" and not ids(value)[152:].any() and ids(value)[10, 10] == 1
    # The last fill follows the slider, and stays one step.
    tolerance.fill("100")
    tolerance.press("Enter")
    value, _ = desk.host.next()
    assert (ids(value) == 1).all()
    slider = page.locator('.sp-slider:has-text("Tolerance") .sp-range')
    slider.fill("20")
    value, _ = desk.host.next()
    assert not ids(value)[152:].any() and ids(value)[10, 10] == 1
    undo_button(desk).click()
    value, _ = desk.host.next()
    assert not ids(value).any()
    assert "Load example" in undo_button(desk).get_attribute("title")
    slider.fill("60")
    desk.host.quiet()  # nothing is there to follow any more


def test_shapes_of_a_region_change_in_one_picture(desk: Desk) -> None:
    content = np.zeros((300, 400), np.uint8)
    content[100:200, 40:160] = 1
    content[130:160, 80:120] = 0  # a hole
    content[100:200, 240:300] = 1  # another part
    content[100:200, 330:360] = 2
    style = np.ones((400, 300), np.uint8)
    desk.load(LabelMap.from_ids(content), LabelMap.from_ids(style))
    page = desk.page
    page.locator('.sp-chip[data-region="1"] .sp-chip-main').click()
    undo, opener = undo_button(desk), page.locator(".sp-bar .sp-menu > .sp-button")

    def choose(action: str) -> np.ndarray:
        if page.locator(".sp-bar .sp-menu-list").is_hidden():
            opener.click()
        page.locator(f'.sp-bar [data-action="{action}"]').click()
        value, data = desk.host.next()
        assert data == {"by": action} and (ids(value, "style") == 1).all()
        return ids(value)

    opener.click()
    expect(page.locator(".sp-menu-note").first).to_have_text("Region 1, in: Content")
    desk.peek("shape_menu")
    grown = choose("grow")
    assert (grown == 1).sum() > (content == 1).sum() and grown[99, 100] == 1 and grown[100, 161] == 0
    expect(undo).to_have_attribute("title", "Undo Grow (Ctrl+Z)")
    shrunk = choose("shrink")  # the menu is still open
    assert ((shrunk == 1) != (content == 1)).sum() == 4  # all but the corners of the hole
    page.keyboard.press("Escape")
    desk.canvas().focus()
    page.keyboard.press(",")
    assert ids(desk.host.next()[0])[100, 100] == 0
    page.keyboard.press(".")
    desk.host.next()
    filled = choose("holes")
    assert filled[145, 100] == 1 and filled[145, 200] == 0
    smooth = choose("smooth")
    assert 0 < (smooth != filled).sum() < 60  # corners
    split = choose("split")
    assert (split[100:200, 40:160] == 1).mean() > 0.99 and split[150, 270] == 3 and split[150, 345] == 2
    expect(undo).to_have_attribute("title", "Undo Split (Ctrl+Z)")
    expect(page.locator('.sp-chip[data-region="3"] .sp-name')).to_have_text("Region 1 2")
    expect(page.locator('.sp-chip[data-region="3"] .sp-warning')).to_be_hidden()  # linked as the whole was
    desk.shot("split")
    undo.click()
    value, _ = desk.host.next()
    assert value["links"] == {} and len(value["regions"]) == 3
    # A region that only the other picture has is changed there.
    page.locator('.sp-chip[data-region="2"] .sp-chip-main').click()
    desk.pane("style").locator(".sp-map").focus()
    page.keyboard.press(",")
    value, _ = desk.host.next()
    assert (ids(value) == 2).sum() < (content == 2).sum()


def test_merging_by_dragging_a_chip(desk: Desk) -> None:
    content = np.ones((300, 400), np.uint8)
    content[:, 200:] = 2
    content[:, 300:] = 3
    desk.load(LabelMap.from_ids(content), LabelMap.from_ids(content.T.copy()))
    page = desk.page

    def middle(region: int) -> tuple[float, float]:
        box = page.locator(f'.sp-chip[data-region="{region}"] .sp-chip-main').bounding_box()
        return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    page.mouse.move(*middle(3))
    page.mouse.down()
    page.mouse.move(*middle(2), steps=8)
    expect(page.locator('.sp-chip[data-region="2"]')).to_have_class("sp-chip sp-target")
    desk.peek("merge_drag")
    page.keyboard.press("Escape")
    page.mouse.up()
    desk.host.quiet()
    desk.page.locator(".sp-live").evaluate("node => node.textContent")
    page.mouse.move(*middle(3))
    page.mouse.down()
    page.mouse.move(*middle(2), steps=8)
    page.mouse.up()
    value, data = desk.host.next()
    assert data == {"by": "merge"} and (ids(value)[:, 200:] == 2).all() and not (ids(value, "style") == 3).any()
    expect(undo_button(desk)).to_have_attribute("title", "Undo Merge (Ctrl+Z)")
    expect(page.locator(".sp-ghost")).to_have_count(0)
    undo_button(desk).click()
    assert (ids(desk.host.next()[0])[:, 300:] == 3).all()
    # By keys: M goes to the list of regions to merge into.
    page.locator('.sp-chip[data-region="3"] .sp-chip-main').click()
    desk.canvas().focus()
    page.keyboard.press("m")
    expect(page.locator(".sp-bar select")).to_be_focused()
    page.locator(".sp-bar select").select_option("1")
    value, data = desk.host.next()
    assert data == {"by": "merge"} and (ids(value)[:, 300:] == 1).all()


def test_swapping_both_pictures_with_their_maps(desk: Desk) -> None:
    content = np.ones((300, 400), np.uint8)
    content[:, 200:] = 2
    maps = LabelMap.from_ids(content), LabelMap.from_ids(np.ones((400, 300), np.uint8))
    desk.push(lambda _: gr.update(value=from_label_maps(desk.host.content, desk.host.style, *maps, links={2: [1]})))
    desk.page.wait_for_selector(".sp-pane.sp-filled", state="attached")
    desk.still()
    desk.canvas().focus()
    desk.page.keyboard.press("x")
    value, data = desk.host.next()
    assert data == {"by": "swap"} and ids(value).shape == (400, 300) and np.array_equal(ids(value, "style"), content)
    assert name_of(value) == "style.png" and value["links"] == {"1": [2]}
    undo_button(desk).click()
    value, _ = desk.host.next()
    assert np.array_equal(ids(value), content) and name_of(value) == "content.png" and value["links"] == {"2": [1]}


def test_chips_stand_by_area_and_keys_follow(desk: Desk) -> None:
    content = np.full((300, 400), 3, np.uint8)
    content[:90] = 1
    desk.load(LabelMap.from_ids(content), LabelMap.from_ids(np.full((400, 300), 2, np.uint8)))
    page = desk.page
    order = page.locator(".sp-chip").evaluate_all("nodes => nodes.map((node) => Number(node.dataset.region))")
    assert order == [0, 2, 3, 1]
    desk.canvas().focus()
    page.keyboard.press("3")
    expect(page.locator('.sp-chip[data-region="1"] .sp-chip-main')).to_have_attribute("aria-pressed", "true")
    desk.drag([(0.1, 0.6), (0.9, 0.9)])  # painting does not move the keys
    desk.host.next()
    assert page.locator(".sp-chip").evaluate_all("nodes => nodes.map((node) => Number(node.dataset.region))") == order
    expect(page.locator(".sp-note")).to_have_text("⚠ Only in the content: uses the whole style picture")
