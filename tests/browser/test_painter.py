"""The painter in a real browser: every tool by mouse, keys and touch, pictures in and out, undo over everything.

Screenshots are kept where SCSA_SCREENSHOTS names a folder.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import queue
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
REQUIRED = os.environ.get("SCSA_REQUIRE_BROWSER") == "1"
CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
if not Path(CHROMIUM).exists():
    if REQUIRED:
        raise RuntimeError("SCSA_REQUIRE_BROWSER is set and there is no chromium")
    pytest.skip("no chromium on this machine", allow_module_level=True)
if not REQUIRED:
    pytest.importorskip("gradio")
    pytest.importorskip("playwright.sync_api")

import gradio as gr
import httpx
from playwright.sync_api import Page, expect

from demo.exchange import import_maps
from demo.painter import TEXT_KEYS, Painter, decode_map, empty_value, from_label_maps, to_label_maps
from scsa_core.labels import LabelMap, Region

PHOTOS = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "examples"


class Host:
    """A page with nothing but the painter, and what it told Python."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.events: queue.Queue[tuple[str, dict, dict]] = queue.Queue()
        self.answer: dict[str, Any] | None = None  # what the next "picture" event is answered with
        self.imports = False  # whether map files are read as the app reads them
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

    def next(self, name: str = "edited", seconds: float = 15) -> tuple[dict, dict]:
        """The value and data of the next event, which must be `name`."""
        event, value, data = self.events.get(timeout=seconds)
        assert event == name, (event, data)
        return value, data

    def quiet(self) -> None:
        """Nothing was sent."""
        with pytest.raises(queue.Empty):
            self.events.get(timeout=0.7)


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    made = Host(tmp_path_factory.mktemp("painter"))
    yield made
    made.demo.close()


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
        page.goto(host.url)
        page.wait_for_selector(".sp-root .sp-toolbar", timeout=30000)
        page.wait_for_selector("#push", timeout=30000)

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
        self.page.wait_for_selector(f'.sp-pane.sp-filled[data-side="{wait}"]', state="attached", timeout=15000)
        self.page.wait_for_timeout(250)

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


@pytest.fixture
def desk(browser: Any, host: Host, request: pytest.FixtureRequest) -> Iterator[Desk]:
    options = getattr(request, "param", {"viewport": {"width": 1440, "height": 900}})
    context = browser.new_context(**options)
    context.set_default_timeout(10000)
    made = Desk(context.new_page(), host)
    yield made
    context.close()
    assert made.problems == []


def ids(value: dict, side: str = "content") -> np.ndarray:
    return decode_map(value[side])


def name_of(value: dict) -> str:
    """File name of the content picture."""
    return Path(value["content"]["picture"]["path"]).name


# ---------------------------------------------------------------- painting


def test_brush_paints_where_the_pointer_went(desk: Desk) -> None:
    desk.load()
    desk.drag([(0.2, 0.5), (0.8, 0.5)])
    value, data = desk.host.next()
    assert data == {"by": "brush"} and value["by"] == "brush" and value["v"] > 0
    painted = ids(value)
    assert painted.shape == (300, 400)
    rows, columns = np.nonzero(painted == 1)
    assert abs(rows.mean() - 150) < 3 and abs(columns.min() - (80 - 24)) < 4 and abs(columns.max() - (320 + 24)) < 4
    assert painted[150, 90:310].all() and abs(np.ptp(rows) - 48) < 4
    assert not ids(value, "style").any()
    maps = to_label_maps(value)
    assert maps[0] is not None and maps[1] is not None and maps[0].size == (400, 300)


def test_a_stroke_that_leaves_the_canvas_goes_on(desk: Desk) -> None:
    desk.load()
    box = desk.canvas().bounding_box()
    desk.page.mouse.move(*desk.at(0.5, 0.5))
    desk.page.mouse.down()
    desk.page.mouse.move(box["x"] - 80, box["y"] + 100, steps=4)
    desk.page.mouse.move(*desk.at(0.5, 0.9), steps=4)
    desk.page.mouse.up()
    painted = ids(desk.host.next()[0])
    assert painted[150, 200] and painted[260, 200]
    desk.host.quiet()


def test_eraser_regions_and_sizes(desk: Desk) -> None:
    desk.load()
    page = desk.page
    page.locator('.sp-chip[data-region="2"] .sp-chip-main').click()
    desk.drag([(0.3, 0.3), (0.7, 0.3)])
    assert (ids(desk.host.next()[0]) == 2).any()
    desk.canvas().focus()
    page.keyboard.press("e")
    for _ in range(30):
        page.keyboard.press("[")
    desk.drag([(0.5, 0.3), (0.5, 0.31)])
    value, _ = desk.host.next()
    assert value["by"] == "eraser"
    hole = ids(value)[90, 150:250] == 0
    assert 0 < hole.sum() < 8
    for _ in range(80):
        page.keyboard.press("]")
    number = page.locator(".sp-for-size .sp-number")
    expect(number).to_have_value("200")
    page.keyboard.press("b")
    expect(number).to_have_value("48")  # the eraser has a size of its own
    number.fill("999")
    number.press("Enter")
    expect(number).to_have_value("200")
    number.fill("1")
    number.press("Enter")
    desk.click(0.5, 0.3)
    assert (ids(desk.host.next()[0]) == 2).sum() - (ids(value) == 2).sum() in (0, 1)


def test_fill_takes_the_connected_area_and_stops_at_edges(desk: Desk) -> None:
    desk.load()
    page = desk.page
    desk.tool("fill")
    page.locator(".sp-check input").first.check()
    desk.click(0.9, 0.2)
    value, _ = desk.host.next()
    painted = ids(value)
    assert value["by"] == "fill"
    assert painted[10, 10] == 1 and not painted[152:].any() and not painted[60, 130]
    assert abs((painted == 1).mean() - (0.5 - np.pi * 900 / 120000)) < 0.01
    page.locator(".sp-check input").first.uncheck()
    page.keyboard.press("2")
    desk.click(0.5, 0.8)
    assert set(np.unique(ids(desk.host.next()[0]))) == {0, 1, 2}  # the disc is enclosed and stays Rest


def test_lasso_freehand_and_polygon(desk: Desk) -> None:
    desk.load()
    page = desk.page
    desk.tool("lasso")
    desk.drag([(0.1, 0.1), (0.4, 0.1), (0.4, 0.5), (0.1, 0.5)])
    value, data = desk.host.next()
    assert data["by"] == "lasso" and abs((ids(value) == 1).mean() - 0.12) < 0.01
    page.keyboard.press("2")
    for point in ((0.6, 0.6), (0.9, 0.6), (0.9, 0.9)):
        desk.click(*point)
    assert page.locator('[data-side="content"] .sp-outline-light').get_attribute("points").count(",") >= 3
    page.keyboard.press("Enter")
    assert abs((ids(desk.host.next()[0]) == 2).mean() - 0.045) < 0.005
    desk.click(0.2, 0.2)
    desk.click(0.3, 0.2)
    page.keyboard.press("Escape")
    desk.host.quiet()


