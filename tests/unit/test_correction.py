"""Targets moved by what a first painting is off, and what that does to a picture."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from scsa_core import Engine, RenderRequest, load_image
from scsa_core.backbones import align, correction, lite
from scsa_core.backbones.level import Attended
from scsa_core.images import to_tensor
from scsa_core.knobs import Knobs
from scsa_core.labels import read_maps
from scsa_core.metrics import MetricNetwork, RegionTarget

EXAMPLES = Path(__file__).parents[2] / "assets/examples"


@pytest.fixture
def alignment():
    return aligned(128)


def aligned(split):
    """Two regions side by side in 256 x 256 pixels, the second one from the column `split` on."""
    labels = torch.zeros(256, 256, dtype=torch.long)
    labels[:, split:] = 1
    style = {level: torch.rand(1, 3, 256 // f, 256 // f) + 1 for level, f in zip(align.LEVELS, align.FACTORS, strict=True)}
    return align.build(style.__getitem__, labels, labels, feather=0)


def painted(alignment, change):
    """What the layers of a picture would be that has the targets, but for `change(mean, deviation)`."""
    layers = {}
    for level, name in enumerate(align.LEVELS):
        weights, target = alignment.weights[level], alignment.targets[level]
        asked = align.Moments(*change(target.mean, target.deviation))
        start = torch.randn(1, 3, *weights.shape[1:])
        unit = align.align(start, weights, align.Moments(torch.zeros(2, 3), torch.ones(2, 3)))
        spread = torch.einsum("rhw,rc->chw", weights, asked.deviation)
        layers[name] = unit * spread + torch.einsum("rhw,rc->chw", weights, asked.mean)
    return layers


def test_a_picture_that_has_what_was_asked_for_moves_nothing(alignment):
    same = correction.corrected(alignment, painted(alignment, lambda mean, deviation: (mean, deviation)))
    for before, after in zip(alignment.targets, same.targets, strict=True):
        torch.testing.assert_close(after.mean, before.mean, atol=1e-3, rtol=1e-3)
        torch.testing.assert_close(after.deviation, before.deviation, atol=1e-3, rtol=1e-3)


def test_what_is_missing_is_asked_for_again_where_the_level_is_to_be_corrected(alignment):
    after = correction.corrected(alignment, painted(alignment, lambda mean, deviation: (mean / 1.2, deviation / 1.2))).targets
    before, more, near = alignment.targets, 1.2**correction.STEP, {"atol": 3e-3, "rtol": 3e-3}
    for moment in ("mean", "deviation"):
        torch.testing.assert_close(getattr(after[0], moment), getattr(before[0], moment) * more, **near)
    torch.testing.assert_close(after[1].mean, before[1].mean * (1 + correction.STEP * (1 - 1 / 1.2)), **near)
    torch.testing.assert_close(after[1].deviation, before[1].deviation * more, **near)
    torch.testing.assert_close(after[2].mean, before[2].mean * (2 - 1 / 1.2), **near)
    assert torch.equal(after[2].deviation, before[2].deviation)  # a flat sky's noise is not called for
    assert after[3] is before[3]


def test_a_region_of_few_tokens_is_corrected_in_proportion():
    """Two columns of 32 tokens: half as many as it takes."""
    alignment = aligned(240)
    after = correction.corrected(alignment, painted(alignment, lambda mean, deviation: (mean / 1.2, deviation / 1.2))).targets
    before, near = alignment.targets, {"atol": 3e-3, "rtol": 3e-3}
    assert correction.FEW == 128
    for region, step in ((0, correction.STEP), (1, correction.STEP / 2)):
        for level, moment in ((0, "mean"), (0, "deviation"), (1, "deviation")):
            torch.testing.assert_close(getattr(after[level], moment)[region], getattr(before[level], moment)[region] * 1.2**step, **near)
        torch.testing.assert_close(after[1].mean[region], before[1].mean[region] * (1 + step * (1 - 1 / 1.2)), **near)
        torch.testing.assert_close(after[2].mean[region], before[2].mean[region] * (2 - 1 / 1.2), **near)


def test_what_is_empty_is_not_filled_with_what_its_surroundings_lack(alignment):
    """A channel that the style does not use keeps to it, whatever the painting has there."""
    deep = alignment.targets[0]
    empty = align.Moments(deep.mean * torch.tensor([0.0, 1.0, 1.0]), deep.deviation)
    alignment = dataclasses.replace(alignment, targets=(empty, *alignment.targets[1:]))
    after = correction.corrected(alignment, painted(alignment, lambda mean, deviation: (mean + 0.5, deviation)))
    assert after.targets[0].mean[:, 0].abs().max() == 0


def test_a_flat_painting_does_not_make_the_target_grow_without_bound(alignment):
    after = correction.corrected(alignment, painted(alignment, lambda mean, deviation: (mean * 1e-3, deviation * 1e-3))).targets
    most = correction.LIMIT**correction.STEP
    for level in range(2):
        torch.testing.assert_close(after[level].deviation, alignment.targets[level].deviation * most)


@pytest.mark.parametrize("method", ["scsa", "baseline"])
def test_lites_regions_come_nearer_to_the_style_and_a_move_of_alpha_measures_nothing(method, monkeypatch):
    folder = EXAMPLES / "cat_as_lion"
    content, style = (load_image(folder / f"{name}.jpg") for name in ("content", "style"))
    content.thumbnail((256, 256))
    style.thumbnail((256, 256))
    maps = read_maps(folder / "content_map.png", folder / "style_map.png")
    request = RenderRequest(content, style, *maps, method=method, knobs=Knobs(alpha1=0.5, alpha2=1.5, size=256))
    network, calls = MetricNetwork(), []

    def off(engine):
        """SSL of what the method takes for regions."""
        image = engine.render(request).image
        there = [m.resized(size).ids for m, size in zip(maps, (image.size, style.size), strict=True)]
        if method == "baseline":
            there = [ids * 0 for ids in there]
        taps = network(to_tensor(image))
        grids = {layer: tuple(f.shape[1:]) for layer, f in taps.items()}
        return RegionTarget.of(network(to_tensor(style)), *there, grids).score(taps).ssl

    monkeypatch.setattr(lite, "rims_allowed", lambda *args: None)  # has its own tests
    real = correction.corrected
    monkeypatch.setattr(lite, "corrected", lambda *args: calls.append(1) or real(*args))
    engine = Engine("cpu")
    ours = off(engine)
    assert calls == [1]
    engine.render(RenderRequest(content, style, *maps, method=method, knobs=Knobs(alpha1=0.9, alpha2=0.7, size=256)))
    assert calls == [1]
    monkeypatch.setattr(lite, "corrected", lambda alignment, *rest: alignment)
    assert ours < 0.98 * off(Engine("cpu"))


def test_half_a_painting_has_the_same_aims_and_its_shares_sum_to_one():
    labels = torch.zeros(8 * 7, 8 * 12, dtype=torch.long)  # an odd number of tokens down
    labels[:, 40:] = 1
    style = {level: torch.rand(1, 3, 32 // f, 32 // f) for level, f in zip(align.LEVELS, align.FACTORS, strict=True)}
    whole = align.build(style.__getitem__, labels, torch.arange(2).repeat_interleave(16).expand(32, 32).clone())
    level = Attended(*(torch.rand(1, 3, 7, 12) for _ in range(3)))
    half = lite.Painted(level, torch.rand(1, 2, 14, 24), alignment=whole).halved()
    assert half.level.residual.shape == half.level.sca.shape == half.level.ssa.shape == (1, 3, 3, 6)
    assert half.detail.shape == (1, 2, 6, 12)
    assert half.alignment.targets is whole.targets
    for factor, weights in zip(align.FACTORS, half.alignment.weights, strict=True):
        assert weights.shape == (2, 24 // factor, 48 // factor)
        torch.testing.assert_close(weights.sum(0), torch.ones(24 // factor, 48 // factor))
    assert half.alignment.weights[0][0, 0, 0] > 0.9 and half.alignment.weights[0][1, 2, 5] > 0.9


def test_a_large_picture_is_first_painted_at_half_its_side(monkeypatch):
    rng = np.random.default_rng(5)
    content, style = (Image.fromarray(rng.integers(0, 255, (376, 384, 3), np.uint8)) for _ in range(2))
    seen, real = [], lite.Lite.taps

    def taps(self, picture, names, *rest):
        if names == correction.CORRECTED:
            seen.append(tuple(picture.shape[-2:]))
        return real(self, picture, names, *rest)

    monkeypatch.setattr(lite.Lite, "taps", taps)
    engine = Engine("cpu")
    out = engine.render(RenderRequest(content, style, knobs=engine.defaults("lite").replace(size=384)))
    assert seen == [(376, 384), (184, 192)]  # the style has the same layers seen, as a whole
    assert out.image.size == (384, 376)


def test_a_preview_goes_without_and_is_not_taken_for_the_render_of_its_size(monkeypatch):
    rng = np.random.default_rng(3)
    content, style = (Image.fromarray(rng.integers(0, 255, (192, 192, 3), np.uint8)) for _ in range(2))
    calls, real = [], correction.corrected
    monkeypatch.setattr(lite, "corrected", lambda *args: calls.append(1) or real(*args))
    engine = Engine("cpu")
    request = RenderRequest(content, style, knobs=engine.defaults("lite").replace(size=192))
    engine.preview(request)
    assert not calls
    engine.render(dataclasses.replace(request, knobs=request.knobs.replace(size=96)))  # what the preview painted
    assert calls == [1]
