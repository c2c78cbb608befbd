"""The painter under fingers and a pen, on a phone and in the dark."""

from __future__ import annotations

from pathlib import Path

import gradio as gr
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from demo.painter import from_label_maps
from scsa_core.labels import LabelMap, Region
from tests.browser.painter_page import PHONE, Desk, ids

PHOTOS = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "examples"


# ---------------------------------------------------------------- narrow, touch, dark


def touches(desk: Desk, steps: list[tuple[str, list[tuple[float, float]]]]) -> None:
    """Raw touch events, 30 ms after each other: [("touchStart" | "touchMove" | "touchEnd", points)]."""
    for kind, points in steps:
        touch(desk, kind, points, 0.03)
        desk.clock += 0.03
    desk.clock += 1  # what comes next is no part of it


@pytest.mark.parametrize("desk", [PHONE], indirect=True)
def test_touch_on_a_phone(desk: Desk) -> None:
    page = desk.page
    desk.shot("390_empty")
    desk.load()
    a, b = desk.at(0.2, 0.5), desk.at(0.8, 0.5)
    touches(desk, [("touchStart", [a]), ("touchMove", [desk.at(0.5, 0.5)]), ("touchMove", [b]), ("touchEnd", [])])
    value, data = desk.host.next()
    assert data == {"by": "brush"} and ids(value)[150, 100:300].all()
    # Two fingers at once zoom and never paint.
    touches(desk, [
        ("touchStart", [desk.at(0.45, 0.2)]), ("touchStart", [desk.at(0.45, 0.2), desk.at(0.55, 0.2)]),
        ("touchMove", [desk.at(0.3, 0.2), desk.at(0.7, 0.2)]), ("touchMove", [desk.at(0.2, 0.2), desk.at(0.8, 0.2)]), ("touchEnd", []),
    ])  # fmt: skip
    desk.host.quiet()
    desk.shot("390_zoomed")
    x, y = desk.at(0.5, 0.5)
    touches(desk, [("touchStart", [(x, y)]), ("touchEnd", [])])
    rows, _ = np.nonzero(ids(desk.host.next()[0]) != ids(value))
    assert rows.size and rows.mean() < 130  # zoomed towards the top: the middle of the stage is higher in the picture
    # One pane at a time.
    expect(desk.pane("style")).to_be_hidden()
    page.locator(".sp-switch-button", has_text="Style").tap()
    expect(desk.pane("style")).to_be_visible()
    expect(desk.pane("content")).to_be_hidden()
    desk.still()
    touches(desk, [("touchStart", [desk.at(0.5, 0.5, "style")]), ("touchEnd", [])])
    assert ids(desk.host.next()[0], "style")[200, 150] == 1
    small = page.evaluate("""() => [...document.querySelectorAll('.sp-root button, .sp-root select')].filter((n) => n.offsetParent)
        .map((n) => [n.textContent || n.title, n.getBoundingClientRect()]).filter(([, r]) => r.width < 44 || r.height < 43.5).map(([t]) => t)""")
    assert small == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    desk.shot("390_style")


def touch(desk: Desk, kind: str, points: list[tuple[float, float]], at: float) -> None:
    """One raw touch event, `at` seconds on a clock of its own, so that a busy machine does not change what it means."""
    desk.cdp().send("Input.dispatchTouchEvent", {
        "type": kind, "timestamp": desk.clock + at, "touchPoints": [{"x": x, "y": y, "id": i} for i, (x, y) in enumerate(points)],
    })  # fmt: skip


@pytest.mark.parametrize("desk", [PHONE], indirect=True)
def test_a_second_finger_takes_back_a_stroke_that_has_just_begun(desk: Desk) -> None:
    desk.load()
    a, b, c = desk.at(0.3, 0.4), desk.at(0.32, 0.4), desk.at(0.6, 0.4)
    for late, paints in ((0.1, False), (0.4, True)):
        at = 10 * late
        touch(desk, "touchStart", [a], at)
        touch(desk, "touchMove", [b], at + 0.02)
        touch(desk, "touchStart", [b, c], at + late)
        touch(desk, "touchMove", [a, desk.at(0.62, 0.4)], at + late + 0.05)
        touch(desk, "touchEnd", [], at + late + 0.1)
        if paints:
            assert (ids(desk.host.next()[0]) == 1).sum() > 1000
        else:
            desk.host.quiet()