def test_pick_by_tool_and_by_alt(desk: Desk) -> None:
    regions = (Region(0, "Rest", "#cccccc"), Region(1, "sky", "#33ccff"), Region(2, "sea", "#663399"))
    content = np.ones((300, 400), np.uint8)
    content[150:] = 2
    desk.load(LabelMap.from_ids(content, regions), LabelMap.from_ids(content, regions))
    page = desk.page
    page.keyboard.down("Alt")
    desk.click(0.5, 0.9)
    page.keyboard.up("Alt")
    expect(page.locator('.sp-chip[data-region="2"] .sp-chip-main')).to_have_attribute("aria-pressed", "true")
    desk.tool("pick")
    desk.click(0.5, 0.1)
    expect(page.locator('.sp-chip[data-region="1"] .sp-chip-main')).to_have_attribute("aria-pressed", "true")
    expect(page.locator('[data-tool="brush"]')).to_have_attribute("aria-pressed", "true")
    desk.host.quiet()


def test_undo_spans_both_pictures_and_the_legend(desk: Desk) -> None:
    desk.load()
    page = desk.page
    desk.drag([(0.2, 0.5), (0.8, 0.5)])
    first, _ = desk.host.next()
    desk.drag([(0.2, 0.5), (0.8, 0.5)], "style")
    desk.host.next()
    page.locator("text=Add region").click()
    value, _ = desk.host.next()
    assert [region["name"] for region in value["regions"]] == ["Rest", "Region 1", "Region 2", "Region 3"]
    undo = page.locator('.sp-toolbar [aria-keyshortcuts="Control+Z"]')
    assert undo.get_attribute("title") == "Undo Add region (Ctrl+Z)"
    undo.click()
    assert len(desk.host.next()[0]["regions"]) == 3
    undo.click()
    value, data = desk.host.next()
    assert data == {"by": "undo"} and not ids(value, "style").any() and np.array_equal(ids(value), ids(first))
    desk.canvas().focus()
    page.keyboard.press("Control+z")
    assert not ids(desk.host.next()[0]).any()
    assert "Load example" in undo.get_attribute("title")
    page.keyboard.press("Control+Shift+Z")
    value, data = desk.host.next()
    assert data == {"by": "redo"} and np.array_equal(ids(value), ids(first))
    page.keyboard.press("Control+z")
    desk.host.next()
    page.keyboard.press("Control+z")
    value, _ = desk.host.next()
    assert value["content"]["picture"] is None
    expect(desk.pane("content").locator(".sp-zone")).to_be_visible()
    page.locator('.sp-toolbar [aria-keyshortcuts="Control+Shift+Z"]').click()
    assert name_of(desk.host.next()[0]) == "content.png"


