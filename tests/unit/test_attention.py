"""Block-wise attention equals the dense masked form, for any sizes, labels, links and leading dimensions."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from scsa_core import attention
from scsa_core.attention import (
    RegionIndex,
    adain,
    continuous_attention,
    fuse,
    mvn,
    semantic_adain,
    semantic_continuous_attention,
    semantic_sparse_attention,
    sparse_attention,
)
from scsa_core.errors import Cancelled, ShapeError
from tests import oracle

RELATIVE = 1e-5

fallbacks = st.sampled_from(["whole", "mean"])


@st.composite
def links(draw, regions=6):
    """None, or sources for some content regions: none, one or several, also ids that are not there."""
    ids = st.integers(0, regions)
    return draw(st.none() | st.dictionaries(ids, st.lists(ids, max_size=3).map(tuple), max_size=regions))


@st.composite
def labels(draw, n, regions=6):
    """(n,) int64 from a random set of ids: two such often share none, one or some."""
    ids = draw(st.lists(st.integers(0, regions), min_size=1, max_size=4, unique=True))
    picked = draw(st.lists(st.sampled_from(ids), min_size=n, max_size=n))
    return torch.tensor(picked, dtype=torch.int64)


@st.composite
def tokens(draw):
    """query, key, value with 0 to 2 leading dimensions, and labels."""
    leading = draw(st.sampled_from([(), (1,), (2,), (2, 3)]))
    n, m = draw(st.integers(1, 24)), draw(st.integers(1, 24))
    d, e = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    g = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    query, key, value = (torch.randn(*leading, *s, generator=g) for s in ((n, d), (m, d), (m, e)))
    return query, key, value, draw(labels(n)), draw(labels(m))


def close(actual, expected):
    assert actual.shape == expected.shape
    assert torch.isfinite(actual).all()
    bound = RELATIVE * max(1.0, expected.abs().max().item())
    assert (actual.double() - expected).abs().max().item() <= bound


def doubles(*tensors):
    return tuple(t.double() for t in tensors)


@settings(max_examples=150, deadline=None)
@given(tokens(), links(), st.sampled_from([1.0, 0.05, 3.0]), fallbacks, st.sampled_from([1 << 20, 7, 1]))
def test_continuous_equals_dense(case, linked, scale, fallback, chunk):
    query, key, value, content, style = case
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(attention, "CHUNK", chunk)
        mine = semantic_continuous_attention(query, key, value, content, style, scale, links=linked, fallback=fallback)
    mask = oracle.allowed(content, style, linked)
    close(mine, oracle.continuous(*doubles(query, key, value), mask, scale, fallback))


@settings(max_examples=150, deadline=None)
@given(tokens(), links(), st.sampled_from([1.0, 0.05, 3.0]), fallbacks, st.sampled_from([1 << 20, 7, 1]))
def test_sparse_equals_dense(case, linked, scale, fallback, chunk):
    query, key, value, content, style = doubles(*case[:3]) + case[3:]  # float64: no rounding decides a winner
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(attention, "CHUNK", chunk)
        mine = semantic_sparse_attention(query, key, value, content, style, scale, links=linked, fallback=fallback)
    mask = oracle.allowed(content, style, linked)
    close(mine, oracle.sparse(query, key, value, mask, scale, fallback))


@settings(max_examples=100, deadline=None)
@given(st.data(), links())
def test_semantic_adain_equals_dense(data, linked):
    batch, channels = data.draw(st.integers(1, 2)), data.draw(st.integers(1, 5))
    sizes = [(data.draw(st.integers(1, 6)), data.draw(st.integers(1, 6))) for _ in range(2)]
    g = torch.Generator().manual_seed(data.draw(st.integers(0, 2**31)))
    content, style = (torch.randn(batch, channels, *s, generator=g) for s in sizes)
    maps = [data.draw(labels(h * w)).view(h, w) for h, w in sizes]
    mine = semantic_adain(content.double(), style.double(), *maps, links=linked)
    close(mine, oracle.adain(*doubles(content, style), *maps, links=linked))
    single = semantic_adain(content, style, *maps, links=linked)
    assert single.dtype == content.dtype
    assert torch.isfinite(single).all()


@given(st.data(), links())
@settings(max_examples=60, deadline=None)
def test_blocks_cover_every_query_once(data, linked):
    content, style = data.draw(labels(data.draw(st.integers(1, 30)))), data.draw(labels(data.draw(st.integers(1, 30))))
    index = RegionIndex.build(content, style, linked)
    assert torch.cat([b.queries for b in index.blocks]).sort().values.tolist() == list(range(len(content)))
    mask = oracle.allowed(content, style, linked)
    assert index.unmatched == tuple(content[~mask.any(-1)].unique().tolist())


@pytest.mark.parametrize("n", [1, 5])
def test_one_region_per_token(n):
    g = torch.Generator().manual_seed(n)
    query, key, value = (torch.randn(1, n, 4, generator=g) for _ in range(3))
    ids = torch.arange(n)
    assert torch.allclose(semantic_continuous_attention(query, key, value, ids, ids.flip(0)), value.flip(1))
    assert torch.equal(semantic_sparse_attention(query, key, value, ids, ids.flip(0)), value.flip(1))


def test_huge_logits_stay_finite():
    query, key = torch.full((1, 6, 4), 1e4), torch.linspace(-1e4, 1e4, 6 * 4).view(1, 6, 4)
    value, ids = torch.randn(1, 6, 3), torch.tensor([0, 0, 0, 1, 1, 2])
    other = torch.tensor([0, 0, 3, 3, 1, 1])
    for attend in (semantic_continuous_attention, semantic_sparse_attention):
        assert torch.isfinite(attend(query, key, value, ids, other)).all()


def test_without_a_shared_region_whole_is_plain_attention_and_mean_is_the_mean():
    g = torch.Generator().manual_seed(0)
    query, key, value = (torch.randn(1, 5, 4, generator=g) for _ in range(3))
    ids, other = torch.zeros(5, dtype=torch.int64), torch.ones(5, dtype=torch.int64)
    plain = torch.softmax(query @ key.mT, -1) @ value
    assert torch.allclose(semantic_continuous_attention(query, key, value, ids, other), plain, atol=1e-6)
    for attend in (semantic_continuous_attention, semantic_sparse_attention):
        mean = attend(query, key, value, ids, other, fallback="mean")
        assert torch.allclose(mean, value.mean(1, keepdim=True).expand_as(mean), atol=1e-6)


def test_whole_index_is_plain_attention():
    g = torch.Generator().manual_seed(1)
    query, key, value = (torch.randn(2, n, 4, generator=g) for n in (3, 5, 5))
    mine = continuous_attention(query, key, value, RegionIndex.whole(3, 5))
    assert torch.allclose(mine, torch.softmax(query @ key.mT, -1) @ value, atol=1e-6)


@pytest.mark.parametrize("attend", [continuous_attention, sparse_attention])
def test_the_checkpoint_is_called_per_chunk_and_may_stop_the_work(attend, monkeypatch):
    monkeypatch.setattr(attention, "CHUNK", 8)
    query = key = value = torch.randn(1, 8, 4)
    index = RegionIndex.whole(8, 8)
    calls = []
    attend(query, key, value, index, checkpoint=lambda: calls.append(1))
    assert len(calls) == 8

    def stop():
        raise Cancelled

    with pytest.raises(Cancelled):
        attend(query, key, value, index, checkpoint=stop)


def test_inputs_are_not_changed():
    g = torch.Generator().manual_seed(2)
    query, key, value = (torch.randn(1, 9, 4, generator=g) for _ in range(3))
    before = [t.clone() for t in (query, key, value)]
    ids = torch.arange(9) % 2
    semantic_continuous_attention(query, key, value, ids, ids, 2.0)
    semantic_sparse_attention(query, key, value, ids, ids, 2.0)
    content = query.view(1, 4, 3, 3)
    semantic_adain(content, content, ids.view(3, 3), ids.view(3, 3))
    assert all(torch.equal(a, b) for a, b in zip(before, (query, key, value), strict=True))


def test_fuse_is_the_weighted_sum():
    residual, sca, ssa = torch.randn(3, 1, 2, 3)
    assert torch.allclose(fuse(residual, sca, ssa, 0.7, 0.3), residual + 0.7 * sca + 0.3 * ssa)


def test_adain_is_semantic_adain_with_one_region():
    content, style = torch.randn(1, 3, 4, 5), torch.randn(1, 3, 6, 2)
    zeros = [torch.zeros(4, 5, dtype=torch.int64), torch.zeros(6, 2, dtype=torch.int64)]
    assert torch.allclose(adain(content, style), semantic_adain(content, style, *zeros), atol=1e-6)


def test_mvn_has_zero_mean_and_unbiased_unit_deviation():
    x = mvn(torch.randn(2, 3, 8, 9) * 5 + 2)
    assert torch.allclose(x.mean((2, 3)), torch.zeros(2, 3), atol=1e-5)
    assert torch.allclose(x.flatten(2).std(-1), torch.ones(2, 3), atol=1e-3)


def test_tensors_that_do_not_fit_are_named():
    q, k, v = torch.randn(1, 4, 3), torch.randn(1, 5, 3), torch.randn(1, 5, 2)
    n, m = torch.zeros(4, dtype=torch.int64), torch.zeros(5, dtype=torch.int64)
    for attend in (semantic_continuous_attention, semantic_sparse_attention):
        with pytest.raises(ShapeError, match="query tokens"):
            attend(q, k, v, m, m)
        with pytest.raises(ShapeError, match="key tokens"):
            attend(q, k, v, n, n)
        with pytest.raises(ShapeError, match="value tokens"):
            attend(q, k, v[:, :4], n, m)
        with pytest.raises(ShapeError, match="width"):
            attend(q[..., :2], k, v, n, m)
        with pytest.raises(ShapeError, match="no tokens"):
            attend(q, k[:, :0], v[:, :0], n, m[:0])
    picture = torch.randn(1, 2, 3, 3)
    with pytest.raises(ShapeError, match="content labels"):
        semantic_adain(picture, picture, torch.zeros(2, 3, dtype=torch.int64), torch.zeros(3, 3, dtype=torch.int64))
    with pytest.raises(ShapeError, match="style labels") as caught:
        semantic_adain(picture, picture, torch.zeros(3, 3, dtype=torch.int64), torch.zeros(2, 3, dtype=torch.int64))
    assert (caught.value.expected, caught.value.actual) == ("(3, 3)", "(2, 3)")


@given(tokens(), links(), fallbacks, st.integers(0, 2**31))
@settings(max_examples=60, deadline=None)
def test_counts_stand_for_keys_written_out(given_tokens, linked, fallback, seed):
    query, key, value, query_labels, key_labels = given_tokens
    counts = torch.randint(1, 5, (len(key_labels),), generator=torch.Generator().manual_seed(seed))
    written_out = [x.repeat_interleave(counts, dim=-2) for x in (key, value)]
    few = RegionIndex.build(query_labels, key_labels, linked, fallback)
    all_of_them = RegionIndex.build(query_labels, key_labels.repeat_interleave(counts), linked, fallback)
    expected = continuous_attention(query.double(), *(x.double() for x in written_out), all_of_them)
    close(continuous_attention(query, key, value, few, counts=counts), expected)


@pytest.mark.parametrize("channels_last", [True, False])
def test_mvn_is_the_unbiased_normalisation_in_any_layout(channels_last):
    x = torch.randn(2, 5, 7, 6, generator=torch.Generator().manual_seed(0)) * 3 + 100
    if channels_last:
        x = x.contiguous(memory_format=torch.channels_last)
    exact = x.double()
    variance, mean = torch.var_mean(exact, dim=(2, 3), keepdim=True)
    torch.testing.assert_close(mvn(x), ((exact - mean) / (variance + 1e-5).sqrt()).float(), rtol=1e-4, atol=1e-4)
    wide = (torch.randn(1, 2, 20, 20, generator=torch.Generator().manual_seed(1)) * 200).half()
    assert torch.isfinite(mvn(wide)).all() and abs(float(mvn(wide).float().std()) - 1) < 0.01  # squares beyond half's range
