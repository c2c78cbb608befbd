"""Labels by counting, and tokens that are alike worked out once."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from scsa_core import attention
from scsa_core.attention import Distinct, RegionIndex, continuous_attention
from scsa_core.backbones.level import grid_labels
from scsa_core.counting import members, present


@pytest.mark.parametrize(("low", "high"), [(0, 9), (-5, 5), (0, 90_000)])
def test_counting_is_sorting(low, high):
    labels = torch.randint(low, high, (17, 23), generator=torch.Generator().manual_seed(high))
    ids = present(labels)
    assert torch.equal(ids, torch.unique(labels)) and ids.dtype == labels.dtype
    for wanted in (torch.tensor([int(labels[0, 0]), high + 3, -77]), labels[3, 3:4]):
        assert torch.equal(members(labels.flatten(), wanted), torch.isin(labels.flatten(), wanted).nonzero().flatten())
    assert present(labels[:0]).numel() == 0 and members(labels.flatten()[:0], wanted).numel() == 0


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 5), st.integers(0, 1000))
def test_attention_over_distinct_tokens_is_that_over_all(n, m, kinds, seed):
    g = torch.Generator().manual_seed(seed)
    def of(count):
        return torch.randn(kinds, 6, generator=g)[torch.randint(0, kinds, (count,), generator=g)]
    query, key, value = of(n), of(m), torch.randn(m, 4, generator=g)
    labels = [torch.randint(0, 3, (k,), generator=g) for k in (n, m)]
    whole = continuous_attention(query[None], key[None], value[None], RegionIndex.build(*labels))
    q, k = Distinct.of(query, labels[0]), Distinct.of(key, labels[1])
    assert len(q.rows) <= min(n, 3 * kinds) and int(k.counts.sum()) == m
    out = continuous_attention(
        q.rows[None], k.rows[None], k.means(value)[None], RegionIndex.build(q.labels, k.labels), counts=k.counts
    )[:, q.which]
    torch.testing.assert_close(out, whole, rtol=1e-4, atol=1e-5)


def test_two_tokens_of_one_code_are_told_apart(monkeypatch):
    monkeypatch.setattr(attention.torch, "unique", lambda code, return_inverse: (code[:1], torch.zeros(len(code), dtype=torch.long)))
    tokens, labels = torch.randn(4, 3), torch.tensor([0, 0, 1, 1])
    found = Distinct.of(tokens, labels)
    assert torch.equal(found.rows[found.which], tokens) and torch.equal(found.labels[found.which], labels)


@pytest.mark.parametrize("offset", [0, 3, 40, 200, -2])
def test_the_area_vote_is_the_same_however_labels_are_numbered(offset):
    labels = torch.randint(0, 4, (24, 36), generator=torch.Generator().manual_seed(5))
    plain = grid_labels(labels, 6, 9)
    assert torch.equal(grid_labels(labels + offset, 6, 9), plain + offset)
    shares = torch.stack([(labels == k).float().view(6, 4, 9, 4).mean((1, 3)) for k in range(4)])
    assert torch.equal(plain, shares.argmax(0))
