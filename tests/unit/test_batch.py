"""A folder of pairs from the command line: resumed, robust, reported; and the same on a Ray cluster of two nodes."""

import csv
import io
import json
import sys

import numpy as np
import pytest
import torch
from PIL import Image

import scsa_core.cli
from scsa_core import cluster
from scsa_core import reference_files as rf
from scsa_core.batch import Job, Outcome, Payload, perform, plan, run_local
from scsa_core.batch.report import COLUMNS, Report
from scsa_core.commands import batch
from scsa_core.engine import Engine
from scsa_core.errors import OutOfMemory
from scsa_core.knobs import Knobs
from scsa_core.labels import LabelMap
from scsa_core.recipe import extract


def picture(size, seed):
    small = np.random.default_rng(seed).integers(0, 255, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(small).resize(size, Image.Resampling.BICUBIC)


def halves(size, vertical=True):
    ids = np.ones((size[1], size[0]), np.uint8)
    ids[(slice(None), slice(size[0] // 2, None)) if vertical else slice(size[1] // 2, None)] = 2
    return LabelMap.from_ids(ids)


@pytest.fixture
def folder(tmp_path):
    """Two good pairs, one without a map, one whose picture is damaged."""
    data = tmp_path / "sem_data"
    for k in (1, 2, 3, 10):
        rf.write_pair(data, str(k), picture((64, 48), k), picture((48, 64), k + 50), halves((64, 48)), halves((48, 64), False))
    (data / "2" / "2_sem.png").unlink()
    (data / "3" / "3_paint.jpg").write_bytes(b"no picture")
    return data


@pytest.fixture(scope="module")
def engine():
    made = Engine("cpu")
    made.load("lite")
    return made


@pytest.fixture
def one_engine(engine, monkeypatch):
    monkeypatch.setattr(batch, "Engine", lambda device: engine)
    return engine


def main(*argv):
    return scsa_core.cli.main([str(a) for a in ("batch", *argv, "--size", "64")])


def rows(out):
    with (out / "timings.csv").open(newline="") as f:
        return list(csv.DictReader(f))


def test_every_pair_is_painted_and_bad_ones_get_a_line(folder, tmp_path, one_engine, capsys):
    out = tmp_path / "out"
    assert main(folder, "--out", out, "--both-directions") == 1
    found = {(r["direction"], r["method"]): r for r in rows(out)}
    done = {k for k, r in found.items() if r["status"] == "done"}
    assert done == {(f"{a}_{b}", m) for k in ("1", "10") for a, b in ((k, f"{k}_paint"), (f"{k}_paint", k)) for m in ("baseline", "scsa")}
    assert "2_sem.png is missing" in found["2_2_paint", "scsa"]["error"]
    assert "picture" in found["3_3_paint", "baseline"]["error"] and "picture" in found["3_paint_3", "scsa"]["error"]
    one = found["1_1_paint", "scsa"]
    assert float(one["total"]) > 0 and float(one["encode_maps"]) > 0 and found["1_1_paint", "baseline"]["encode_maps"] == ""
    recipe = extract(out / one["file"])
    assert (recipe.method, recipe.size, recipe.knobs.size) == ("scsa", (64, 48), 64) and recipe.content_map.region_ids == (1, 2)
    assert Image.open(out / found["10_paint_10", "baseline"]["file"]).size == (48, 64)
    report = (out / "report.txt").read_text()
    assert report.count("\n") == len(found) == 14 and "2 2_2_paint lite scsa: failed: 2_sem.png is missing" in report
    sheet = Image.open(out / "contact_sheet.jpg")
    assert sheet.width == 2 * 16 + 4 * 248 - 8 and sheet.height > 7 * 240
    captured = capsys.readouterr()
    assert "[14/14]" in captured.out and "6 renders failed" in captured.err
    assert not [p for p in out.rglob(".*") if p.is_file()]


def test_it_goes_on_where_it_stopped_and_repaints_what_changed(folder, tmp_path, one_engine, monkeypatch, capsys):
    out = tmp_path / "out"
    calls = []
    real = one_engine.render

    def render(request):
        calls.append(request.method)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(request)

    monkeypatch.setattr(one_engine, "render", render)
    assert main(folder, "--out", out, "--only", "1", "10") == 130
    assert len(rows(out)) == 2
    assert main(folder, "--out", out, "--only", "1", "10") == 0
    assert len(calls) == 5 and "2 of 4 renders are there already" in capsys.readouterr().out
    assert main(folder, "--out", out, "--only", "1", "10") == 0 and len(calls) == 5
    (out / "1" / "1_1_paint_lite_scsa.png").unlink()  # a picture is gone
    picture((64, 48), 77).save(folder / "10" / "10.jpg")  # an input changed
    assert main(folder, "--out", out, "--only", "1", "10") == 0 and len(calls) == 8
    assert main(folder, "--out", out, "--only", "1", "10", "--alpha1", "1.5") == 0
    assert calls[8:] == ["scsa", "scsa"]  # the baseline knows no α


def test_a_failure_of_the_engine_is_an_outcome(folder, engine, monkeypatch):
    errors = iter([OutOfMemory("no room", hint="Choose a smaller size."), RuntimeError("odd"), MemoryError()])

    def render(request):
        raise next(errors)

    monkeypatch.setattr(engine, "render", render)
    (job,) = plan(rf.find_pairs(folder)[:1], backbone="lite", methods=("scsa", "baseline", "sca"), knobs=Knobs(size=64))
    said = [o.error for o in perform(engine, job, Payload.of(job))]
    assert said == ["no room. Choose a smaller size.", "unexpected RuntimeError: odd", "unexpected MemoryError:"]


def test_a_bad_map_leaves_the_baseline(folder, engine):
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8)).save(folder / "1" / "1_sem.png")
    (job,) = plan(rf.find_pairs(folder)[:1], backbone="lite", methods=("baseline", "scsa"), knobs=Knobs(size=64))
    heard = []
    run_local([job], engine, lambda j, o: heard.append(o))
    assert not heard[0].error and heard[0].png and "photograph" in heard[1].error


def test_maps_come_from_precomputed_files_too(folder, tmp_path, one_engine):
    feats, out = tmp_path / "feats", tmp_path / "out"
    for name, vertical in (("1", True), ("1_paint", False)):
        rf.write_masks(feats / "1" / f"{name}_masks_64.pt", halves((64, 64), vertical).ids, [1, 2])
    for path in (folder / "1").glob("*_sem.png"):
        Image.new("RGB", (64, 48), "red").save(path)  # not to be read
    assert main(folder, "--out", out, "--only", "1", "--precomputed", feats, "--methods", "scsa") == 0
    assert extract(out / "1" / "1_1_paint_lite_scsa.png").content_map.region_ids == (1, 2)


def test_precomputed_files_are_written_and_read_by_command(folder, tmp_path, capsys):
    feats = tmp_path / "feats"
    arguments = ["precomputed", "write", str(folder), "--out", str(feats), "--sizes", "32"]
    assert scsa_core.cli.main(arguments) == 1  # pair 2 lacks a map
    said = capsys.readouterr().out
    assert "2: failed: pair 2: 2_sem.png is missing" in said and "10: 4 files, 17 MB" in said
    assert scsa_core.cli.main(["precomputed", "read", str(feats), "--out", str(tmp_path / "labels")]) == 0
    labels = Image.open(tmp_path / "labels" / "1" / "1_labels.png")
    assert labels.size == (32, 32) and set(np.unique(labels)) == {1, 2}


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--only", "77"), "no pair 77"),
        (("--workers", "2"), "--engine ray"),
        (("--reference", "--precomputed", "x"), "colour maps"),
        (("--methods", "regions"), "no method regions"),
        (("--alpha1", "9"), "--alpha1"),
    ],
)
def test_bad_input_is_one_line(folder, tmp_path, one_engine, capsys, more, words):
    assert main(folder, "--out", tmp_path / "out", *more) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_folders_that_hold_nothing_are_refused(tmp_path, capsys):
    assert main(tmp_path, "--out", tmp_path / "out") == 2
    assert "holds no pairs" in capsys.readouterr().err
    assert scsa_core.cli.main(["precomputed", "read", str(tmp_path), "--out", str(tmp_path / "o")]) == 2
    assert "no pair of masks" in capsys.readouterr().err


