"""The Create tab as a person uses it: the real app, the shipped model, a real browser."""

from __future__ import annotations

import pytest
from PIL import Image

from tests.browser.studio_page import SLOW, Studio, until

# A page that hears nothing any more of any event once it was told something, or at once where a test says so.
DEAF = """(() => {
  const fetched = window.fetch;
  window.scsaDeaf = false;
  window.scsaMissed = 0;
  window.fetch = async (...asked) => {
    const answer = await fetched(...asked);
    if (!String(asked[0].url ?? asked[0]).includes("queue/data")) return answer;
    const heard = answer.body.pipeThrough(new TransformStream({ transform(part, out) {
      if (window.scsaDeaf) return void (window.scsaMissed += part.length);
      out.enqueue(part);
      window.scsaDeaf = window.scsaDeaf || new TextDecoder().decode(part).includes(window.scsaDeafAfter);
    } }));
    return new Response(heard, { status: answer.status, headers: answer.headers });
  };
})()"""


def test_the_page_opens_on_an_example_with_its_stored_result(studio):
    assert "Stored result" in studio.status()
    assert studio.page.locator("h1").count() == 1
    assert studio.page.locator("#compare .cv-result img.cv-image").get_attribute("alt").startswith("Stored result")
    assert len(studio.shown()) > 100_000
    studio.shot("open-1440")


def test_every_size_can_be_pressed_above_what_stands_below_its_menu(studio):
    studio.page.locator("#knob-size input").click()
    for size in (256, 768, 2048):
        studio.page.get_by_role("option", name=f"{size} px").click(trial=True)


def test_a_knob_and_a_stroke_change_the_picture(studio):
    stored = studio.shown()
    studio.nudge("alpha1", "ArrowRight", 6)
    moved = studio.repainted(stored)
    assert studio.page.locator("#knob-alpha1 input[type=number]").input_value() == "0.55"
    studio.stroke()
    painted = studio.repainted(moved)
    studio.page.locator("#painter canvas").first.focus()
    studio.page.keyboard.press("Control+z")
    undone = studio.repainted(painted)
    assert undone == moved
    studio.shot("painted-1440")


def test_cancel_keeps_the_last_picture(studio):
    stored = studio.shown()
    studio.page.locator("#more button").first.click()
    studio.page.locator("#knob-live input").uncheck()
    studio.size("1024 px")
    studio.wait("Settings changed")
    studio.page.locator("#render").click()
    studio.page.locator("#compare .cv-cancel").click()
    studio.wait("Cancelled after")
    studio.until_shown(stored)


OPAQUE = """() => [...document.querySelectorAll("#painter .sp-picture")].map((canvas) => {
  const pixels = canvas.getContext("2d").getImageData(0, canvas.height / 2, canvas.width, 1).data;
  return canvas.width > 0 && pixels.some((value, at) => at % 4 === 3 && value === 255);
})"""


def test_both_pictures_stay_when_the_window_or_one_of_them_changes(studio, shared):
    page = studio.page
    assert page.evaluate(OPAQUE) == [True, True]
    page.set_viewport_size({"width": 1200, "height": 800})
    page.wait_for_timeout(500)
    assert page.evaluate(OPAQUE) == [True, True]
    tall = shared / "data" / "sem_pairs" / "15" / "15.jpg"  # of another shape, so both panes change their height
    page.locator("#painter input[type=file][aria-label^='Choose']").first.set_input_files(str(tall))
    page.wait_for_function("!document.querySelector('#painter [aria-busy=true]')", timeout=SLOW)
    page.wait_for_timeout(1000)
    assert page.evaluate(OPAQUE) == [True, True]


def test_a_second_picture_dropped_while_the_first_renders_is_painted_too(studio, shared):
    page, before = studio.page, studio.shown()
    choose = page.locator("#painter input[type=file][aria-label^='Choose']")
    for k, name in enumerate(("39.jpg", "39_paint.jpg")):
        with page.expect_response(lambda r: "/upload" in r.url and r.ok, timeout=SLOW):
            choose.nth(k).set_input_files(str(shared / "data" / "sem_pairs" / "39" / name))
        page.wait_for_timeout(700)
    painted = studio.repainted(before)
    page.locator("#render").click()  # asked for outright, the same is painted
    page.wait_for_timeout(500)
    studio.wait("Done in", "Up to date")
    studio.until_shown(painted)


def test_a_picture_that_is_refused_leaves_the_line_below_the_result_as_it_was(studio, tmp_path):
    page, said = studio.page, studio.status()
    Image.new("RGB", (1, 1)).save(tmp_path / "tiny.png")
    page.locator("#painter input[type=file]").first.set_input_files(str(tmp_path / "tiny.png"))
    page.locator("#painter [role=alert]").filter(has_text="picture").first.wait_for()
    page.wait_for_timeout(1500)
    assert studio.status() == said


