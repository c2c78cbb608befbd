"""Auto as a person meets it: one press, another number as one step, the question before a person's work, Cancel."""

from __future__ import annotations

import pytest

from tests.browser.studio_page import SLOW


@pytest.fixture
def studio(studio):
    studio.page.locator("#more button").first.click()
    studio.page.locator("#knob-live input").uncheck()  # maps are what is looked at here
    return studio


def chips(studio) -> list[str]:
    return studio.page.locator(".sp-chip .sp-name").all_inner_texts()


def undo_title(studio) -> str:
    return studio.page.locator('.sp-toolbar [aria-keyshortcuts="Control+Z"]').get_attribute("title")


def number(studio, text: str) -> None:
    studio.page.locator("#auto-number label").filter(has_text=text).first.click()


def test_the_number_of_regions_recuts_as_one_step_each_and_a_persons_region_is_asked_about(studio):
    page = studio.page
    page.locator("#auto-find").click()
    page.wait_for_function("[...document.querySelectorAll('.sp-chip .sp-name')].some(n => n.textContent === 'Region 4')", timeout=SLOW)
    assert undo_title(studio) == "Undo Auto (Ctrl+Z)"
    number(studio, "7")
    page.wait_for_function("[...document.querySelectorAll('.sp-chip .sp-name')].some(n => n.textContent === 'Region 7')", timeout=SLOW)
    studio.shot("auto_seven")
    page.locator("#painter canvas.sp-map").first.focus()
    page.keyboard.press("Control+z")
    page.wait_for_function("![...document.querySelectorAll('.sp-chip .sp-name')].some(n => n.textContent === 'Region 7')")
    assert "Region 4" in chips(studio)
    page.keyboard.press("Control+Shift+z")
    page.wait_for_function("[...document.querySelectorAll('.sp-chip .sp-name')].some(n => n.textContent === 'Region 7')")

    page.get_by_role("button", name="Add region").click()
    studio.stroke()
    mine = "() => { const p = document.querySelector('.sp-chip.sp-selected .sp-share'); return p.textContent }"
    share = page.evaluate(mine)
    number(studio, "5")
    page.locator("#auto-ask").wait_for(state="visible", timeout=SLOW)
    studio.shot("auto_ask")
    name = page.locator(".sp-chip.sp-selected .sp-name").inner_text()
    before = undo_title(studio)
    assert before != "Undo Auto (Ctrl+Z)"
    page.locator("#auto-fill").click()
    page.wait_for_function("document.querySelector('.sp-toolbar [aria-keyshortcuts=\"Control+Z\"]').title === 'Undo Auto (Ctrl+Z)'", timeout=SLOW)
    page.locator("#auto-ask").wait_for(state="hidden")
    assert name in chips(studio)
    page.locator(".sp-chip").filter(has_text=name).locator(".sp-chip-main").click()
    assert page.evaluate(mine) == share  # to the pixel
    rest = page.locator(".sp-chip").filter(has_text="Rest").locator(".sp-share").inner_text()
    assert rest.startswith("0 |")


def test_cancel_leaves_the_maps_as_they_were(studio):
    page = studio.page
    before = chips(studio)
    page.locator("#gallery button").nth(2).click()  # a pair not looked at yet
    page.wait_for_function(f"!{before!r}.includes([...document.querySelectorAll('.sp-chip .sp-name')].at(-1).textContent)", timeout=SLOW)
    before = chips(studio)
    page.locator("#auto-find").click()
    # Pressed from inside the page: the search may be over before two calls have come through.
    pressed = """() => {
        const said = document.querySelector('#auto-said')?.innerText, stop = document.querySelector('#auto-stop');
        if (said?.includes('%') && stop) { stop.click(); return said; }
    }"""
    assert "%" in page.wait_for_function(pressed, timeout=SLOW, polling=30).json_value()
    page.get_by_text("Cancelled. Your maps").wait_for(timeout=SLOW)
    assert chips(studio) == before and page.locator("#auto-find").is_enabled()
    page.locator("#auto-stop").wait_for(state="hidden")
