"""What the browser keeps: a reload brings back maps, undo and knobs; starting fresh loses nothing either."""

from __future__ import annotations

import io
import time

import pytest
from PIL import Image

from tests.browser.conftest import running
from tests.browser.studio_page import SLOW, Studio

OWN = """async () => new Promise((done) => {
  const open = indexedDB.open("scsa-studio", 1);
  open.onsuccess = () => {
    const all = open.result.transaction("tabs").objectStore("tabs").getAll();
    all.onsuccess = () => {
      const own = all.result.find((each) => each.id === sessionStorage.getItem("scsa.tab"));
      open.result.close();
      if (!own) return done(null);
      const sum = (name) => Array.from(own.sides[name].ids).reduce((h, v) => (h * 31 + v) % 1000000007, 7);
      done({ maps: [sum("content"), sum("style")], knobs: own.knobs, id: own.id, at: own.at, picture: own.sides.content.file?.name });
    };
  };
})"""


def until_kept(page, wanted):
    """Until the record has this, as a poll: it is written half a second after what changes it."""
    from playwright.sync_api import Error

    end = time.monotonic() + SLOW / 1000
    while time.monotonic() < end:
        try:
            own = page.evaluate(OWN)
        except Error as error:  # Gradio reloads a page when its connection is back
            if "context was destroyed" not in str(error):
                raise
            own = None
        if own is not None and wanted(own):
            return own
        page.wait_for_timeout(200)
    raise AssertionError(f"what is kept stayed at {own}")


def test_a_knob_turned_before_the_page_has_looked_what_is_kept_is_kept_too(browser, app_url):
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    page.set_default_timeout(SLOW)
    # The wait for other tabs' answers lasts until the knob is turned.
    page.add_init_script("(() => { const set = setTimeout; window.setTimeout = (f, ms, ...a) => set(f, ms === 150 ? 8000 : ms, ...a); })()")
    studio = Studio(page, app_url)
    studio.size("384 px")
    page.locator("#painter .sp-root[data-kept]").wait_for()  # looking sooner would make the browser's store before the page does
    until_kept(page, lambda own: own["knobs"]["size"] == 384)
    assert not studio.problems
    context.close()


def test_a_reload_brings_maps_undo_and_knobs_back_and_fresh_offers_them_again(studio):
    page = studio.page
    assert page.locator(".sp-kept").is_hidden()
    studio.size("384 px")
    blank = until_kept(page, lambda own: own["knobs"]["size"] == 384)
    studio.nudge("alpha1", "ArrowRight", 4)
    studio.stroke()
    alpha = page.locator("#knob-alpha1 input[type=number]").input_value()
    held = until_kept(page, lambda own: own["maps"][0] != blank["maps"][0] and own["knobs"]["alpha1"] == pytest.approx(float(alpha)))
    page.reload()
    page.locator(".sp-kept[data-said=kept_restored]").wait_for(state="visible")
    again = until_kept(page, lambda own: own["at"] > held["at"])  # what is brought back is kept as it was
    assert (again["maps"], again["knobs"]) == (held["maps"], held["knobs"])
    assert page.locator("#knob-alpha1 input[type=number]").input_value() == alpha
    assert "Brush" in page.locator('.sp-toolbar [aria-keyshortcuts="Control+Z"]').get_attribute("title")
    studio.shot("kept_restored")
    page.locator(".sp-kept [data-action=kept_fresh]").click()
    page.locator(".sp-kept[data-said=kept_offer]").wait_for(state="visible")
    page.locator(".sp-kept [data-action=kept_bring_back]").click()
    until_kept(page, lambda own: own["id"] != held["id"] and own["maps"] == held["maps"])


