"""The painter by keys alone, and its zoom."""

from __future__ import annotations

import numpy as np
import pytest
from playwright.sync_api import expect

from tests.browser.painter_page import Desk, ids


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
    expect(page.locator(".sp-live")).to_contain_text("Region 2")
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


def test_zoom_and_pan_by_mouse(desk: Desk) -> None:
    desk.load()
    page = desk.page
    x, y = desk.at(0.25, 0.25)
    page.mouse.move(x, y)
    for _ in range(10):
        page.mouse.wheel(0, -240)
    desk.still()
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
