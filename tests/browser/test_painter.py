"""The painter's tools, legend, keys and zoom in a real browser, with undo over everything."""

from __future__ import annotations

import contextlib
import io
import queue

import gradio as gr
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from demo.painter import TEXT_KEYS, from_label_maps, to_label_maps
from scsa_core.labels import LabelMap, Region
from tests.browser.painter_page import Desk, ids, name_of, undo_button

# ---------------------------------------------------------------- painting


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
    assert page.locator('[data-side="content"] .sp-outline-light').get_attribute("points").count(",") >= 3
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
            last = desk.host.events.get(timeout=20)[1]
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
    desk.page.wait_for_timeout(250)
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


# ---------------------------------------------------------------- legend


def test_legend_names_shares_and_warnings(desk: Desk) -> None:
    content = np.ones((300, 400), np.uint8)
    content[:, 300:] = 2
    desk.load(LabelMap.from_ids(content), LabelMap.from_ids(np.ones((400, 300), np.uint8)))
    page = desk.page
    chips = page.locator(".sp-chip")
    expect(chips).to_have_count(3)
    expect(chips.nth(1).locator(".sp-share")).to_have_text("75 | 100 %")
    expect(chips.nth(2).locator(".sp-share")).to_have_text("25 | 0 %")
    expect(chips.nth(1).locator(".sp-warning")).to_be_hidden()
    expect(chips.nth(2).locator(".sp-warning")).to_have_attribute("title", TEXT_KEYS["only_content"])
    hostile = "${document.title='owned'} {{x}} <img src=x onerror=alert(1)>"
    chips.nth(2).locator(".sp-chip-main").dblclick()
    page.keyboard.type(hostile)
    page.keyboard.press("Enter")
    value, data = desk.host.next()
    assert data == {"by": "rename"} and value["regions"][2]["name"] == hostile[:40]
    expect(chips.nth(2).locator(".sp-name")).to_have_text(hostile[:40])
    assert page.title() != "owned" and page.locator(".sp-root img").count() == 0
    page.keyboard.press("F2")
    page.keyboard.type("nothing")
    page.keyboard.press("Escape")
    desk.host.quiet()
    page.locator(".sp-bar select").select_option("1")
    value, data = desk.host.next()
    assert data == {"by": "merge"} and (ids(value) == 1).all() and len(value["regions"]) == 2
    page.locator(".sp-bar >> text=Delete").click()
    value, _ = desk.host.next()
    assert not ids(value).any() and not ids(value, "style").any() and len(value["regions"]) == 1


def test_hover_and_solo_light_a_region_in_both_pictures(desk: Desk) -> None:
    halves = np.ones((300, 400), np.uint8)
    halves[150:] = 2
    desk.load(LabelMap.from_ids(halves), LabelMap.from_ids(halves.T.copy()))
    page = desk.page

    def strength(side: str, u: float, v: float) -> int:
        """How far the shown pixels differ from the picture without its map."""
        x, y = desk.at(u, v, side)
        clip = {"x": x - 12, "y": y - 12, "width": 24, "height": 24}
        page.wait_for_timeout(120)
        shown = np.asarray(Image.open(io.BytesIO(page.screenshot(clip=clip))).convert("RGB")).astype(int)
        plain = np.array([0x88, 0xAA, 0xDD] if v < 0.5 else [0x33, 0x55, 0x22])
        return int(np.abs(shown - plain).mean())

    before = strength("content", 0.8, 0.2), strength("content", 0.8, 0.8)
    page.locator('.sp-chip[data-region="1"]').hover()
    after = strength("content", 0.8, 0.2), strength("content", 0.8, 0.8)
    assert after[0] >= before[0] and after[1] < before[1] * 0.6
    assert strength("style", 0.8, 0.2) < before[0]
    page.mouse.move(2, 2)
    page.locator('.sp-chip[data-region="1"] .sp-eye').click()
    page.mouse.move(2, 2)
    assert strength("content", 0.8, 0.8) < before[1] * 0.6
    desk.canvas().focus()
    page.keyboard.down("h")
    assert strength("content", 0.8, 0.2) < 4
    page.keyboard.up("h")
    assert strength("content", 0.8, 0.2) > 10
    desk.host.quiet()


# ---------------------------------------------------------------- keyboard