def test_a_report_of_another_kind_is_not_trusted(tmp_path):
    (tmp_path / "timings.csv").write_text("a,b\n1,2\n")
    assert Report(tmp_path).rows == {}


def test_many_pairs_make_several_sheets(folder, tmp_path, monkeypatch):
    from scsa_core.batch import report as module

    monkeypatch.setattr(module, "ROWS", 3)
    jobs = plan(rf.find_pairs(folder), backbone="lite", methods=("scsa",), knobs=Knobs())
    sheets = Report(tmp_path).sheets(jobs)
    assert [p.name for p in sheets] == ["contact_sheet_1.jpg", "contact_sheet_2.jpg"]
    assert Image.open(sheets[1]).height < Image.open(sheets[0]).height


def test_without_ray_the_line_to_install_it_is_named(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "ray", None)
    assert main(folder, "--out", tmp_path / "out", "--engine", "ray") == 2
    assert "pip install" in capsys.readouterr().err


class FakeRay:
    """Just enough of Ray to kill workers at will."""

    class exceptions:  # noqa: N801
        class RayError(Exception):
            pass

        class RayActorError(RayError):
            pass

    def wait(self, refs, num_returns):
        return refs[:1], refs[1:]

    def get(self, ref):
        if isinstance(ref.answer, Exception):
            raise ref.answer
        return ref.answer


