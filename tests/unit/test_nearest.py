"""The best key of every query, in tiles: what one matrix product and its argmax find."""

from __future__ import annotations

import pytest
import torch

from scsa_core import products
from scsa_core.attention import RegionIndex, sparse_attention
from scsa_core.errors import Cancelled
from scsa_core.nearest import COLUMNS, ROWS, nearest, worth_tiling


def tokens(n, m, width=64, seed=0):
    return torch.randn(n + m, width, generator=torch.Generator().manual_seed(seed)).split([n, m])


def found(query, key):
    parts = list(nearest(query, key))
    assert [p for rows, _ in parts for p in range(rows.start, rows.stop)] == list(range(len(query)))
    return torch.cat([winner for _, winner in parts])


@pytest.mark.parametrize(("n", "m"), [(ROWS, COLUMNS), (2 * ROWS, 2 * COLUMNS), (ROWS + 37, 2 * COLUMNS + 411), (5, 3), (ROWS, 17)])
def test_it_is_the_argmax_of_the_product(n, m):
    query, key = tokens(n, m)
    products = query.double() @ key.double().T
    mine = found(query, key)
    assert mine.dtype == torch.int64 and mine.shape == (n,)
    ahead = products.amax(1) - products.gather(1, mine[:, None])[:, 0]
    assert float(ahead.max()) < 1e-4  # the best, or one that rounding cannot tell from it
    assert float((mine == products.argmax(1)).float().mean()) > 0.999


def test_of_equal_keys_the_first_is_taken():
    query, _ = tokens(ROWS, 1)
    key = torch.randn(1, 64).expand(2 * COLUMNS + 100, -1).contiguous()
    assert int(found(query, key).max()) == 0


def test_it_can_be_stopped_between_tiles():
    query, key = tokens(2 * ROWS, 3 * COLUMNS)
    calls = []

    def stop():
        calls.append(1)
        if len(calls) == 4:
            raise Cancelled()

    with pytest.raises(Cancelled):
        list(nearest(query, key, stop))
    assert len(calls) == 4


def test_it_serves_whole_tiles_on_such_processors_only(monkeypatch):
    query = torch.zeros(ROWS, 512)
    monkeypatch.setattr(products, "convolves_faster", lambda: True)
    assert worth_tiling(query, COLUMNS)
    assert not worth_tiling(query[1:], COLUMNS) and not worth_tiling(query, COLUMNS - 1) and not worth_tiling(query.double(), COLUMNS)
    monkeypatch.setattr(products, "convolves_faster", lambda: False)
    assert not worth_tiling(query, COLUMNS)


def test_sparse_attention_is_the_same_with_it(monkeypatch):
    query, key = (x[None] for x in tokens(ROWS + 9, COLUMNS + 30, seed=4))
    value = torch.randn(1, COLUMNS + 30, 5)
    index = RegionIndex.whole(query.shape[1], key.shape[1])
    outcomes = []
    for faster in (False, True):
        monkeypatch.setattr(products, "convolves_faster", lambda faster=faster: faster)
        outcomes.append(sparse_attention(query, key, value, index, 0.05))
    assert float((outcomes[0] == outcomes[1]).all(-1).float().mean()) > 0.998  # but for ties within rounding