def test_painting_with_keys_alone(desk: Desk) -> None:
    desk.load()
    page = desk.page
    canvas = desk.canvas()
    page.locator('[data-tool="brush"]').focus()
    for _ in range(40):
        page.keyboard.press("Shift+Tab")
        if canvas.evaluate("node => node === document.activeElement"):
            break
    expect(canvas).to_be_focused()
    page.keyboard.press("2")
    page.keyboard.press("Shift+ArrowLeft")
    page.keyboard.press("ArrowUp")
    page.keyboard.down(" ")
    for _ in range(5):
        page.keyboard.press("Shift+ArrowRight")
    page.keyboard.up(" ")
    value, data = desk.host.next()
    assert data == {"by": "brush"}
    rows, columns = np.nonzero(ids(value) == 2)
    assert abs(rows.mean() - 149) < 1 and abs(columns.min() - 166) < 2 and abs(columns.max() - 264) < 2
    expect(page.locator(".sp-live")).to_contain_text("Region 2", timeout=3000)
    for _ in range(6):
        page.keyboard.press("Shift+ArrowDown")
    page.keyboard.press("1")
    page.keyboard.press("f")
    value, data = desk.host.next()
    assert data == {"by": "fill"} and set(np.unique(ids(value))) == {1, 2}
    page.keyboard.press("Control+=")
    page.keyboard.press("Control+=")
    page.keyboard.press("Control+ArrowRight")
    page.keyboard.press("Control+0")
    page.keyboard.press("r")
    desk.host.next("render_now")
    page.keyboard.press("Escape")
    desk.host.next("cancel_now")
    desk.shot("keyboard")


def test_tab_is_never_trapped_and_focus_is_seen(desk: Desk) -> None:
    desk.load()
    page = desk.page
    page.locator('[data-tool="fill"]').click()
    page.locator(".sp-check input").first.check()
    page.evaluate("() => { document.body.tabIndex = -1; document.body.focus(); }")
    seen, rings = [], []
    for _ in range(80):
        page.keyboard.press("Tab")
        name, ring = page.evaluate("""() => {
            const node = document.activeElement;
            const style = getComputedStyle(node);
            return [node.id || node.getAttribute("aria-label") || node.title || node.textContent, `${style.outlineStyle} ${style.outlineWidth}`];
        }""")
        seen.append(name)
        if name == "push":
            break
        rings.append(ring)
    assert seen[-1] == "push" and len(seen) > 30
    assert all(ring.startswith(("solid 2px", "auto")) for ring in rings[1:]), rings
    page.keyboard.press("Shift+Tab")
    assert page.evaluate("document.querySelector('.sp-root').contains(document.activeElement)")


def test_keys_do_nothing_in_a_text_field_or_elsewhere(desk: Desk) -> None:
    desk.load()
    page = desk.page
    page.locator("#push").focus()
    page.keyboard.press("e")
    expect(page.locator('[data-tool="brush"]')).to_have_attribute("aria-pressed", "true")
    desk.canvas().focus()
    page.keyboard.press("F2")
    page.keyboard.type("befe 20")
    page.keyboard.press("Enter")
    value, _ = desk.host.next()
    assert value["regions"][1]["name"] == "befe 20"
    expect(page.locator('[data-tool="brush"]')).to_have_attribute("aria-pressed", "true")


# ---------------------------------------------------------------- zoom


def test_zoom_and_pan_by_mouse(desk: Desk) -> None:
    desk.load()
    page = desk.page
    x, y = desk.at(0.25, 0.25)
    page.mouse.move(x, y)
    for _ in range(10):
        page.mouse.wheel(0, -240)
    page.wait_for_timeout(200)
    page.mouse.click(x, y)
    rows, columns = np.nonzero(ids(desk.host.next()[0]))
    assert abs(rows.mean() - 75) < 2 and abs(columns.mean() - 100) < 2  # the place under the pointer stayed
    assert rows.size == pytest.approx(np.pi * 24**2, rel=0.05)  # the size is in the map's pixels at any zoom
    desk.shot("zoomed")
    page.mouse.move(x, y)
    page.keyboard.down(" ")
    page.mouse.down()
    page.mouse.move(x + 120, y, steps=4)
    page.mouse.up()
    page.keyboard.up(" ")
    desk.host.quiet()
    page.keyboard.press("Control+0")
    page.keyboard.press("Control+z")
    desk.host.next()
    desk.click(0.5, 0.5)
    rows, columns = np.nonzero(ids(desk.host.next()[0]))
    assert abs(rows.mean() - 150) < 2 and abs(columns.mean() - 200) < 2