@pytest.mark.parametrize("desk", [PHONE], indirect=True)
def test_two_taps_show_the_whole_picture_and_paint_nothing(desk: Desk) -> None:
    desk.load()
    page = desk.page
    x, y = desk.at(0.5, 0.5)
    for _ in range(3):
        desk.pane("content").locator('.sp-zoom [aria-keyshortcuts="Ctrl++"]').tap()
    for at in (1.0, 1.2):
        touch(desk, "touchStart", [(x, y)], at)
        touch(desk, "touchEnd", [], at + 0.05)
    value, data = desk.host.next()
    while data != {"by": "undo"}:
        value, data = desk.host.next()
    assert not ids(value).any()
    expect(page.locator('.sp-toolbar [aria-keyshortcuts="Control+Shift+Z"]')).to_have_attribute("aria-disabled", "true")
    touch(desk, "touchStart", [desk.at(0.1, 0.1)], 3)  # at 1x again: the corner of the picture is in its place
    touch(desk, "touchEnd", [], 3.05)
    later = desk.host.next()[0]
    while later["v"] <= value["v"]:  # events of the taps may arrive late
        later = desk.host.next()[0]
    rows, columns = np.nonzero(ids(later))
    assert abs(rows.mean() - 30) < 3 and abs(columns.mean() - 40) < 3
    # An open polygon closes by two taps, and two fingers zoom it without a corner.
    desk.tool("lasso")
    for k, point in enumerate([(0.5, 0.5), (0.8, 0.5)]):
        touch(desk, "touchStart", [desk.at(*point)], 5 + k)
        touch(desk, "touchEnd", [], 5.05 + k)
    touch(desk, "touchStart", [desk.at(0.3, 0.3)], 8)
    touch(desk, "touchStart", [desk.at(0.3, 0.3), desk.at(0.4, 0.3)], 8.1)
    touch(desk, "touchMove", [desk.at(0.32, 0.3), desk.at(0.42, 0.3)], 8.2)
    touch(desk, "touchEnd", [], 8.3)
    desk.shot("390_lasso")
    for at in (9, 9.2):
        touch(desk, "touchStart", [desk.at(0.8, 0.9)], at)
        touch(desk, "touchEnd", [], at + 0.05)
    value, data = desk.host.next()
    assert data == {"by": "lasso"} and abs((ids(value) == 1).mean() - 0.06 - rows.size / 120000) < 0.01


@pytest.mark.parametrize("desk", [PHONE], indirect=True)
def test_a_chip_held_by_a_finger_merges(desk: Desk) -> None:
    content = np.ones((300, 400), np.uint8)
    content[:, 150:] = 2
    desk.load(LabelMap.from_ids(content), LabelMap.from_ids(content.T.copy()))
    page = desk.page
    page.locator(".sp-chips").evaluate("node => { node.scrollLeft = 140; }")
    boxes = [page.locator(f'.sp-chip[data-region="{k}"] .sp-chip-main').bounding_box() for k in (1, 2)]
    source, goal = [(box["x"] + 30, box["y"] + box["height"] / 2) for box in boxes]
    assert 0 < source[0] < 330 and 0 < goal[0] < 330
    touch(desk, "touchStart", [source], 1)
    page.wait_for_selector(".sp-ghost")
    touch(desk, "touchMove", [((source[0] + goal[0]) / 2, goal[1])], 2)
    touch(desk, "touchMove", [goal], 2.1)
    expect(page.locator('.sp-chip[data-region="2"]')).to_have_class("sp-chip sp-target")
    desk.peek("390_merge")
    touch(desk, "touchEnd", [], 2.2)
    value, data = desk.host.next()
    assert data == {"by": "merge"} and (ids(value) == 2).all()


def pen(desk: Desk, points: list[tuple[float, float, float]]) -> None:
    """A pen's stroke: (u, v, pressure) of the content picture."""
    for k, (u, v, pressure) in enumerate(points):
        x, y = desk.at(u, v)
        kind = "mousePressed" if k == 0 else "mouseMoved"
        desk.cdp().send("Input.dispatchMouseEvent", {
            "type": kind, "x": x, "y": y, "button": "left", "buttons": 1, "clickCount": 1, "pointerType": "pen", "force": pressure,
        })  # fmt: skip
    x, y = desk.at(*points[-1][:2])
    desk.cdp().send("Input.dispatchMouseEvent", {
        "type": "mouseReleased", "x": x, "y": y, "button": "left", "clickCount": 1, "pointerType": "pen",
    })  # fmt: skip


