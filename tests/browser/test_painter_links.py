"""The links table in a real browser: by mouse, by keys and on a phone; what it sends; suggestions."""

from __future__ import annotations

import gradio as gr
import numpy as np
import pytest
from playwright.sync_api import expect

from scsa_core.labels import LabelMap, Region
from tests.browser.painter_page import PHONE, Desk

REGIONS = [Region(1, "sky", "#33ccff"), Region(2, "sea", "#3300ff"), Region(3, "sun", "#ffcc99")]


def maps() -> tuple[LabelMap, LabelMap]:
    content, style = np.ones((300, 400), np.uint8), np.ones((400, 300), np.uint8)
    content[150:] = 2
    content[40:90, 110:160] = 3
    style[200:] = 2
    return LabelMap.from_ids(content, REGIONS), LabelMap.from_ids(style, REGIONS)


@pytest.fixture
def table(desk: Desk):
    desk.load(*maps())
    desk.page.locator(".sp-links-summary").click()
    return desk


def row(table: Desk, region: int):
    return table.page.locator(f'.sp-link-row[data-region="{region}"]')


def test_a_region_is_fed_from_another_one_in_two_clicks_and_one_step(table):
    assert row(table, 3).locator(".sp-link-word").inner_text() == "Whole style"
    assert "whole picture feeds it" in row(table, 3).inner_text()
    row(table, 3).locator(".sp-link-cell").click()
    row(table, 3).locator('[data-style="1"]').click()
    value, data = table.host.next()
    assert data == {"by": "links"} and value["links"] == {"3": [1]}
    row(table, 3).locator('[data-also="2"]').click()
    value, _ = table.host.next()
    assert value["links"] == {"3": [1, 2]}
    table.shot("links_open")
    row(table, 3).locator('[data-action="links_as_it_is"]').click()
    value, _ = table.host.next()
    assert value["links"] == {"3": [-1]} and row(table, 3).locator(".sp-link-word").inner_text() == "Leave as it is"
    expect(table.page.locator('.sp-toolbar [aria-keyshortcuts="Control+Z"]')).to_have_attribute("title", "Undo Links (Ctrl+Z)")
    table.canvas().focus()
    table.page.keyboard.press("Control+z")
    value, _ = table.host.next()
    assert value["links"] == {"3": [1, 2]}
    row(table, 1).locator(".sp-link-cell").click()
    row(table, 1).locator('[data-action="links_whole"]').click()
    value, _ = table.host.next()
    assert value["links"] == {"1": [], "3": [1, 2]}
    assert "Nothing in the style" not in row(table, 1).inner_text()  # chosen, not a fallback
    row(table, 1).locator('[data-style="1"]').click()
    value, _ = table.host.next()
    assert value["links"] == {"3": [1, 2]}  # the region's own name goes without saying
    table.page.get_by_role("button", name="Same to same").click()
    value, _ = table.host.next()
    assert value["links"] == {}


def test_thumbnails_show_the_region_from_its_own_picture(table):
    """The sun is yellow, and what is not sun is faded."""
    pixels = row(table, 3).locator(".sp-link-thumb").first.evaluate(
        "c => { const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data, m = (c.height >> 1) * c.width + (c.width >> 1);"
        " return [[...d.slice(m * 4, m * 4 + 4)], [...d.slice(0, 4)]] }"
    )
    (red, green, blue, alpha), corner = pixels
    assert red > 240 and green > 200 and blue < 80 and alpha == 255
    wide = row(table, 2).locator(".sp-link-thumb").first.evaluate(
        "c => [...c.getContext('2d').getImageData(c.width >> 1, c.height >> 1, 1, 1).data]"
    )
    assert wide[:3] == [0x33, 0x55, 0x22]
    assert corner[3] in (0, 255)


def test_suggestions_are_dashed_until_used(table):
    table.push(lambda value: gr.update(suggested={"v": value["v"], "links": {"3": [2], "1": [1], "9": [1]}}))
    use = row(table, 3).locator(".sp-link-use")
    expect(use).to_be_visible()
    assert use.evaluate("n => getComputedStyle(n).borderStyle") == "dashed"
    assert row(table, 1).locator(".sp-link-use").count() == 0
    table.host.quiet()
    use.click()
    value, _ = table.host.next()
    assert value["links"] == {"3": [2]} and row(table, 3).locator(".sp-link-use").count() == 0


def test_asking_sends_the_maps_as_they_are(desk):
    asked = []
    desk.page.on("request", lambda r: asked.append(r.post_data) if "queue/join" in r.url else None)
    desk.load(*maps())
    desk.page.locator(".sp-links-summary").click()
    desk.page.get_by_role("button", name="Suggest links").click()
    value, data = desk.host.next("suggest")
    assert data == {"v": value["v"]} and value["content"]["map"]


def test_links_by_keys_alone(table):
    cell = row(table, 2).locator(".sp-link-cell")
    cell.focus()
    table.page.keyboard.press("Enter")
    expect(cell).to_have_attribute("aria-expanded", "true")
    table.page.keyboard.press("Tab")
    table.page.keyboard.press("Enter")
    value, _ = table.host.next()
    assert value["links"] == {"2": [1]}
    assert table.page.evaluate("document.activeElement.dataset.focus") == "only-1"  # the focus stays where it was
    table.page.keyboard.press("Escape")
    assert row(table, 2).locator(".sp-link-choices").count() == 0
    assert table.page.evaluate("document.activeElement.dataset.focus") == "cell-2"


@pytest.mark.parametrize("desk", [PHONE], indirect=True)
def test_links_fit_a_phone(desk):
    desk.load(*maps())
    desk.page.locator(".sp-links-summary").tap()
    row(desk, 3).locator(".sp-link-cell").tap()
    assert desk.page.evaluate("document.documentElement.scrollWidth") <= 391
    for box in desk.page.locator(".sp-links button").evaluate_all("all => all.map(n => n.getBoundingClientRect().height)"):
        assert box >= 43
    desk.page.locator(".sp-links").scroll_into_view_if_needed()
    desk.shot("links_390")
