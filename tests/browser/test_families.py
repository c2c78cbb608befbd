"""Every family of the paper as a person uses it, on random weights of the true files: on Create, and side by side in the grid."""

from __future__ import annotations

import pytest

from scsa_core.commands.bench_families import write_weights
from tests.browser.conftest import running
from tests.browser.studio_page import SLOW, Studio, until
from tests.unit.tiny_diffusion import modules, write_folder


@pytest.fixture(scope="module")
def families_url(tmp_path_factory):
    """An app with `sanet` and `stytr2` of their true shapes, and a Stable Diffusion in miniature."""
    folder = tmp_path_factory.mktemp("families")
    for family in ("sanet", "stytr2"):
        write_weights(family, folder / "weights")
    write_folder(folder / "weights" / "styleid", modules())
    with running(folder, SCSA_CHECKPOINTS=str(folder / "weights"), SCSA_CACHE="off") as server:
        yield server.url


@pytest.fixture
def page(browser):
    opened = browser.new_page(viewport={"width": 1440, "height": 900})
    opened.set_default_timeout(SLOW)
    yield opened
    opened.close()


def calm(page, families_url):
    """The page, small pictures, nothing rendered but what is asked for."""
    studio = Studio(page, families_url)
    page.locator("#more button").first.click()
    page.locator("#knob-live input").uncheck()
    studio.size("256 px")
    return studio


def choose(page, menu, option):
    page.locator(f"#knob-{menu} input").click()
    page.locator("[role=option]:visible", has_text=option).first.click()


def shown_knobs(page):
    return {name.removeprefix("knob-") for name in page.locator(".knob:visible").evaluate_all("knobs => knobs.map(knob => knob.id)")}


def test_each_family_has_its_own_knobs_and_paints(page, families_url):
    studio = calm(page, families_url)
    seen = studio.shown()
    diffusion = {"timesteps", "start_step", "first_layer", "temperature", "map_blend", "content_blend"}
    families = (("SANet", "0.7", set()), ("StyTr²", "1.2", {"blend"}), ("StyleID", "0.8", diffusion))
    for title, alpha, knobs in families:
        choose(page, "model", title)
        page.wait_for_function(
            "names => names.every(n => document.querySelector('#knob-' + n)?.checkVisibility())", arg=["alpha1", "alpha2", *knobs]
        )
        others = diffusion | {"blend"} - knobs if title != "StyleID" else {"blend"}
        until(lambda: not shown_knobs(page) & others, lambda: f"{title} has {shown_knobs(page)}")
        page.wait_for_function("a => document.querySelector('#knob-alpha1 input[type=number]').value === a", arg=alpha)
        if title == "StyleID":
            page.locator("#knob-timesteps input[type=number]").fill("10")
            page.locator("#knob-timesteps input[type=number]").press("Enter")
        page.locator("#render").click()
        seen = studio.repainted(seen, baseline=title != "StyTr²")  # its own would take as long as all else here
        assert title in page.locator("#compare .cv-result img").get_attribute("alt")
        # StyleID paints no baseline unasked, and another family's is none of its own.
        assert page.locator(".cv-other img.cv-image[src]").count() > 0
        page.evaluate("window.scrollTo(0, 0)")
        studio.shot(f"family-{title}")
    choose(page, "method", "Baseline")
    page.locator("#knob-gamma").wait_for()
    page.locator("#knob-alpha1").wait_for(state="hidden")
    assert not studio.problems


def test_chosen_cells_are_painted_stopped_and_opened(page, families_url):
    studio = calm(page, families_url)
    page.get_by_role("tab", name="Grid").click()
    for name in ("lite", "sanet", "stytr2", "styleid"):
        page.locator(f".gd-family[data-name={name}] .gd-check:enabled").first.wait_for()
    unready = page.locator(".gd-family", has=page.locator(".gd-chip"))
    assert unready.locator(".gd-check:enabled").count() == 0
    wanted = ("Paint Lite", "Paint StyTr²")
    for box in page.locator(".gd-check:enabled").all():
        box.set_checked((box.get_attribute("aria-label") or "").startswith(wanted))
    paint, stop = page.locator(".gd-primary"), page.locator(".gd-bar .gd-button:not(.gd-primary)")
    status = page.locator(".gd-status")
    page.wait_for_function("document.querySelector('.gd-primary').textContent === 'Paint 4 pictures'")
    paint.click()
    page.locator(".gd-cell[data-state=done]").first.wait_for()
    stop.click()
    page.wait_for_function("document.querySelector('.gd-status').textContent.startsWith('Cancelled')")
    painted = page.locator(".gd-cell[data-state=done]").count()
    assert 1 <= painted < 4 and page.locator(".gd-cell[data-state=painting], .gd-cell[data-state=waiting]").count() == 0
    paint.click()
    page.wait_for_function("document.querySelector('.gd-status').textContent.startsWith('Done in')")
    assert page.locator(".gd-cell[data-state=done]").count() == 4
    paint.click()
    page.wait_for_function("document.querySelector('.gd-status').textContent.startsWith('Everything chosen')")

    page.get_by_role("button", name="Compare StyTr², SCSA").click()
    page.wait_for_function("document.querySelector('#grid-compare .cv-root')?.dataset.mode === 'split'")
    page.wait_for_function("document.querySelector('#grid-compare .cv-result img').alt.startsWith('StyTr², SCSA')")
    slider = page.locator("#grid-compare .cv-range")
    before = int(slider.input_value())
    slider.focus()
    page.keyboard.press("ArrowRight")
    assert int(slider.input_value()) == before + 1 and "Everything chosen" in status.inner_text()
    studio.shot("grid-1440", full_page=True)
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= 391
    studio.shot("grid-390", full_page=True)
    assert not studio.problems
