"""Large layers in pieces: the numbers of the whole, and a look for a stop before each."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from scsa_core import attention
from scsa_core.attention import Distinct, mvn
from scsa_core.backbones import flat, level, patches, pieces, transformer
from scsa_core.backbones.reflected import ReflectedConv
from scsa_core.backbones.vgg import SANET_DECODER, VGG16, VGG19_NORMALISED, ConvSpec, ConvStack, until
from scsa_core.compiled import VARIABLE
from scsa_core.errors import Cancelled


def narrow(specs: tuple[ConvSpec, ...]) -> ConvStack:
    """The layout with an eighth of its channels, random, in double precision."""
    torch.manual_seed(0)
    width = lambda n: n if n == 3 else n // 8  # noqa: E731
    few = tuple(
        ConvSpec(s.name, width(s.inputs), width(s.outputs), s.kernel, s.relu, s.pool, s.upsample, s.tap) for s in specs
    )
    stack = ConvStack(few).double().requires_grad_(False).eval()
    for p in stack.parameters():
        nn.init.normal_(p, 0.02, 0.1)
    return stack


class Looks(list[int]):
    """Counts looks for a stop; stops at number `at`."""

    def __init__(self, at: int | None = None) -> None:
        super().__init__()
        self.at = at

    def __call__(self, fraction: float | None = None, picture: Tensor | None = None) -> None:
        if len(self) == self.at:
            raise Cancelled()
        self.append(len(self))


@pytest.mark.parametrize(
    ("specs", "taps", "size"),
    [
        (until(VGG16, "relu4_1"), ("relu1_2", "relu3_1", "relu4_1"), (72, 40)),
        (VGG19_NORMALISED, ("relu4_1", "relu5_1"), (48, 80)),
        (VGG19_NORMALISED, ("relu5_1",), (72, 40)),  # rows that do not halve evenly all the way
        (SANET_DECODER, (), (13, 7)),
    ],
)
def test_layers_in_pieces_are_the_whole_stack(specs, taps, size, monkeypatch):
    stack = narrow(specs)
    x = torch.rand(1, stack.specs[0].inputs, *size, dtype=torch.float64)
    few, many = Looks(), Looks()
    whole = stack(x, taps)
    for work, looks in ((pieces.WORK, few), (2e5, many)):
        monkeypatch.setattr(pieces, "WORK", work)
        ours = pieces.layer_by_layer(stack, x, taps, checkpoint=looks)
        assert set(ours) == {*taps, ""}
        for name in (*taps, ""):
            torch.testing.assert_close(ours[name], whole[name], rtol=1e-11, atol=1e-12)
    doubling = sum(s.upsample for s in specs)
    assert len(few) == len(specs) - doubling and len(many) > 3 * len(few)
    for at in range(0, len(many), 7):
        with pytest.raises(Cancelled):
            pieces.layer_by_layer(stack, x, taps, checkpoint=Looks(at))


def test_a_part_of_a_stack_goes_in_pieces_too(monkeypatch):
    monkeypatch.setattr(pieces, "WORK", 2e5)
    stack = narrow(until(VGG16, "relu4_1"))
    x = torch.rand(1, 8, 32, 24, dtype=torch.float64)
    ours, whole = pieces.layer_by_layer(stack, x, (), 2, 6), stack(x, (), 2, 6)
    torch.testing.assert_close(ours[""], whole[""], rtol=1e-11, atol=1e-12)


def test_under_the_compiler_a_network_stays_whole(monkeypatch):
    monkeypatch.setenv(VARIABLE, "1")
    monkeypatch.setattr(pieces, "WORK", 1.0)
    stack, looks = narrow(until(VGG16, "relu2_1")), Looks()
    x = torch.rand(1, 3, 16, 16, dtype=torch.float64)
    assert torch.equal(pieces.layer_by_layer(stack, x, ("relu2_1",), checkpoint=looks)["relu2_1"], stack(x, ("relu2_1",))["relu2_1"])
    assert len(looks) == 1


def test_the_work_of_a_layer_is_that_of_its_sums():
    doubling, after = ConvSpec("1", 16, 8, upsample=True), ConvSpec("2", 8, 4)
    assert pieces.operations((doubling,)) == 2 * 9 * 16 * 8
    assert pieces.operations((doubling, after)) == 2 * 9 * 16 * 8 + 4 * 2 * 9 * 8 * 4
    assert pieces.operations((ConvSpec("1", 16, 8, pool=True),)) == 2 * 9 * 16 * 8  # of what is pooled already


@pytest.mark.parametrize("layer", [ReflectedConv(6, 5), nn.Conv2d(6, 5, 1), nn.Identity()])
def test_single_convolutions_in_pieces(layer, monkeypatch):
    monkeypatch.setattr(pieces, "WORK", 2.0 * 5 * 6 * 40)
    x, looks = torch.rand(1, 6, 31, 12), Looks()
    with torch.inference_mode():
        torch.testing.assert_close(pieces.convolved(layer, x, looks), layer(x))
    assert len(looks) == 1 if isinstance(layer, nn.Identity) else len(looks) > 5


@pytest.mark.parametrize("last", [True, False])
def test_normalisation_in_pieces(last, monkeypatch):
    x = torch.randn(2, 5, 23, 9, generator=torch.Generator().manual_seed(0)) * 3 + 20
    if last:
        x = x.contiguous(memory_format=torch.channels_last)
    whole = mvn(x)
    monkeypatch.setattr(attention, "NUMBERS", 2 * 5 * 9 * 4)
    looks = Looks()
    torch.testing.assert_close(mvn(x, checkpoint=looks), whole, rtol=1e-5, atol=1e-5)
    assert len(looks) == 12
    with pytest.raises(Cancelled):
        mvn(x, checkpoint=Looks(8))
    torch.testing.assert_close(mvn(x.requires_grad_(True)), whole, rtol=1e-5, atol=1e-5)


def test_windows_and_what_they_lay_down_in_pieces(monkeypatch):
    random = torch.Generator().manual_seed(0)
    x, value = torch.rand(1, 3, 11, 7, generator=random), torch.rand(40, 6, generator=random)
    winners, own = torch.randint(40, (77,), generator=random), torch.zeros(11, 7, dtype=torch.long)
    may = torch.ones(1, 8, 5, dtype=torch.bool)
    whole = patches.windows(x), patches.overlaid(value, winners, own, may)
    monkeypatch.setattr(patches, "NUMBERS", 7 * 3 * 25 * 2)
    looks = Looks()
    torch.testing.assert_close(patches.windows(x, checkpoint=looks), whole[0])
    assert len(looks) == 6
    monkeypatch.setattr(patches, "NUMBERS", 6 * 10)
    torch.testing.assert_close(patches.overlaid(value, winners, own, may, checkpoint=looks), whole[1])
    assert len(looks) == 6 + 5 + 8


def test_equal_tokens_are_told_apart_in_pieces(monkeypatch):
    random = torch.Generator().manual_seed(0)
    tokens = torch.rand(6, 4, generator=random)[torch.randint(6, (50,), generator=random)]
    labels = torch.randint(3, (50,), generator=random)
    whole = Distinct.of(tokens, labels)
    monkeypatch.setattr(attention, "TOKENS", 7)
    looks = Looks()
    ours = Distinct.of(tokens, labels, looks)
    assert len(looks) == 16
    for name in ("rows", "labels", "which", "counts"):
        assert torch.equal(getattr(ours, name), getattr(whole, name))
    assert torch.equal(ours.rows[ours.which], tokens) and torch.equal(ours.labels[ours.which], labels)


def test_the_colours_of_a_map_are_found_in_pieces(monkeypatch):
    random = torch.Generator().manual_seed(0)
    colours = torch.tensor([[0, 0, 0], [255, 0, 0], [3, 200, 77]]) / 255
    picture = colours[torch.randint(3, (20, 10), generator=random)].permute(2, 0, 1)[None]
    monkeypatch.setattr(flat, "PIXELS", 30)
    looks = Looks()
    found = flat.Flat.of(picture, looks)
    assert found is not None and found.colours == 3 and len(looks) == 7
    assert torch.equal(found.dense(), picture)
    noise, looks = torch.rand(1, 3, 40, 40, generator=random), Looks()
    assert flat.Flat.of(noise, looks) is None and len(looks) < 12  # given up before its end


def test_plain_attention_of_a_transformer_in_pieces(monkeypatch):
    torch.manual_seed(0)
    layer = transformer.EncoderLayer(16, 2, 32).eval()
    x = torch.rand(200, 16)
    with torch.inference_mode():
        whole = layer(x, None, None)
        monkeypatch.setattr(transformer, "ROWS", 48)
        monkeypatch.setattr(transformer, "ATTENTION_WORK", 4.0 * 200 * 16 * 50)
        looks = Looks()
        torch.testing.assert_close(layer(x, None, None, looks), whole, rtol=1e-5, atol=1e-6)
        assert len(looks) == 2 + 5 + 1 + 5
        with pytest.raises(Cancelled):
            layer(x, None, None, Looks(9))


def test_softening_in_pieces(monkeypatch):
    random = torch.Generator().manual_seed(0)
    x, labels = torch.rand(1, 6, 23, 9, generator=random), torch.randint(2, (23, 9), generator=random)
    whole = level.soften(x, labels, 2.0)
    monkeypatch.setattr(level, "NUMBERS", 6 * 9 * 4)
    looks = Looks()
    torch.testing.assert_close(level.soften(x, labels, 2.0, looks), whole)
    assert len(looks) >= 6 and not torch.allclose(whole, x)


def test_normalising_half_precision_in_pieces_stays_finite(monkeypatch):
    x = (torch.randn(1, 2, 20, 20, generator=torch.Generator().manual_seed(1)) * 100).half()
    whole = mvn(x)
    monkeypatch.setattr(attention, "NUMBERS", 2 * 20 * 4)
    torch.testing.assert_close(mvn(x), whole, rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("stripe", [2, 12])
def test_a_detailed_map_is_encoded_in_pieces_too(stripe, monkeypatch):
    """Too many borders for the cheap way: from the start, or from a later layer on."""
    colours = torch.tensor([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    of = torch.arange(96) // stripe % 2
    picture = colours[of].T[None, :, None].expand(1, 3, 64, 96).contiguous()
    stack = narrow(until(VGG16, "relu4_1")).float()
    whole = stack(picture, ("relu4_1",))["relu4_1"]
    monkeypatch.setattr(pieces, "WORK", 2e5)
    looks = Looks()
    ours = flat.encode_flat(stack, picture, ("relu4_1",), looks)
    torch.testing.assert_close(ours["relu4_1"], whole, rtol=1e-4, atol=1e-5)
    assert len(looks) > 40
    for at in range(0, len(looks), 9):
        with pytest.raises(Cancelled):
            flat.encode_flat(stack, picture, ("relu4_1",), Looks(at))


def test_a_layer_that_is_asked_for_is_given_even_where_it_doubles():
    stack = narrow((ConvSpec("1", 24, 16, upsample=True, tap="a"), ConvSpec("2", 16, 8, tap="b")))
    x = torch.rand(1, 3, 6, 5, dtype=torch.float64)
    ours, whole = pieces.layer_by_layer(stack, x, ("a", "b")), stack(x, ("a", "b"))
    for name in ("a", "b"):
        torch.testing.assert_close(ours[name], whole[name], rtol=1e-11, atol=1e-12)
