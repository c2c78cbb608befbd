"""Pictures and maps in and out of the painter, and what it exchanges with Python, in a real browser."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import gradio as gr
import httpx
import numpy as np
from PIL import Image
from playwright.sync_api import Route, expect

from demo.painter import TEXT_KEYS, empty_value, from_label_maps
from demo.text import packed
from scsa_core.labels import LabelMap, Region
from tests.browser.painter_page import Desk, ids, name_of, undo_button

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


def test_a_legend_goes_with_the_last_map_that_it_named(desk: Desk) -> None:
    """Names, numbers and links of pictures that are gone say nothing about new ones."""
    regions = [Region(0, "Rest", "#cccccc"), Region(4, "sky", "#3300ff"), Region(7, "sea", "#990000")]
    maps = [LabelMap.from_ids(np.full(shape, 4, np.uint8), regions) for shape in ((300, 400), (400, 300))]
    desk.push(lambda _: gr.update(value=from_label_maps(desk.host.content, desk.host.style, *maps, regions, links={4: (7,)})))
    chips = desk.page.locator(".sp-chip .sp-name")
    expect(chips).to_have_text(["Rest", "sky", "sea"])
    wide, tall = desk.host.content, desk.host.style
    desk.pane("content").locator("input[type=file]").first.set_input_files(tall)
    desk.host.next("picture")
    expect(chips).to_have_text(["Rest", "sky", "sea"])  # the style is painted still
    desk.pane("style").locator("input[type=file]").first.set_input_files(wide)
    value, _ = desk.host.next("picture")
    expect(chips).to_have_text(["Rest", "Region 1", "Region 2"])
    assert value["links"] == {} and [r["id"] for r in value["regions"]] == [0, 1, 2]
    desk.drag([(0.5, 0.3), (0.5, 0.6)])
    assert 1 in ids(desk.host.next()[0])
    desk.canvas().focus()
    for _ in range(2):
        desk.page.keyboard.press("Control+z")
        value, _ = desk.host.next()
    expect(chips).to_have_text(["Rest", "sky", "sea"])
    assert value["links"] == {"4": [7]} and (ids(value, "style") == 4).all()


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
    value, data = desk.host.next("invalid")
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


def test_a_refused_file_takes_no_earlier_picture_with_it(desk: Desk) -> None:
    """What only Python can read is not shown before its answer: a refusal then has nothing to take back."""
    desk.load()
    files = desk.pane("content").locator("input[type=file]").first
    files.set_input_files(desk.host.style)
    desk.host.next("picture")
    desk.drag([(0.5, 0.3), (0.5, 0.6)])
    painted = ids(desk.host.next()[0])
    assert painted.any()
    scan = desk.host.folder / "phone.heic"
    scan.write_bytes(b"\0\0\0\x18ftypheic" + bytes(64))
    desk.host.answer = dict(from_label_maps(None, desk.host.style, by="picture"), error={"content": "This is an HEIC photo."})
    files.set_input_files(scan)
    desk.host.next("picture")
    expect(desk.pane("content").locator(".sp-alert")).to_contain_text("HEIC")
    desk.drag([(0.2, 0.8), (0.8, 0.8)])
    value, _ = desk.host.next()
    assert name_of(value) == "style.png"
    assert (ids(value)[painted > 0] == painted[painted > 0]).all()
    desk.page.keyboard.press("Control+z")
    assert np.array_equal(ids(desk.host.next()[0]), painted)


def held_upload(desk: Desk, file: Any) -> Route:
    """Choose a file as content; its upload does not end before the route goes on."""
    held: list[Route] = []
    desk.page.route("**/upload*", lambda route: held.append(route))
    desk.pane("content").locator("input[type=file]").first.set_input_files(file)
    for _ in range(100):
        if held:
            break
        desk.page.wait_for_timeout(50)
    desk.canvas().focus()
    return held[0]


def test_an_upload_that_ends_after_undo_belongs_to_its_own_picture(desk: Desk) -> None:
    desk.load()
    upload = held_upload(desk, desk.host.style)
    desk.page.keyboard.press("Control+z")
    value, _ = desk.host.next()
    assert name_of(value) == "content.png"
    with desk.page.expect_response(lambda r: "/upload" in r.url and r.ok):
        upload.continue_()
    desk.host.quiet()
    expect(desk.pane("content").locator(".sp-map")).to_be_visible()
    desk.drag([(0.2, 0.8), (0.8, 0.8)])
    value, _ = desk.host.next()
    assert name_of(value) == "content.png" and ids(value).shape == (300, 400)
    for key in ("Control+z", "Control+y", "Control+z"):
        desk.page.keyboard.press(key)
        desk.host.next()


def test_an_upload_that_ends_after_a_swap_belongs_to_its_own_picture(desk: Desk) -> None:
    desk.load()
    upload = held_upload(desk, {"name": "new.png", "mimeType": "image/png", "buffer": desk.host.content.read_bytes()})
    desk.page.keyboard.press("x")
    value, _ = desk.host.next()
    assert name_of(value, "content") == "style.png" and value["style"]["picture"] is None
    upload.continue_()
    value, data = desk.host.next("picture")
    assert data == {"side": "style"}
    assert [name_of(value, side) for side in ("content", "style")] == ["style.png", "new.png"]


def test_one_undo_takes_back_a_picture_that_brought_settings(desk: Desk) -> None:
    """The answer to one of our own results replaces it by the pictures that it was painted from."""
    desk.load()
    desk.drag([(0.2, 0.5), (0.8, 0.5)])
    painted = ids(desk.host.next()[0])
    maps = [LabelMap.from_ids(np.full(shape, 2, np.uint8)) for shape in ((400, 300), (300, 400))]
    desk.host.answer = from_label_maps(desk.host.style, desk.host.content, *maps, by="restore")
    desk.pane("content").locator("input[type=file]").first.set_input_files({"name": "result.png", "mimeType": "image/png", "buffer": desk.host.content.read_bytes()})  # fmt: skip
    desk.host.next("picture")
    expect(desk.page.locator(".sp-live")).to_contain_text("restore", ignore_case=True)
    desk.canvas().focus()
    desk.page.keyboard.press("Control+z")
    value, _ = desk.host.next()
    assert [name_of(value, side) for side in ("content", "style")] == ["content.png", "style.png"]
    assert np.array_equal(ids(value), painted)
    desk.page.keyboard.press("Control+y")
    value, _ = desk.host.next()
    assert [name_of(value, side) for side in ("content", "style")] == ["style.png", "content.png"] and (ids(value) == 2).all()


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
    expect(undo_button(desk)).to_have_attribute("title", "Undo New picture (Ctrl+Z)")
    expect(desk.pane("content").locator(".sp-busy")).to_be_hidden()
    desk.still()
    desk.drag([(0.5, 0.4), (0.5, 0.6)])
    value, _ = desk.host.next()
    assert ids(value).shape == (200, 320) and value["content"]["picture"]["path"].endswith("scan.png")


def give_both(desk: Desk) -> None:
    """A picture that only Python can read, dropped on the content together with its map."""
    tiff, png = io.BytesIO(), io.BytesIO()
    Image.new("RGB", (320, 200), "#aa3311").save(tiff, "TIFF")
    Image.new("L", (320, 200), 1).save(png, "PNG")
    desk.page.evaluate("""(files) => {
        const data = new DataTransfer();
        for (const [name, type, bytes] of files) data.items.add(new File([Uint8Array.from(bytes)], name, { type }));
        const target = document.querySelector('[data-side="content"] .sp-zone');
        target.dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true }));
    }""", [["scan.tif", "image/tiff", list(tiff.getvalue())], ["scan_labels.png", "image/png", list(png.getvalue())]])  # fmt: skip


def test_the_map_of_a_picture_that_only_python_can_read_waits_for_it(desk: Desk) -> None:
    desk.load()
    desk.host.gate.set()
    converted = desk.host.folder / "scan.png"
    Image.new("RGB", (320, 200), "#aa3311").save(converted)
    desk.host.answer = from_label_maps(converted, desk.host.style, by="picture")
    give_both(desk)
    desk.host.next("picture")
    value, data = desk.host.next("import")
    assert data == {"side": "content"} and value["incoming"]["files"][0]["orig_name"] == "scan_labels.png"
    assert value["content"]["picture"]["path"].endswith("scan.png") and ids(value).shape == (200, 320)


def test_the_map_of_a_picture_that_was_refused_is_not_laid_on_the_one_before(desk: Desk) -> None:
    desk.load()
    desk.host.answer = dict(from_label_maps(None, desk.host.style, by="picture"), error={"content": "This file is damaged."})
    give_both(desk)
    desk.host.next("picture")
    expect(desk.pane("content").locator(".sp-alert")).to_contain_text("damaged")
    desk.host.quiet()
    desk.drag([(0.2, 0.5), (0.8, 0.5)])
    value, _ = desk.host.next()
    assert name_of(value) == "content.png" and value["incoming"] is None


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


def test_a_stroke_on_the_other_picture_while_a_map_is_read_stays(desk: Desk) -> None:
    desk.load()
    desk.host.imports = True
    desk.host.gate.clear()
    halves = np.zeros((400, 300), np.uint8)
    halves[200:] = 2
    path = desk.host.folder / "style_labels.png"
    Image.fromarray(halves).save(path)
    desk.pane("style").locator("input[type=file]").nth(2).set_input_files(path)
    desk.host.next("import")
    desk.page.get_by_role("button", name="Add region").click()  # a region that Python has not heard of
    desk.host.next()
    desk.drag([(0.2, 0.5), (0.8, 0.5)])
    painted = ids(desk.host.next()[0])
    assert painted.max() == 3
    desk.host.gate.set()
    expect(desk.page.locator(".sp-live")).to_contain_text("Map loaded")
    desk.drag([(0.2, 0.8), (0.8, 0.8)])
    value, _ = desk.host.next()
    assert (ids(value)[painted > 0] == painted[painted > 0]).all() and np.array_equal(ids(value, "style"), halves)
    assert [r["id"] for r in value["regions"]] == [0, 1, 2, 3]


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
    expect(notice).to_contain_text("Map loaded: 4 regions, 2 shared.")
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
    desk.still()
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
    expect(page.locator('.sp-chip[data-region="1"] .sp-name')).to_have_text("höhe 天")
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
        reply = httpx.get(f"{desk.host.url}gradio_api/call/edited/{job}", timeout=60).text
        assert "event: error" in reply and desk.host.events.empty()
    honest = httpx.post(f"{desk.host.url}gradio_api/call/edited", json={"data": [empty_value()]}).json()["event_id"]
    assert "event: complete" in httpx.get(f"{desk.host.url}gradio_api/call/edited/{honest}", timeout=60).text


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
    desk.push(lambda _: gr.update(texts=packed({**TEXT_KEYS, "content": "内容", "brush": "画笔"})))
    expect(desk.pane("content").locator(".sp-title")).to_have_text("内容")
    expect(desk.page.locator('[data-tool="brush"] .sp-word')).to_have_text("画笔")
    assert not [word for word in desk.page.locator(".sp-root").inner_text().split() if "_" in word]
    # Names that nobody chose are said in the page's language, and stay as they are in what is saved.
    desk.push(lambda _: gr.update(texts=packed({**TEXT_KEYS, "rest": "其余", "region_n": "区域 {n}"})))
    expect(desk.page.locator(".sp-chip .sp-name")).to_have_text(["其余", "区域 1", "区域 2"])
    desk.drag([(0.2, 0.5), (0.8, 0.5)])
    assert [r["name"] for r in desk.host.next()[0]["regions"]] == ["Rest", "Region 1", "Region 2"]


def test_an_answer_about_an_earlier_upload_takes_nothing_back(desk: Desk) -> None:
    """Two pictures chosen at once: the answer about the first one was made before the second one came."""
    desk.load()
    newer = desk.host.folder / "newer.png"
    Image.new("RGB", (320, 200), "#aa3311").save(newer)
    answer = from_label_maps(desk.host.style, desk.host.style, by="picture")
    answer["content"]["of"] = "/an/earlier/upload.png"
    desk.host.answer = answer
    desk.pane("content").locator("input[type=file]").first.set_input_files(newer)
    desk.host.next("picture")
    desk.page.wait_for_timeout(500)
    desk.drag([(0.5, 0.4), (0.5, 0.6)])
    value, _ = desk.host.next()
    assert ids(value).shape == (200, 320) and name_of(value) == "newer.png"