def test_a_hundred_steps_come_back(desk: Desk) -> None:
    desk.load()
    page = desk.page
    # Pointer events made in the page: a hundred clicks through the browser's front door take most of a minute.
    page.evaluate("""(places) => {
        const canvas = document.querySelector('[data-side="content"] .sp-map');
        for (const [clientX, clientY] of places) for (const kind of ["pointerdown", "pointerup"]) {
            canvas.dispatchEvent(new PointerEvent(kind, { clientX, clientY, pointerId: 7, pointerType: "mouse", bubbles: true, cancelable: true }));
        }
    }""", [desk.at(0.05 + 0.9 * (i % 21) / 20, 0.1 + 0.8 * (i // 21) / 4) for i in range(105)])  # fmt: skip
    first = desk.host.next()[0]
    while (ids(first) == 1).mean() < 0.5:
        first = desk.host.next()[0]
    page.evaluate("""() => {
        const canvas = document.querySelector('[data-side="content"] .sp-map');
        for (let i = 0; i < 105; i++) canvas.dispatchEvent(new KeyboardEvent("keydown", { key: "z", ctrlKey: true, bubbles: true, cancelable: true }));
    }""")
    last = desk.host.next()[0]
    with contextlib.suppress(queue.Empty):
        while ids(last).any() or last["content"]["picture"] is None:
            last = desk.host.events.get(timeout=20)[1]
    assert not ids(last).any() and last["content"]["picture"] is not None


def test_clearing(desk: Desk) -> None:
    desk.load(LabelMap.from_ids(np.ones((300, 400), np.uint8)), LabelMap.from_ids(np.full((400, 300), 2, np.uint8)))
    page = desk.page
    page.locator('.sp-chip[data-region="1"] .sp-chip-main').click()
    page.locator(".sp-bar >> text=Clear").click()
    value, _ = desk.host.next()
    assert not ids(value).any() and ids(value, "style").all()
    page.locator("text=Clear all").click()
    value, data = desk.host.next()
    assert data["by"] == "clear" and not ids(value, "style").any()
    assert to_label_maps(value) == (None, None)
    page.locator("text=Clear all").click()
    desk.host.quiet()


def undo_button(desk: Desk) -> Any:
    return desk.page.locator('.sp-toolbar [aria-keyshortcuts="Control+Z"]')


def test_polygon_closes_at_its_start_or_by_double_click(desk: Desk) -> None:
    desk.load()
    page = desk.page
    desk.tool("lasso")
    corners = [(0.6, 0.6), (0.9, 0.6), (0.9, 0.9)]
    for point in corners:
        desk.click(*point)
    start = desk.pane("content").locator(".sp-outline-start")
    expect(start).to_be_visible()
    page.mouse.move(*desk.at(0.605, 0.605))
    expect(start).to_have_class("sp-outline-start sp-near")
    desk.peek("lasso_polygon")
    desk.click(0.6, 0.6)
    value, data = desk.host.next()
    assert data["by"] == "lasso" and abs((ids(value) == 1).mean() - 0.045) < 0.005
    page.keyboard.press("2")
    for point in [(0.1, 0.1), (0.4, 0.1), (0.2, 0.2), (0.4, 0.4)]:
        desk.click(*point)
    page.keyboard.press("Backspace")
    page.keyboard.press("Control+z")  # while a polygon is open, undo takes corners back, not steps
    page.mouse.dblclick(*desk.at(0.1, 0.4))
    value, _ = desk.host.next()
    assert abs((ids(value) == 2).mean() - 0.045) < 0.005 and abs((ids(value) == 1).mean() - 0.045) < 0.005
    desk.host.quiet()


def test_fill_reaches_as_far_as_it_is_dragged(desk: Desk) -> None:
    desk.load()
    page = desk.page
    desk.tool("fill")
    page.locator(".sp-check input").first.check()
    tolerance = page.locator('.sp-slider:has-text("Tolerance") .sp-number')
    expect(tolerance).to_have_value("30")
    x, y = desk.at(0.1, 0.2)
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 150, y, steps=5)
    tag = desk.pane("content").locator(".sp-tag")
    expect(tag).to_have_text("Tolerance 80")
    desk.peek("fill_drag")
    page.mouse.move(x + 60, y, steps=5)
    expect(tag).to_have_text("Tolerance 50")
    page.keyboard.press("Escape")
    page.mouse.up()
    expect(tag).to_be_hidden()
    desk.host.quiet()  # dropped
    expect(tolerance).to_have_value("50")
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x - 60, y, steps=5)
    page.mouse.up()
    value, data = desk.host.next()
    assert data["by"] == "fill" and not ids(value)[152:].any() and ids(value)[10, 10] == 1
    # The last fill follows the slider, and stays one step.
    tolerance.fill("100")
    tolerance.press("Enter")
    value, _ = desk.host.next()
    assert (ids(value) == 1).all()
    slider = page.locator('.sp-slider:has-text("Tolerance") .sp-range')
    slider.fill("20")
    value, _ = desk.host.next()
    assert not ids(value)[152:].any() and ids(value)[10, 10] == 1
    undo_button(desk).click()
    value, _ = desk.host.next()
    assert not ids(value).any()
    assert "Load example" in undo_button(desk).get_attribute("title")
    slider.fill("60")
    desk.host.quiet()  # nothing is there to follow any more


def test_shapes_of_a_region_change_in_one_picture(desk: Desk) -> None:
    content = np.zeros((300, 400), np.uint8)
    content[100:200, 40:160] = 1
    content[130:160, 80:120] = 0  # a hole
    content[100:200, 240:300] = 1  # another part
    content[100:200, 330:360] = 2
    style = np.ones((400, 300), np.uint8)
    desk.load(LabelMap.from_ids(content), LabelMap.from_ids(style))
    page = desk.page
    page.locator('.sp-chip[data-region="1"] .sp-chip-main').click()
    undo, opener = undo_button(desk), page.locator(".sp-bar .sp-menu > .sp-button")

    def choose(action: str) -> np.ndarray:
        if page.locator(".sp-bar .sp-menu-list").is_hidden():
            opener.click()
        page.locator(f'.sp-bar [data-action="{action}"]').click()
        value, data = desk.host.next()
        assert data == {"by": action} and (ids(value, "style") == 1).all()
        return ids(value)

    opener.click()
    expect(page.locator(".sp-menu-note").first).to_have_text("Region 1, in: Content")
    desk.peek("shape_menu")
    grown = choose("grow")
    assert (grown == 1).sum() > (content == 1).sum() and grown[99, 100] == 1 and grown[100, 161] == 0
    expect(undo).to_have_attribute("title", "Undo Grow (Ctrl+Z)")
    shrunk = choose("shrink")  # the menu is still open
    assert ((shrunk == 1) != (content == 1)).sum() == 4  # all but the corners of the hole
    page.keyboard.press("Escape")
    desk.canvas().focus()
    page.keyboard.press(",")
    assert ids(desk.host.next()[0])[100, 100] == 0
    page.keyboard.press(".")
    desk.host.next()
    filled = choose("holes")
    assert filled[145, 100] == 1 and filled[145, 200] == 0
    smooth = choose("smooth")
    assert 0 < (smooth != filled).sum() < 60  # corners
    split = choose("split")
    assert (split[100:200, 40:160] == 1).mean() > 0.99 and split[150, 270] == 3 and split[150, 345] == 2
    expect(undo).to_have_attribute("title", "Undo Split (Ctrl+Z)")
    expect(page.locator('.sp-chip[data-region="3"] .sp-name')).to_have_text("Region 1 2")
    expect(page.locator('.sp-chip[data-region="3"] .sp-warning')).to_be_hidden()  # linked as the whole was
    desk.shot("split")
    undo.click()
    value, _ = desk.host.next()
    assert value["links"] == {} and len(value["regions"]) == 3
    # A region that only the other picture has is changed there.
    page.locator('.sp-chip[data-region="2"] .sp-chip-main').click()
    desk.pane("style").locator(".sp-map").focus()
    page.keyboard.press(",")
    value, _ = desk.host.next()
    assert (ids(value) == 2).sum() < (content == 2).sum()


def test_merging_by_dragging_a_chip(desk: Desk) -> None:
    content = np.ones((300, 400), np.uint8)
    content[:, 200:] = 2
    content[:, 300:] = 3
    desk.load(LabelMap.from_ids(content), LabelMap.from_ids(content.T.copy()))
    page = desk.page

    def middle(region: int) -> tuple[float, float]:
        box = page.locator(f'.sp-chip[data-region="{region}"] .sp-chip-main').bounding_box()
        return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    page.mouse.move(*middle(3))
    page.mouse.down()
    page.mouse.move(*middle(2), steps=8)
    expect(page.locator('.sp-chip[data-region="2"]')).to_have_class("sp-chip sp-target")
    desk.peek("merge_drag")
    page.keyboard.press("Escape")
    page.mouse.up()
    desk.host.quiet()
    desk.page.locator(".sp-live").evaluate("node => node.textContent")
    page.mouse.move(*middle(3))
    page.mouse.down()
    page.mouse.move(*middle(2), steps=8)
    page.mouse.up()
    value, data = desk.host.next()
    assert data == {"by": "merge"} and (ids(value)[:, 200:] == 2).all() and not (ids(value, "style") == 3).any()
    expect(undo_button(desk)).to_have_attribute("title", "Undo Merge (Ctrl+Z)")
    expect(page.locator(".sp-ghost")).to_have_count(0)
    undo_button(desk).click()
    assert (ids(desk.host.next()[0])[:, 300:] == 3).all()
    # By keys: M goes to the list of regions to merge into.
    page.locator('.sp-chip[data-region="3"] .sp-chip-main').click()
    desk.canvas().focus()
    page.keyboard.press("m")
    expect(page.locator(".sp-bar select")).to_be_focused()
    page.locator(".sp-bar select").select_option("1")
    value, data = desk.host.next()
    assert data == {"by": "merge"} and (ids(value)[:, 300:] == 1).all()


def test_swapping_both_pictures_with_their_maps(desk: Desk) -> None:
    content = np.ones((300, 400), np.uint8)
    content[:, 200:] = 2
    maps = LabelMap.from_ids(content), LabelMap.from_ids(np.ones((400, 300), np.uint8))
    desk.push(lambda _: gr.update(value=from_label_maps(desk.host.content, desk.host.style, *maps, links={2: [1]})))
    desk.page.wait_for_selector(".sp-pane.sp-filled", state="attached")
    desk.page.wait_for_timeout(250)
    desk.canvas().focus()
    desk.page.keyboard.press("x")
    value, data = desk.host.next()
    assert data == {"by": "swap"} and ids(value).shape == (400, 300) and np.array_equal(ids(value, "style"), content)
    assert name_of(value) == "style.png" and value["links"] == {"1": [2]}
    undo_button(desk).click()
    value, _ = desk.host.next()
    assert np.array_equal(ids(value), content) and name_of(value) == "content.png" and value["links"] == {"2": [1]}


def test_chips_stand_by_area_and_keys_follow(desk: Desk) -> None:
    content = np.full((300, 400), 3, np.uint8)
    content[:90] = 1
    desk.load(LabelMap.from_ids(content), LabelMap.from_ids(np.full((400, 300), 2, np.uint8)))
    page = desk.page
    order = page.locator(".sp-chip").evaluate_all("nodes => nodes.map((node) => Number(node.dataset.region))")
    assert order == [0, 2, 3, 1]
    desk.canvas().focus()
    page.keyboard.press("3")
    expect(page.locator('.sp-chip[data-region="1"] .sp-chip-main')).to_have_attribute("aria-pressed", "true")
    desk.drag([(0.1, 0.6), (0.9, 0.9)])  # painting does not move the keys
    desk.host.next()
    assert page.locator(".sp-chip").evaluate_all("nodes => nodes.map((node) => Number(node.dataset.region))") == order
    expect(page.locator(".sp-note")).to_have_text("⚠ Only in the content: uses the whole style picture")


# ---------------------------------------------------------------- legend


def test_legend_names_shares_and_warnings(desk: Desk) -> None:
    content = np.ones((300, 400), np.uint8)
    content[:, 300:] = 2
    desk.load(LabelMap.from_ids(content), LabelMap.from_ids(np.ones((400, 300), np.uint8)))
    page = desk.page
    chips = page.locator(".sp-chip")
    expect(chips).to_have_count(3)
    expect(chips.nth(1).locator(".sp-share")).to_have_text("75 | 100 %")
    expect(chips.nth(2).locator(".sp-share")).to_have_text("25 | 0 %")
    expect(chips.nth(1).locator(".sp-warning")).to_be_hidden()
    expect(chips.nth(2).locator(".sp-warning")).to_have_attribute("title", TEXT_KEYS["only_content"])
    hostile = "${document.title='owned'} {{x}} <img src=x onerror=alert(1)>"
    chips.nth(2).locator(".sp-chip-main").dblclick()
    page.keyboard.type(hostile)
    page.keyboard.press("Enter")
    value, data = desk.host.next()
    assert data == {"by": "rename"} and value["regions"][2]["name"] == hostile[:40]
    expect(chips.nth(2).locator(".sp-name")).to_have_text(hostile[:40])
    assert page.title() != "owned" and page.locator(".sp-root img").count() == 0
    page.keyboard.press("F2")
    page.keyboard.type("nothing")
    page.keyboard.press("Escape")
    desk.host.quiet()
    page.locator(".sp-bar select").select_option("1")
    value, data = desk.host.next()
    assert data == {"by": "merge"} and (ids(value) == 1).all() and len(value["regions"]) == 2
    page.locator(".sp-bar >> text=Delete").click()
    value, _ = desk.host.next()
    assert not ids(value).any() and not ids(value, "style").any() and len(value["regions"]) == 1


def test_hover_and_solo_light_a_region_in_both_pictures(desk: Desk) -> None:
    halves = np.ones((300, 400), np.uint8)
    halves[150:] = 2
    desk.load(LabelMap.from_ids(halves), LabelMap.from_ids(halves.T.copy()))
    page = desk.page

    def strength(side: str, u: float, v: float) -> int:
        """How far the shown pixels differ from the picture without its map."""
        x, y = desk.at(u, v, side)
        clip = {"x": x - 12, "y": y - 12, "width": 24, "height": 24}
        page.wait_for_timeout(120)
        shown = np.asarray(Image.open(io.BytesIO(page.screenshot(clip=clip))).convert("RGB")).astype(int)
        plain = np.array([0x88, 0xAA, 0xDD] if v < 0.5 else [0x33, 0x55, 0x22])
        return int(np.abs(shown - plain).mean())

    before = strength("content", 0.8, 0.2), strength("content", 0.8, 0.8)
    page.locator('.sp-chip[data-region="1"]').hover()
    after = strength("content", 0.8, 0.2), strength("content", 0.8, 0.8)
    assert after[0] >= before[0] and after[1] < before[1] * 0.6
    assert strength("style", 0.8, 0.2) < before[0]
    page.mouse.move(2, 2)
    page.locator('.sp-chip[data-region="1"] .sp-eye').click()
    page.mouse.move(2, 2)
    assert strength("content", 0.8, 0.8) < before[1] * 0.6
    desk.canvas().focus()
    page.keyboard.down("h")
    assert strength("content", 0.8, 0.2) < 4
    page.keyboard.up("h")
    assert strength("content", 0.8, 0.2) > 10
    desk.host.quiet()


# ---------------------------------------------------------------- keyboard


def test_painting_with_keys_alone(desk: Desk) -> None:
    desk.load()
    page = desk.page
    canvas = desk.canvas()
    page.locator('[data-tool="brush"]').focus()
    for _ in range(40):
        page.keyboard.press("Shift+Tab")
        if canvas.evaluate("node => node === document.activeElement"):
            break
    expect(canvas).to_be_focused()
    page.keyboard.press("2")
    page.keyboard.press("Shift+ArrowLeft")
    page.keyboard.press("ArrowUp")
    page.keyboard.down(" ")
    for _ in range(5):
        page.keyboard.press("Shift+ArrowRight")
    page.keyboard.up(" ")
    value, data = desk.host.next()
    assert data == {"by": "brush"}
    rows, columns = np.nonzero(ids(value) == 2)
    assert abs(rows.mean() - 149) < 1 and abs(columns.min() - 166) < 2 and abs(columns.max() - 264) < 2
    expect(page.locator(".sp-live")).to_contain_text("Region 2", timeout=3000)
    for _ in range(6):
        page.keyboard.press("Shift+ArrowDown")
    page.keyboard.press("1")
    page.keyboard.press("f")
    value, data = desk.host.next()
    assert data == {"by": "fill"} and set(np.unique(ids(value))) == {1, 2}
    page.keyboard.press("Control+=")
    page.keyboard.press("Control+=")
    page.keyboard.press("Control+ArrowRight")
    page.keyboard.press("Control+0")
    page.keyboard.press("r")
    desk.host.next("render_now")
    page.keyboard.press("Escape")
    desk.host.next("cancel_now")
    desk.shot("keyboard")


def test_tab_is_never_trapped_and_focus_is_seen(desk: Desk) -> None:
    desk.load()
    page = desk.page
    page.locator('[data-tool="fill"]').click()
    page.locator(".sp-check input").first.check()
    page.evaluate("() => { document.body.tabIndex = -1; document.body.focus(); }")
    seen, rings = [], []
    for _ in range(80):
        page.keyboard.press("Tab")
        name, ring = page.evaluate("""() => {
            const node = document.activeElement;
            const style = getComputedStyle(node);
            return [node.id || node.getAttribute("aria-label") || node.title || node.textContent, `${style.outlineStyle} ${style.outlineWidth}`];
        }""")
        seen.append(name)
        if name == "push":
            break
        rings.append(ring)
    assert seen[-1] == "push" and len(seen) > 30
    assert all(ring.startswith(("solid 2px", "auto")) for ring in rings[1:]), rings
    page.keyboard.press("Shift+Tab")
    assert page.evaluate("document.querySelector('.sp-root').contains(document.activeElement)")


def test_keys_do_nothing_in_a_text_field_or_elsewhere(desk: Desk) -> None:
    desk.load()
    page = desk.page
    page.locator("#push").focus()
    page.keyboard.press("e")
    expect(page.locator('[data-tool="brush"]')).to_have_attribute("aria-pressed", "true")
    desk.canvas().focus()
    page.keyboard.press("F2")
    page.keyboard.type("befe 20")
    page.keyboard.press("Enter")
    value, _ = desk.host.next()
    assert value["regions"][1]["name"] == "befe 20"
    expect(page.locator('[data-tool="brush"]')).to_have_attribute("aria-pressed", "true")


# ---------------------------------------------------------------- zoom


def test_zoom_and_pan_by_mouse(desk: Desk) -> None:
    desk.load()
    page = desk.page
    x, y = desk.at(0.25, 0.25)
    page.mouse.move(x, y)
    for _ in range(10):
        page.mouse.wheel(0, -240)
    page.wait_for_timeout(200)
    page.mouse.click(x, y)
    rows, columns = np.nonzero(ids(desk.host.next()[0]))
    assert abs(rows.mean() - 75) < 2 and abs(columns.mean() - 100) < 2  # the place under the pointer stayed
    assert rows.size == pytest.approx(np.pi * 24**2, rel=0.05)  # the size is in the map's pixels at any zoom
    desk.shot("zoomed")
    page.mouse.move(x, y)
    page.keyboard.down(" ")
    page.mouse.down()
    page.mouse.move(x + 120, y, steps=4)
    page.mouse.up()
    page.keyboard.up(" ")
    desk.host.quiet()
    page.keyboard.press("Control+0")
    page.keyboard.press("Control+z")
    desk.host.next()
    desk.click(0.5, 0.5)
    rows, columns = np.nonzero(ids(desk.host.next()[0]))
    assert abs(rows.mean() - 150) < 2 and abs(columns.mean() - 200) < 2


# ---------------------------------------------------------------- pictures and maps


def test_upload_by_file_drop_and_paste(desk: Desk) -> None:
    page = desk.page
    desk.shot("empty")
    with page.expect_file_chooser() as chooser:
        desk.pane("content").locator(".sp-zone .sp-primary").click()
    chooser.value.set_files(desk.host.content)
    value, data = desk.host.next("picture")
    assert data == {"side": "content"} and value["by"] == "picture"
    assert Path(value["content"]["picture"]["path"]).read_bytes() == desk.host.content.read_bytes()
    assert (value["content"]["w"], value["content"]["h"]) == (400, 300) and not ids(value).any()
    give = """([bytes, kind]) => {
        const data = new DataTransfer();
        data.items.add(new File([Uint8Array.from(bytes)], "dropped.png", { type: "image/png" }));
        const target = document.querySelector('[data-side="style"] .sp-zone');
        if (kind === "drop") target.dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true }));
        else document.dispatchEvent(new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true }));
    }"""
    page.mouse.move(2, 2)
    page.evaluate("document.activeElement.blur()")
    page.evaluate(give, [list(desk.host.style.read_bytes()), "paste"])  # nothing is focused: the empty pane takes it
    value, data = desk.host.next("picture")
    assert data == {"side": "style"} and (value["style"]["w"], value["style"]["h"]) == (300, 400)
    page.evaluate(give, [list(desk.host.content.read_bytes()), "drop"])
    value, data = desk.host.next("picture")
    assert data == {"side": "style"} and (value["style"]["w"], value["style"]["h"]) == (400, 300)
    assert value["content"]["picture"] is not None


def test_a_new_picture_of_the_same_shape_asks_about_the_map(desk: Desk) -> None:
    desk.load()
    page = desk.page
    desk.drag([(0.2, 0.5), (0.8, 0.5)])
    desk.host.next()
    larger = desk.host.folder / "larger.png"
    Image.new("RGB", (800, 600), "#444444").save(larger)
    desk.pane("content").locator("input[type=file]").first.set_input_files(larger)
    value, _ = desk.host.next("picture")
    assert ids(value).shape == (600, 800) and ids(value)[300, 400] == 1
    ask = desk.pane("content").locator(".sp-ask")
    expect(ask).to_contain_text("Keep the painted map?")
    desk.shot("ask")
    ask.locator("text=Start clean").click()
    value, data = desk.host.next()
    assert data == {"by": "clear"} and not ids(value).any()
    desk.canvas().focus()
    page.keyboard.press("Control+z")
    assert ids(desk.host.next()[0])[300, 400] == 1
    page.keyboard.press("Control+z")
    value, _ = desk.host.next()
    assert ids(value).shape == (300, 400) and name_of(value) == "content.png"
    # Another shape starts clean, and undo brings picture and map back.
    desk.pane("content").locator("input[type=file]").first.set_input_files(desk.host.style)
    value, _ = desk.host.next("picture")
    assert ids(value).shape == (400, 300) and not ids(value).any()
    page.keyboard.press("Control+z")
    assert ids(desk.host.next()[0])[150, 200] == 1


def test_refused_files_keep_what_was_there(desk: Desk) -> None:
    desk.load()
    desk.drag([(0.2, 0.5), (0.8, 0.5)])
    painted = ids(desk.host.next()[0])
    files = desk.pane("content").locator("input[type=file]").first
    alert = desk.pane("content").locator(".sp-alert")
    svg = desk.host.folder / "drawing.svg"
    svg.write_text("<svg xmlns='http://www.w3.org/2000/svg' width='10' height='10'/>")
    files.set_input_files(svg)
    value, data = desk.host.next("invalid")
    assert data == {"side": "content", "reason": "svg"} and np.array_equal(ids(value), painted)
    expect(alert).to_contain_text("SVG")
    text = desk.host.folder / "letter.txt"
    text.write_text("hello")
    files.set_input_files(text)
    assert desk.host.next("invalid")[1]["reason"] == "type"
    # Too large for the server: the picture that was shown already goes back.
    noise = desk.host.folder / "noise.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (1400, 1400, 3), np.uint8).astype(np.uint8)).save(noise)
    files.set_input_files(noise)
    value, data = desk.host.next("invalid", 30)
    assert data["reason"] == "upload" and np.array_equal(ids(value), painted)
    assert name_of(value) == "content.png"
    # Refused by Python after a look at its content.
    refusal = from_label_maps(None, desk.host.style, by="picture")
    refusal["error"] = {"content": "This picture is damaged. Choose another."}
    desk.host.answer = refusal
    files.set_input_files(desk.host.style)
    desk.host.next("picture")
    expect(alert).to_contain_text("damaged")
    expect(alert).to_have_attribute("role", "alert")
    desk.shot("refused")
    desk.drag([(0.2, 0.8), (0.8, 0.8)])
    value, _ = desk.host.next()
    assert name_of(value) == "content.png" and ids(value)[150, 200] == 1
    alert.locator("text=Dismiss").click()
    expect(alert).to_be_hidden()


def test_a_picture_only_python_can_read(desk: Desk) -> None:
    desk.load()
    tiff = desk.host.folder / "scan.tif"
    Image.new("RGB", (320, 200), "#aa3311").save(tiff)
    converted = desk.host.folder / "scan.png"
    Image.open(tiff).save(converted)
    desk.host.answer = from_label_maps(converted, desk.host.style, by="picture")
    desk.pane("content").locator("input[type=file]").first.set_input_files(tiff)
    value, _ = desk.host.next("picture")
    assert value["content"]["picture"]["orig_name"] == "scan.tif" and value["content"]["map"] is None
    expect(desk.pane("content").locator(".sp-busy")).to_be_hidden()
    desk.page.wait_for_timeout(500)
    desk.drag([(0.5, 0.4), (0.5, 0.6)])
    value, _ = desk.host.next()
    assert ids(value).shape == (200, 320) and value["content"]["picture"]["path"].endswith("scan.png")


def test_maps_are_saved_and_loaded(desk: Desk) -> None:
    desk.load()
    page = desk.page
    desk.drag([(0.2, 0.5), (0.8, 0.5)])
    painted = ids(desk.host.next()[0])
    menu = desk.pane("content").locator(".sp-menu > .sp-button")
    found = {}
    for action in ("save_index", "save_colour"):
        menu.click()
        with page.expect_download() as saved:
            page.locator(f'.sp-pane[data-side="content"] [data-action="{action}"]').click()
        found[action] = desk.host.folder / saved.value.suggested_filename
        saved.value.save_as(found[action])
    assert np.array_equal(np.asarray(Image.open(found["save_index"])), painted)
    colours = np.asarray(Image.open(found["save_colour"]))
    assert tuple(colours[150, 200]) == (0xFF, 0x66, 0xCC) and tuple(colours[0, 0]) == (0xCC, 0xCC, 0xCC)
    answer = from_label_maps(
        desk.host.content, desk.host.style, LabelMap.from_ids(np.where(painted > 0, 2, 1).astype(np.uint8)), by="import"
    )
    desk.host.answer = answer
    desk.pane("content").locator("input[type=file]").nth(2).set_input_files([found["save_index"]])
    value, data = desk.host.next("import")
    assert data == {"side": "content"}
    file = value["incoming"]["files"][0]
    assert value["incoming"]["side"] == "content" and file["orig_name"] == "content_labels.png"
    assert Path(file["path"]).read_bytes() == found["save_index"].read_bytes()
    expect(page.locator('.sp-toolbar [aria-keyshortcuts="Control+Z"]')).to_have_attribute("title", "Undo Map import (Ctrl+Z)")
    page.locator('.sp-chip[data-region="2"] .sp-chip-main').click()
    desk.click(0.05, 0.95)
    value, _ = desk.host.next()
    assert ids(value)[150, 200] == 2 and value["incoming"] is None


def test_pictures_and_their_maps_are_dropped_together(desk: Desk) -> None:
    page, host = desk.page, desk.host
    host.imports = True
    files = {"3.png": host.content, "3_paint.png": host.style}
    for name, size, stripes in (("3_sem.png", (400, 300), "red lime blue"), ("3_paint_sem.png", (300, 400), "blue lime white")):
        picture = Image.new("RGB", size)
        for k, colour in enumerate(stripes.split()):
            picture.paste(colour, (0, size[1] * k // 3, size[0], size[1]))
        files[name] = host.folder / name
        picture.save(files[name])
    page.evaluate("""(files) => {
        const data = new DataTransfer();
        for (const [name, bytes] of files) data.items.add(new File([Uint8Array.from(bytes)], name, { type: "image/png" }));
        const target = document.querySelector('[data-side="style"] .sp-zone');
        target.dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true }));
    }""", [[name, list(path.read_bytes())] for name, path in files.items()])  # fmt: skip
    notice = page.locator(".sp-notice")
    expect(notice).to_contain_text("Map loaded: 4 regions, 2 shared.", timeout=20000)
    desk.shot("import_notice")
    expect(page.locator(".sp-chip")).to_have_count(5)
    expect(undo_button(desk)).to_have_attribute("title", "Undo Map import (Ctrl+Z)")
    while not host.events.empty():
        host.events.get_nowait()
    notice.locator("[data-action=import_undo]").click()
    value, data = host.next()
    assert data == {"by": "undo"} and not ids(value).any() and ids(value).shape == (300, 400) and ids(value, "style").shape == (400, 300)
    expect(notice).to_be_hidden()
    page.locator('.sp-toolbar [aria-keyshortcuts="Control+Shift+Z"]').click()
    value, _ = host.next()
    content, style = ids(value), ids(value, "style")
    assert content[150, 200] == style[200, 150] and content[290, 200] == style[10, 150]
    assert len({content[10, 10], content[150, 10], content[290, 10], style[390, 10]}) == 4
    assert {"#ff0000", "#00ff00", "#0000ff", "#ffffff"} <= {region["colour"] for region in value["regions"]}


def test_names_colours_and_links_are_saved_and_come_back(desk: Desk) -> None:
    page, host = desk.page, desk.host
    host.imports = True
    regions = (Region(0, "Rest", "#cccccc"), Region(1, "höhe 天", "#123456"), Region(2, "sea", "#00ff00"))
    content = np.ones((300, 400), np.uint8)
    content[150:] = 2
    maps = LabelMap.from_ids(content, regions), LabelMap.from_ids(content.T.copy(), regions)
    desk.push(lambda _: gr.update(value=from_label_maps(host.content, host.style, *maps, links={1: [2]})))
    page.wait_for_selector(".sp-pane.sp-filled", state="attached")
    page.wait_for_timeout(250)
    saved = {}
    for action in ("save_index", "save_legend", "save_overlay"):
        desk.pane("content").locator(".sp-menu > .sp-button").click()
        with page.expect_download() as download:
            page.locator(f'.sp-pane[data-side="content"] [data-action="{action}"]').click()
        saved[action] = host.folder / download.value.suggested_filename
        download.value.save_as(saved[action])
    legend = json.loads(saved["save_legend"].read_text(encoding="utf-8"))
    assert legend["links"] == {"1": [2]} and legend["regions"][1] == {"id": 1, "name": "höhe 天", "colour": "#123456"}
    overlay = np.asarray(Image.open(saved["save_overlay"]).convert("RGB")).astype(int)
    assert overlay.shape == (300, 400, 3)
    expected = (np.array([0x88, 0xAA, 0xDD]) * 0.45 + np.array([0x12, 0x34, 0x56]) * 0.55, np.array([0x33, 0x55, 0x22]) * 0.45 + np.array([0, 255, 0]) * 0.55)
    for rows, colour in ((slice(5, 30), expected[0]), (slice(250, 290), expected[1])):
        assert np.abs(np.median(overlay[rows, :80].reshape(-1, 3), axis=0) - colour).max() < 6
    desk.load()  # without maps or names
    desk.pane("content").locator("input[type=file]").nth(2).set_input_files([saved["save_index"]])
    expect(page.locator('.sp-chip[data-region="1"] .sp-name')).to_have_text("höhe 天", timeout=15000)
    expect(page.locator(".sp-notice")).to_contain_text("2 regions, 0 shared. Nothing is shared yet")
    while not host.events.empty():
        host.events.get_nowait()
    desk.drag([(0.1, 0.1), (0.2, 0.1)], "style")
    value, _ = host.next()
    assert np.array_equal(ids(value), content) and value["links"] == {"1": [2]}
    expect(page.locator(".sp-notice")).to_be_hidden()


def test_paths_that_were_not_uploaded_are_refused(desk: Desk) -> None:
    value = empty_value()
    value["content"]["picture"] = {"path": "/etc/hostname", "meta": {"_type": "gradio.FileData"}}
    for changed in (value, {**value, "content": {**value["content"], "picture": {"path": "/etc/hostname"}}}):
        job = httpx.post(f"{desk.host.url}gradio_api/call/edited", json={"data": [changed]}).json()["event_id"]
        reply = httpx.get(f"{desk.host.url}gradio_api/call/edited/{job}", timeout=20).text
        assert "event: error" in reply and desk.host.events.empty()
    honest = httpx.post(f"{desk.host.url}gradio_api/call/edited", json={"data": [empty_value()]}).json()["event_id"]
    assert "event: complete" in httpx.get(f"{desk.host.url}gradio_api/call/edited/{honest}", timeout=20).text


# ---------------------------------------------------------------- exchange with Python


def test_states_from_python_are_undoable_and_stale_ones_are_offered(desk: Desk) -> None:
    desk.load()
    page = desk.page
    ones = LabelMap.from_ids(np.ones((300, 400), np.uint8))

    def auto(value: dict, v: int) -> Any:
        paths = [value[side]["picture"]["path"] for side in ("content", "style")]
        return gr.update(value=from_label_maps(*paths, ones, None, by="auto", v=v))

    desk.push(lambda value: auto(value, value["v"]))
    undo = page.locator('.sp-toolbar [aria-keyshortcuts="Control+Z"]')
    expect(undo).to_have_attribute("title", "Undo Auto (Ctrl+Z)")
    undo.click()
    value, _ = desk.host.next()
    assert not ids(value).any()
    desk.drag([(0.2, 0.5), (0.8, 0.5)])
    newest, _ = desk.host.next()
    desk.push(lambda value: auto(value, newest["v"] - 1))
    offer = page.locator(".sp-offer")
    expect(offer).to_be_visible()
    desk.shot("offer")
    offer.locator("[data-action=dismiss]").click()
    desk.click(0.5, 0.9)
    value, _ = desk.host.next()
    assert ids(value)[0, 0] == 0 and ids(value)[150, 200] == 1
    desk.push(lambda value: auto(value, 0))
    offer.locator("[data-action=apply]").click()
    value, data = desk.host.next()
    assert data == {"by": "auto"} and ids(value).all() and value["v"] > newest["v"]


def test_words_come_from_python(desk: Desk) -> None:
    desk.load()
    desk.push(lambda _: gr.update(texts={**TEXT_KEYS, "content": "内容", "brush": "画笔"}))
    expect(desk.pane("content").locator(".sp-title")).to_have_text("内容")
    expect(desk.page.locator('[data-tool="brush"] .sp-word')).to_have_text("画笔")
    assert not [word for word in desk.page.locator(".sp-root").inner_text().split() if "_" in word]


# ---------------------------------------------------------------- narrow, touch, dark


PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True, "device_scale_factor": 2}


def touches(desk: Desk, steps: list[tuple[str, list[tuple[float, float]]]]) -> None:
    """Raw touch events: [("touchStart" | "touchMove" | "touchEnd", points)]."""
    for kind, points in steps:
        desk.cdp().send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y, "id": i} for i, (x, y) in enumerate(points)]})  # fmt: skip


