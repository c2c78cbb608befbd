"""The Models tab as a person uses it, on a machine without internet."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

SHOTS = os.environ.get("SCSA_SCREENSHOTS")


@pytest.mark.parametrize("width", [1440, 390])
def test_states_are_shown_and_an_offline_fetch_says_what_to_do(browser, app_url, width):
    page, problems = browser.new_page(viewport={"width": width, "height": 900}), []
    page.on("pageerror", lambda e: problems.append(str(e)))
    page.goto(app_url)
    page.locator("#painter canvas").first.wait_for(timeout=120_000)
    page.get_by_role("tab", name="Models").click()
    lite, sam = page.locator(".mo-card[data-name=lite]"), page.locator(".mo-card[data-name=sam]")
    lite.wait_for(timeout=60_000)
    assert "ready" in lite.inner_text() and lite.get_by_role("button").count() == 0
    assert sam.locator("a").first.get_attribute("href").startswith("https://github.com/")
    sam.get_by_role("button", name="Fetch 375 MB").click()
    alert = sam.locator("[role=alert]")
    alert.wait_for(timeout=120_000)
    assert "offline" in alert.inner_text() and "sam_vit_b_01ec64.pth" in alert.inner_text()
    assert sam.get_by_role("button", name="Fetch 375 MB").is_enabled()
    assert page.evaluate("document.documentElement.scrollWidth") <= width + 1
    if SHOTS:
        Path(SHOTS).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=Path(SHOTS) / f"models-{width}.png", full_page=True)
    assert not problems
    page.close()
