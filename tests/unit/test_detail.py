"""A picture painted smaller than it comes out: what is added on the way up, and what the engine says of it."""

import dataclasses

import numpy as np
import pytest
import torch
from PIL import Image

from scsa_core import engine as engine_module
from scsa_core.backbones import FAMILIES
from scsa_core.detail import transfer_detail
from scsa_core.engine import Engine, RenderRequest
from scsa_core.knobs import Knobs
from scsa_core.labels import LabelMap
from scsa_core.pairing import AS_IT_IS

REACH = 96


def small_of(full):
    return torch.nn.functional.interpolate(full, scale_factor=0.5, mode="area")


def edge(width=128):
    """A light bar before a dark ground: its borders lie between the small picture's pixels."""
    full = torch.full((1, 3, 64, width), 0.2)
    full[..., width // 2 - 15 : width // 2 + 15] = 0.8
    return full


def test_a_painting_that_is_the_content_gets_its_edges_back():
    full = edge()
    small = small_of(full)
    made = transfer_detail(small, small, full)
    plain = torch.nn.functional.interpolate(small, size=full.shape[2:], mode="bicubic", align_corners=False)
    assert made.shape == full.shape
    assert (made - full).abs().mean() < 0.35 * (plain - full).abs().mean()


def test_detail_turns_where_the_painting_turned_light_into_dark_and_colours_take_their_own_share():
    full = edge()
    small = small_of(full)
    painted = torch.cat([1 - small[:, :1], 0.5 * small[:, :1], torch.full_like(small[:, :1], 0.4)], 1)
    wanted = torch.cat([1 - full[:, :1], 0.5 * full[:, :1], torch.full_like(full[:, :1], 0.4)], 1)
    made = transfer_detail(painted, small, full)
    plain = torch.nn.functional.interpolate(painted, size=full.shape[2:], mode="bicubic", align_corners=False)
    for channel in (0, 1):
        assert (made - wanted)[:, channel].abs().mean() < 0.4 * (plain - wanted)[:, channel].abs().mean()
    assert torch.allclose(made[:, 2], wanted[:, 2], atol=1e-3)  # what follows the content in nothing gets nothing


def test_grain_and_flat_ground_leave_the_painting_as_it_is():
    grain = 0.5 + 0.2 * (torch.rand(1, 1, 64, 128, generator=torch.Generator().manual_seed(0)) - 0.5).repeat(1, 3, 1, 1)
    for full in (grain, torch.full((1, 3, 64, 128), 0.5)):
        small = small_of(full)
        painted = torch.rand(1, 3, 32, 64, generator=torch.Generator().manual_seed(1))
        plain = torch.nn.functional.interpolate(painted, size=(64, 128), mode="bicubic", align_corners=False)
        assert (transfer_detail(painted, small, full) - plain).abs().max() < 0.02


@pytest.mark.parametrize("size", [(1, 2), (3, 200), (40, 1)])
def test_strips_are_no_trouble(size):
    full = torch.rand(1, 3, *size)
    small = torch.rand(1, 3, max(1, size[0] // 2), max(1, size[1] // 2))
    made = transfer_detail(small, small, full)
    assert made.shape == full.shape and torch.isfinite(made).all()


@pytest.fixture
def near(monkeypatch):
    """An engine whose `lite` looks as if its attention reached no further than REACH pixels."""
    info = FAMILIES["lite"].info
    info = dataclasses.replace(info, capabilities=dataclasses.replace(info.capabilities, attends=REACH))
    monkeypatch.setattr(engine_module, "FAMILIES", {**FAMILIES, "lite": dataclasses.replace(FAMILIES["lite"], info=info)})
    return Engine("cpu")


def request(size, **changes):
    random = np.random.default_rng(4)
    content, style = (Image.fromarray(random.integers(0, 255, (30, 40, 3), dtype=np.uint8)).resize((240, 180)) for _ in range(2))
    ids = np.ones((180, 240), np.uint8)
    ids[:, 120:] = 2
    both = LabelMap.from_ids(ids)
    return RenderRequest(content, style, both, both, knobs=Knobs(size=size, alpha1=0.5, alpha2=1.5), **changes)


def test_the_engine_paints_as_far_as_attention_reaches_and_says_so(near):
    small, large = near.render(request(REACH)), near.render(request(2 * REACH))
    assert (small.image.size, large.image.size) == ((96, 72), (192, 144))
    assert small.notes == () and [(n.code, n.pixels) for n in large.notes] == [("enlarged", REACH)]
    assert "96 px" in large.notes[0].text and "192 px" in large.notes[0].text
    assert {"encode_content", "encode_style", "match", "paint"} & set(large.timings) == set()  # all of it is the small one's
    back = np.asarray(large.image.resize((96, 72), Image.Resampling.BOX), float)
    assert np.abs(back - np.asarray(small.image, float)).mean() < 6
    assert near.preview(request(2 * REACH)).image.size == (192, 144)
    assert near.estimate_seconds(request(2 * REACH)) == 0


def test_what_is_left_as_it_is_and_the_contents_colours_come_at_full_size(near):
    left = near.render(request(2 * REACH, links={2: (AS_IT_IS,)}))
    content = np.asarray(request(REACH).content.resize((192, 144), Image.Resampling.LANCZOS), int)
    assert np.abs(np.asarray(left.image, int)[:, 100:] - content[:, 100:]).max() <= 1
    asked = request(2 * REACH)
    coloured = near.render(dataclasses.replace(asked, knobs=asked.knobs.replace(keep_colours=1.0)))
    assert coloured.image.size == (192, 144)
    chroma = [np.asarray(p.convert("YCbCr"), int)[..., 1:] for p in (coloured.image, asked.content.resize((192, 144), Image.Resampling.LANCZOS))]
    assert np.abs(chroma[0] - chroma[1]).mean() < 6


def test_the_families_whose_attention_is_global_have_such_a_reach():
    reach = {name: family.info.capabilities.attends for name, family in FAMILIES.items()}
    assert reach["stytr2"] == reach["styleid"] == 1024 and reach["lite"] == reach["sanet"] == 0
