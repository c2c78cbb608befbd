"""A region left as it is keeps the content's pixels, in every method that has maps."""

import dataclasses

import numpy as np
import pytest
import torch
from PIL import Image

from scsa_core.engine import Engine, RenderRequest
from scsa_core.knobs import Knobs
from scsa_core.labels import LabelMap
from scsa_core.left_alone import leave_as_it_is
from scsa_core.pairing import AS_IT_IS


def noise(width, height, seed):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8))


@pytest.mark.parametrize("softness", [0.0, 1.0])
def test_inside_are_the_contents_pixels_outside_the_result_and_between_a_ramp(softness):
    labels = torch.ones(24, 48, dtype=torch.long)
    labels[:, 24:] = 2
    result, content = torch.zeros(1, 3, 24, 48), torch.ones(1, 3, 24, 48)
    out = leave_as_it_is(result, content, labels, (2,), softness)[0, 0, 12]
    reach = 1 + round(4 * softness)
    assert (out[: 24 - reach] == 0).all() and torch.allclose(out[24 + reach :], torch.ones(24 - reach))
    assert (out[1:] >= out[:-1] - 1e-6).all()
    assert leave_as_it_is(result, content, labels, (7,)) is result


def test_the_engine_leaves_a_region_alone_and_paints_the_others_as_before():
    engine = Engine("cpu")
    ids = np.ones((72, 96), np.uint8)
    ids[:, 48:] = 2
    both = LabelMap.from_ids(ids)
    request = RenderRequest(noise(96, 72, 0), noise(96, 72, 1), both, both, knobs=Knobs(size=96, alpha1=0.5, alpha2=1.5), links={2: ()})
    whole = engine.render(request)
    left = engine.render(dataclasses.replace(request, links={2: (AS_IT_IS,)}))
    assert "paint" not in left.timings  # switching costs the last stage only
    content, before, after = (np.asarray(p, dtype=int) for p in (request.content, whole.image, left.image))
    assert np.abs(after[:, 52:] - content[:, 52:]).max() <= 1
    assert np.array_equal(after[:, :44], before[:, :44])
    assert {n.code for n in whole.notes} == {"unmatched", "style_only"} and {n.code for n in left.notes} == {"style_only"}


def test_a_region_too_small_for_a_token_is_told_unless_it_is_left_as_it_is():
    ids = np.ones((72, 96), np.uint8)
    ids[:3, :3] = 2
    m = LabelMap.from_ids(ids)
    request = RenderRequest(noise(96, 72, 0), noise(96, 72, 1), m, m, knobs=Knobs(size=96))
    engine = Engine("cpu")
    assert [(n.code, n.regions) for n in engine.render(request).notes] == [("vanishes", (2,))]
    for changes in ({"links": {2: (AS_IT_IS,)}}, {"method": "baseline"}):
        assert "vanishes" not in {n.code for n in engine.render(dataclasses.replace(request, **changes)).notes}