@pytest.mark.parametrize("desk", [PHONE], indirect=True)
def test_touch_on_a_phone(desk: Desk) -> None:
    page = desk.page
    desk.shot("390_empty")
    desk.load()
    a, b = desk.at(0.2, 0.5), desk.at(0.8, 0.5)
    touches(desk, [("touchStart", [a]), ("touchMove", [desk.at(0.5, 0.5)]), ("touchMove", [b]), ("touchEnd", [])])
    value, data = desk.host.next()
    assert data == {"by": "brush"} and ids(value)[150, 100:300].all()
    # Two fingers at once zoom and never paint.
    touches(desk, [
        ("touchStart", [desk.at(0.45, 0.2)]), ("touchStart", [desk.at(0.45, 0.2), desk.at(0.55, 0.2)]),
        ("touchMove", [desk.at(0.3, 0.2), desk.at(0.7, 0.2)]), ("touchMove", [desk.at(0.2, 0.2), desk.at(0.8, 0.2)]), ("touchEnd", []),
    ])  # fmt: skip
    desk.host.quiet()
    desk.shot("390_zoomed")
    x, y = desk.at(0.5, 0.5)
    touches(desk, [("touchStart", [(x, y)]), ("touchEnd", [])])
    rows, _ = np.nonzero(ids(desk.host.next()[0]) != ids(value))
    assert rows.size and rows.mean() < 130  # zoomed towards the top: the middle of the stage is higher in the picture
    # One pane at a time.
    expect(desk.pane("style")).to_be_hidden()
    page.locator(".sp-switch-button", has_text="Style").tap()
    expect(desk.pane("style")).to_be_visible()
    expect(desk.pane("content")).to_be_hidden()
    desk.page.wait_for_timeout(200)
    touches(desk, [("touchStart", [desk.at(0.5, 0.5, "style")]), ("touchEnd", [])])
    assert ids(desk.host.next()[0], "style")[200, 150] == 1
    small = page.evaluate("""() => [...document.querySelectorAll('.sp-root button, .sp-root select')].filter((n) => n.offsetParent)
        .map((n) => [n.textContent || n.title, n.getBoundingClientRect()]).filter(([, r]) => r.width < 44 || r.height < 43.5).map(([t]) => t)""")
    assert small == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    desk.shot("390_style")


