"""Maps from files: whose they are, what their numbers and colours mean, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("gradio")

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from demo.exchange import LEGEND_KEYWORD, MAX_LEGEND, accept, fitted, import_maps, photographs, read_legend
from demo.files import MAX_SIDE, Pictures
from demo.painter import MAX_MAP_SIDE, from_label_maps, links_of, to_label_maps
from scsa_core.errors import LabelError
from scsa_core.images import Limits
from scsa_core.labels import LabelMap, Region, read_maps

HALVES = np.repeat(np.array([1, 2], np.uint8), 20)[None].repeat(30, 0)
LEGEND = {
    "schema": "scsa-map/1", "links": {"1": [2], "2": []},
    "regions": [{"id": 0, "name": "Rest", "colour": "#cccccc"}, {"id": 1, "name": "sky", "colour": "#112233"}, {"id": 2, "name": "sea", "colour": "#ff0000"}],
}  # fmt: skip


def value_of(content: np.ndarray | None = None, style: np.ndarray | None = None) -> dict:
    maps = [LabelMap.from_ids(ids) if ids is not None else None for ids in (content, style)]
    value = from_label_maps("a.png", "b.png", *maps, v=3)
    return {**value, **{side: value[side] | {"picture": {"path": value[side]["picture"]}} for side in ("content", "style")}}


def index(path: Path, ids: np.ndarray, legend: str | None = None) -> tuple[str, str]:
    info = PngInfo()
    if legend is not None:
        info.add_itxt(LEGEND_KEYWORD, legend)
    Image.fromarray(ids).save(path, pnginfo=info)
    return str(path), path.name


def colours(path: Path, *stripes: str) -> tuple[str, str]:
    picture = Image.new("RGB", (10 * len(stripes), 30))
    for k, stripe in enumerate(stripes):
        picture.paste(stripe, (10 * k, 0, 10 * k + 10, 30))
    picture.save(path)
    return str(path), path.name


def names(value: dict) -> dict[int, tuple[str, str]]:
    return {r["id"]: (r["name"], r["colour"]) for r in value["regions"]}


def test_numbers_names_and_links_come_back_from_png_and_json(tmp_path: Path) -> None:
    (tmp_path / "regions.json").write_text(json.dumps(LEGEND), encoding="utf-8")
    files = [index(tmp_path / "content_labels.png", HALVES), index(tmp_path / "style_labels.png", HALVES.T.copy()), (str(tmp_path / "regions.json"), "regions.json")]
    value = import_maps(value_of(), "content", files)
    content, style = to_label_maps(value)
    assert content is not None and style is not None
    assert np.array_equal(content.ids, HALVES) and np.array_equal(style.ids, HALVES.T)
    assert names(value)[1] == ("sky", "#112233") and value["links"] == {"1": [2], "2": []} and value["by"] == "import"


def test_a_saved_map_carries_its_legend(tmp_path: Path) -> None:
    value = import_maps(value_of(style=HALVES), "content", [index(tmp_path / "x.png", HALVES, json.dumps(LEGEND, ensure_ascii=False))])
    assert names(value)[2] == ("sea", "#ff0000") and value["links"]["1"] == [2]
    assert np.array_equal(to_label_maps(value)[1].ids, HALVES)  # the other picture's map stays


def test_a_legend_alone_names_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "regions.json").write_text(json.dumps(LEGEND), encoding="utf-8")
    value = import_maps(value_of(HALVES, HALVES), "style", [(str(tmp_path / "regions.json"), "regions.json")])
    assert names(value)[1][0] == "sky" and np.array_equal(to_label_maps(value)[0].ids, HALVES)


def test_links_of_the_command_line_are_read(tmp_path: Path) -> None:
    (tmp_path / "pairing.json").write_text('{"1": [2, 1], "2": [2]}', encoding="utf-8")
    value = import_maps(value_of(HALVES, HALVES), "content", [(str(tmp_path / "pairing.json"), "pairing.json")])
    assert value["links"] == {"1": [2, 1], "2": [2]} and names(value)[1][0] == "Region 1"


def test_colour_maps_of_both_pictures_share_their_colours(tmp_path: Path) -> None:
    files = [colours(tmp_path / "7_paint_sem.png", "#00ff00", "#0000ff", "#0000ff"), colours(tmp_path / "7_sem.png", "#ff0000", "#0000ff")]
    for side in ("content", "style"):  # names decide, whoever was asked
        content, style = to_label_maps(import_maps(value_of(), side, files))
        assert content is not None and style is not None
        assert content.size == (20, 30) and style.size == (30, 30)
        assert content.ids[0, 15] == style.ids[0, 15] and content.ids[0, 0] != style.ids[0, 0]
    value = import_maps(value_of(), "content", files)
    assert {"#00ff00", "#0000ff", "#ff0000"} <= {colour for _, colour in names(value).values()}  # the file's own colours


def test_colours_take_names_from_the_legend(tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text(json.dumps(LEGEND), encoding="utf-8")
    value = import_maps(value_of(), "content", [colours(tmp_path / "x_map.png", "#ff0000", "#112233"), (str(tmp_path / "r.json"), "r.json")])
    assert np.array_equal(to_label_maps(value)[0].ids[0], np.repeat([2, 1], 10))
    assert names(value)[2] == ("sea", "#ff0000")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "not JSON"), ("[1]", "not a JSON object"), ("[" * 5000, "not JSON"), ('{"regions": 7}', "not a list"),
        ('{"regions": [{"id": 1, "colour": "url(x)"}]}', "#rrggbb"), ('{"regions": [], "links": {"1": "2"}}', "list of region ids"),
        ('{"a": [1]}', "0 to 255"), ('{"1": [999]}', "0 to 255"), (" " * (MAX_LEGEND + 1), "too long"),
    ],
)  # fmt: skip
def test_bad_legends_are_refused(text: str, says: str) -> None:
    with pytest.raises(LabelError, match=says):
        read_legend(text.encode())


def test_names_in_a_legend_are_cleaned() -> None:
    record = {"id": 4, "name": " a\u202e\n" + "b" * 60, "colour": "#ABCDEF"}
    region = read_legend(json.dumps({"regions": [record]}).encode()).regions[4]
    assert region == Region(4, "a " + "b" * 38, "#abcdef")


def test_nothing_to_read_is_said() -> None:
    with pytest.raises(LabelError, match="no picture"):
        import_maps(value_of(), "content", [])


def test_a_link_that_leaves_a_region_as_it_is_comes_back(tmp_path: Path) -> None:
    legend = tmp_path / "regions.json"
    for written in ({**LEGEND, "links": {"1": [-1], "2": [1]}}, {"1": [-1], "2": [1]}):
        legend.write_text(json.dumps(written), encoding="utf-8")
        value = import_maps(value_of(HALVES, HALVES), "content", [(str(legend), legend.name)])
        assert value["links"] == {"1": [-1], "2": [1]}
    legend.write_text(json.dumps({"1": [-2]}), encoding="utf-8")
    with pytest.raises(LabelError):
        import_maps(value_of(HALVES, HALVES), "content", [(str(legend), legend.name)])


def test_a_large_map_is_thinned_out_before_it_is_read(tmp_path: Path, monkeypatch) -> None:
    seen = []
    monkeypatch.setattr("demo.exchange.read_maps", lambda *maps: (seen.extend(m.size for m in maps if m), read_maps(*maps))[1])
    Image.fromarray(np.repeat(HALVES, 200, 1)).save(tmp_path / "a.png")
    value = import_maps(value_of(), "content", [(str(tmp_path / "a.png"), "a.png")])
    assert seen == [(2 * MAX_MAP_SIDE, 8)] and set(to_label_maps(value)[0].region_ids) == {1, 2}


def test_links_that_are_none_are_refused_in_words() -> None:
    for links in ({"x": [1]}, {"1": [999]}, {"²": [1]}, {"1": "2"}, 5):
        with pytest.raises(LabelError):
            links_of({"links": links})
    assert links_of({"links": {"1": [2, 2], "3": [-1]}}) == {1: (2,), 3: (-1,)} and links_of(None) == {}


def test_a_restored_map_takes_the_shape_of_another_picture():
    wide = LabelMap.from_ids(np.repeat([[1, 2]], 20, axis=0).repeat(15, axis=1).astype(np.uint8))  # 30 x 20
    assert fitted(wide, (300, 200)) is wide and fitted(wide, (303, 200)) is wide  # the same shape, give or take
    square = fitted(wide, (500, 500))
    assert square.size == (30, 30) and square.shares() == pytest.approx(wide.shares(), abs=0.01)
    assert fitted(None, (5, 5)) is None and fitted(wide, None) is wide


def test_a_map_takes_the_shape_of_its_picture(tmp_path: Path) -> None:
    """A map of another shape would squeeze the picture under the brush."""
    square = np.repeat(np.array([1, 2], np.uint8), 15)[None].repeat(30, 0)
    value = import_maps(value_of(HALVES, HALVES), "content", [index(tmp_path / "square.png", square)])
    content, _ = to_label_maps(value)
    assert content is not None and content.size[0] / content.size[1] == pytest.approx(40 / 30, rel=0.05)
    assert np.unique(content.ids[:, : content.size[0] // 2 - 1]).tolist() == [1]
    same, _ = to_label_maps(import_maps(value_of(HALVES, HALVES), "content", [index(tmp_path / "same.png", HALVES)]))
    assert same is not None and np.array_equal(same.ids, HALVES)


def test_regions_that_nobody_named_go_with_their_last_pixels(tmp_path: Path) -> None:
    red = colours(tmp_path / "first_map.png", "#ff0000", "#00aa55")
    first = import_maps(value_of(HALVES, HALVES), "content", [red])
    made = {r["id"] for r in first["regions"]} - {0, 1, 2}
    assert made
    first["regions"] = [{**r, "name": "moor"} if r["id"] == min(made) else r for r in first["regions"]]
    for side in ("content", "style"):
        first[side]["picture"] = {"path": first[side]["picture"]}
    second = import_maps(first, "content", [colours(tmp_path / "second_map.png", "#0000ff", "#808000")])
    assert [r["name"] for r in second["regions"]].count("moor") == 1
    assert len(second["regions"]) == 1 + 2 + 1 + 2  # Rest, the style's halves, the named one, the new map's two


EXAMPLES = Path(__file__).resolve().parents[2] / "assets" / "examples"


def test_a_photograph_read_as_a_map_is_told_from_a_map(tmp_path: Path) -> None:
    photo, drawn = (EXAMPLES / "palace_in_auvers" / name for name in ("content.jpg", "content_map.png"))
    assert photographs("content", [(str(photo), photo.name)])
    poor = tmp_path / "poor.jpg"
    with Image.open(drawn) as picture:
        picture.convert("RGB").save(poor, quality=40)
    (tmp_path / "names.json").write_text(json.dumps(LEGEND), encoding="utf-8")
    maps = [(drawn, "content"), (poor, "content"), (Path(index(tmp_path / "ids.png", HALVES)[0]), "style")]
    for path, side in maps:
        assert not photographs(side, [(str(path), path.name), (str(tmp_path / "names.json"), "names.json")]), path


@pytest.mark.parametrize("name", ["photo.jpg", "photo.png"])
def test_an_accepted_picture_is_decoded_once_and_is_what_its_file_holds(tmp_path, name):
    noise = np.random.default_rng(0).integers(0, 255, (30, 40, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / name, exif=Image.Exif())
    pictures = Pictures(Limits())
    kept = accept(str(tmp_path / name), "content", pictures).path
    assert pictures.get(kept) is pictures.get(str(tmp_path / name))
    anew = Pictures(Limits()).get(kept)
    assert np.array_equal(anew.image, pictures.get(kept).image) and anew.sha256 == pictures.get(kept).sha256


def test_a_picture_that_is_kept_smaller_is_what_its_file_holds(tmp_path):
    Image.new("RGB", (MAX_SIDE + 40, 20), "red").save(tmp_path / "wide.png")
    pictures = Pictures(Limits())
    kept = accept(str(tmp_path / "wide.png"), "content", pictures).path
    assert pictures.get(kept).image.width == MAX_SIDE
