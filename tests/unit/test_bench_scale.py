"""How renders grow with the picture: the fit, and a run at a small size."""

from __future__ import annotations

import math

import pytest

from scsa_core.cli import main
from scsa_core.commands import bench_scale
from scsa_core.commands.bench_scale import Step, exponent


def step(size, seconds, rate=1.0):
    return Step(size, seconds, {}, 0, rate)


def test_the_exponent_of_known_growth():
    assert exponent([step(n, 3e-6 * (n * n) ** 1.15) for n in (512, 1024, 2048)]) == pytest.approx(1.15)
    slowed = [step(512, 1.0, 1.0), step(1024, 8.0, 0.5)]  # the machine halved its rate in between
    assert exponent(slowed) == pytest.approx(1.0)
    assert math.isnan(exponent([step(256, 1), step(512, 2)]))


def test_a_run_measures_what_it_says():
    found = bench_scale.run(64)
    assert found.size == 64 and found.seconds > 0 and found.rate > 1e8 and found.peak_bytes > 1e8
    assert {"encode_content", "match", "paint"} <= set(found.stages)


def test_the_table(monkeypatch, capsys):
    monkeypatch.setattr(bench_scale, "measure", lambda size, family: Step(size, size**2 / 1e5, {"paint": 1.0}, 2_000_000_000, 1e11))
    assert main(["bench", "scale", "--size", "1024", "--family", "sanet"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("sanet, cold") and [line.split()[0] for line in out.splitlines()[2:5]] == ["256", "512", "1024"] and "pixels^1.00" in out
    assert main(["bench", "load"]) == 2
