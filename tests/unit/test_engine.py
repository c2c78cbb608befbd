"""The engine on the shipped model at small sizes: what is cached, what is said, what stops it."""

import dataclasses
import threading
import weakref

import numpy as np
import pytest
import torch
from PIL import Image

from scsa_core import engine as engine_module
from scsa_core.backbones import FAMILIES, Family, lite
from scsa_core.backbones.base import Capabilities
from scsa_core.engine import Engine, RenderRequest
from scsa_core.errors import Cancelled, KnobError, LabelError, OutOfMemory
from scsa_core.knobs import METHODS, Knobs
from scsa_core.labels import LabelMap
from scsa_core.progress import CancelToken


def noise(width, height, seed):
    small = np.random.default_rng(seed).integers(0, 255, (height // 8, width // 8, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)


def halves(width, height, left=1, right=2):
    ids = np.full((height, width), left, dtype=np.uint8)
    ids[:, width // 2 :] = right
    return LabelMap.from_ids(ids)


@pytest.fixture(scope="module")
def engine():
    return Engine("cpu")


@pytest.fixture
def request_():
    return RenderRequest(
        noise(96, 72, 0), noise(80, 112, 1), halves(96, 72), halves(80, 112), knobs=Knobs(size=96, alpha1=0.5, alpha2=1.5)
    )


def replace(request, **changes):
    return dataclasses.replace(request, **changes)


def difference(a, b):
    return np.abs(np.asarray(a, dtype=int) - np.asarray(b, dtype=int)).mean()


@pytest.mark.parametrize("size", [(96, 72), (65, 97), (200, 64), (33, 90)])
def test_the_result_has_the_content_aspect_at_any_size(engine, request_, size):
    result = engine.render(replace(request_, content=noise(*size, 3), content_map=halves(*size)))
    assert max(result.image.size) == 96
    assert result.image.size[0] / result.image.size[1] == pytest.approx(size[0] / size[1], rel=0.05)


def test_every_method_renders_and_they_differ(engine, request_):
    pictures = {m: engine.render(replace(request_, method=m)).image for m in METHODS}
    for method, picture in pictures.items():
        assert picture.size == (96, 72)
        for other, another in pictures.items():
            assert method == other or difference(picture, another) > 0.5, (method, other)


def test_the_same_request_gives_the_same_picture_with_and_without_the_cache(request_):
    one, two = Engine("cpu"), Engine("cpu", cache_bytes=0)
    first = one.render(request_)
    assert np.array_equal(first.image, one.render(request_).image)
    assert np.array_equal(first.image, two.render(request_).image)
    assert two.cache_statistics().entries == 0


def test_an_alpha_move_pays_for_painting_only(engine, request_):
    engine.render(request_)
    moved = engine.render(replace(request_, knobs=request_.knobs.replace(alpha1=0.9)))
    assert "paint" in moved.timings and "encode_content" not in moved.timings and "match" not in moved.timings


def test_a_new_style_does_not_encode_the_content_again(engine, request_):
    engine.render(request_)
    result = engine.render(replace(request_, style=noise(80, 112, 9)))
    assert result.timings["encode_content"] < result.timings["encode_style"] / 3


def test_a_stroke_changes_the_picture_and_names_do_not(engine, request_):
    base = engine.render(request_).image
    ids = request_.content_map.ids.copy()
    ids[:20] = 2
    assert difference(base, engine.render(replace(request_, content_map=LabelMap.from_ids(ids))).image) > 0.2


def test_links_feed_a_region_from_another_one(engine, request_):
    swapped = engine.render(replace(request_, links={1: (2,), 2: (1,)})).image
    same = engine.render(replace(request_, links={1: (1,), 2: (2,)})).image
    assert np.array_equal(same, engine.render(request_).image)
    assert difference(same, swapped) > 0.5


def test_a_region_without_a_counterpart_is_said_and_painted(engine, request_):
    result = engine.render(replace(request_, content_map=halves(96, 72, 1, 7)))
    assert [n.code for n in result.notes if 7 in n.regions] == ["unmatched"]
    assert result.image.size == (96, 72)


def test_no_maps_is_one_region_and_said(engine, request_):
    result = engine.render(replace(request_, content_map=None, style_map=None))
    assert [n.code for n in result.notes] == ["no_maps"]


def test_one_map_alone_is_refused(engine, request_):
    with pytest.raises(LabelError, match="style picture has no map"):
        engine.render(replace(request_, style_map=None))


def test_unknown_family_and_method_are_refused(engine, request_):
    with pytest.raises(KnobError) as caught:
        engine.render(replace(request_, backbone="vgg"))
    assert "lite" in caught.value.hint
    with pytest.raises(KnobError):
        engine.render(replace(request_, method="magic"))


def test_reference_needs_the_colour_maps(engine, request_):
    with pytest.raises(LabelError):
        engine.render(replace(request_, reference=True))


def test_keep_colours_and_stroke_size_and_soft_borders_act(engine, request_):
    base = engine.render(request_).image
    for change in ({"keep_colours": 1.0}, {"stroke_size": 1.5}, {"soft_borders": 2.0}):
        assert difference(base, engine.render(replace(request_, knobs=request_.knobs.replace(**change))).image) > 0.2, change


def test_progress_only_grows_and_ends_at_one(request_):
    seen = []
    Engine("cpu").render(request_, progress=seen.append)
    fractions = [p.fraction for p in seen]
    assert fractions == sorted(fractions) and fractions[-1] == 1.0
    assert [p.stage for p in seen][:3] == ["load_model", "encode_content", "encode_style"]


def test_cancel_before_and_during(engine, request_):
    token = CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        engine.render(replace(request_, content=noise(96, 72, 77)), cancel=token)
    late = CancelToken()
    stages = []

    def stop_at_match(event):
        stages.append(event.stage)
        if event.stage == "match":
            late.cancel()

    with pytest.raises(Cancelled):
        engine.render(replace(request_, content=noise(96, 72, 78)), progress=stop_at_match, cancel=late)
    assert "paint" not in stages
    assert engine.render(request_).image.size == (96, 72)


def test_a_waiting_render_can_be_cancelled(engine, request_):
    token, errors = CancelToken(), []
    with engine._computing:

        def wait():
            try:
                engine.render(request_, cancel=token)
            except Cancelled as error:
                errors.append(error)

        thread = threading.Thread(target=wait)
        thread.start()
        token.cancel()
        thread.join(2)
        assert not thread.is_alive() and len(errors) == 1


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("[enforce fail] can't allocate memory: 9 GB")])
def test_running_out_of_memory_is_our_own_error_and_the_engine_lives_on(engine, request_, monkeypatch, error):
    model = engine.load("lite")

    def fail(*args, **kwargs):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(model, "prepare", fail)
        with pytest.raises(OutOfMemory) as caught:
            engine.render(replace(request_, style=noise(80, 112, 5)))
        assert "smaller size" in caught.value.hint
    assert engine.render(request_).image.size == (96, 72)


def test_another_runtime_error_is_not_taken_for_memory(engine, request_, monkeypatch):
    model = engine.load("lite")

    def fail(*args, **kwargs):
        raise RuntimeError("something else")

    monkeypatch.setattr(model, "prepare", fail)
    with pytest.raises(RuntimeError, match="something else"):
        engine.render(replace(request_, style=noise(80, 112, 6)))


def test_preview_has_the_full_size_and_looks_alike(engine, request_):
    big = replace(request_, knobs=request_.knobs.replace(size=192))
    full, preview = engine.render(big), engine.preview(big)
    assert preview.image.size == full.image.size == (192, 144)
    blank = Image.new("RGB", full.image.size, tuple(np.asarray(full.image).mean((0, 1)).astype(int)))
    assert difference(full.image, preview.image) < difference(full.image, blank)


def test_the_estimate_comes_from_measured_stages(request_):
    engine = Engine("cpu")
    assert engine.estimate_seconds(request_) is None
    engine.render(request_)
    again = replace(request_, content=noise(96, 72, 50), style=noise(80, 112, 51))
    engine.render(again)
    cold = engine.estimate_seconds(replace(request_, content=noise(96, 72, 60)))
    assert cold is not None and 0 < cold < 30
    assert engine.estimate_seconds(request_) == 0  # everything is cached
    large = replace(request_, knobs=request_.knobs.replace(size=256))
    assert 0 < engine.estimate_seconds(large, preview=True) < engine.estimate_seconds(large)
    engine.preview(large)
    assert engine.estimate_seconds(large, preview=True) == 0 < engine.estimate_seconds(large)


def test_states_name_what_is_missing(engine):
    states = {s.info.name: s for s in engine.backbones()}
    assert states["lite"].ready
    if not states["sanet"].ready:
        assert "vgg_normalised.pth" in states["sanet"].reason + states["sanet"].hint


EARLY = {"encode_content": 0.01, "encode_style": 0.02, "encode_maps": 0.03, "match": 0.04, "paint": 0.2, "finish": 0.9}


class Steps:
    """A family that paints in four steps and shows the picture after each."""

    info = dataclasses.replace(
        lite.INFO,
        capabilities=Capabilities(
            multiple_of=8, minimum=32, knobs=(), methods=("regions",), slow=True, previews=True, timeline=EARLY
        ),
    )
    fingerprint = "steps"

    def encode(self, picture, *, role, checkpoint):
        return {} if role == "map" else {"rgb": picture}

    def prepare(self, pair, method, checkpoint):
        return torch.ones(1)

    def render(self, prepared, knobs, method, checkpoint):
        for k in range(4):
            checkpoint((k + 1) / 4, torch.full((1, 3, 72, 96), k / 4))
        return torch.ones(1, 3, 72, 96)


def test_a_slow_family_shows_its_pictures_on_a_time_line_of_its_own(request_, monkeypatch):
    monkeypatch.setitem(FAMILIES, "steps", Family(Steps.info, lambda device: Steps(), ()))
    events = []
    Engine("cpu").render(replace(request_, backbone="steps", method="regions"), progress=events.append)
    steps = [e for e in events if e.picture is not None]
    assert [round(e.fraction, 3) for e in steps] == [0.375, 0.55, 0.725, 0.9]
    assert {e.stage for e in steps} == {"paint"}
    assert {e.picture.size for e in steps} == {(96, 72)}
    fractions = [e.fraction for e in events]
    assert fractions == sorted(fractions) and fractions[-1] == 1.0


def test_progress_moves_inside_a_stage_where_the_family_says_how_far_it_is(request_, monkeypatch):
    engine = Engine("cpu")
    model, seen = engine.load("lite"), []
    encode = model.encode

    def stepwise(picture, *, role, checkpoint):
        for k in range(4):
            checkpoint(k / 4)
        return encode(picture, role=role, checkpoint=checkpoint)

    monkeypatch.setattr(model, "encode", stepwise)
    engine.render(request_, progress=seen.append)
    for stage, moves in (("encode_content", 4), ("encode_style", 4), ("encode_maps", 8)):
        assert len({p.fraction for p in seen if p.stage == stage}) == moves
    fractions = [p.fraction for p in seen]
    assert fractions == sorted(fractions) and fractions[-1] == 1.0


@pytest.mark.parametrize("name", ["none", "", None, 5, ["lite"], {"lite": 1}])
def test_a_family_that_there_is_none_of_is_said(name):
    with pytest.raises(KnobError):
        Engine("cpu").info(name)


def test_quick_renders_keep_their_pages_and_others_give_them_back(request_, monkeypatch):
    """A cold render returns memory at once, a knob's on a small picture only now and then, a large one always."""
    given = []
    monkeypatch.setattr(engine_module, "give_back", lambda: given.append(1))
    engine = Engine("cpu")

    def times(**knobs):
        given.clear()
        engine.render(replace(request_, knobs=request_.knobs.replace(**knobs)))
        return len(given)

    assert times() >= 2
    assert times(alpha1=0.9) == 0
    monkeypatch.setattr(engine_module, "TIDY_ABOVE", 0.0)
    assert times(alpha1=1.0) == 1
    monkeypatch.undo()
    monkeypatch.setattr(engine_module, "give_back", lambda: given.append(1))
    monkeypatch.setattr(engine_module, "TIDY_SECONDS", 0.0)
    assert times(alpha1=0.8) == 1


def test_a_render_without_room_holds_nothing_when_a_smaller_one_starts(engine, request_, monkeypatch):
    model = engine.load("lite")
    left = []

    def full(*args, **more):
        large = torch.zeros(1000)
        left.append(weakref.ref(large))
        raise MemoryError

    monkeypatch.setattr(model, "render", full)
    with pytest.raises(OutOfMemory) as caught:
        engine.render(dataclasses.replace(request_, knobs=engine.defaults("lite").replace(size=96, alpha1=0.123)))
    assert left and left[0]() is None
    assert isinstance(caught.value.__cause__, MemoryError)  # whose frames are there, empty


def test_a_preview_of_a_long_picture_has_the_shape_of_the_result(engine, monkeypatch):
    family = FAMILIES["lite"]
    coarse = dataclasses.replace(family.info.capabilities, multiple_of=16, minimum=64)
    monkeypatch.setitem(FAMILIES, "lite", dataclasses.replace(family, info=dataclasses.replace(family.info, capabilities=coarse)))
    content = Image.fromarray(np.random.default_rng(0).integers(0, 255, (20, 600, 3), np.uint8))
    request = RenderRequest(content, content, method="baseline", knobs=engine.defaults("lite").replace(size=256))
    assert engine.preview(request).image.size == engine.render(request).image.size


def test_maps_that_are_there_cost_nothing_more(request_):
    engine = Engine("cpu")
    engine.render(request_)
    linked = dataclasses.replace(request_, links={1: (2,)})
    ids = request_.content_map.ids.copy()
    ids[:9, :9] = 2
    redrawn = dataclasses.replace(request_, content_map=LabelMap.from_ids(ids))
    assert engine.estimate_seconds(linked) < engine.estimate_seconds(redrawn)


def test_one_map_for_both_pictures_is_measured(request_):
    engine = Engine("cpu")
    alike = dataclasses.replace(request_, style=request_.content, style_map=request_.content_map)
    engine.render(alike)
    assert engine.estimate_seconds(dataclasses.replace(alike, content=request_.style, content_map=request_.style_map)) is not None
