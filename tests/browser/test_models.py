"""The Models tab as a person uses it, on a machine without internet."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.browser.studio_page import SLOW

SHOTS = os.environ.get("SCSA_SCREENSHOTS")


@pytest.mark.parametrize("width", [1440, 390])
def test_states_are_shown_and_an_offline_fetch_says_what_to_do(browser, app_url, width):
    from playwright.sync_api import expect

    page, problems = browser.new_page(viewport={"width": width, "height": 900}), []
    page.on("pageerror", lambda e: problems.append(str(e)))
    page.goto(app_url)
    page.set_default_timeout(SLOW)
    page.locator("#painter canvas").first.wait_for()
    page.get_by_role("tab", name="Models").click()
    lite, sam = page.locator(".mo-card[data-name=lite]"), page.locator(".mo-card[data-name=sam]")
    expect(lite).to_contain_text("ready", timeout=SLOW)
    expect(lite.get_by_role("button")).to_have_count(0)
    assert sam.locator("a").first.get_attribute("href").startswith("https://github.com/")
    sam.get_by_role("button", name="Fetch 375 MB").click()
    alert = sam.locator("[role=alert]")
    expect(alert).to_contain_text("offline", timeout=SLOW)
    expect(alert).to_contain_text("sam_vit_b_01ec64.pth")
    expect(sam.get_by_role("button", name="Fetch 375 MB")).to_be_enabled(timeout=SLOW)
    assert page.evaluate("document.documentElement.scrollWidth") <= width + 1
    if SHOTS:
        Path(SHOTS).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=Path(SHOTS) / f"models-{width}.png", full_page=True)
    assert not problems
    page.close()
