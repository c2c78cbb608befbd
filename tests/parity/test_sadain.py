"""S-AdaIN against the reference implementation's numbers."""

import numpy as np
import pytest
import torch

from scsa_core.attention import adain, semantic_adain
from tests.parity.golden import arrays

TOLERANCE = 2e-5


@pytest.fixture(scope="module")
def golden(shared):
    return arrays(shared, "sadain")


def inputs(golden, content_label="content_label", style_label="style_label", dtype=torch.float32):
    features = [torch.from_numpy(golden[k]).to(dtype) for k in ("content", "style")]
    return *features, *(torch.from_numpy(golden[k].astype(np.int64)) for k in (content_label, style_label))


def error(actual, expected):
    return np.abs(actual.numpy() - expected).max()


def test_expected(golden):
    assert error(semantic_adain(*inputs(golden)), golden["expected"]) <= TOLERANCE


def test_expected_in_float64(golden):
    assert error(semantic_adain(*inputs(golden, dtype=torch.float64)), golden["expected_fp64"]) <= 1e-9


def test_a_region_of_one_pixel(golden):
    assert error(semantic_adain(*inputs(golden, "content_label_single")), golden["expected_single"]) <= TOLERANCE


def test_the_moments_are_the_golden_ones(golden):
    """A flat style of the golden moments gives the same picture as the style itself."""
    content, style, content_labels, style_labels = inputs(golden)
    out = semantic_adain(content, style, content_labels, style_labels)
    for k, label in enumerate(content_labels.unique().tolist()):
        here = out[0][:, content_labels == label]
        assert np.abs(here.mean(-1).numpy() - golden["style_mean"][k]).max() <= TOLERANCE


@pytest.mark.parametrize("missing", ["style", "content", "both"])
def test_a_missing_label_leaves_its_region_and_never_spreads(golden, missing):
    """There the reference is NaN throughout; here the other regions are as if nothing were missing."""
    assert golden[f"nan_fraction_{missing}_missing"] == 1.0
    names = ["content_label", "style_label"]
    for k, side in enumerate(("content", "style")):
        if missing in (side, "both"):
            names[k] += "_missing"
    content, style, content_labels, style_labels = inputs(golden, *names)
    out = semantic_adain(content, style, content_labels, style_labels)
    assert torch.isfinite(out).all()
    orphans = ~torch.isin(content_labels, style_labels.unique())
    assert orphans.any() == (missing == "style")
    assert torch.equal(out[..., orphans], content[..., orphans])
    # Regions whose pixels on both sides are the full case's have its numbers.
    full_content, full_style = (torch.from_numpy(golden[k].astype(np.int64)) for k in ("content_label", "style_label"))
    for label in torch.unique(content_labels[~orphans]).tolist():
        if torch.equal(content_labels == label, full_content == label) and torch.equal(style_labels == label, full_style == label):
            at = content_labels == label
            assert error(out[..., at], golden["expected"][..., at.numpy()]) <= TOLERANCE


def test_plain_adain_differs_from_the_golden_one_only_by_its_unbiased_deviation(golden):
    """StyleID's own AdaIN divides by n - 1 and has no epsilon; at 1024 positions that is under 1e-3."""
    content, style, *_ = inputs(golden)
    assert error(adain(content, style), golden["plain_adain"]) <= 1e-3
