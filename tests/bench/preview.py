"""The first preview: from a person's act to the first new picture on the page, by the browser's own clock.

    python -m tests.bench.preview --rounds 5

The app and the browser share the machine, the page is at its defaults (lite, 512 px, live).
Acts: a knob (a key on α₁), a stroke with the brush, a new content picture of 900×675.
"""

from __future__ import annotations

import argparse
import io
import statistics
import tempfile
from pathlib import Path
from typing import Any

from scsa_core.commands.bench_render import picture
from tests.browser.conftest import ARGS, Server, chromium_path
from tests.browser.studio_page import SLOW, Studio

WATCH = """() => {
  window.acted = 0; window.shown = 0;
  const note = () => { window.acted = performance.now(); };
  for (const kind of ["keydown", "pointerup", "change"]) document.addEventListener(kind, note, true);
  const image = document.querySelector("#compare .cv-result img.cv-image");
  new MutationObserver(() => {
    if (!window.shown) image.decode().then(() => { if (!window.shown) window.shown = performance.now(); }, () => {});
  }).observe(image, { attributes: true, attributeFilter: ["src"] });
}"""


def until_quiet(studio: Studio) -> None:
    """The full picture is there and its baseline too, and stays; a render that is only offered is asked for."""
    image, before, same = studio.page.locator("#compare .cv-result img.cv-image"), None, 0
    for _ in range(int(SLOW / 500)):
        status = studio.status()
        seen = status, image.get_attribute("src")
        same = same + 1 if seen == before else 0
        before = seen
        if "Press Render" in status:
            studio.page.locator("#render").click()
        elif "Done in" in status and "baseline" not in status and same >= 3:
            return
        studio.page.wait_for_timeout(500)
    studio.shot("bench-preview")
    raise RuntimeError(f"it did not end: {studio.status()!r}")


def seconds(studio: Studio, act: Any) -> float:
    """From the act's last event to the decoded picture."""
    studio.page.evaluate("() => { document.querySelector('#painter canvas').scrollIntoView({ block: 'center' }); window.shown = 0; }")
    studio.page.wait_for_timeout(300)
    act()
    try:
        studio.page.wait_for_function("window.shown > 0", timeout=30_000)
    except Exception:
        studio.shot("bench-preview")
        raise
    found = studio.page.evaluate("(window.shown - window.acted) / 1000")
    until_quiet(studio)
    return float(found)


def stroke(studio: Studio, k: int) -> None:
    """From left to right, each lower than the last."""
    box = studio.page.locator("#painter canvas").first.bounding_box()
    height = box["y"] + box["height"] * (0.1 + 0.8 * (k % 8) / 8)
    studio.page.mouse.move(box["x"] + box["width"] * 0.2, height)
    studio.page.mouse.down()
    studio.page.mouse.move(box["x"] + box["width"] * 0.8, height, steps=8)
    studio.page.mouse.up()


def upload(studio: Studio, seed: int) -> None:
    file = io.BytesIO()
    picture(900, seed).crop((0, 0, 900, 675)).save(file, "JPEG", quality=92)
    choose = studio.page.locator("#painter input[type=file][aria-label^='Choose']").first
    choose.set_input_files({"name": f"{seed}.jpg", "mimeType": "image/jpeg", "buffer": file.getvalue()})


def main() -> None:
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(prog="python -m tests.bench.preview", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    found: dict[str, list[float]] = {"a knob": [], "a stroke": [], "a new picture": []}
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as play:
        server = Server(Path(folder), SCSA_RATE="0")
        server.start()
        browser = play.chromium.launch(executable_path=chromium_path(), args=ARGS)
        try:
            page = browser.new_page(viewport={"width": 1440, "height": 900})
            page.set_default_timeout(SLOW)
            studio = Studio(page, server.url)
            page.evaluate(WATCH)
            page.locator("#render").click()  # the model is loaded and its libraries have set themselves up
            page.wait_for_timeout(2000)
            studio.nudge("alpha1", "ArrowRight")
            until_quiet(studio)
            for k in range(rounds):
                found["a knob"].append(seconds(studio, lambda: studio.nudge("alpha1", "ArrowRight")))
                found["a stroke"].append(seconds(studio, lambda k=k: stroke(studio, k)))
                found["a new picture"].append(seconds(studio, lambda k=k: upload(studio, k)))
                print({name: round(values[-1], 2) for name, values in found.items()}, flush=True)
        finally:
            browser.close()
            server.stop()
    print(f"lite, 512 px, first preview, seconds; median of {rounds} (lowest to highest)")
    for name, values in found.items():
        print(f"{name:14s} {statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})")


if __name__ == "__main__":
    main()