def test_a_broken_upload_says_so_and_loses_nothing(studio, tmp_path):
    stored = studio.shown()
    regions = studio.page.locator("#painter").inner_text()
    broken = tmp_path / "photo.png"
    broken.write_bytes(b"this is no picture")
    studio.page.locator("#painter input[type=file]").first.set_input_files(str(broken))
    alert = studio.page.locator("#painter [role=alert]").filter(has_text="picture")
    alert.first.wait_for()
    assert "can't read" in alert.first.inner_text() or "isn't a picture" in alert.first.inner_text()
    assert studio.shown() == stored
    assert "Greenery" in regions and "Greenery" in studio.page.locator("#painter").inner_text()
    studio.shot("refused-1440")


def test_a_download_brings_its_settings_back(studio, tmp_path):
    stored = studio.shown()
    studio.nudge("alpha2", "ArrowLeft", 4)
    shown = studio.repainted(stored)
    with studio.page.expect_download() as caught:
        studio.page.locator("#download").click()
    path = tmp_path / "ours.png"
    caught.value.save_as(path)
    assert Image.open(path).convert("RGB").tobytes() == shown
    value = studio.page.locator("#knob-alpha2 input[type=number]")
    chosen = value.input_value()
    studio.page.locator("#knob-alpha2").get_by_role("button").first.click()
    until(lambda: value.input_value() != chosen, lambda: f"α₂ stayed at {chosen}")
    assert float(value.input_value()) == pytest.approx(float(chosen) + 0.2)
    studio.repainted(shown)
    studio.page.locator("#painter input[type=file]").first.set_input_files(str(path))
    until(lambda: float(value.input_value()) == pytest.approx(float(chosen)), lambda: f"α₂ stayed at {value.input_value()}")


def test_another_example_restores_everything_without_rendering(studio):
    first = studio.shown()
    studio.page.locator("#gallery button").nth(1).click()
    until(lambda: studio.shown() != first, studio.status)
    studio.wait("Stored result")  # picture, words and legend arrive one after another
    studio.page.locator("#painter").get_by_text("Hair").first.wait_for(timeout=SLOW)
    assert studio.page.locator("#gallery button[aria-pressed=true]").evaluate_all("all => all.map((b) => b.dataset.name)") == [
        studio.page.locator("#gallery button").nth(1).get_attribute("data-name")
    ]


def test_a_card_pressed_from_within_a_field_shows_its_own_result(studio):
    """Leaving the field tells a change of what the example replaces."""
    page, first = studio.page, studio.shown()
    page.locator("#gallery button").nth(1).click()
    until(lambda: studio.shown() != first, studio.status)
    wanted = studio.shown()
    page.locator("#gallery button").first.click()
    studio.until_shown(first)
    field = page.locator("#knob-alpha1 input[type=number]")
    for typed in (None, "1.3"):
        field.click()
        if typed:
            field.fill(typed)
        page.locator("#gallery button").nth(1).click()
        studio.until_shown(wanted)
        page.wait_for_timeout(2500)
        studio.until_shown(wanted)
        page.locator("#gallery button").first.click()
        studio.until_shown(first)


def test_a_number_beyond_its_end_and_an_empty_field_are_no_fault(studio):
    page, first = studio.page, studio.shown()
    field = page.locator("#knob-alpha1 input[type=number]")
    field.fill("99")
    field.press("Enter")
    until(lambda: studio.shown() != first, studio.status)
    field.fill("")
    field.press("Enter")
    page.wait_for_timeout(1000)  # the fixture looks for what Gradio would say in a corner


def test_menus_close_when_left_by_tab_and_open_again_after_escape(studio):
    page, lists = studio.page, studio.page.locator("[role=listbox]:visible")
    page.locator("#knob-alpha2 input[type=range]").focus()
    focused, passed = "document.activeElement.role", []
    while "combobox" not in passed or passed[-1] == "combobox":  # through a menu or two, and out of them
        page.keyboard.press("Tab")
        page.wait_for_timeout(300)
        passed.append(page.evaluate(focused))
        assert len(passed) < 20, passed
    until(lambda: lists.count() == 0, lambda: f"a list stayed open after {passed}", 10)
    menu = page.locator("#knob-method input")
    menu.click()
    lists.first.wait_for()
    page.keyboard.press("Escape")
    lists.first.wait_for(state="hidden")
    menu.click()
    lists.first.wait_for()
    lists.first.get_by_text("Baseline").click()
    page.wait_for_function("document.querySelector('#knob-method input').value === 'Baseline'")


