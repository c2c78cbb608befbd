"""Pale and coloured rims along region borders: found against both pictures, taken out of the painting, and nothing else touched."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from scsa_core import Engine, RenderRequest, load_image
from scsa_core.backbones import rims
from scsa_core.boxes import box_mean
from scsa_core.labels import LabelMap

SIDE = 256
GROUPS = [((1,), (1,)), ((2,), (2,))]
EXAMPLES = Path(__file__).parents[2] / "assets/examples"


def halves():
    labels = torch.ones(SIDE, SIDE, dtype=torch.long)
    labels[:, SIDE // 2 :] = 2
    return labels


def flat(left, right):
    """Lightness of two plain halves."""
    return torch.where(halves() == 1, left, right).float()[None, None]


def rimmed(light, height, width=10):
    """The same with a rim inside the left half, along the border between them."""
    at = torch.arange(SIDE) - SIDE // 2
    return light + height * ((at < 0) & (at >= -width)).float()


def allowed(content, style, groups=GROUPS, labels=None):
    return rims.rims_allowed(grey(content), grey(style), halves(), halves() if labels is None else labels, groups)


def grey(light):
    """(1, 1 or 3, H, W) with three channels."""
    return light.expand(1, 3, *light.shape[2:]).clone()


def test_a_pale_rim_that_neither_picture_has_goes_and_the_rest_stays():
    plain = flat(0.2, 0.8)
    picture = grey(rimmed(plain, 0.15))
    out = allowed(plain, plain).without(picture.clone())
    inside = out[0, 0, 20, SIDE // 2 - 8 : SIDE // 2 - rims.BLUR - 1]
    assert (inside - 0.2).abs().max() < 0.06  # 0.15 before
    assert torch.equal(out[..., : SIDE // 2 - 30], picture[..., : SIDE // 2 - 30])
    assert (out[..., SIDE // 2 + rims.BLUR :] - 0.8).abs().max() < 1e-6  # the other half
    assert torch.allclose(out[:, 0], out[:, 1]) and torch.allclose(out[:, 0], out[:, 2])


def test_a_wide_band_is_no_inside_where_the_region_goes_deeper():
    """A rim as wide as those that decoders paint before a flat sky."""
    plain = flat(0.2, 0.8)
    out = allowed(plain, plain).without(grey(rimmed(plain, 0.2, width=24)))
    band = out[0, 0, 20, SIDE // 2 - 18 : SIDE // 2 - rims.BLUR - 1]
    assert (band - 0.2).max() < 0.06


def test_a_narrow_region_is_compared_with_what_inside_it_has():
    narrow = torch.ones(SIDE, SIDE, dtype=torch.long)
    narrow[:, 100:132] = 2  # no pixel of it lies as deep as the first choice asks
    found = rims.places(narrow.numpy(), [(1,), (2,)])
    assert found.measured == (0, 1) and found.inside == (0, 1)
    light = torch.full((1, 1, SIDE, SIDE), 0.2)
    picture = grey(light)
    picture[..., 100:105] += 0.2
    out = rims.rims_allowed(grey(light), grey(light), narrow, narrow, GROUPS).without(picture.clone())
    assert out[0, 0, 100, 103] < 0.3 < picture[0, 0, 100, 103]


def test_a_rim_along_a_part_of_a_border_is_measured_there():
    """In the mean over the whole border it is a third as high."""
    plain = flat(0.2, 0.8)
    rim = (rimmed(plain, 0.3) - plain) * (torch.arange(SIDE) < SIDE // 3)[:, None]
    out = allowed(plain, plain).without(grey(plain + rim))
    assert out[0, 0, 20 : SIDE // 3 - 25, SIDE // 2 - 8 : SIDE // 2 - rims.BLUR - 1].max() < 0.32  # 0.5 before
    assert torch.equal(out[..., SIDE // 2 :, : SIDE // 2], grey(plain)[..., SIDE // 2 :, : SIDE // 2])


def test_what_is_pale_nearby_anyway_is_no_rim():
    """A region that is light on one end and dark on the other, along all of its border as within."""
    slope = flat(0.0, 0.8) + torch.linspace(0.2, 0.6, SIDE)[:, None] * (halves() == 1)
    plain = flat(0.2, 0.8)
    out = allowed(plain, plain).without(grey(slope))
    assert (grey(slope) - out).max() < 0.02


def test_a_rim_goes_towards_the_colour_within():
    """White on blue: what is too much of it is mostly red."""
    blue = torch.tensor([0.1, 0.2, 0.6]).view(1, 3, 1, 1)
    ground = torch.where(halves() == 1, blue, torch.tensor(0.9))
    white = (rimmed(flat(0.0, 0.0), 1.0) > 0.5) & (halves() == 1)
    picture = torch.where(white, torch.tensor([0.5, 0.5, 0.7]).view(1, 3, 1, 1), ground)
    out = allowed(ground, ground).without(picture.clone())
    taken = (picture - out)[0, :, 100, SIDE // 2 - 6]
    assert taken[0] > taken[1] > taken[2] > 0.03
    assert taken[0] == pytest.approx(0.32, abs=0.08)  # of 0.4


def coloured(red, green, blue, base=0.8):
    """A rim of that much more than its grey half, in the left one, beside a half of 0.4."""
    rim = rimmed(flat(0.0, 0.0), 1.0)
    return grey(flat(base, 0.4)) + rim * torch.tensor([red, green, blue]).view(1, 3, 1, 1)


def test_a_glow_of_another_colour_goes_though_it_is_no_lighter():
    plain, picture = flat(0.8, 0.4), coloured(0.0, 0.0, -0.3)  # yellow on white, and darker than it
    out = allowed(plain, plain).without(picture.clone())
    inner = out[0, :, 100, SIDE // 2 - 8 : SIDE // 2 - rims.BLUR - 1]
    assert (inner.amax(0) - inner.amin(0)).max() < 0.12  # 0.3 before
    assert torch.allclose(rims.luma(out), rims.luma(picture), atol=1e-6)  # as dark as it was
    assert torch.equal(out[..., : SIDE // 2 - 30], picture[..., : SIDE // 2 - 30])


@pytest.mark.parametrize("which", ["content", "style"])
def test_a_glow_that_either_picture_has_may_stay(which):
    plain, picture = flat(0.8, 0.4), coloured(0.0, 0.0, -0.3)
    of = {"content": plain, "style": plain, which: picture}
    out = allowed(of["content"], of["style"]).without(picture.clone())
    assert torch.allclose(out, picture, atol=0.02)


def test_what_drifts_far_into_a_region_is_no_glow():
    """A sky's own red above its horizon, of which the content has none."""
    plain = flat(0.8, 0.4)
    found = allowed(plain, plain)
    over = found.excess(grey(plain) + (rimmed(flat(0.0, 0.0), 1.0, width=22) * torch.tensor([0.0, -0.2, -0.2]).view(1, 3, 1, 1)))
    assert (over[:, rims.END_OF_COLOUR :] == 0).all() and over[:, 0].abs().max() > 0.05