class FakeWorker:
    def __init__(self, answers):
        self.perform, self._answers = self, answers

    def remote(self, job, payload):
        return type("Ref", (), {"answer": self._answers.pop(0)})()


@pytest.mark.parametrize(("more", "words"), [((), "--engine local"), (("--address", "1.2.3.4:5"), "no Ray cluster answers")])
def test_a_cluster_that_does_not_answer_is_one_line(folder, tmp_path, monkeypatch, capsys, more, words):
    class Unreachable(FakeRay):
        closed = False

        def init(self, **_):
            raise ConnectionError("no route")

        def shutdown(self):
            self.closed = True

    fake = Unreachable()
    monkeypatch.setattr(cluster, "_import", lambda: fake)
    assert main(folder, "--out", tmp_path / "out", "--engine", "ray", *more) == 2
    assert words in capsys.readouterr().err and fake.closed


def test_a_job_whose_worker_dies_is_tried_once_more_and_then_reported(folder):
    died = FakeRay.exceptions.RayActorError()
    jobs = plan(rf.find_pairs(folder)[:1] * 3, backbone="lite", methods=("scsa",), knobs=Knobs())
    good = [Outcome("scsa", b"x")]
    heard = []
    workers = [FakeWorker([died, good, died, died, FakeRay.exceptions.RayError()])]
    calls = ((job, (job, None)) for job in jobs)
    cluster._distribute(FakeRay(), workers, calls, lambda j, found: heard.extend(o.error for o in found), lambda j, why: heard.append(why))
    assert heard[0] == "" and len(heard) == 3
    assert "died" in heard[1] and "failed" in heard[2]


@pytest.mark.filterwarnings("ignore")
def test_a_ray_cluster_of_two_workers_paints_the_same(folder, tmp_path, engine, monkeypatch):
    ray = pytest.importorskip("ray")
    for name in ("RAY_USAGE_STATS_ENABLED", "RAY_ENABLE_UV_RUN_RUNTIME_ENV"):
        monkeypatch.setenv(name, "0")
    monkeypatch.setattr(cluster, "STORE", 80_000_000)
    out = tmp_path / "out"
    assert main(folder, "--out", out, "--engine", "ray", "--workers", "2", "--both-directions") == 1
    assert not ray.is_initialized()
    found = rows(out)
    assert {r["worker"] for r in found if r["status"] == "done"} == {"worker 1", "worker 2"}
    assert sum(r["status"] == "done" for r in found) == 8 and len(found) == 14
    knobs = engine.defaults("lite").replace(size=64)
    (job,) = plan([p for p in rf.find_pairs(folder) if p.id == "1"], backbone="lite", methods=("scsa",), knobs=knobs)
    (here,) = perform(engine, job, Payload.of(job))
    there = np.asarray(Image.open(out / "1" / "1_1_paint_lite_scsa.png")).astype(int)
    assert np.abs(there - np.asarray(Image.open(io.BytesIO(here.png)))).max() <= 2


def test_columns_are_what_a_spreadsheet_wants(tmp_path, folder):
    (job,) = plan(rf.find_pairs(folder)[:1], backbone="lite", methods=("scsa",), knobs=Knobs())
    assert isinstance(job, Job)
    report = Report(tmp_path)
    report.add(job, Outcome("scsa", b"png", (4, 3), {"total": 1.5, "paint": 0.25}, 5_000_000, ("a, b",)))
    (row,) = rows(tmp_path)
    assert tuple(row) == COLUMNS and (row["total"], row["paint"], row["peak_memory_mb"], row["warnings"]) == ("1.500", "0.250", "5", "a, b")
    assert json.dumps(row) and torch.get_num_threads() >= 1
