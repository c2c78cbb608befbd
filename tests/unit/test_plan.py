"""Cache keys: a knob changes the key of the stage it acts in, and of no stage before it."""

import dataclasses

import numpy as np
import pytest
from PIL import Image

from scsa_core.backbones.base import Capabilities
from scsa_core.knobs import Knobs
from scsa_core.labels import LabelMap
from scsa_core.plan import Plan, stage_keys
from scsa_core.request import RenderRequest

ALL = tuple(field.name for field in dataclasses.fields(Knobs))


def keys(method="scsa", acting=ALL, encode_knobs=(), **knobs):
    random = np.random.default_rng(0)
    content, style = (Image.fromarray(random.integers(0, 256, (24, 32, 3), dtype=np.uint8)) for _ in range(2))
    one = LabelMap.from_ids(np.ones((24, 32), dtype=np.uint8))
    request = RenderRequest(content, style, one, one, method=method, knobs=Knobs(size=64).replace(**knobs))
    return stage_keys(request, Plan.of(request, Capabilities(multiple_of=8, minimum=32, knobs=acting, encode_knobs=encode_knobs)), "weights")


def changed(method="scsa", acting=ALL, encode_knobs=(), **knobs):
    before, after = (keys(method, acting, encode_knobs, **k) for k in ({}, knobs))
    return {stage for stage in before if before[stage] != after[stage]}


@pytest.mark.parametrize("knob", ["alpha1", "alpha2", "blend"])
def test_what_weighs_the_maps_is_painted_anew_and_means_nothing_to_the_baseline(knob):
    assert changed(**{knob: 0.1}) == {"paint"}
    assert changed("baseline", **{knob: 0.1}) == set()


def test_a_knob_that_does_not_act_changes_nothing():
    assert changed(acting=("alpha1", "size"), alpha2=0.9, blend=0.1, seed=7) == set()
    assert changed(acting=("alpha1", "size"), alpha1=0.9) == {"paint"}


def test_a_knob_of_encoding_reaches_every_stage_for_the_baseline_too():
    for method in ("scsa", "baseline"):
        assert changed(method, encode_knobs=("timesteps",), timesteps=20) == {"encode_content", "encode_style", "match", "paint"}
        assert changed(method, timesteps=20) == {"paint"}


def test_other_knobs_reach_the_stage_they_act_in():
    assert changed(keep_colours=0.5) == set()  # acts after painting
    assert changed(soft_borders=1) == {"match", "paint"}
    assert changed(stroke_size=2) == {"encode_style", "match", "paint"}
    assert changed(size=128) == {"encode_content", "encode_style", "match", "paint"}
