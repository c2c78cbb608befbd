"""The page by keyboard, by screen reader, in both themes, at both ends of the range of widths, without motion."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.browser.axe import faults
from tests.browser.studio_page import SLOW

SHOTS = os.environ.get("SCSA_SCREENSHOTS")

# What an element and those around it look like; told again once the focus has left, something must differ.
LOOK = """() => {
  const look = (el) => { const s = getComputedStyle(el); return [s.outlineStyle, s.outlineWidth, s.outlineColor, s.boxShadow, s.borderColor, s.backgroundColor].join(); };
  window.looks = () => window.focused && window.focused.map(look).join("|");
  const el = document.activeElement;
  if (!el || el === document.body) { window.focused = null; return null; }
  const near = [el, el.parentElement, el.parentElement?.parentElement, el.nextElementSibling].filter(Boolean);
  window.focused = near;
  const box = el.getBoundingClientRect();
  const host = el.closest("[id]");
  return { name: `${host?.id} ${el.tagName} ${el.getAttribute("aria-label") || el.textContent.trim().slice(0, 30) || el.type}`, look: window.looks(),
           seen: box.width > 0 && box.height > 0, id: host?.id };
}"""
MOTION = """() => Math.max(...[...document.querySelectorAll("*")].flatMap((el) => {
  const s = getComputedStyle(el);
  return [...s.transitionDuration.split(","), ...s.animationDuration.split(",")].map(parseFloat).filter(Number.isFinite);
}))"""

STEADY = """there => {
  const dimmed = (node) => node && (Number(getComputedStyle(node).opacity) < 1 || dimmed(node.parentElement));
  return !dimmed(document.querySelector(there)) && !document.querySelector(".gd-primary:disabled");
}"""


@pytest.fixture
def opened(browser, app_url):
    made, problems = [], []

    def new(width, scheme, **options):
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, **options)
        context.set_default_timeout(SLOW)
        made.append(context)
        page = context.new_page()
        page.on("pageerror", lambda e: problems.append(str(e)))
        page.goto(f"{app_url}/?__theme={scheme}")
        page.locator("#painter").get_by_text("Greenery").first.wait_for()
        page.locator("#gallery img").first.wait_for()
        return page

    yield new
    for context in made:
        context.close()
    assert problems == []


def tab(page, name, there):
    page.get_by_role("tab", name=name).click()
    page.locator(there).first.wait_for()
    # What waits for its first answer is dimmed, buttons that cannot be pressed yet too: neither is how it is read.
    page.wait_for_function(STEADY, arg=there)


@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (390, "dark")])
def test_no_tab_has_a_fault(opened, width, scheme):
    page = opened(width, scheme, reduced_motion="reduce")
    found = {}
    page.locator("#more button").first.click()
    page.locator("#knob-live").wait_for()
    page.locator("#painter .sp-links summary").first.click()
    found["Create"] = faults(page)
    page.get_by_role("button", name="Keys", exact=True).click()
    found["keys"] = faults(page, "dialog")
    page.keyboard.press("Escape")
    for name, there in (("Grid", "#grid .gd-family"), ("Study", "#study-build"), ("Models", ".mo-card")):
        tab(page, name, there)
        found[name] = faults(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= width + 1
    assert found == {name: [] for name in found}
    assert page.evaluate(MOTION) < 0.001  # seconds


def test_axe_sees_a_fault(browser):
    page = browser.new_page()
    page.set_content("<html lang='en'><title>a</title><main><h1>a</h1><img src='x.png'><p style='color:#bbb;background:#fff'>pale</p></main></html>")
    found = faults(page)
    assert [f.split(":")[0] for f in found] == ["serious color-contrast", "critical image-alt"]
    page.close()


def test_every_stop_of_the_tab_key_is_seen_and_a_wide_screen_is_used(opened):
    page = opened(1440, "light", reduced_motion="reduce")
    stops, unseen, before = [], [], None
    wanted = {"knob-alpha1", "knob-alpha2", "knob-model", "knob-method", "knob-size", "render", "download", "link", "reset", "auto-find", "auto-number", "more"}
    for _ in range(200):
        page.keyboard.press("Tab")
        now = page.evaluate("() => window.looks && window.looks()")
        if before and before["seen"] and now == before["look"]:
            unseen.append(before["name"])
        before = page.evaluate(LOOK)
        if before is None and not wanted:
            break  # all the way round
        if before is not None:  # else a component was made anew under the focus, as on loading
            stops.append(before["name"])
            wanted.discard(before["id"])
    assert before is None and not wanted, (wanted, stops)
    assert unseen == []

    page.set_viewport_size({"width": 2560, "height": 1300})  # a wide screen is used, and not stretched over
    boxes = [page.locator(name).bounding_box() for name in ("#desk", "#left", "#right", "#gallery")]
    left, right = boxes[0]["x"], 2560 - boxes[0]["x"] - boxes[0]["width"]
    assert abs(left - right) < 24 and 1600 < boxes[0]["width"] < 2400  # in the middle
    assert boxes[1]["x"] + boxes[1]["width"] <= boxes[2]["x"] and abs(boxes[3]["width"] - boxes[0]["width"]) < 24
    assert page.evaluate("document.documentElement.scrollWidth") <= 2560
    if SHOTS:
        Path(SHOTS).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=Path(SHOTS) / "create-2560.png")
