"""Convolving before doubling: the doubled picture's convolution, to rounding."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from scsa_core.backbones import vgg
from scsa_core.backbones.upsampled import upsampled_conv2d
from scsa_core.backbones.vgg import SANET_DECODER, ConvStack


def the_long_way(x, weight, bias):
    return F.conv2d(F.pad(F.interpolate(x, scale_factor=2, mode="nearest"), (1, 1, 1, 1), mode="reflect"), weight, bias)


@pytest.mark.parametrize("shape", [(1, 5, 7, 4), (2, 5, 1, 6), (1, 5, 3, 1), (1, 5, 1, 1)])
@pytest.mark.parametrize("with_bias", [True, False])
def test_it_is_the_convolution_of_the_doubled_picture(shape, with_bias):
    torch.manual_seed(0)
    x, weight = torch.randn(shape, dtype=torch.float64), torch.randn(6, 5, 3, 3, dtype=torch.float64)
    bias = torch.randn(6, dtype=torch.float64) if with_bias else None
    ours = upsampled_conv2d(x, weight, bias)
    torch.testing.assert_close(ours, the_long_way(x, weight, bias), rtol=1e-12, atol=1e-12)
    assert ours.is_contiguous(memory_format=torch.channels_last)


def test_half_precision_and_gradients_take_the_long_way():
    torch.manual_seed(0)
    x, weight = torch.randn(1, 5, 4, 6), torch.randn(6, 5, 3, 3)
    half = upsampled_conv2d(x.bfloat16(), weight.bfloat16(), None)
    assert half.dtype == torch.bfloat16 and torch.equal(half, the_long_way(x.bfloat16(), weight.bfloat16(), None))
    x.requires_grad_(True)
    (ours,) = torch.autograd.grad(upsampled_conv2d(x, weight, None).square().sum(), x)
    (theirs,) = torch.autograd.grad(the_long_way(x, weight, None).square().sum(), x)
    torch.testing.assert_close(ours, theirs)


def test_sanets_decoder_doubles_only_where_nothing_follows(monkeypatch):
    torch.manual_seed(0)
    stack = ConvStack(SANET_DECODER).requires_grad_(False).eval()
    x = torch.rand(1, 512, 5, 4)
    calls, doublings = [], []
    interpolate = F.interpolate
    monkeypatch.setattr(vgg, "upsampled_conv2d", lambda *given: calls.append(1) or upsampled_conv2d(*given))
    monkeypatch.setattr(F, "interpolate", lambda *given, **how: doublings.append(1) or interpolate(*given, **how))
    ours = stack(x)[""]
    assert len(calls) == 3 and not doublings
    tail = stack(stack(x, last=7)[""], first=7)[""]  # a part that ends with a doubling gives the doubled picture
    assert len(doublings) == 1
    theirs = x
    for spec in SANET_DECODER:
        layer = stack.get_submodule(spec.name)
        theirs = F.conv2d(F.pad(theirs, (1, 1, 1, 1), mode="reflect"), layer.weight, layer.bias)
        theirs = theirs.relu() if spec.relu else theirs
        theirs = interpolate(theirs, scale_factor=2, mode="nearest") if spec.upsample else theirs
    for picture in (ours, tail):
        torch.testing.assert_close(picture, theirs, rtol=1e-4, atol=1e-5)
