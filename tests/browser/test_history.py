"""The history as a person uses it: results stay through a reload, come back whole, stand beside another one, and go when told."""

from __future__ import annotations

from tests.browser.studio_page import SLOW, Studio


def items(page, count):
    page.wait_for_function("n => document.querySelectorAll('.hs-item').length === n", arg=count)
    return page.locator(".hs-item")


def line(page, words):
    """What is kept is read after the page is there."""
    page.wait_for_function("words => document.querySelector('.hs-line')?.textContent.includes(words)", arg=words)


def press(page, action):
    page.locator(f".hs-root [data-action={action}]").click()


def test_results_stay_come_back_whole_and_go_when_told(studio):
    page = studio.page
    line(page, "appear here")
    assert page.locator(".hs-detail").is_hidden()
    stored = studio.shown()
    studio.size("384 px")
    first = studio.repainted(stored)
    items(page, 1)
    number = page.locator("#knob-alpha1 input[type=number]")  # in one step: on a slow machine a slider's way would be kept, too
    number.fill("0.8")
    number.press("Enter")
    second = studio.repainted(first)
    items(page, 2)
    page.locator("#gallery button").nth(1).click()
    page.locator("#painter").get_by_text("Hair").first.wait_for()
    page.reload()
    page.locator(".sp-kept[data-said=kept_restored]").wait_for()
    page.locator("#painter").get_by_text("Hair").first.wait_for()

    items(page, 2).nth(0).focus()  # by keys alone: the older one is beside the newer one, Enter brings it back
    page.keyboard.press("ArrowRight")
    assert "α₁ 0.25" in page.evaluate("document.activeElement.getAttribute('aria-label')")
    assert "Lite, SCSA, α₁ 0.25, α₂ 0.75, 384 pixels" in page.locator(".hs-words").inner_text()
    page.keyboard.press("Enter")
    page.locator("#painter").get_by_text("Greenery").first.wait_for()
    studio.wait("Restored", "Up to date")
    studio.until_shown(first)
    page.wait_for_function("document.querySelector('#knob-alpha1 input[type=number]').value === '0.25'")
    page.wait_for_function("document.querySelector('#knob-size input').value.includes('384')")

    items(page, 2).nth(0).click()
    press(page, "compare")
    page.wait_for_function("document.querySelector('#compare .cv-select').value === 'kept'")
    lent = page.locator("#compare .cv-other img.cv-image")
    page.wait_for_function("document.querySelector('#compare .cv-other img.cv-image').src.startsWith('blob:')")
    assert "α₁ 0.8" in lent.get_attribute("alt") and second != first
    press(page, "link")
    page.wait_for_function("document.querySelector('.hs-words').textContent.includes('Link kept until 20')")
    studio.shot("history-1440", full_page=True)

    page.locator(".hs-item").nth(0).focus()
    redrawn = "window.old = document.activeElement; new BroadcastChannel('scsa-history').postMessage('changed')"
    page.evaluate(redrawn)  # as another tab does
    page.wait_for_function("!window.old.isConnected && document.activeElement.matches('.hs-item')")
    page.keyboard.press("Delete")
    items(page, 1)
    press(page, "undo")
    assert "α₁ 0.8" in items(page, 2).nth(0).get_attribute("aria-label")
    press(page, "clear")
    press(page, "clear_yes")
    items(page, 0)
    page.reload()
    page.locator("#painter").get_by_text("Greenery").first.wait_for()
    line(page, "appear here")
    items(page, 0)


def test_a_browser_that_keeps_nothing_still_has_a_history_until_it_is_closed(browser, app_url):
    page = browser.new_page(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    page.set_default_timeout(SLOW)
    page.add_init_script("Object.defineProperty(window, 'indexedDB', { get() { throw new DOMException('no', 'SecurityError'); } })")
    studio = Studio(page, app_url)
    line(page, "keeps nothing here")
    page.locator("#knob-size input").click()
    page.get_by_role("option", name="256 px").first.click()
    page.locator("#compare .cv-render").click()
    items(page, 1).first.click()
    press(page, "restore")
    page.wait_for_function("document.querySelector('.hs-status').textContent === 'Restored.'")
    studio.wait("Restored", "Up to date")
    assert page.evaluate("document.documentElement.scrollWidth") <= 391
    studio.shot("history-390", full_page=True)
    assert not studio.problems
    page.close()