def test_what_was_done_right_before_leaving_is_kept_and_starting_fresh_then_is_fresh(studio):
    page, undo = studio.page, '.sp-toolbar [aria-keyshortcuts="Control+Z"]'

    def painted():
        studio.stroke()
        page.wait_for_function("undo => document.querySelector(undo).title.includes('Brush')", arg=undo)

    studio.size("384 px")
    blank = until_kept(page, lambda own: own["knobs"]["size"] == 384)
    painted()
    page.reload()
    page.locator(".sp-kept[data-said=kept_restored]").wait_for(state="visible")
    assert "Brush" in page.locator(undo).get_attribute("title")
    first = until_kept(page, lambda own: own["maps"][0] != blank["maps"][0])
    page.locator('.sp-chip[data-region="2"] .sp-chip-main').click()
    painted()
    page.evaluate("document.querySelector('.sp-kept [data-action=kept_fresh]').click()")  # in the same half second
    page.locator(".sp-kept[data-said=kept_offer]").wait_for(state="visible")
    assert "Brush" not in page.locator(undo).get_attribute("title")
    page.locator(".sp-kept [data-action=kept_bring_back]").click()
    until_kept(page, lambda own: own["maps"][0] not in (blank["maps"][0], first["maps"][0]))


def test_a_render_that_was_asked_for_goes_on_after_a_reload(studio):
    page = studio.page
    page.locator("#more button").first.click()
    page.locator("#knob-live input").uncheck()
    studio.size("512 px")
    studio.nudge("alpha1", "ArrowRight", 4)
    until_kept(page, lambda own: own["knobs"]["live"] is False and own["knobs"]["alpha1"] == pytest.approx(0.45))
    page.locator("#render").click()
    page.locator("#compare .cv-status:is([data-state=previewing], [data-state=rendering])").wait_for()
    page.reload()
    studio.wait("Done in")
    page.wait_for_function("document.querySelector('#compare .cv-result img').alt.includes('α₁ 0.45')")
    page.reload()  # nothing is under way now
    page.locator(".sp-kept[data-said=kept_restored]").wait_for(state="visible")
    studio.wait("Press Render")


def test_knobs_of_a_drawer_come_back_twice_and_a_copied_tab_keeps_its_own(studio):
    page = studio.page
    page.locator("#more button").first.click()
    page.locator("#knob-live input").uncheck()
    studio.nudge("keep_colours", "ArrowRight", 4)
    studio.nudge("alpha2", "ArrowLeft", 2)
    studio.size("256 px")
    held = until_kept(page, lambda own: own["knobs"]["size"] == 256 and own["knobs"]["live"] is False)
    for _ in range(2):  # what is brought back is kept as it was, though the drawer stays closed
        page.reload()
        page.locator(".sp-kept[data-said=kept_restored]").wait_for(state="visible")
        again = until_kept(page, lambda own: own["at"] > held["at"])
        assert again["knobs"] == held["knobs"] and "256" in page.locator("#knob-size input").input_value()
        held = again
    with page.context.expect_page() as caught:  # as "Duplicate tab": with the session's memory
        page.evaluate("() => { window.open(location.href); }")
    copy = caught.value
    copy.locator(".sp-kept[data-said=kept_restored]").wait_for(state="visible", timeout=SLOW)
    assert until_kept(copy, lambda own: own["knobs"] == held["knobs"])["id"] != held["id"] == page.evaluate(OWN)["id"]
    copy.locator("#more button").first.click()
    assert held["knobs"]["keep_colours"] != 0
    colours = "kept => Math.abs(document.querySelector('#knob-keep_colours input[type=number]')?.value - kept) < 1e-6"
    copy.wait_for_function(colours, arg=held["knobs"]["keep_colours"], timeout=SLOW)
    assert not copy.locator("#knob-live input").is_checked()


