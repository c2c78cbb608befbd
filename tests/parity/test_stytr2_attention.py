"""StyTr²'s multi-head attention and SCSA in its place, against the reference implementation's numbers."""

import numpy as np
import pytest
import torch

from scsa_core.attention import RegionIndex, fuse, sparse_attention
from scsa_core.backbones.transformer import Attention
from tests.parity import golden as files

TOLERANCE = 5e-5
WIDTH, HEADS = 64, 4


@pytest.fixture(scope="module")
def golden(shared):
    return files.arrays(shared, "stytr2_attention")


class Case:
    """One case: its arrays by name as (N, C), its attention, and whom a query may see."""

    def __init__(self, golden, fill, name):
        self.arrays = {k[len(name) + 1 :]: golden[k] for k in golden.files if k.startswith(f"{name}_")}
        self.attention = Attention(WIDTH, HEADS).requires_grad_(False)
        fill.fill_module_(self.attention, int(self.arrays["seed"]), "attn.")
        self.labels = [torch.from_numpy(self.arrays[k].astype(np.int64)).flatten() for k in ("content_label", "style_label")]
        self.index = RegionIndex.build(*self.labels, fallback="mean")

    def __getitem__(self, name):
        return torch.from_numpy(self.arrays[name])[:, 0]

    def sca(self):
        return self.attention.continuous(self["query_sem"], self["key_sem"], self["value"], self.index)

    def ssa(self):
        return self.attention.sparse(self["query"], self["key"], self["value"], self.index)

    def error(self, actual, name):
        return (actual - self[name]).abs().max().item()


@pytest.fixture(params=["a", "b"])
def case(request, shared, golden):
    return Case(golden, files.fill(shared), request.param)


@pytest.mark.parametrize(("name", "key"), [("plain", "key"), ("plain_kv_shared", "value")])
def test_plain(case, name, key):
    assert case.error(case.attention.plain(case["query"], case[key], case["value"]), name) <= TOLERANCE


def test_sca(case):
    assert case.error(case.sca(), "sca") <= TOLERANCE


def test_ssa(case):
    assert case.error(case.ssa(), "ssa") <= TOLERANCE


def test_fused(case):
    t1, t2 = float(case.arrays["t1"]), float(case.arrays["t2"])
    assert case.error(fuse(torch.zeros_like(case["query"]), case.sca(), case.ssa(), t1, t2), "fused") <= TOLERANCE


def test_winners(case):
    """The value of each token's number shows which style token won, head by head."""
    a, numbers = case.attention, torch.arange(1024, dtype=torch.float32).view(1, 1024, 1).expand(HEADS, -1, -1)
    winners = sparse_attention(a.project("query", case["query"]), a.project("key", case["key"]), numbers, case.index)[..., 0]
    clear = torch.from_numpy(case.arrays["ssa_gap"] > 1e-4)
    assert clear.float().mean() > 0.5
    assert torch.equal(winners[clear].long(), torch.from_numpy(case.arrays["ssa_index"].astype(np.int64))[clear])


def test_the_missing_label_of_case_b_is_reported(shared, golden):
    case = Case(golden, files.fill(shared), "b")
    assert case.index.unmatched == (int(case.arrays["missing_label"]),)
