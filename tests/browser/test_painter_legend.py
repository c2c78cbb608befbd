"""The painter's legend: names, shares, warnings, and a region lit in both pictures."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image
from playwright.sync_api import expect

from demo.painter import TEXT_KEYS
from scsa_core.labels import LabelMap
from tests.browser.painter_page import Desk, ids


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
        desk.still()
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
