"""What the browser keeps: a reload brings back maps, undo and knobs; starting fresh loses nothing either."""

from __future__ import annotations

import pytest

from tests.browser.test_create import SLOW, Studio

MAPS = """async () => new Promise((done) => {
  const open = indexedDB.open("scsa-studio", 1);
  open.onsuccess = () => {
    const all = open.result.transaction("tabs").objectStore("tabs").getAll();
    all.onsuccess = () => {
      const own = all.result.find((each) => each.id === sessionStorage.getItem("scsa.tab"));
      open.result.close();
      done(own ? ["content", "style"].map((name) => Array.from(own.sides[name].ids).reduce((h, v) => (h * 31 + v) % 1000000007, 7)) : null);
    };
  };
})"""


@pytest.fixture
def studio(browser, app_url):
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    page.set_default_timeout(SLOW)
    opened = Studio(page, app_url)
    yield opened
    assert not opened.problems
    context.close()


def test_a_reload_brings_maps_undo_and_knobs_back_and_fresh_offers_them_again(studio):
    page = studio.page
    assert page.locator(".sp-kept").is_hidden()
    studio.nudge("alpha1", "ArrowRight", 4)
    studio.stroke()
    page.wait_for_selector(".sp-root[data-kept]")
    page.wait_for_timeout(1500)
    before, alpha = page.evaluate(MAPS), page.locator("#knob-alpha1 input[type=number]").input_value()
    assert before is not None
    page.reload()
    page.locator(".sp-kept[data-said=kept_restored]").wait_for(state="visible")
    page.wait_for_selector(".sp-root[data-kept]")
    page.wait_for_timeout(1500)
    assert page.evaluate(MAPS) == before
    page.wait_for_function("v => document.querySelector('#knob-alpha1 input[type=number]').value === v", arg=alpha)
    assert "brush stroke" in page.locator('.sp-toolbar [aria-keyshortcuts="Control+Z"]').get_attribute("title")
    studio.shot("kept_restored")
    page.locator(".sp-kept [data-action=kept_fresh]").click()
    page.locator(".sp-kept[data-said=kept_offer]").wait_for(state="visible")
    page.locator(".sp-kept [data-action=kept_bring_back]").click()
    page.wait_for_selector(".sp-root[data-kept]")
    page.wait_for_timeout(1500)
    assert page.evaluate(MAPS) == before
