"""The stream that answers come on ends late: no question is left without an answer, and no answer without effect."""

from __future__ import annotations

from tests.browser.studio_page import SLOW, Studio

LATE = """() => {
  const plain = window.fetch;
  window.fetch = async (...request) => {
    const answer = await plain(...request);
    if (!String(request[0]?.url ?? request[0]).includes("queue/data")) return answer;
    const late = new TransformStream({ async transform(chunk, controller) {
      if (new TextDecoder().decode(chunk).includes("close_stream")) await new Promise((done) => setTimeout(done, 400));
      controller.enqueue(chunk);
    } });
    return new Response(answer.body.pipeThrough(late), { status: answer.status, headers: answer.headers });
  };
}"""
UNDO = """title => document.querySelector('.sp-toolbar [aria-keyshortcuts="Control+Z"]').title === title"""


def test_what_is_asked_just_as_the_stream_ends_is_answered(browser, app_url):
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    page.set_default_timeout(SLOW)
    page.add_init_script(f"({LATE})()")
    studio = Studio(page, app_url)
    page.locator("#more button").first.click()
    page.locator("#knob-live input").uncheck()
    page.locator("#auto-find").click()
    page.wait_for_function(UNDO, arg="Undo Auto (Ctrl+Z)", timeout=SLOW)
    for number in ("5", "6", "5", "6"):
        page.get_by_role("button", name="Add region").click()
        page.locator("#painter canvas.sp-map").first.focus()
        studio.stroke()
        page.locator("#auto-number label").filter(has_text=number).first.click()
        page.locator("#auto-fill").click()
        page.wait_for_function(UNDO, arg="Undo Auto (Ctrl+Z)", timeout=30_000)
        page.locator("#auto-ask").wait_for(state="hidden", timeout=30_000)
    assert not studio.problems and studio.toasts() == []
    context.close()
