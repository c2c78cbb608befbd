"""Encoding maps by their borders, and convolving without a padded copy: the dense arithmetic's results."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from scsa_core.backbones import flat
from scsa_core.backbones import reflected as reflected_module
from scsa_core.backbones.flat import Flat, encode_flat
from scsa_core.backbones.reflected import ReflectedConv, reflected_conv2d
from scsa_core.backbones.vgg import ConvSpec, ConvStack
from scsa_core.errors import Cancelled

STACK = (
    ConvSpec("0", 3, 3, kernel=1, relu=False),
    ConvSpec("1", 3, 8, tap="relu1_1"), ConvSpec("2", 8, 8, tap="relu1_2"),
    ConvSpec("3", 8, 12, pool=True, tap="relu2_1"), ConvSpec("4", 12, 12, tap="relu2_2"),
    ConvSpec("5", 12, 16, pool=True, tap="relu3_1"),
)  # fmt: skip
TAPS = ("relu1_1", "relu2_1", "relu3_1")


def stack(seed=0):
    torch.manual_seed(seed)
    made = ConvStack(STACK).requires_grad_(False).eval()
    for p in made.parameters():
        p.normal_(0, 0.3)
    return made


def map_of(height, width, seed, colours=4):
    """A (1, 3, H, W) picture of rectangles in whole colours."""
    g = torch.Generator().manual_seed(seed)
    palette = torch.randint(0, 256, (colours, 3), generator=g)
    ids = torch.zeros(height, width, dtype=torch.long)
    for k in range(1, colours):
        y, x = (int(torch.randint(0, n, (1,), generator=g)) for n in (height, width))
        ids[y:, x : x + max(2, width // 2)] = k
    return (palette[ids].permute(2, 0, 1)[None] / 255).float()


@settings(max_examples=25, deadline=None)
@given(st.integers(8, 60), st.integers(8, 60), st.integers(0, 10_000), st.integers(1, 6))
def test_a_map_has_the_features_that_plain_convolutions_give_it(height, width, seed, colours):
    picture, s = map_of(height, width, seed, colours), stack(seed % 7)
    ours, theirs = encode_flat(s, picture, TAPS), s(picture, TAPS)
    assert ours.keys() == set(TAPS)
    for tap in TAPS:
        assert ours[tap].shape == theirs[tap].shape
        scale = float(theirs[tap].abs().max())  # sums of this size are added in another order
        torch.testing.assert_close(ours[tap], theirs[tap], rtol=0, atol=5e-6 * scale + 1e-6)


def test_a_large_region_costs_its_border_only(monkeypatch):
    picture = torch.zeros(1, 3, 256, 256)
    picture[..., 128:] = 1
    assert Flat.of(picture).colours == 2
    rows = []
    plain = flat._layer
    monkeypatch.setattr(flat, "_layer", lambda *a: rows.append(plain(*a)) or rows[-1])
    encode_flat(stack(), picture, ("relu3_1",))
    assert max(r.share for r in rows) < 0.15
    assert [len(r.rows) for r in rows[:3]] == [2, 2 + 2 * 256, 2 + 4 * 256]


def test_equal_tokens_are_equal_to_the_last_bit():
    picture = torch.zeros(1, 3, 64, 64)
    picture[..., 32:] = 1
    features = encode_flat(stack(), picture, ("relu3_1",))["relu3_1"]
    assert torch.equal(features[0, :, 3, 3], features[0, :, 10, 1])


def test_a_photograph_and_odd_colours_take_the_plain_way(monkeypatch):
    s, noise = stack(), torch.rand(1, 3, 24, 24, generator=torch.Generator().manual_seed(1))
    assert Flat.of(noise) is None  # between the 256 steps
    assert Flat.of((torch.arange(24 * 24 * 3) % 251).view(1, 3, 24, 24) / 255) is not None
    many = torch.stack([torch.arange(400) % 256, torch.arange(400) // 256, torch.zeros(400)]).view(1, 3, 20, 20) / 255
    assert Flat.of(many) is None
    torch.testing.assert_close(encode_flat(s, noise, TAPS), {t: s(noise, TAPS)[t] for t in TAPS})
    monkeypatch.setattr(flat, "DENSE_ABOVE", 0.0)
    torch.testing.assert_close(encode_flat(s, many, TAPS), {t: s(many, TAPS)[t] for t in TAPS})


def test_it_can_be_stopped_between_layers():
    calls = []

    def stop(fraction=None, picture=None):
        calls.append(1)
        if len(calls) == 3:
            raise Cancelled()

    with pytest.raises(Cancelled):
        encode_flat(stack(), map_of(32, 32, 3), TAPS, stop)


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 40), st.integers(2, 40), st.integers(1, 3), st.booleans())
def test_reflected_convolution_is_the_padded_one(height, width, batch, channels_last):
    torch.manual_seed(height * 41 + width)
    layer = ReflectedConv(5, 7).requires_grad_(False)
    x = torch.randn(batch, 5, height, width)
    if channels_last:
        x = x.contiguous(memory_format=torch.channels_last)
    large = reflected_module.LARGE
    reflected_module.LARGE = 0
    try:
        ours = layer(x)
    finally:
        reflected_module.LARGE = large
    torch.testing.assert_close(ours, F.conv2d(F.pad(x, (1,) * 4, mode="reflect"), layer.weight, layer.bias), rtol=1e-5, atol=1e-5)


def test_reflected_convolution_can_be_differentiated(monkeypatch):
    monkeypatch.setattr(reflected_module, "LARGE", 0)
    x, weight = torch.randn(1, 2, 6, 6, dtype=torch.float64, requires_grad=True), torch.randn(3, 2, 3, 3, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda v: reflected_conv2d(v, weight, None), x)


@pytest.mark.parametrize("count", [0, 1, 7, 8, 250, 903, 904, 905, 1129, 2711, 2712])
def test_pieces_of_a_product_cover_the_whole_in_few_sizes(count):
    pieces = flat._steps(count, 904)
    assert count <= sum(pieces) < count + 112 and pieces[: count // 904] == [904] * (count // 904)


def test_whatever_is_painted_few_sizes_of_products_are_compiled():
    """Each stroke makes another number of rows near borders."""
    sizes = {piece for count in range(1, 20_000, 37) for piece in flat._steps(count, 904)}
    assert len(sizes) <= flat.PIECES + 1 and max(sizes) == 904
    assert all(size % flat.WIDTH == 0 for size in sizes)
