"""A picture carries its settings; what comes back is checked as if an enemy had written it."""

import base64
import json
import zlib
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from scsa_core import recipe as module
from scsa_core.errors import LabelError, RecipeError
from scsa_core.images import encode_png
from scsa_core.knobs import Knobs
from scsa_core.labels import LabelMap, Region
from scsa_core.notes import Note
from scsa_core.recipe import Recipe, embed, extract, inflate_ids, picture_sha256
from scsa_core.request import RenderRequest, RenderResult

MAP = LabelMap.from_ids(np.random.default_rng(0).integers(0, 3, (20, 30)), [Region(1, "sea <b>", "#0000ff")])


def recipe(**changes):
    base = {
        "app_version": "0.1.0", "backbone": "lite", "weights": "ab12", "method": "scsa", "knobs": Knobs(alpha1=1.25, size=384),
        "size": (384, 256), "content_map": MAP, "style_map": MAP, "links": {1: (2, 0)}, "content_sha256": "aa", "seconds": 1.5,
        "warnings": ("watch out",),
    }  # fmt: skip
    return Recipe(**(base | changes))


def test_a_png_brings_every_setting_back():
    back = extract(embed(Image.new("RGB", (32, 32)), recipe()))
    assert back.knobs == Knobs(alpha1=1.25, size=384) and back.method == "scsa" and back.links == {1: (2, 0)}
    assert np.array_equal(back.content_map.ids, MAP.ids) and back.content_map.region(1).name == "sea <b>"
    assert (back.size, back.seconds, back.warnings, back.weights) == ((384, 256), 1.5, ("watch out",), "ab12")


def test_a_png_of_someone_else_has_no_recipe():
    assert extract(encode_png(Image.new("RGB", (32, 32)))) is None


def test_maps_too_large_to_embed_are_left_out_and_said():
    noisy = LabelMap.from_ids(np.random.default_rng(0).integers(0, 200, (1024, 1024)))
    back = Recipe.from_text(recipe(content_map=noisy).to_text())
    assert back.content_map is None and back.maps_left_out and back.knobs.alpha1 == 1.25
    wide = LabelMap.from_ids(np.zeros((500, 2000), dtype=np.uint8))
    assert Recipe.from_text(recipe(content_map=wide).to_text()).content_map.size == (1024, 256)


def changed(**fields):
    return json.dumps(json.loads(recipe().to_text()) | fields)


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "{", "null", "[" * 100000, "x" * (module.MAX_READ + 1), changed(schema=99), changed(method="rm -rf"),
        changed(size=[1]), changed(size=[0, 5]), changed(size=["a", "b"]), changed(links={"1": "x"}), changed(content_map=5),
        changed(content_map={"size": [5, 5], "ids": "!!", "regions": []}),
        changed(content_map={"size": [10**9, 10**9], "ids": "", "regions": []}),
        changed(content_map={"size": [1, 1], "ids": base64.b64encode(zlib.compress(b"\0")).decode(), "regions": [[1]]}),
    ],
)  # fmt: skip
def test_hostile_text_is_refused(text):
    with pytest.raises(RecipeError):
        Recipe.from_text(text)


def test_hostile_values_are_clamped_cleaned_or_dropped():
    text = changed(
        knobs={"alpha1": 1e9, "alpha2": "x", "nothing": 1}, backbone="../../etc", weights="<script>", seconds=-5, warnings=["a\0b", 5],
        extra="ignored",
    )  # fmt: skip
    back = Recipe.from_text(text)
    assert back.knobs == Knobs(alpha1=2.0) and back.backbone == "lite" and back.weights == "" and back.seconds == 0.0
    assert back.warnings == ("ab", "")
    names = json.loads(recipe().to_text())
    names["content_map"]["regions"] = [[1, "x" * 90 + "\n", "url(evil)"]]
    region = Recipe.from_text(json.dumps(names)).content_map.region(1)
    assert region.name == "x" * 40 and region.colour == "#ff66cc"


def test_a_small_text_cannot_inflate_into_a_large_map():
    bomb = base64.b64encode(zlib.compress(b"\0" * 50_000_000)).decode()
    with pytest.raises(LabelError, match="own size"):
        inflate_ids(bomb, 10, 10)


def test_pictures_are_recognised_by_their_pixels():
    a, b = Image.new("RGB", (4, 2)), Image.new("RGB", (2, 4))
    assert picture_sha256(a) == picture_sha256(a.copy()) != picture_sha256(b)


def test_a_recipe_of_a_result_knows_what_the_request_cannot():
    photo, painting = Image.new("RGB", (32, 24), "red"), Image.new("RGB", (20, 20), "blue")
    request = RenderRequest(photo, painting, MAP, MAP, {1: (0,)}, "lite", "sca", Knobs(alpha1=0.4))
    result = RenderResult(Image.new("RGB", (64, 48)), {"total": 2.5}, (Note("no_maps", "No maps."),), request, 0, "cd34")
    asked, made = Recipe.asked(request, "0.1.0", (64, 48)), Recipe.of(result, "0.1.0")
    assert (asked.method, asked.knobs, asked.links, asked.size) == ("sca", Knobs(alpha1=0.4), {1: (0,)}, (64, 48))
    assert (asked.weights, asked.content_sha256, asked.seconds, asked.warnings) == ("", "", 0.0, ())
    assert made == replace(
        asked, weights="cd34", content_sha256=picture_sha256(photo), style_sha256=picture_sha256(painting), seconds=2.5,
        warnings=("No maps.",),
    )  # fmt: skip
    told = Recipe.of(result, "0.1.0", ("mine",), hashes=("aa", "bb"))
    assert (told.warnings, told.content_sha256, told.style_sha256) == (("mine",), "aa", "bb")
