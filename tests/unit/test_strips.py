"""Large pictures in strips: the whole picture's result, without a seam."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from scsa_core.backbones import encoded as encoded_module
from scsa_core.backbones import lite as lite_module
from scsa_core.backbones import sanet as sanet_module
from scsa_core.backbones.encoded import encoded
from scsa_core.backbones.lite_decoder import LiteDecoder
from scsa_core.backbones.strips import in_strips
from scsa_core.backbones.vgg import SANET_DECODER, VGG16, VGG19_NORMALISED, ConvSpec, ConvStack, until
from scsa_core.engine import Engine, RenderRequest
from scsa_core.labels import LabelMap


def narrow(specs, by=16):
    """A stack of the same layers with fewer channels, in double precision."""
    thin = lambda n: n if n == 3 else max(2, n // by)  # noqa: E731
    torch.manual_seed(0)
    made = ConvStack(
        tuple(ConvSpec(s.name, thin(s.inputs), thin(s.outputs), s.kernel, s.relu, s.pool, s.upsample, s.tap) for s in specs)
    )
    for p in made.parameters():
        torch.nn.init.normal_(p, 0.02, 0.1)
    return made.double().requires_grad_(False).eval()


@pytest.mark.parametrize(
    ("specs", "taps", "halo"),
    [
        (until(VGG16, "relu4_1"), ("relu1_1", "relu3_1", "relu4_1"), lite_module.ENCODER_HALO),
        (VGG19_NORMALISED, ("relu4_1", "relu5_1"), sanet_module.ENCODER_HALO),
    ],
)
def test_an_encoder_in_strips_is_the_whole_one(specs, taps, halo, monkeypatch):
    stack, x = narrow(specs), torch.rand(1, 3, 304, 32, dtype=torch.float64)
    seen = []

    def f(part):
        seen.append(part.shape[-2])
        return {t: stack(part, taps)[t] for t in taps}

    ours, theirs = in_strips(f, x, halo, pixels=32 * 96), stack(x, taps)
    assert len(seen) == 4 and max(seen) <= 96 + 2 * halo
    for tap in taps:
        torch.testing.assert_close(ours[tap], theirs[tap], rtol=1e-12, atol=1e-12)
    monkeypatch.setattr(encoded_module, "FINE_PIXELS", 32 * 48)
    monkeypatch.setattr(encoded_module, "PIXELS", 32 * 160)
    monkeypatch.setattr(Tensor, "float", lambda t: t)  # to compare closely
    checks = []
    ours = encoded(stack, x, taps, halo, lambda: checks.append(1), dict.fromkeys(taps, torch.float64))
    assert len(checks) > 7 + 2 and list(ours) == list(taps)
    for tap in taps:
        torch.testing.assert_close(ours[tap], theirs[tap], rtol=1e-12, atol=1e-12)


def test_too_small_a_halo_would_be_seen():
    stack, x = narrow(until(VGG16, "relu4_1")), torch.rand(1, 3, 304, 32, dtype=torch.float64)
    wrong = in_strips(lambda part: stack(part, ("relu4_1",))["relu4_1"], x, 16, pixels=32 * 96)
    assert not torch.allclose(wrong, stack(x, ("relu4_1",))["relu4_1"], rtol=1e-9, atol=1e-9)


def test_decoders_in_strips_are_the_whole_ones():
    decoder = narrow(SANET_DECODER)
    x = torch.rand(1, 32, 40, 5, dtype=torch.float64)
    halo = sanet_module.DECODER_HALO
    ours = in_strips(lambda part: decoder(part)[""], x, halo, pixels=5 * 8, step=halo)
    torch.testing.assert_close(ours, decoder(x)[""], rtol=1e-12, atol=1e-12)
    wide = torch.rand(1, 32, 48, 90, dtype=torch.float64)
    torch.testing.assert_close(sanet_module.decode(decoder, wide), decoder(wide)[""], rtol=1e-12, atol=1e-12)

    torch.manual_seed(1)
    lite = LiteDecoder().double().requires_grad_(False).eval()
    for p in lite.parameters():
        torch.nn.init.normal_(p, 0.0, 0.03)
    x, halo = torch.rand(1, 256, 40, 3, dtype=torch.float64), lite_module.DECODER_HALO
    stage = lambda part: lite.stage(1, part)  # noqa: E731
    torch.testing.assert_close(in_strips(stage, x, halo, pixels=3 * 8, step=halo), stage(x), rtol=1e-12, atol=1e-12)


def test_layers_of_strips_can_be_kept_in_half_precision():
    x = torch.rand(1, 3, 64, 8)
    out = in_strips(lambda part: {"a": part * 2, "b": part}, x, 0, pixels=8 * 16, dtypes={"a": torch.float16})
    assert out["a"].dtype == torch.float16 and out["b"].dtype == torch.float32
    torch.testing.assert_close(out["b"], x)
    assert in_strips(lambda part: {"a": part}, x[:, :, :16], 0, pixels=8 * 16, dtypes={"a": torch.float16})["a"].dtype == torch.float32


def test_a_picture_painted_in_strips_shows_no_seam(monkeypatch):
    """The whole of Lite, with strips of 32 rows: half precision of the style's finer layers is all that differs."""
    random = np.random.default_rng(0)
    content, style = (Image.fromarray(random.integers(0, 255, (24, 16, 3), np.uint8)).resize((192, 288)) for _ in range(2))
    maps = [LabelMap.from_ids(np.add.outer(np.arange(288) // 150, np.arange(192) // w)) for w in (100, 130)]
    engine, tried = Engine("cpu"), []
    request = RenderRequest(content, style, *maps, knobs=engine.defaults("lite").replace(size=192))
    whole = engine.render(request).image

    def small(f, x, halo, *, pixels=0, step=16, **others):
        tried.append(x.shape)
        return in_strips(f, x, halo, pixels=x.shape[-1] * 2 * step, step=step, **others)

    monkeypatch.setattr(lite_module, "in_strips", small)
    monkeypatch.setattr(encoded_module, "in_strips", small)
    monkeypatch.setattr(encoded_module, "PIXELS", 1 << 12)
    engine.clear_cache()
    pieces = engine.render(request).image
    # Two pictures and a first painting encoded in two parts each, the style's finest layer made anew, and painted twice in four.
    assert len(tried) == 15
    assert np.abs(np.asarray(whole, int) - np.asarray(pieces, int)).max() <= 1
