"""The stage cache: bounded, least recently used out first, keys that tell inputs apart."""

import pytest

from scsa_core import cache as cache_module
from scsa_core.cache import StageCache, bound, digest
from scsa_core.engine import Engine
from scsa_core.errors import ScsaError


def test_digest_tells_types_order_and_nesting_apart():
    seen = {digest(1), digest("1"), digest(1.0), digest(True), digest(None), digest((1,)), digest((1, 2)), digest(1, 2), digest(2, 1), digest(b"1")}
    assert len(seen) == 10
    assert digest("a", ("b", 1)) == digest("a", ("b", 1))


def test_what_cannot_be_hashed_is_refused():
    with pytest.raises(TypeError):
        digest([1])


def test_bytes_stay_within_the_limit_and_the_oldest_goes_first():
    cache = StageCache(100)
    for name in "abc":
        cache.put(name, name.upper(), 40)
    assert "a" not in cache and cache.get("b") == "B" and cache.get("c") == "C"
    cache.get("b")
    cache.put("d", "D", 40)
    assert "c" not in cache and "b" in cache
    assert cache.statistics().bytes <= 100


def test_a_large_entry_takes_the_place_of_others_and_one_beyond_the_bound_is_not_kept():
    cache = StageCache(100)
    cache.put("old", 1, 30)
    cache.put("small", 2, 30)
    cache.put("large", 3, 60)  # as what an α move needs of a picture of 2048 pixels
    assert "large" in cache and "small" in cache and "old" not in cache
    cache.put("beyond", 4, 101)
    assert "beyond" not in cache and "large" in cache


def test_a_replaced_entry_counts_once():
    cache = StageCache(100)
    cache.put("a", 1, 30)
    cache.put("a", 2, 20)
    assert cache.get("a") == 2 and cache.statistics().bytes == 20


def test_a_failed_make_leaves_nothing_behind():
    cache = StageCache(100)

    def fail():
        raise ValueError

    with pytest.raises(ValueError):
        cache.get_or_make("a", fail, lambda _: 1)
    assert cache.get_or_make("a", lambda: 7, lambda _: 1) == 7
    assert cache.get_or_make("a", fail, lambda _: 1) == 7
    assert cache.statistics().hits == 1


@pytest.mark.parametrize(("gigabytes", "bound_gigabytes"), [(4, 1.5), (8, 1.5), (24, 3), (256, 6)])
def test_the_bound_is_the_hosts_or_grows_with_the_machine(monkeypatch, gigabytes, bound_gigabytes):
    monkeypatch.delenv("SCSA_STAGES_MB", raising=False)
    monkeypatch.setattr(cache_module, "total_memory", lambda: gigabytes * 1_000_000_000)
    assert bound() == bound_gigabytes * 1e9
    assert bound(on_processor=False) == 1_500_000_000
    monkeypatch.setenv("SCSA_STAGES_MB", "700")
    assert bound() == bound(on_processor=False) == 700_000_000
    assert Engine("cpu")._cache.limit == 700_000_000 and Engine("cpu", cache_bytes=5)._cache.limit == 5
    monkeypatch.setenv("SCSA_STAGES_MB", "much")
    with pytest.raises(ScsaError, match="SCSA_STAGES_MB"):
        bound()