def test_models_of_other_methods_come_and_go_without_a_fault(studio):
    """MAST and STROTSS have methods of their own; the latter waits for Render, whatever was being painted before."""
    page, first = studio.page, studio.shown()

    def choose(model):
        page.locator("#knob-model input").click()
        page.get_by_role("option", name=model).first.click()

    choose("MAST")
    studio.wait("Painting", "Encoding", "Matching", "Done in")
    choose("STROTSS")
    studio.wait("Press Render")
    page.wait_for_timeout(1500)
    assert "Press Render" in studio.status()  # and not what the one before was about to do
    assert page.locator("#knob-method input").input_value() == "With regions"
    for language, methods in (("中文", ["使用区域", "基线"]), ("EN", ["With regions", "Baseline"])):
        page.get_by_role("button", name=language, exact=True).click()
        page.wait_for_function("name => document.querySelector('#knob-method input').value === name", arg=methods[0])
        page.locator("#knob-method input").click()
        assert [text.split("\n")[-1] for text in page.locator("#knob-method [role=option]").all_inner_texts()] == methods  # the chosen one is ticked
        page.keyboard.press("Escape")
    choose("Lite")
    studio.wait("Up to date")
    studio.until_shown(first)
    assert page.locator("#knob-method input").input_value() == "SCSA"


@pytest.mark.parametrize("heard", ["status.paint", None])
def test_a_page_that_misses_an_answer_asks_for_it(browser, app_url, heard):
    """Gradio's stream may close upon an event that has just begun, and what that one says is lost, or all of it."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    page.set_default_timeout(SLOW)
    page.add_init_script(DEAF)
    studio = Studio(page, app_url)
    before = studio.shown()
    page.evaluate("heard => heard ? window.scsaDeafAfter = heard : window.scsaDeaf = true", heard)
    page.locator("#knob-alpha1 input[type=number]").fill("0.85")
    page.keyboard.press("Enter")
    studio.repainted(before)
    assert page.evaluate("window.scsaMissed") > 0
    assert not studio.problems and studio.toasts() == []
    context.close()


def test_two_uploads_and_auto_make_a_first_picture(studio, shared):
    """Three actions, no brush."""
    page, pair = studio.page, shared / "data" / "sem_pairs" / "39"
    before = studio.shown()
    choose = page.locator("#painter input[type=file][aria-label^='Choose']")
    for k, name in enumerate(("39.jpg", "39_paint.jpg")):
        with page.expect_response(lambda r: "/upload" in r.url and r.ok, timeout=SLOW):
            choose.nth(k).set_input_files(str(pair / name))
        page.wait_for_function("!document.querySelector('#painter [aria-busy=true]')", timeout=SLOW)
    page.wait_for_timeout(500)  # a person's hand is slower than the page's own bookkeeping
    assert page.locator("#gallery button[aria-pressed=true]").count() == 0  # no example is on the desk any more
    names = page.locator("#painter .sp-chip .sp-name")
    assert names.all_inner_texts() == ["Rest", "Region 1", "Region 2"]
    page.locator("#auto-find").click()
    chips = page.locator("#painter").get_by_text("Region 4")
    chips.first.wait_for(timeout=SLOW)
    studio.repainted(before)
    chips = [chip.inner_text().split() for chip in page.locator("#painter .sp-chip-main").all()]
    assert all(key == number for key, _, number, *_ in chips[1:] if number.isdigit()), chips  # numbered by their area, as the keys are
    studio.shot("auto")
    assert not studio.problems

    settled = studio.shown()
    studio.stroke()  # a map changed by hand is never replaced without a question
    studio.repainted(settled)
    page.locator("#auto-find").click()
    page.locator("#auto-ask").wait_for(state="visible", timeout=SLOW)
    page.locator("#auto-keep").click()
    page.locator("#auto-ask").wait_for(state="hidden", timeout=SLOW)


def test_the_language_switch_reaches_the_page(studio):
    studio.page.get_by_role("button", name="中文").click()
    studio.page.get_by_role("button", name="渲染").first.wait_for()
    studio.page.wait_for_function("document.documentElement.lang.startsWith('zh')")
    assert "其余" in studio.page.locator("#painter .sp-chip").first.inner_text()
    studio.page.locator("#painter").get_by_text("草木").first.wait_for()
    studio.shot("chinese-1440")


def test_nothing_overflows_on_a_phone(browser, app_url):
    page = browser.new_page(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    studio = Studio(page, app_url)
    assert page.evaluate("document.documentElement.scrollWidth") <= 391
    assert page.locator("#render").is_visible() or page.locator("#compare .cv-render").is_visible()
    studio.shot("open-390", full_page=True)
    page.close()
