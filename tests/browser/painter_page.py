"""A page with nothing but the painter, and what a person does on it: for the painter's browser tests.

Screenshots are kept where SCSA_SCREENSHOTS names a folder.
"""

from __future__ import annotations

import os
import queue
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
if os.environ.get("SCSA_REQUIRE_BROWSER") != "1":
    pytest.importorskip("gradio")
    pytest.importorskip("playwright.sync_api")

import gradio as gr
from playwright.sync_api import Page, expect

from demo.exchange import import_maps
from demo.painter import Painter, decode_map, from_label_maps
from scsa_core.labels import LabelMap
from tests.browser.studio_page import SLOW

expect.set_options(timeout=60_000)  # a busy machine

STILL = """async () => {
  const places = () => [...document.querySelectorAll(".sp-map, .sp-chip")].map((node) => Object.values(node.getBoundingClientRect().toJSON())).join();
  for (let same = 0, last = ""; same < 5; last = places()) {
    await new Promise(requestAnimationFrame);
    same = places() === last ? same + 1 : 0;
  }
}"""

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True, "device_scale_factor": 2}


class Host:
    """A page with nothing but the painter, and what it told Python."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.events: queue.Queue[tuple[str, dict, dict]] = queue.Queue()
        self.answer: dict[str, Any] | None = None  # what the next "picture" event is answered with
        self.imports = False  # whether map files are read as the app reads them
        self.gate = threading.Event()  # set: an import is answered at once
        self.pushed: Callable[[dict], Any] = lambda value: gr.skip()  # what the button sends
        self.content, self.style = self._pictures()
        with gr.Blocks() as self.demo:
            self.painter = Painter(elem_id="painter")
            push = gr.Button("push", elem_id="push")
            for event in ("edited", "picture", "import", "invalid", "render_now", "cancel_now", "suggest", "select"):
                listen = getattr(self.painter, event)
                listen(
                    self._taker(event), self.painter, self.painter, show_progress="hidden", trigger_mode="multiple",
                    api_name=event,
                )  # fmt: skip
            push.click(lambda value: self.pushed(value), self.painter, self.painter, show_progress="hidden")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.demo.launch(
            server_name="127.0.0.1", server_port=port, prevent_thread_lock=True, quiet=True, run_history=False,
            footer_links=[], allowed_paths=[str(folder)], max_file_size="5mb",
        )  # fmt: skip
        self.url = f"http://127.0.0.1:{port}/"

    def _taker(self, name: str) -> Callable[..., Any]:
        def take(value: dict, event: gr.EventData) -> Any:
            self.events.put((name, value, dict(event._data or {})))
            if name == "import":
                self.gate.wait(30)
            if name in ("picture", "import") and self.answer is not None:
                answer, self.answer = self.answer, None
                return gr.update(value=answer)
            if name == "import" and self.imports:
                files = [(file["path"], file["orig_name"]) for file in value["incoming"]["files"]]
                return gr.update(value=import_maps(value, value["incoming"]["side"], files))
            return gr.skip()

        return take

    def _pictures(self) -> tuple[Path, Path]:
        """Two pictures with flat areas and a border in known places: 400 x 300 and 300 x 400."""
        made = []
        for name, size in (("content", (400, 300)), ("style", (300, 400))):
            picture = Image.new("RGB", size, "#88aadd")
            draw = ImageDraw.Draw(picture)
            draw.rectangle([0, size[1] // 2, size[0], size[1]], fill="#335522")
            draw.ellipse([size[0] // 4, size[1] // 8, size[0] // 4 + 60, size[1] // 8 + 60], fill="#ffdd33")
            made.append(self.folder / f"{name}.png")
            picture.save(made[-1])
        return made[0], made[1]

    def next(self, name: str = "edited", seconds: float = 60) -> tuple[dict, dict]:
        """The value and data of the next event, which must be `name`."""
        event, value, data = self.events.get(timeout=seconds)
        assert event == name, (event, data)
        return value, data

    def quiet(self) -> None:
        """Nothing was sent."""
        with pytest.raises(queue.Empty):
            self.events.get(timeout=0.7)


class Desk:
    """One open page."""

    def __init__(self, page: Page, host: Host) -> None:
        self.page, self.host = page, host
        self.problems: list[str] = []
        self._session: Any = None
        self.clock = time.time()
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("console", lambda m: self.problems.append(m.text) if m.type == "error" and "rror" in m.text and "Failed to load resource" not in m.text else None)  # fmt: skip
        while not host.events.empty():
            host.events.get_nowait()
        host.answer = None
        host.imports = False
        host.gate.set()
        page.goto(host.url)
        page.wait_for_selector(".sp-root .sp-toolbar", timeout=SLOW)
        page.wait_for_selector("#push", timeout=SLOW)

    def cdp(self) -> Any:
        """The browser's own protocol: touch and pen as the hardware would send them."""
        if self._session is None:
            self._session = self.page.context.new_cdp_session(self.page)
        return self._session

    def pane(self, side: str) -> Any:
        return self.page.locator(f'.sp-pane[data-side="{side}"]')

    def canvas(self, side: str = "content") -> Any:
        return self.pane(side).locator(".sp-map")

    def push(self, make: Callable[[dict], Any]) -> None:
        self.host.pushed = make
        self.page.evaluate("document.querySelector('#push').click()")

    def load(self, content: LabelMap | None = None, style: LabelMap | None = None, wait: str = "content") -> None:
        """Both pictures, as an example would come from Python."""
        self.push(lambda _: gr.update(value=from_label_maps(self.host.content, self.host.style, content, style)))
        self.page.wait_for_selector(f'.sp-pane.sp-filled[data-side="{wait}"]', state="attached")
        self.still()

    def still(self) -> None:
        """Until what was drawn last is on the screen and nothing moves any more."""
        self.page.evaluate(STILL)

    def at(self, u: float, v: float, side: str = "content") -> tuple[float, float]:
        """Page coordinates of a place of the picture, as fractions of its width and height (at 1x)."""
        box = self.canvas(side).bounding_box()
        w, h = (400, 300) if side == "content" else (300, 400)
        scale = min(box["width"] / w, box["height"] / h)
        return (
            box["x"] + box["width"] / 2 + (u - 0.5) * w * scale,
            box["y"] + box["height"] / 2 + (v - 0.5) * h * scale,
        )

    def drag(self, points: list[tuple[float, float]], side: str = "content") -> None:
        mouse = self.page.mouse
        mouse.move(*self.at(*points[0], side))
        mouse.down()
        for point in points[1:]:
            mouse.move(*self.at(*point, side), steps=6)
        mouse.up()

    def click(self, u: float, v: float, side: str = "content") -> None:
        self.page.mouse.click(*self.at(u, v, side))

    def tool(self, name: str) -> None:
        self.page.locator(f'[data-tool="{name}"]').click()

    def shot(self, name: str) -> None:
        if os.environ.get("SCSA_SCREENSHOTS"):
            self.page.mouse.move(2, 2)
            self.peek(name)

    def peek(self, name: str) -> None:
        """A screenshot that leaves the pointer where it is."""
        folder = os.environ.get("SCSA_SCREENSHOTS")
        if folder:
            Path(folder).mkdir(parents=True, exist_ok=True)
            self.page.wait_for_timeout(300)
            self.page.screenshot(path=f"{folder}/painter_{name}.png")


def ids(value: dict, side: str = "content") -> np.ndarray:
    return decode_map(value[side])


def name_of(value: dict, side: str = "content") -> str:
    """File name of a picture."""
    return Path(value[side]["picture"]["path"]).name


def undo_button(desk: Desk) -> Any:
    return desk.page.locator('.sp-toolbar [aria-keyshortcuts="Control+Z"]')
