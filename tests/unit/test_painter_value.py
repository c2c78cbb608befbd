"""The painter's value: what the browser sends, what Python makes of it, and the words both share."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
import zlib
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("gradio")

from demo import painter
from demo.painter import TEXT_KEYS, Painter, decode_map, encode_map, from_label_maps, to_label_maps
from scsa_core.errors import LabelError
from scsa_core.labels import LabelMap, Region

WEB = Path(painter.__file__).parent / "web"


def ids_of(h: int, w: int, seed: int = 0, n: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, n, (h, w)).astype(np.uint8)


def side_of(ids: np.ndarray) -> dict:
    return {"picture": None, "w": ids.shape[1], "h": ids.shape[0], "map": encode_map(ids)}


def value_of(content: np.ndarray, style: np.ndarray, n: int = 3) -> dict:
    regions = [{"id": i, "name": f"r{i}", "colour": "#112233"} for i in range(n)]
    return {"v": 1, "content": side_of(content), "style": side_of(style), "regions": regions, "links": {}, "by": "brush"}


@pytest.mark.parametrize("shape", [(1, 1), (1, 1024), (1024, 1), (7, 13), (640, 1024)])
def test_map_round_trip(shape: tuple[int, int]) -> None:
    ids = ids_of(*shape, n=256)
    assert np.array_equal(decode_map(side_of(ids)), ids)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"w": 0}, "pixels a side"),
        ({"w": 1025}, "pixels a side"),
        ({"h": "8"}, "pixels a side"),
        ({"h": True}, "pixels a side"),
        ({"map": None}, "no data"),
        ({"map": 7}, "no data"),
        ({"map": "§§"}, "damaged"),
        ({"map": base64.b64encode(b"not zlib").decode()}, "damaged"),
        ({"map": base64.b64encode(zlib.compress(bytes(64))[:-6]).decode()}, "damaged|fewer"),
        ({"map": base64.b64encode(zlib.compress(bytes(63))).decode()}, "fewer"),
        ({"map": base64.b64encode(zlib.compress(bytes(50_000_000), 9)).decode()}, "longer|more"),
        ({"map": base64.b64encode(zlib.compress(bytes(65))).decode()}, "more"),
    ],
)
def test_hostile_maps_are_refused(change: dict, says: str) -> None:
    with pytest.raises(LabelError, match=says):
        decode_map({**side_of(np.zeros((8, 8), np.uint8)), **change})


def test_inflating_is_bounded() -> None:
    bomb = zlib.compress(bytes(40_000_000), 9)
    side = {"w": 1024, "h": 1024, "map": base64.b64encode(bomb).decode()}
    with pytest.raises(LabelError, match="more"):
        decode_map(side)


def test_all_rest_means_no_maps() -> None:
    rest = np.zeros((8, 8), np.uint8)
    assert to_label_maps(value_of(rest, rest)) == (None, None)
    assert to_label_maps(None) == (None, None)
    assert to_label_maps(painter.empty_value()) == (None, None)


def test_a_map_that_did_not_change_is_the_same_one() -> None:
    """So that what was worked out of it stays."""
    content, style = ids_of(8, 12), ids_of(9, 5)
    first = to_label_maps(value_of(content, style))
    content[0, 0] = 1 - min(content[0, 0], 1)
    second = to_label_maps(value_of(content, style))
    assert second[1] is first[1] and np.array_equal(second[0].ids, content) and second[0] is not first[0]
    renamed = value_of(content, style)
    renamed["regions"][1]["name"] = "sky"
    assert to_label_maps(renamed)[1].region(1).name == "sky"


@pytest.mark.parametrize("change", [{"w": [8]}, {"h": None}, {"map": {"a": 1}}, {"map": 7}])
def test_a_map_of_the_wrong_kind_is_refused(change: dict) -> None:
    value = value_of(ids_of(8, 8), ids_of(8, 8))
    value["style"] |= change
    with pytest.raises(LabelError, match="width"):
        to_label_maps(value)


def test_one_painted_side_gives_both_maps() -> None:
    content, style = to_label_maps(value_of(ids_of(8, 12), np.zeros((9, 5), np.uint8)))
    assert content is not None and style is not None
    assert content.size == (12, 8) and style.size == (5, 9)
    assert [region.name for region in content.regions][:2] == ["r0", "r1"]


@pytest.mark.parametrize(
    ("regions", "says"),
    [
        ([{"id": 0, "name": "Rest", "colour": "#cccccc"}], "not in the legend"),
        ([{"id": 1, "name": "a", "colour": "#000000"}] * 2, "twice"),
        ([{"id": 300, "name": "a", "colour": "#000000"}], "0 to 255"),
        ([{"id": "1", "name": "a", "colour": "#000000"}], "0 to 255"),
        ([{"id": 1, "name": "a", "colour": "url(x)"}], "#rrggbb"),
        (["region"], "not a record"),
    ],
)
def test_bad_legends_are_refused(regions: list, says: str) -> None:
    value = value_of(np.ones((4, 4), np.uint8), np.ones((4, 4), np.uint8)) | {"regions": regions}
    with pytest.raises(LabelError, match=says):
        to_label_maps(value)


def test_names_are_cleaned() -> None:
    value = value_of(np.ones((4, 4), np.uint8), np.ones((4, 4), np.uint8))
    value["regions"][1]["name"] = "  sea\n\x00 and \u202e sky " + "x" * 60
    value["regions"][2]["name"] = "\x07"
    content, _ = to_label_maps(value)
    assert content is not None
    names = [region.name for region in content.regions]
    assert names[1].startswith("sea and sky x") and len(names[1]) <= 40
    assert names[2] == "Region 2"


def test_label_maps_round_trip(tmp_path: Path) -> None:
    regions = (Region(0, "Rest", "#cccccc"), Region(1, "sky", "#0000ff"), Region(2, "${alert(1)}", "#00ff00"))
    content, style = LabelMap.from_ids(ids_of(30, 40), regions), LabelMap.from_ids(ids_of(50, 20, 1), regions)
    value = from_label_maps("a.png", tmp_path / "b.png", content, style, by="import", v=4, links={1: (2, 1)})
    assert json.loads(json.dumps(value)) == value
    assert (value["v"], value["by"], value["links"]) == (4, "import", {"1": [2, 1]})
    again = to_label_maps(value)
    for before, after in zip((content, style), again, strict=True):
        assert after is not None
        assert np.array_equal(before.ids, after.ids) and after.regions == regions


def test_large_maps_shrink_to_the_limit() -> None:
    value = from_label_maps("a.png", None, LabelMap.from_ids(np.ones((1500, 3000), np.uint8)), None)
    assert (value["content"]["w"], value["content"]["h"]) == (1024, 512)
    assert (decode_map(value["content"]) == 1).all()
    assert value["style"] == {"picture": None, "w": 0, "h": 0, "map": None}


def test_rest_and_used_regions_are_always_in_the_legend() -> None:
    value = from_label_maps(None, None, LabelMap.from_ids(np.full((4, 4), 9, np.uint8)), regions=[Region(3, "x", "#000000")])
    assert [region["id"] for region in value["regions"]] == [0, 3, 9]


def test_component_checks_its_value() -> None:
    component = Painter(render=False)
    model = component.postprocess(from_label_maps("a.png", None))
    assert model.content.picture.path == "a.png"
    assert model.content.picture.meta == {"_type": "gradio.FileData"}
    back = component.preprocess(model)
    assert back["content"]["picture"]["path"] == "a.png" and back["incoming"] is None
    assert component.postprocess(None).by == "load"
    assert "properties" in component.api_info()
    for event in ("edited", "picture", "import", "invalid", "render_now", "cancel_now"):
        assert callable(getattr(component, event))


def test_every_word_has_a_key_and_every_key_is_used() -> None:
    script = painter.Painter.program()
    quoted = set(re.findall(r'"([a-z][a-z_]+)"', script))
    assert set(re.findall(r'words\.get\("(\w+)"', script)) <= set(TEXT_KEYS)
    unused = [key for key in TEXT_KEYS if key not in quoted and not key.startswith("step_")]
    assert unused == []


def test_the_template_is_static_and_text_stays_text() -> None:
    script, css = painter.Painter.program(), painter.Painter.style_sheet()
    assert not re.search(r"innerHTML|insertAdjacentHTML|outerHTML|document\.write|\beval\(", script)
    assert not re.search(r"\$\{|\{\{|`|\\", css)


@pytest.mark.parametrize("name", ["painter_state_test.js", "painter_shape_test.js", "painter_exchange_test.js"])
def test_pure_functions_of_the_browser(passes_in_node, name: str) -> None:
    passes_in_node(name)


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
def test_png_files_written_by_the_browser(tmp_path: Path) -> None:
    from PIL import Image

    ids = ids_of(23, 37, n=200)
    (tmp_path / "ids.bin").write_bytes(ids.tobytes())
    script = """
      const [web, folder] = process.argv.slice(1);
      const fs = require("fs"), png = require(web + "/painter_png.js");
      const side = { w: 37, h: 23, ids: new Uint8Array(fs.readFileSync(folder + "/ids.bin")) };
      const regions = Array.from({ length: 200 }, (_, id) => ({ id, colour: "#" + (id * 70001 % 16777216).toString(16).padStart(6, "0") }));
      (async () => {
        fs.writeFileSync(folder + "/i.png", await png.indexPng(side));
        fs.writeFileSync(folder + "/c.png", await png.colourPng(side, regions));
        const text = png.toBase64(await png.deflate(side.ids));
        const back = await png.inflate(png.fromBase64(text), side.ids.length);
        if (Buffer.compare(Buffer.from(back), Buffer.from(side.ids))) throw new Error("map changed on the way");
        for (const length of [side.ids.length - 1, side.ids.length + 1]) {
          let refused = false;
          await png.inflate(png.fromBase64(text), length).catch(() => { refused = true; });
          if (!refused) throw new Error("wrong length accepted");
        }
        fs.writeFileSync(folder + "/map.txt", text);
      })();
    """
    subprocess.run(["node", "-e", script, str(WEB), str(tmp_path)], check=True, timeout=60)
    index = Image.open(tmp_path / "i.png")
    index.verify()
    index = Image.open(tmp_path / "i.png")
    assert index.mode == "L" and np.array_equal(np.asarray(index), ids)
    colours = np.asarray(Image.open(tmp_path / "c.png")).astype(int)
    wanted = (ids.astype(int) * 70001) % 16777216
    assert np.array_equal(colours[..., 0] * 65536 + colours[..., 1] * 256 + colours[..., 2], wanted)
    assert np.array_equal(decode_map({"w": 37, "h": 23, "map": (tmp_path / "map.txt").read_text()}), ids)