def touch(desk: Desk, kind: str, points: list[tuple[float, float]], at: float) -> None:
    """One raw touch event, `at` seconds on a clock of its own, so that a busy machine does not change what it means."""
    desk.cdp().send("Input.dispatchTouchEvent", {
        "type": kind, "timestamp": desk.clock + at, "touchPoints": [{"x": x, "y": y, "id": i} for i, (x, y) in enumerate(points)],
    })  # fmt: skip


@pytest.mark.parametrize("desk", [PHONE], indirect=True)
def test_a_second_finger_takes_back_a_stroke_that_has_just_begun(desk: Desk) -> None:
    desk.load()
    a, b, c = desk.at(0.3, 0.4), desk.at(0.32, 0.4), desk.at(0.6, 0.4)
    for late, paints in ((0.1, False), (0.4, True)):
        at = 10 * late
        touch(desk, "touchStart", [a], at)
        touch(desk, "touchMove", [b], at + 0.02)
        touch(desk, "touchStart", [b, c], at + late)
        touch(desk, "touchMove", [a, desk.at(0.62, 0.4)], at + late + 0.05)
        touch(desk, "touchEnd", [], at + late + 0.1)
        if paints:
            assert (ids(desk.host.next()[0]) == 1).sum() > 1000
        else:
            desk.host.quiet()