def test_what_is_taken_has_a_bound():
    plain = flat(0.0, 1.0)
    found = allowed(plain, plain)
    over = found.excess(grey(rimmed(plain, 0.9)))
    assert 0.5 < over.max() < rims.MOST
    assert (over[:, 0] >= over[:, -1]).all()


@pytest.mark.parametrize(("which", "left"), [("content", 0.98), ("style", rims.OF_STYLE)])
def test_a_rim_of_the_contents_may_stay_and_a_share_of_the_styles(which, left):
    plain, picture = flat(0.2, 0.8), rimmed(flat(0.2, 0.8), 0.2)
    of = {"content": plain, "style": plain, which: picture}
    ours = allowed(of["content"], of["style"]).allowed
    assert ours[0, 0].max() == pytest.approx(left * 0.2 + rims.TOLERANCE, abs=0.02)
    out = allowed(of["content"], of["style"]).without(grey(picture))
    if which == "content":
        assert torch.allclose(out, grey(picture), atol=0.01)


def test_a_dark_rim_is_left_alone():
    plain = flat(0.5, 0.8)
    dark = grey(rimmed(plain, -0.2))
    out = allowed(plain, plain).without(dark.clone())
    assert torch.equal(out[..., : SIDE // 2], dark[..., : SIDE // 2])


def test_nothing_is_seen_of_classes_and_no_pixel_gets_lighter():
    ramp = flat(0.2, 0.2)
    at = (SIDE // 2 - 1 - torch.arange(SIDE)).clamp_min(0).float()
    picture = ramp + 0.2 * (1 - at / 16).clamp_min(0) * (halves() == 1)
    before = grey(picture)
    out = allowed(ramp, ramp).without(before.clone())
    taken = (before - out)[0, 0, 100, : SIDE // 2 - rims.BLUR - 2]
    assert taken.min() >= 0 and taken.max() > 0.05
    assert (taken[1:] - taken[:-1]).abs().max() < 0.035  # the ramp's own step is 0.0125 a pixel, and classes are 2 to 7 wide


def test_strength_takes_as_much_and_none_nothing():
    plain = flat(0.2, 0.8)
    picture, found = grey(rimmed(plain, 0.2)), allowed(plain, plain)
    whole, half = (picture - found.without(picture.clone(), s) for s in (1.0, 0.5))
    assert torch.allclose(half, whole / 2, atol=1e-6)
    assert torch.equal(found.without(picture.clone(), 0.0), picture)


def test_regions_without_a_border_or_an_inside_have_no_rims():
    whole = torch.ones(SIDE, SIDE, dtype=torch.long)
    light = grey(flat(0.2, 0.2))
    assert rims.rims_allowed(light, light, whole, whole, [((1,), (1,))]) is None
    thin = whole.clone()
    thin[:, 120:136] = 2  # 16 pixels wide: all of it is border
    found = rims.rims_allowed(light, light, thin, thin, GROUPS)
    assert (found.at[:, 120:136] == -1).all()
    picture = grey(light)
    picture[..., 124:132] += 0.3
    assert torch.equal(found.without(picture.clone())[..., 124:132], picture[..., 124:132])


def test_regions_that_take_after_the_same_style_have_no_border_between_them():
    light = grey(flat(0.2, 0.2))
    assert rims.rims_allowed(light, light, halves(), torch.ones(SIDE, SIDE, dtype=torch.long), [((1, 2), (1,))]) is None


def test_a_style_region_without_a_border_or_none_at_all_allows_what_the_content_has():
    plain, picture = flat(0.2, 0.8), rimmed(flat(0.2, 0.8), 0.2)
    for groups, labels in (([((1,), ()), ((2,), ())], None), ([((1,), (1,))], torch.ones(SIDE, SIDE, dtype=torch.long))):
        found = allowed(plain, picture, groups, labels)
        assert found.allowed.max() == pytest.approx(rims.TOLERANCE, abs=1e-3)  # the style's rim is nobody's
        assert found.without(grey(picture))[0, 0, 20, SIDE // 2 - 6] < 0.28


def test_a_styles_rim_counts_at_its_own_scale():
    plain, picture = flat(0.2, 0.8), rimmed(flat(0.2, 0.8), 0.2)
    small = torch.nn.functional.avg_pool2d(grey(picture), 2)
    ours = rims.rims_allowed(grey(plain), small, halves(), halves()[::2, ::2], GROUPS)
    assert torch.allclose(ours.allowed, allowed(plain, picture).allowed, atol=0.02)


def test_a_rim_is_found_at_any_size():
    plain, picture = flat(0.2, 0.8), rimmed(flat(0.2, 0.8), 0.2)
    large, rim = (torch.nn.functional.interpolate(x, scale_factor=3, mode="nearest") for x in (plain, picture))
    labels = halves().repeat_interleave(3, 0).repeat_interleave(3, 1)
    ours = rims.rims_allowed(grey(large), grey(large), labels, labels, GROUPS).excess(rim.expand(-1, 3, -1, -1))
    theirs = allowed(plain, plain).excess(grey(picture))
    assert ours.amax((2, 3, 4)).sub(theirs.amax((2, 3, 4))).abs().max() < 0.03


def test_depth_counts_from_other_regions_and_not_from_the_pictures_edge():
    found = rims.places(halves().numpy(), [(1,), (2,)])
    one = rims.CLASSES + 1
    assert found.measured == (0, 1)
    row = found.at[0]
    assert row[0] == one - 1 and row[-1] == 2 * one - 1  # deeper than all classes, at the edge
    assert row[SIDE // 2 - 1] == 0 and row[SIDE // 2] == one
    assert row[SIDE // 2 - 3] == pytest.approx(1, abs=0.05)  # two of 256 pixels, where the first class ends
    assert rims.places(np.ones((9, 9), np.int64), [(1,)]).measured == ()


def test_the_grid_is_blurred_as_pictures_are():
    x = torch.rand(2, 3, 20, 33, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(rims._blurred(x.flatten(0, 1), 5), box_mean(box_mean(x, 5), 5).flatten(0, 1))


def test_a_style_region_may_be_several_groups_source():
    """Both halves of the content take after one style region, and one of them after the other one too."""
    plain, picture = flat(0.2, 0.8), rimmed(flat(0.2, 0.8), 0.4)
    shared = [((1,), (1,)), ((2,), (1, 2))]
    apart = [((1,), (1,)), ((2,), (2,))]
    ours, theirs = (allowed(plain, picture, groups).allowed for groups in (shared, apart))
    assert torch.equal(ours[0], theirs[0]) and ours[0].max() > 0.08
    assert ours[1].max() == pytest.approx(rims.TOLERANCE, abs=1e-3)  # that pair of regions is the whole style: it has no border


def test_in_a_painting_of_lite_a_rim_is_found_and_taken(monkeypatch):
    folder = EXAMPLES / "cat_as_lion"
    content, style = (load_image(folder / f"{name}.jpg") for name in ("content", "style"))
    ids = np.ones((96, 96), np.uint8)
    ids[:, 48:] = 2
    both = LabelMap.from_ids(ids)
    engine = Engine("cpu")
    request = RenderRequest(content, style, both, both, knobs=engine.defaults("lite").replace(size=192))
    found = []
    taken = rims.Rims.without

    def rimmed_first(self, picture, strength, checkpoint):
        """A rim of our own on top, since this pair may have none."""
        picture[..., picture.shape[-1] // 2 - 8 : picture.shape[-1] // 2] += 0.13
        before = self.excess(picture).max()
        out = taken(self, picture, strength, checkpoint)
        found.append((before, self.excess(out).max()))
        return out

    monkeypatch.setattr(rims.Rims, "without", rimmed_first)
    engine.render(request)
    ((before, after),) = found
    assert before > 0.04 and after < 0.5 * before, (before, after)


def test_alpha_zero_takes_nothing_and_a_draft_is_freed_of_rims_too(monkeypatch):
    seen = []
    monkeypatch.setattr(rims.Rims, "without", lambda self, picture, strength, checkpoint: seen.append(strength) or picture)
    engine = Engine("cpu")
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 255, (96, 96, 3), np.uint8))
    ids = np.ones((96, 96), np.uint8)
    ids[:, 48:] = 2
    both = LabelMap.from_ids(ids)
    request = RenderRequest(picture, picture, both, both, knobs=engine.defaults("lite").replace(size=96))
    engine.render(request)
    assert seen == [1.0]
    engine.render(dataclasses.replace(request, knobs=request.knobs.replace(alpha1=0.0, alpha2=0.0)))
    assert seen[-1] == 0.0
    engine.preview(request)
    assert len(seen) == 3
    engine.render(dataclasses.replace(request, method="baseline"))
    assert len(seen) == 3