@pytest.mark.parametrize("desk", [{"viewport": {"width": 1024, "height": 900}, "has_touch": True}], indirect=True)
def test_pen_pressure_sets_the_size_and_palms_do_not_paint(desk: Desk) -> None:
    desk.load()
    page = desk.page
    checks = page.locator(".sp-toolbar .sp-check", has_text="Pen only"), page.locator(".sp-toolbar .sp-check", has_text="Pressure")
    for check in checks:
        expect(check).to_be_hidden()
    pen(desk, [(0.2 + 0.06 * k, 0.3, 0.1 + 0.09 * k) for k in range(11)])
    value, _ = desk.host.next()
    widths = (ids(value) == 1).sum(0)
    assert widths[82] <= 8 and 20 <= widths[200] <= 32 and 42 <= widths[318] <= 49
    for check in checks:
        expect(check).to_be_visible()
    desk.shot("pen")
    touches(desk, [("touchStart", [desk.at(0.5, 0.8)]), ("touchMove", [desk.at(0.7, 0.8)]), ("touchEnd", [])])
    desk.host.quiet()
    checks[1].locator("input").uncheck()
    pen(desk, [(0.2, 0.8, 0.1), (0.5, 0.8, 0.1)])
    value, _ = desk.host.next()
    assert 45 <= (ids(value)[200:] == 1).sum(0)[140] <= 49
    # The switch brings fingers back.
    checks[0].locator("input").uncheck()
    touches(desk, [("touchStart", [desk.at(0.8, 0.6)]), ("touchEnd", [])])
    assert ids(desk.host.next()[0])[180, 320] == 1


@pytest.mark.skipif(not PHOTOS.exists(), reason="the example pictures are not here")
@pytest.mark.parametrize(
    ("desk", "name"),
    [
        ({"viewport": {"width": 1440, "height": 900}, "color_scheme": "light"}, "1440_light"),
        ({"viewport": {"width": 1440, "height": 900}, "color_scheme": "dark"}, "1440_dark"),
        ({**PHONE, "color_scheme": "light"}, "390_light"),
        ({**PHONE, "color_scheme": "dark"}, "390_dark"),
    ],
    indirect=["desk"],
)
def test_it_looks_right_with_real_pictures(desk: Desk, name: str) -> None:
    page = desk.page
    pair = [PHOTOS / "photos/calm_lake.jpg", PHOTOS / "paintings/hokusai_ejiri.jpg"]
    copies = [desk.host.folder / path.name for path in pair]
    for path, copy in zip(pair, copies, strict=True):
        copy.write_bytes(path.read_bytes())
    names = ("Rest", "sky", "sea", "shore and reeds", "trees", "fields", "people")
    colours = ("#cccccc", "#33ccff", "#3300ff", "#990000", "#99ff00", "#ffcc99", "#ff66cc")
    regions = [Region(i, n, c) for i, (n, c) in enumerate(zip(names, colours, strict=True))]
    maps = []
    for k, path in enumerate(copies):
        w, h = Image.open(path).size
        found = np.zeros((h, w), np.uint8)
        found[: h * 5 // 9] = 1
        found[h * 5 // 9 :] = 2 if k == 0 else 5
        yy, xx = np.mgrid[:h, :w]
        found[(xx / w - 0.35) ** 2 + (yy / h - 0.3) ** 2 < 0.03] = 4
        found[h * 8 // 9 :] = 3
        maps.append(LabelMap.from_ids(found, tuple(regions)))
    desk.push(lambda _: gr.update(value=from_label_maps(*copies, *maps, regions=regions)))
    page.wait_for_selector(".sp-pane.sp-filled", state="attached")
    expect(page.locator(".sp-chip")).to_have_count(7)
    desk.still()
    expect(page.locator('.sp-chip[data-region="2"] .sp-warning')).to_be_visible()
    desk.shot(name)
    if name == "1440_light":
        desk.tool("fill")
        page.locator(".sp-check input").first.check()
        page.locator('.sp-chip[data-region="4"]').hover()
        page.wait_for_timeout(200)
        desk.peek("hover")
        desk.pane("style").locator(".sp-menu > .sp-button").click()
        desk.shot("menu")