@pytest.mark.parametrize("desk", [PHONE], indirect=True)
def test_two_taps_show_the_whole_picture_and_paint_nothing(desk: Desk) -> None:
    desk.load()
    page = desk.page
    x, y = desk.at(0.5, 0.5)
    for _ in range(3):
        desk.pane("content").locator('.sp-zoom [aria-keyshortcuts="Ctrl++"]').tap()
    for at in (1.0, 1.2):
        touch(desk, "touchStart", [(x, y)], at)
        touch(desk, "touchEnd", [], at + 0.05)
    value, data = desk.host.next()
    while data != {"by": "undo"}:
        value, data = desk.host.next()
    assert not ids(value).any()
    expect(page.locator('.sp-toolbar [aria-keyshortcuts="Control+Shift+Z"]')).to_have_attribute("aria-disabled", "true")
    touch(desk, "touchStart", [desk.at(0.1, 0.1)], 3)  # at 1x again: the corner of the picture is in its place
    touch(desk, "touchEnd", [], 3.05)
    later = desk.host.next()[0]
    while later["v"] <= value["v"]:  # events of the taps may arrive late
        later = desk.host.next()[0]
    rows, columns = np.nonzero(ids(later))
    assert abs(rows.mean() - 30) < 3 and abs(columns.mean() - 40) < 3
    # An open polygon closes by two taps, and two fingers zoom it without a corner.
    desk.tool("lasso")
    for k, point in enumerate([(0.5, 0.5), (0.8, 0.5)]):
        touch(desk, "touchStart", [desk.at(*point)], 5 + k)
        touch(desk, "touchEnd", [], 5.05 + k)
    touch(desk, "touchStart", [desk.at(0.3, 0.3)], 8)
    touch(desk, "touchStart", [desk.at(0.3, 0.3), desk.at(0.4, 0.3)], 8.1)
    touch(desk, "touchMove", [desk.at(0.32, 0.3), desk.at(0.42, 0.3)], 8.2)
    touch(desk, "touchEnd", [], 8.3)
    desk.shot("390_lasso")
    for at in (9, 9.2):
        touch(desk, "touchStart", [desk.at(0.8, 0.9)], at)
        touch(desk, "touchEnd", [], at + 0.05)
    value, data = desk.host.next()
    assert data == {"by": "lasso"} and abs((ids(value) == 1).mean() - 0.06 - rows.size / 120000) < 0.01


