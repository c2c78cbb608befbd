"""The real page as a person sees it and acts on it, for the browser tests."""

from __future__ import annotations

import io
import os
import time
from collections.abc import Callable
from pathlib import Path

from PIL import Image

SLOW = 180_000  # ms: a render on two busy cores
SHOTS = os.environ.get("SCSA_SCREENSHOTS")
TOASTS = """() => {
  window.scsaToasts = [];
  const look = () => document.querySelectorAll(".toast-body").forEach((node) => {
    if (!window.scsaToasts.includes(node.innerText)) window.scsaToasts.push(node.innerText);
  });
  new MutationObserver(look).observe(document, { childList: true, subtree: true });
}"""
DESCRIBES = """() => [...document.querySelector("#compare .cv-result img.cv-image").alt.matchAll(/α([₁₂]) ([\\d.]+)/g)].every(([, n, value]) => {
  const field = document.querySelector(`#knob-alpha${"₀₁₂".indexOf(n)} input[type=number]`);
  return !field?.checkVisibility() || Number(field.value) === Number(value);
})"""


def fetched(page, source: str) -> bytes:
    """A file of the page. Once more where an idle connection was closed just as it was used again."""
    from playwright.sync_api import Error

    try:
        return page.request.get(source).body()
    except Error as error:
        if "ECONNRESET" not in str(error):
            raise
        return page.request.get(source).body()


def until(true: Callable[[], object], what: Callable[[], str], seconds: float = SLOW / 1000) -> None:
    """Until something is so; what: says how it stands where it never gets so."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, what()
        time.sleep(0.1)


class Studio:
    """What a person sees and does on the page."""

    def __init__(self, page, url) -> None:
        self.page, self.problems = page, []
        page.on("pageerror", lambda e: self.problems.append(str(e)))
        page.add_init_script(f"({TOASTS})()")
        page.goto(url)
        page.locator("#compare .cv-result img.cv-image[src]").wait_for(state="attached", timeout=SLOW)
        page.locator("#painter canvas").first.wait_for(timeout=SLOW)
        page.locator("#painter").get_by_text("Greenery").first.wait_for(timeout=SLOW)

    def toasts(self) -> list[str]:
        """What Gradio said in a corner: the page has words of its own for whatever goes wrong."""
        return self.page.evaluate("window.scsaToasts")

    def status(self) -> str:
        return self.page.locator("#compare [role=status]").first.inner_text()

    def wait(self, *words: str, timeout: float = SLOW / 1000) -> str:
        """Until the status line has one of the words."""
        seen: list[str] = []

        def found() -> bool:
            seen.append(self.status())
            return any(w in seen[-1] for w in words)

        until(found, lambda: f"the status stayed at {seen[-1]!r}, not {words}", timeout)
        return seen[-1]

    def shown(self) -> bytes:
        """The bytes of the result picture on the page, decoded to pixels."""
        source = self.page.locator("#compare .cv-result img.cv-image").get_attribute("src")
        body = fetched(self.page, source)
        return Image.open(io.BytesIO(body)).convert("RGB").tobytes()

    def until_shown(self, wanted: bytes) -> None:
        """Until that picture is on the page: the line below it changes before a picture is decoded."""
        until(lambda: self.shown() == wanted, lambda: f"another picture is shown; status {self.status()!r}")

    def describes(self) -> bool:
        """Whether the picture's words name the strengths of the sliders: on the sliders' way, a live render's do not."""
        return self.page.evaluate(DESCRIBES)

    def repainted(self, before: bytes, baseline: bool = True) -> bytes:
        """The full result that replaces `before`, once nothing moves any more: a live slider shows its way too.

        baseline: also that beside it is painted.
        """
        end, since, last, pressed = time.monotonic() + SLOW / 1000, 0.0, before, -SLOW
        while time.monotonic() < end:
            status = self.status()
            # A slow machine stops at the preview, and a person does what it says, but not again and again: that would begin anew.
            if "Press Render" in status and time.monotonic() - pressed > SLOW / 3000:
                self.page.locator("#render").click()
                pressed = time.monotonic()
            settled = "Done in" in status and not (baseline and "baseline" in status) and self.describes()
            now = self.shown() if settled else before
            if now != last or not settled:
                last, since = now, time.monotonic()
            if now != before and settled and time.monotonic() - since > 2:
                return now
            time.sleep(0.2)
        raise AssertionError(f"the picture did not change; status {self.status()!r}")

    def size(self, label: str) -> None:
        self.page.locator("#knob-size input").click()
        self.page.get_by_role("option", name=label).first.click()
        self.page.wait_for_function("label => document.querySelector('#knob-size input').value.includes(label)", arg=label, timeout=SLOW)

    def nudge(self, name: str, key: str, times: int = 1) -> None:
        slider = self.page.locator(f"#knob-{name} input[type=range]")
        slider.focus()
        for _ in range(times):
            self.page.keyboard.press(key)

    def stroke(self) -> None:
        box = self.page.locator("#painter canvas").first.bounding_box()
        self.page.mouse.move(box["x"] + box["width"] * 0.2, box["y"] + box["height"] * 0.5)
        self.page.mouse.down()
        self.page.mouse.move(box["x"] + box["width"] * 0.8, box["y"] + box["height"] * 0.55, steps=8)
        self.page.mouse.up()

    def shot(self, name: str, **options) -> None:
        if SHOTS:
            Path(SHOTS).mkdir(parents=True, exist_ok=True)
            self.page.screenshot(path=Path(SHOTS) / f"{name}.png", **options)
