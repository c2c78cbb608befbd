"""A study from its making to its results, and a render as a link: the real app, a real browser."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.browser.axe import faults
from tests.browser.conftest import running
from tests.browser.studio_page import SLOW

SHOTS = os.environ.get("SCSA_SCREENSHOTS")


def shot(page, name, **options):
    if SHOTS:
        Path(SHOTS).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=Path(SHOTS) / f"{name}.png", **options)


@pytest.fixture(scope="module")
def app_url(tmp_path_factory):
    """With the examples as they ship: what is stored of them is not painted again for a study."""
    with running(tmp_path_factory.mktemp("study")) as server:
        yield server.url


@pytest.fixture
def opened(browser):
    """Pages that must not raise an error; phone: 390 px wide, with touch, a browser of its own."""
    pages, problems = [], []

    def new(url, *, phone=False):
        size = {"width": 390, "height": 844} if phone else {"width": 1440, "height": 900}
        page = browser.new_page(viewport=size, has_touch=phone, is_mobile=phone, color_scheme="dark" if phone else "light")
        page.on("pageerror", lambda e: problems.append(str(e)))
        page.set_default_timeout(SLOW)
        pages.append(page)
        page.goto(url)
        return page

    yield new
    for page in pages:
        page.close()
    assert not problems


def set_number(page, name, value):
    box = page.locator(f"#study-{name} input[type=number]").first
    box.fill(str(value))
    box.press("Tab")


def trial(page, n, total):
    page.get_by_text(f"{n} of {total}", exact=True).wait_for()
    page.locator(".trial:not(.busy)").wait_for()
    page.wait_for_timeout(350)  # a key at once would be the last trial's


def test_a_host_makes_a_study_a_participant_votes_and_results_appear(opened, app_url):
    host = opened(app_url)
    host.get_by_role("tab", name="Study").click()
    host.locator("#study-build").wait_for()
    set_number(host, "trials", 6)
    set_number(host, "checks", 1)
    shot(host, "study-host-1440", full_page=True)
    host.locator("#study-build").click()
    host.locator("#study-preview").wait_for()
    preview = opened(app_url + "/" + host.locator("#study-preview").get_attribute("href"))
    preview.get_by_text("Preview: answers given here are not counted.").wait_for()
    preview.get_by_role("button", name="Agree and start").click()
    preview.get_by_text("Practice: this one does not count.").wait_for()
    preview.locator(".trial:not(.busy)").wait_for()
    shot(preview, "study-vote-1440")
    assert faults(preview) == []

    host.locator("#study-publish").click()
    field = host.locator("#study-vote-link textarea, #study-vote-link input").first
    for name in ("vote", "results"):
        filled = f"document.querySelector('#study-{name}-link textarea, #study-{name}-link input')?.value.startsWith('http')"
        host.wait_for_function(filled)
    vote_link = field.input_value()
    results_link = host.locator("#study-results-link textarea, #study-results-link input").first.input_value()
    assert vote_link.startswith(app_url + "/vote?study=") and "#" in results_link
    shot(host, "study-published-1440", full_page=True)

    person = opened(vote_link.replace("/vote?", "/?"), phone=True)  # the short form leads there too
    person.get_by_role("button", name="Agree and start").wait_for()
    assert "/vote?study=" in person.url
    shot(person, "study-consent-390")
    assert faults(person) == []
    person.get_by_role("button", name="Agree and start").click()
    person.get_by_text("Practice").wait_for()
    person.locator(".trial:not(.busy)").wait_for()
    person.wait_for_timeout(350)
    assert person.evaluate("document.documentElement.scrollWidth") <= 390
    shot(person, "study-trial-390")
    assert faults(person) == []
    flip, first = person.get_by_role("button", name="Hold to flip"), person.locator(".choice img").first
    before = first.get_attribute("src")
    flip.dispatch_event("pointerdown")
    assert person.locator(".choice img").first.get_attribute("src") != before
    flip.dispatch_event("pointerup")
    assert person.locator(".choice img").first.get_attribute("src") == before
    person.locator(".pick").first.tap()
    trial(person, 1, 6)
    person.keyboard.press("ArrowRight")
    trial(person, 2, 6)
    person.reload()
    trial(person, 2, 6)  # resumed
    person.locator(".choice").last.tap()
    for n, key in ((3, "1"), (4, "2"), (5, "ArrowLeft"), (6, "ArrowRight")):
        trial(person, n, 6)
        person.keyboard.press(key)
    person.get_by_text("Thank you for taking part!").wait_for()
    person.reload()
    person.get_by_text("Thank you for taking part!").wait_for()

    results = opened(results_link)
    results.get_by_text("1 finished, 0 under way").wait_for()
    assert "4 comparisons answered" in results.locator("#results").inner_text()
    shot(results, "study-results-1440", full_page=True)
    assert faults(results) == []
    with results.expect_download() as caught:
        results.get_by_role("button", name="Download CSV").click()
    assert len(Path(caught.value.path()).read_text().splitlines()) == 8
    results.get_by_role("button", name="Close the study").click()
    results.get_by_text("Closed").wait_for()
    late = opened(vote_link)
    late.get_by_text("This study is closed.").wait_for()
    results.get_by_role("button", name="Delete everything").click()
    results.locator("dialog").get_by_role("button", name="Delete everything").click()
    results.get_by_text("Everything of this study is deleted.").wait_for()
    late.reload()
    late.get_by_text("There is no study at this link.").wait_for()


def test_a_result_becomes_a_link_that_brings_everything_back(opened, app_url):
    page = opened(app_url)
    page.locator("#compare .cv-result img.cv-image[src]").first.wait_for()
    page.locator("#gallery button").nth(1).click()
    page.locator("#painter").get_by_text("Hair").first.wait_for()
    page.locator("#link").click()
    field = page.locator("#link-field textarea, #link-field input").first
    field.wait_for()
    page.wait_for_function("document.querySelector('#link-field textarea, #link-field input')?.value.startsWith('http')")
    link = field.input_value()
    shot(page, "link-1440")
    alpha = page.locator("#knob-alpha1 input[type=number]").input_value()

    other = opened(link)
    other.locator("#painter").get_by_text("Hair").first.wait_for()
    other.get_by_text("Opened from a link that is kept until").wait_for()
    other.locator("#compare [role=status]").get_by_text("The result that was kept").wait_for()
    other.wait_for_function("alpha => document.querySelector('#knob-alpha1 input[type=number]').value === alpha", arg=alpha)
    shot(other, "link-opened-1440")

    unknown = opened(app_url + "/?r=" + "A" * 22)
    unknown.get_by_text("This link is unknown, or its time is over.").wait_for()