@pytest.mark.parametrize("desk", [PHONE], indirect=True)
def test_a_chip_held_by_a_finger_merges(desk: Desk) -> None:
    content = np.ones((300, 400), np.uint8)
    content[:, 150:] = 2
    desk.load(LabelMap.from_ids(content), LabelMap.from_ids(content.T.copy()))
    page = desk.page
    page.locator(".sp-chips").evaluate("node => { node.scrollLeft = 140; }")
    boxes = [page.locator(f'.sp-chip[data-region="{k}"] .sp-chip-main').bounding_box() for k in (1, 2)]
    source, goal = [(box["x"] + 30, box["y"] + box["height"] / 2) for box in boxes]
    assert 0 < source[0] < 330 and 0 < goal[0] < 330
    touch(desk, "touchStart", [source], 1)
    page.wait_for_selector(".sp-ghost")
    touch(desk, "touchMove", [((source[0] + goal[0]) / 2, goal[1])], 2)
    touch(desk, "touchMove", [goal], 2.1)
    expect(page.locator('.sp-chip[data-region="2"]')).to_have_class("sp-chip sp-target")
    desk.peek("390_merge")
    touch(desk, "touchEnd", [], 2.2)
    value, data = desk.host.next()
    assert data == {"by": "merge"} and (ids(value) == 2).all()