def test_a_browser_that_keeps_nothing_says_so_in_one_line(browser, app_url):
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.set_default_timeout(SLOW)
    page.add_init_script("Object.defineProperty(window, 'indexedDB', { get() { throw new DOMException('no', 'SecurityError'); } })")
    studio = Studio(page, app_url)
    assert page.locator(".sp-kept").is_hidden()
    studio.stroke()
    page.locator(".sp-kept[data-said=kept_none]").wait_for(state="visible")
    page.locator(".sp-kept [data-action=dismiss]").click()
    studio.stroke()
    page.wait_for_timeout(1500)
    assert page.locator(".sp-kept").is_hidden() and not studio.problems
    page.close()


@pytest.fixture
def own_server(browser, tmp_path):
    """(a server of the test's own, which it may kill; a page that has not been there yet)."""
    with running(tmp_path) as server:
        context = browser.new_context(viewport={"width": 1440, "height": 900})
        page = context.new_page()
        page.set_default_timeout(SLOW)
        yield server, page
        context.close()


def test_a_killed_server_that_starts_again_gets_the_pictures_again(own_server, tmp_path):
    server, page = own_server
    studio = Studio(page, server.url)
    page.locator("#more button").first.click()
    page.locator("#knob-live input").uncheck()
    page.locator("#more button").first.click()
    studio.size("768 px")  # long enough to be killed
    picture = io.BytesIO()
    Image.effect_mandelbrot((160, 120), (-2, -1.5, 1, 1.5), 50).convert("RGB").save(picture, "PNG")
    choose = page.locator("#painter input[type=file][aria-label^='Choose']").first
    with page.expect_response(lambda r: "/upload" in r.url and r.ok):
        choose.set_input_files({"name": "mine.png", "mimeType": "image/png", "buffer": picture.getvalue()})
    page.wait_for_function("!document.querySelector('#painter [aria-busy=true]')")
    blank = until_kept(page, lambda own: own["knobs"]["size"] == 768 and own["picture"] == "mine.png")
    page.evaluate("document.querySelector('#painter canvas').scrollIntoView({ block: 'center' })")
    studio.stroke()
    held = until_kept(page, lambda own: own["maps"][0] != blank["maps"][0])
    page.locator("#render").click()
    page.locator("#compare .cv-status:is([data-state=previewing], [data-state=rendering])").wait_for()
    server.kill()
    page.locator(".sp-kept[data-said=kept_lost]").wait_for(state="visible")
    studio.wait("Connection lost. Press Render.")  # and no clock goes on for it
    assert page.locator("#compare .cv-cancel").is_hidden() and page.locator("#compare .cv-clock").inner_text() == ""
    studio.shot("kept_lost")
    server.start()
    page.locator(".sp-kept:is([data-said=kept_again], [data-said=kept_restored])").wait_for(state="visible")
    until_kept(page, lambda own: own["maps"] == held["maps"] and own["knobs"] == held["knobs"])
    page.wait_for_function("document.querySelector('#knob-size input')?.value.includes('768')")
    studio.size("256 px")  # soon painted
    page.locator("#render").click()
    studio.wait("Done in")
    assert len(studio.shown()) > 0
    sent = sorted(path.name for path in (tmp_path / "files2").rglob("*.png"))
    assert "content.png" in sent  # the picture's clean copy was made anew from what the browser kept
    studio.shot("kept_again")
    assert not studio.problems


@pytest.mark.slow
def test_a_server_killed_before_the_page_first_looked_is_missed_all_the_same(own_server):
    server, page = own_server
    page.route("**/healthz", lambda route: route.abort("connectionrefused"))  # so that no look is quicker than the kill
    studio = Studio(page, server.url)
    studio.stroke()
    server.kill()
    page.locator(".sp-kept[data-said=kept_lost]").wait_for(state="visible")
    page.unroute("**/healthz")
    server.start()
    page.locator(".sp-kept:is([data-said=kept_again], [data-said=kept_restored])").wait_for(state="visible")
    studio.size("256 px")  # a server that knows nothing of this page paints its pictures
    page.locator("#render").click()
    studio.wait("Done in")
    assert not studio.problems
