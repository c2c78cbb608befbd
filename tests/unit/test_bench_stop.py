"""`scsa bench stop`: what it says of the time between looks is what a clock saw."""

from __future__ import annotations

import os

import pytest

from scsa_core import checkpoints
from scsa_core.cli import main
from scsa_core.commands import bench_stop
from scsa_core.commands.bench_stop import Waits
from scsa_core.engine import Engine


def test_the_longest_wait_and_the_mean_one():
    found = Waits(64, 4.0, ((1.0, "match"), (3.0, "paint")))
    assert found.longest == (3.0, "paint")
    assert found.mean == pytest.approx((1 + 9) / 2 / 4)  # a stop comes three times as likely in the long one, and waits half of it


def test_every_look_of_a_render_is_seen():
    ticks = iter(range(10**6))
    found = bench_stop.measure(Engine("cpu"), 64, "lite", lambda: float(next(ticks)))
    assert len(found.gaps) > 60 and {gap for gap, _ in found.gaps[1:]} == {1.0}
    assert {stage for _, stage in found.gaps} >= {"encode_content", "encode_style", "encode_maps", "match", "paint", "finish"}


def test_the_table_has_a_row_a_size(monkeypatch, capsys):
    monkeypatch.setattr(bench_stop, "SIZES", (64, 96, 128))
    assert main(["bench", "stop", "--size", "96"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[2:4]] == ["64", "96"] and lines[4].startswith("mean wait")


def test_another_family_has_random_weights_while_it_lasts(monkeypatch):
    monkeypatch.setenv(checkpoints.VARIABLE, "elsewhere")
    monkeypatch.setattr(bench_stop, "write_weights", lambda family, folder: (folder / family).mkdir())
    with bench_stop._weights("sanet"):
        assert os.path.isdir(os.path.join(os.environ[checkpoints.VARIABLE], "sanet"))
    assert os.environ[checkpoints.VARIABLE] == "elsewhere"
    monkeypatch.delenv(checkpoints.VARIABLE)
    with bench_stop._weights("sanet"):
        pass
    assert checkpoints.VARIABLE not in os.environ