def pen(desk: Desk, points: list[tuple[float, float, float]]) -> None:
    """A pen's stroke: (u, v, pressure) of the content picture."""
    for k, (u, v, pressure) in enumerate(points):
        x, y = desk.at(u, v)
        kind = "mousePressed" if k == 0 else "mouseMoved"
        desk.cdp().send("Input.dispatchMouseEvent", {
            "type": kind, "x": x, "y": y, "button": "left", "buttons": 1, "clickCount": 1, "pointerType": "pen", "force": pressure,
        })  # fmt: skip
    x, y = desk.at(*points[-1][:2])
    desk.cdp().send("Input.dispatchMouseEvent", {
        "type": "mouseReleased", "x": x, "y": y, "button": "left", "clickCount": 1, "pointerType": "pen",
    })  # fmt: skip


@pytest.mark.parametrize("desk", [{"viewport": {"width": 1024, "height": 900}, "has_touch": True}], indirect=True)
def test_pen_pressure_sets_the_size_and_palms_do_not_paint(desk: Desk) -> None:
    desk.load()
    page = desk.page
    checks = page.locator(".sp-toolbar .sp-check", has_text="Pen only"), page.locator(".sp-toolbar .sp-check", has_text="Pressure")
    for check in checks:
        expect(check).to_be_hidden()
    pen(desk, [(0.2 + 0.06 * k, 0.3, 0.1 + 0.09 * k) for k in range(11)])
    value, _ = desk.host.next()
    widths = (ids(value) == 1).sum(0)
    assert widths[82] <= 8 and 20 <= widths[200] <= 32 and 42 <= widths[318] <= 49
    for check in checks:
        expect(check).to_be_visible()
    desk.shot("pen")
    touches(desk, [("touchStart", [desk.at(0.5, 0.8)]), ("touchMove", [desk.at(0.7, 0.8)]), ("touchEnd", [])])
    desk.host.quiet()
    checks[1].locator("input").uncheck()
    pen(desk, [(0.2, 0.8, 0.1), (0.5, 0.8, 0.1)])
    value, _ = desk.host.next()
    assert 45 <= (ids(value)[200:] == 1).sum(0)[140] <= 49
    # The switch brings fingers back.
    checks[0].locator("input").uncheck()
    touches(desk, [("touchStart", [desk.at(0.8, 0.6)]), ("touchEnd", [])])
    assert ids(desk.host.next()[0])[180, 320] == 1


@pytest.mark.skipif(not PHOTOS.exists(), reason="the example pictures are not here")
@pytest.mark.parametrize(
    ("desk", "name"),
    [
        ({"viewport": {"width": 1440, "height": 900}, "color_scheme": "light"}, "1440_light"),
        ({"viewport": {"width": 1440, "height": 900}, "color_scheme": "dark"}, "1440_dark"),
        ({**PHONE, "color_scheme": "light"}, "390_light"),
        ({**PHONE, "color_scheme": "dark"}, "390_dark"),
    ],
    indirect=["desk"],
)
def test_it_looks_right_with_real_pictures(desk: Desk, name: str) -> None:
    page = desk.page
    pair = [PHOTOS / "photos/calm_lake.jpg", PHOTOS / "paintings/hokusai_ejiri.jpg"]
    copies = [desk.host.folder / path.name for path in pair]
    for path, copy in zip(pair, copies, strict=True):
        copy.write_bytes(path.read_bytes())
    names = ("Rest", "sky", "sea", "shore and reeds", "trees", "fields", "people")
    colours = ("#cccccc", "#33ccff", "#3300ff", "#990000", "#99ff00", "#ffcc99", "#ff66cc")
    regions = [Region(i, n, c) for i, (n, c) in enumerate(zip(names, colours, strict=True))]
    maps = []
    for k, path in enumerate(copies):
        w, h = Image.open(path).size
        found = np.zeros((h, w), np.uint8)
        found[: h * 5 // 9] = 1
        found[h * 5 // 9 :] = 2 if k == 0 else 5
        yy, xx = np.mgrid[:h, :w]
        found[(xx / w - 0.35) ** 2 + (yy / h - 0.3) ** 2 < 0.03] = 4
        found[h * 8 // 9 :] = 3
        maps.append(LabelMap.from_ids(found, tuple(regions)))
    desk.push(lambda _: gr.update(value=from_label_maps(*copies, *maps, regions=regions)))
    page.wait_for_selector(".sp-pane.sp-filled", state="attached")
    page.wait_for_timeout(600)
    assert page.locator(".sp-chip").count() == 7
    expect(page.locator('.sp-chip[data-region="2"] .sp-warning')).to_be_visible()
    desk.shot(name)
    if name == "1440_light":
        desk.tool("fill")
        page.locator(".sp-check input").first.check()
        page.locator('.sp-chip[data-region="4"]').hover()
        page.wait_for_timeout(200)
        desk.peek("hover")
        desk.pane("style").locator(".sp-menu > .sp-button").click()
        desk.shot("menu")
