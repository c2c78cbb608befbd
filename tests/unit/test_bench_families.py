"""`bench families`: what is measured, how it is compared, and the table."""

import dataclasses
import json

import numpy as np
import pytest
import torch

from scsa_core.backbones import FAMILIES
from scsa_core.cli import main
from scsa_core.commands import bench, bench_families
from scsa_core.commands.bench_families import CASES, Measured
from scsa_core.labels import read_maps

MEASURED = Measured(
    cold=(4.0, 5.0, 6.0), moved=(0.8, 0.8, 1.6), maps=(0.02, 0.03, 0.04), rates=(175e9, 175e9, 87.5e9),
    stages={"paint": 1.0, "total": 4.0}, load_seconds=0.5, peak_bytes=900_000_000,
)  # fmt: skip


def test_ratios_are_taken_at_equal_rates_round_by_round():
    assert MEASURED.faster(MEASURED.cold, 10.0) == pytest.approx(2.5)  # 2.5, 2, and 3.33 where this machine was at half speed
    assert MEASURED.faster(MEASURED.moved, 10.0) == pytest.approx(12.5)


def test_a_family_is_loaded_from_files_and_measured_in_a_process_of_its_own(monkeypatch):
    """The smallest of the two at the smallest size: the whole path, weights file to JSON."""
    m = bench_families.measure("sanet", 64, 1, threads=1)
    assert len(m.cold) == len(m.moved) == len(m.maps) == len(m.rates) == 1
    assert min(*m.cold, *m.moved, *m.maps, *m.rates) > 0
    assert m.moved[0] < m.cold[0]  # a move of α takes the encoded pictures from the cache
    assert m.stages["encode_maps"] > 0 and 200e6 < m.peak_bytes < 4e9


@pytest.mark.parametrize("family", CASES)
def test_random_weights_have_the_names_and_shapes_that_load(family, tmp_path, monkeypatch):
    monkeypatch.setenv("SCSA_CHECKPOINTS", str(tmp_path))
    bench_families.write_weights(family, tmp_path)
    model = FAMILIES[family].load(torch.device("cpu"))
    with torch.inference_mode():
        features = model.encode(torch.rand(1, 3, 64, 64), role="content")
    assert all(torch.isfinite(t).all() and t.std() > 1e-3 for t in features.values())


def test_the_maps_are_like_a_person_s_files():
    content, style = bench_families.blobs(96, 0), bench_families.blobs(96, 1)
    assert content.mode == "RGB" and content.size == (96, 96)
    assert len({tuple(p) for p in np.asarray(content).reshape(-1, 3)}) > bench_families.REGIONS  # antialiased borders
    maps = read_maps(content, style)
    assert all(set(m.region_ids) == set(maps[0].region_ids) for m in maps)
    assert not np.array_equal(maps[0].ids, maps[1].ids)


def test_the_table_says_what_holds_and_what_does_not(capsys, monkeypatch):
    asked = []

    def measure(family, size, repeat, threads):
        asked.append((family, size, repeat, threads))
        return dataclasses.replace(MEASURED, peak_bytes=1_100_000_000)

    monkeypatch.setattr(bench_families, "measure", measure)
    bench.families(512, 3, 2)
    assert asked == [(name, 512, 3, 2) for name in CASES]
    out = capsys.readouterr().out
    rows = {tuple(line.split()[:2]): line.split() for line in out.splitlines() if line.split()[:1] in (["sanet"], ["stytr2"])}
    assert rows["sanet", "cold"][-3:] == ["2.5x", "1.7x", "yes"]
    assert rows["sanet", "move"][-3:] == ["12.5x", "10.0x", "yes"]
    assert rows["stytr2", "cold"][-3:] == ["10.7x", "3.0x", "yes"]
    assert rows["sanet", "label"][-3:] == ["50", "ms", "yes"]
    assert rows["sanet", "peak"][-3:] == ["1.00", "GB", "no"]
    assert rows["stytr2", "peak"][-1] == "yes"
    assert "175 (88 to 175) GFLOP/s" in out and "load" not in json.dumps(out)


def test_sizes_that_no_family_takes_are_refused(capsys):
    assert main(["bench", "families", "--size", "5000"]) == 2
    assert "size" in capsys.readouterr().err
