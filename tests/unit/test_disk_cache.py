"""The cache on disk: bounded, whole or not at all, and never an error."""

import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from scsa_core import disk_cache
from scsa_core.disk_cache import DiskCache

KEYS = [f"{k:08x}" for k in range(5)]


def test_what_is_put_comes_back_and_nothing_else(tmp_path):
    cache = DiskCache(tmp_path / "deep" / "er")
    tensors = {"a": torch.rand(3, 4), "b": torch.arange(5).half()}
    cache.put(KEYS[0], tensors)
    back = cache.get(KEYS[0])
    assert set(back) == {"a", "b"} and all(torch.equal(back[k], tensors[k]) and back[k].dtype == tensors[k].dtype for k in tensors)
    assert cache.get(KEYS[1]) is None
    assert [p.name for p in cache.folder.iterdir()] == [f"{KEYS[0]}.safetensors"]  # no temporary file stays
    with pytest.raises(AssertionError):
        cache.get("../secret")


def test_the_least_recently_used_goes_first(tmp_path):
    cache = DiskCache(tmp_path, limit=1300)
    for n, key in enumerate(KEYS[:3]):
        cache.put(key, {"x": torch.full((80,), float(n))})  # 320 bytes and a header
        os.utime(tmp_path / f"{key}.safetensors", (n, n))
    assert cache.get(KEYS[0]) is not None  # used just now
    cache.put(KEYS[3], {"x": torch.ones(80)})
    assert [cache.get(k) is not None for k in KEYS[:4]] == [True, False, True, True]
    assert sum(p.stat().st_size for p in tmp_path.iterdir()) <= 1300
    cache.put(KEYS[4], {"x": torch.ones(1000)})
    assert cache.get(KEYS[4]) is None  # too large to be worth everything else


@pytest.mark.parametrize(
    "damage", [b"", b"{}", b"\xff" * 200, save({"x": torch.ones(4)})[:-3], save({"x": torch.tensor([float("nan")])}), save({})]
)
def test_a_damaged_entry_is_a_miss_and_is_removed(tmp_path, damage):
    path = tmp_path / f"{KEYS[0]}.safetensors"
    path.write_bytes(damage)
    cache = DiskCache(tmp_path)
    assert cache.get(KEYS[0]) is None and not path.exists()
    cache.put(KEYS[0], {"x": torch.ones(2)})
    assert cache.get(KEYS[0]) is not None


def test_a_folder_that_cannot_be_is_no_error(tmp_path):
    (tmp_path / "file").write_text("x")
    for cache in (DiskCache(tmp_path / "file"), DiskCache(None)):
        cache.put(KEYS[0], {"x": torch.ones(2)})
        assert cache.get(KEYS[0]) is None
        cache.drop(KEYS[0])


def test_where_it_is(monkeypatch, tmp_path):
    monkeypatch.setenv(disk_cache.VARIABLE, str(tmp_path / "mine"))
    assert disk_cache.root() == tmp_path / "mine"
    monkeypatch.setenv(disk_cache.VARIABLE, "off")
    assert disk_cache.root() is None
    monkeypatch.delenv(disk_cache.VARIABLE)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert disk_cache.root() == tmp_path / "scsa"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert disk_cache.root() == Path.home() / ".cache" / "scsa"

    def homeless():
        raise RuntimeError

    monkeypatch.setattr(Path, "home", homeless)
    assert disk_cache.root().name == "scsa"
