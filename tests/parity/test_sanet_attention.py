"""SANet's attention module and SCSA in its place, against the reference implementation's numbers."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from scsa_core.attention import (
    RegionIndex,
    continuous_attention,
    fuse,
    mvn,
    semantic_continuous_attention,
    semantic_sparse_attention,
)
from tests.parity import golden as files

CASES = ("a", "b", "c")
PLANES = 32


@pytest.fixture(scope="module")
def golden(shared):
    return files.arrays(shared, "sanet_attention")


@pytest.fixture(params=CASES)
def case(request, shared, golden):
    return Case(golden, files.fill(shared), request.param)


class Case:
    """One case: its arrays by name, its four 1x1 convolutions, and tokens made with them."""

    def __init__(self, golden, fill, name):
        self.arrays = {k[len(name) + 1 :]: golden[k] for k in golden.files if k.startswith(f"{name}_")}
        self.name = name
        self.weights = {}
        for layer in ("f", "g", "h", "out_conv"):
            self.weights[f"sanet.{layer}.weight"] = torch.empty(PLANES, PLANES, 1, 1)
            self.weights[f"sanet.{layer}.bias"] = torch.empty(PLANES)
        fill.fill_(self.weights, int(self.arrays["seed"]))
        self.content_labels, self.style_labels = (
            torch.from_numpy(self.arrays[k].astype(np.int64)).flatten() for k in ("content_label", "style_label")
        )

    def features(self, name):
        return torch.from_numpy(self.arrays[name])

    def conv(self, layer, x):
        return F.conv2d(x, self.weights[f"sanet.{layer}.weight"], self.weights[f"sanet.{layer}.bias"])

    def tokens(self, layer, x):
        return self.conv(layer, x).flatten(2).mT

    def out(self, tokens):
        return self.conv("out_conv", tokens.mT.reshape(1, PLANES, 32, 32))

    @property
    def value(self):
        return self.tokens("h", self.features("style"))

    def queries_and_keys(self, suffix=""):
        query = self.tokens("f", mvn(self.features(f"content{suffix}")))
        return query, self.tokens("g", mvn(self.features(f"style{suffix}")))

    def sca(self):
        labels = self.content_labels, self.style_labels
        return self.out(semantic_continuous_attention(*self.queries_and_keys("_sem"), self.value, *labels, fallback="mean"))

    def ssa(self):
        labels = self.content_labels, self.style_labels
        return self.out(semantic_sparse_attention(*self.queries_and_keys(), self.value, *labels, fallback="mean"))

    def error(self, actual, name):
        return (actual - self.features(name)).abs().max().item()


def test_baseline(case):
    query, key = case.queries_and_keys()
    attended = continuous_attention(query, key, case.value, RegionIndex.whole(1024, 1024))
    assert case.error(case.out(attended) + case.features("content"), "baseline") <= 2e-4


def test_sca(case):
    assert case.error(case.sca(), "sca") <= 1e-4


def test_ssa(case):
    assert case.error(case.ssa(), "ssa") <= 1e-4


def test_fused(case):
    t1, t2 = float(case.arrays["t1"]), float(case.arrays["t2"])
    assert case.error(fuse(case.features("content"), case.sca(), case.ssa(), t1, t2), "fused") <= 1e-4


def test_winners(case):
    """The value of each token's number shows which style token won."""
    query, key = case.queries_and_keys()
    numbers = torch.arange(1024, dtype=torch.float32).view(1, 1024, 1)
    labels = case.content_labels, case.style_labels
    winners = semantic_sparse_attention(query, key, numbers, *labels, fallback="mean").flatten()
    clear = torch.from_numpy(case.arrays["ssa_gap"] > 1e-4)
    assert torch.equal(clear, torch.isin(case.content_labels, case.style_labels))  # all but rows without a source
    assert torch.equal(winners[clear].long(), torch.from_numpy(case.arrays["ssa_index"].astype(np.int64))[clear])


def test_the_missing_label_of_case_c_is_reported(shared, golden):
    case = Case(golden, files.fill(shared), "c")
    index = RegionIndex.build(case.content_labels, case.style_labels)
    assert index.unmatched == (int(case.arrays["missing_label"]),)
