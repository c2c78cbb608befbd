"""Winograd's convolutions: the plain ones' numbers, taken where they are quicker."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from scsa_core.backbones import reflected, winograd
from scsa_core.backbones.reflected import reflected_conv2d
from scsa_core.backbones.winograd import plain_convolutions, transformed_weight, winograd_conv2d, worth_it


def random(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def plain(x, weight, bias):
    x, weight = F.pad(x.double(), (1, 1, 1, 1), mode="reflect"), weight.double()
    return F.conv2d(x, weight, None if bias is None else bias.double())


@pytest.mark.parametrize("size", [(4, 5), (2, 6), (5, 8), (8, 7), (17, 31), (64, 6)])
@pytest.mark.parametrize("piece", [1, winograd.PIECE])
@pytest.mark.parametrize("biased", [True, False])
def test_it_is_the_convolution(monkeypatch, size, piece, biased):
    monkeypatch.setattr(winograd, "PIECE", piece)  # a row at once, or all
    x, weight, bias = random(2, 16, *size), random(24, 16, 3, 3, seed=1) / 12, random(24, seed=2) if biased else None
    got, exact = winograd_conv2d(x.contiguous(memory_format=torch.channels_last), weight, bias), plain(x, weight, bias)
    assert got.shape == exact.shape and got.dtype == torch.float32
    assert (got - exact).abs().max() < 2e-5


def test_it_is_nearly_as_near_to_the_exact_numbers_as_the_plain_sum():
    x, weight, bias = random(1, 256, 24, 24).relu(), random(256, 256, 3, 3, seed=1) / 48, random(256, seed=2)
    exact = plain(x, weight, bias)
    ours = (winograd_conv2d(x, weight, bias) - exact).square().mean().sqrt()
    theirs = (F.conv2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), weight, bias) - exact).square().mean().sqrt()
    assert ours < 5 * theirs and ours < 2e-6


def test_the_weight_is_transformed_as_the_paper_has_it():
    g = torch.tensor([[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 24]]) / 24
    weight = random(5, 7, 3, 3)
    for w in (weight, weight.contiguous(memory_format=torch.channels_last)):
        theirs = torch.einsum("ocha,ja->joch", w, g).reshape(-1, 7, 3, 1)
        torch.testing.assert_close(transformed_weight(w), theirs)
        assert transformed_weight(w).stride() == (21, 1, 7, 7)  # what oneDNN takes it for: with 1 at the end its sums are wrong
    torch.testing.assert_close(weight, random(5, 7, 3, 3))  # its own numbers are left as they are


@pytest.fixture
def narrow(monkeypatch):
    monkeypatch.setattr(winograd, "_largest_kernel", lambda: float("inf"))


def test_where_it_is_taken(narrow, monkeypatch):
    x, weight = torch.zeros(1, 512, 64, 64), torch.zeros(512, 512, 3, 3)
    assert worth_it(x, weight) and worth_it(x, weight[:128]) and worth_it(x[:, :128], weight[:256, :128])
    assert not worth_it(x[:, :128], weight[:128, :128])
    assert not worth_it(x, weight[:64]) and not worth_it(x[..., :16, :], weight) and not worth_it(x.view(1, 512, 2, 2048), weight)
    assert not worth_it(x.bfloat16(), weight.bfloat16())
    assert not worth_it(x.requires_grad_(), weight)
    with torch.no_grad():
        assert worth_it(x, weight)
        with plain_convolutions():
            assert not worth_it(x, weight)
        assert worth_it(x, weight)
    monkeypatch.setattr(winograd, "_largest_kernel", lambda: winograd.LARGEST_BESIDE)
    with torch.no_grad():
        assert not worth_it(x, weight) and worth_it(x[:, :256], weight[:256, :256])  # a kernel of 512 x 512 costs what it saves


def test_layers_take_it_by_themselves(narrow, monkeypatch):
    taken = []
    monkeypatch.setattr(reflected, "winograd_conv2d", lambda *a: taken.append(1) or winograd_conv2d(*a))
    x, weight, bias = random(1, 128, 48, 46), random(256, 128, 3, 3, seed=1) / 34, random(256, seed=2)
    assert (reflected_conv2d(x, weight, bias) - plain(x, weight, bias)).abs().max() < 1e-4
    reflected_conv2d(x[..., :16, :], weight, bias)
    assert len(taken) == 1


@pytest.mark.parametrize(("capability", "expected"), [("AVX2", float("inf")), ("AVX512", winograd.LARGEST_BESIDE), ("DEFAULT", 0), ("NEON", 0)])
def test_which_processors(monkeypatch, capability, expected):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: True)
    assert winograd._largest_kernel.__wrapped__() == expected
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    assert winograd._largest_kernel.__wrapped__() == 0
