"""Models within a budget: who stays, who goes, and what a failure leaves."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from scsa_core import engine as engine_module
from scsa_core.backbones.lite import Lite
from scsa_core.engine import Engine
from scsa_core.errors import CheckpointMissing, ScsaError
from scsa_core.memory import total_memory
from scsa_core.resident import Resident, budget, weights_bytes


def model(megabytes):
    return SimpleNamespace(net=nn.Linear(megabytes * 250_000, 1, bias=False), fingerprint="x")


def test_the_one_asked_for_longest_ago_goes_first():
    resident = Resident(5_000_000)
    a, b = (resident.load(name, lambda: model(2)) for name in "ab")
    assert resident.load("a", lambda: pytest.fail("it is loaded")) is a
    resident.load("c", lambda: model(2))
    assert "a" in resident and "b" not in resident and "c" in resident and resident.get("b") is None
    assert resident.load("b", lambda: model(2)) is not b and "a" not in resident


def test_one_model_may_be_larger_than_the_budget_and_then_is_alone():
    resident = Resident(1_000_000)
    resident.load("small", lambda: model(1))
    resident.load("large", lambda: model(3))
    assert "large" in resident and "small" not in resident


def test_a_model_that_does_not_load_sends_nobody_away():
    resident = Resident(1_000_000)
    resident.load("a", lambda: model(1))

    def missing():
        raise CheckpointMissing("not here", path="a.pth")

    with pytest.raises(CheckpointMissing):
        resident.load("b", missing)
    assert "a" in resident and "b" not in resident


def test_two_threads_load_a_model_once():
    resident, made, ready = Resident(1_000_000), [], threading.Barrier(2)

    def ask():
        ready.wait()
        resident.load("a", lambda: made.append(1) or model(1))

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(made) == 1


def test_weights_are_counted_once_also_inside_what_a_model_has():
    shared = nn.Linear(100, 10)
    inner = SimpleNamespace(unet=nn.Sequential(shared, nn.BatchNorm1d(10)))
    held = SimpleNamespace(network=inner, vae=shared, schedule=3, name="x")
    assert weights_bytes(held) == 4 * (100 * 10 + 10 + 4 * 10) + 8  # the last is a counter of int64
    lite = Lite.load(torch.device("cpu"))
    assert 2.9e6 < weights_bytes(lite) / lite.dtype.itemsize < 12e6


def test_the_budget_is_the_hosts_or_half_of_what_there_is(monkeypatch, tmp_path):
    device = torch.device("cpu")
    monkeypatch.delenv("SCSA_MODELS_MB", raising=False)
    assert budget(device) == total_memory() // 2 > 100e6
    monkeypatch.setenv("SCSA_MODELS_MB", "700")
    assert budget(device) == 700_000_000
    monkeypatch.setenv("SCSA_MODELS_MB", "much")
    with pytest.raises(ScsaError, match="SCSA_MODELS_MB"):
        budget(device)
    limit, none = tmp_path / "memory.max", tmp_path / "other"
    limit.write_text("900000000\n")
    none.write_text("max\n")
    assert total_memory([none, tmp_path / "missing", limit]) == 900_000_000 < total_memory([none])


def test_the_engine_drops_what_does_not_fit_and_loads_it_again(monkeypatch):
    monkeypatch.setenv("SCSA_MODELS_MB", "0")
    loads = []

    def family(name):
        return SimpleNamespace(info=Lite.info, load=lambda device: loads.append(name) or model(1), probe=lambda: None)

    monkeypatch.setattr(engine_module, "FAMILIES", {"a": family("a"), "b": family("b")})
    engine = Engine("cpu")
    for name in ("a", "a", "b", "a"):
        engine.load(name)
    assert loads == ["a", "b", "a"] and all(state.ready for state in engine.backbones())
