"""The evaluation: statistics with known answers, and the whole command on two small pairs."""

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import scsa_core.cli
from scsa_core.errors import KnobError, ScsaError
from scsa_core.evaluation import figures, rows, run, stats, tables
from scsa_core.evaluation.rows import FIELDS, NONE, Variant
from scsa_core.labels import LabelMap
from scsa_core.reference_files import find_pairs, write_pair

# -- statistics -----------------------------------------------------------------------


def test_wilson_known_answers():
    assert stats.wilson(28, 40) == pytest.approx((0.5457, 0.8193), abs=1e-4)
    assert stats.wilson(0, 10) == pytest.approx((0, 0.2775), abs=1e-4)
    assert np.isnan(stats.wilson(0, 0)).all()


def test_holm_steps_down():
    assert stats.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    corrected = stats.holm([float("nan"), 0.02])
    assert np.isnan(corrected[0]) and corrected[1] == pytest.approx(0.02)


def test_the_interval_covers_a_known_mean_about_as_often_as_it_says():
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(60):
        found = stats.interval(rng.exponential(size=40), resamples=400)
        hits += found.low <= 1 <= found.high
    assert 50 <= hits <= 60
    again = [stats.interval(np.arange(9.0), resamples=200) for _ in range(2)]
    assert again[0] == again[1]  # the seed is fixed


def test_few_or_equal_values_make_no_false_interval():
    few = stats.interval(np.array([1.0, 3.0]))
    assert few.mean == 2 and np.isnan(few.low) and not few.excludes_zero
    same = stats.interval(np.full(8, 0.5))
    assert (same.low, same.high) == (0.5, 0.5) and same.excludes_zero


def test_a_paired_comparison_sees_what_two_intervals_hide():
    rng = np.random.default_rng(1)
    b = rng.uniform(1, 10, 30)
    a = b - rng.uniform(0.05, 0.15, 30)
    found = stats.paired(a, b, resamples=500)
    assert found.difference.excludes_zero and found.difference.mean == pytest.approx(-0.1, abs=0.02)
    assert found.p < 1e-5 and found.won == 1 and found.won_low > 0.85
    assert found.relative == pytest.approx(a.mean() / b.mean() - 1)
    none = stats.paired(b, b, resamples=100)
    assert np.isnan(none.p) and none.won == 0 and none.difference.mean == 0


# -- rows and tables ------------------------------------------------------------------


def row(pair, method, ssl, *, backbone="lite", direction="forward", a=("0.5", "1.5"), **more):
    out = dict.fromkeys(FIELDS, "") | {
        "pair": pair, "direction": direction, "backbone": backbone, "method": method, "alpha1": a[0], "alpha2": a[1], "size": "64",
        "network": "vgg16-n", "seconds": "1", "ssl": str(ssl), "gram": "0.5", "swd": "0.5", "cfsd": "0.1", "content_distance": "0.2",
    }  # fmt: skip
    return out | more


def made(n=12):
    rng = np.random.default_rng(0)
    found = []
    for k in range(n):
        base = rng.uniform(1, 2)
        for direction in ("forward", "reverse"):
            for method, gap in (("scsa", 0.0), ("baseline", 0.6), ("sca", 0.1 + rng.uniform(0, 0.02)), ("ssa", rng.normal(0, 0.05))):
                found.append(row(str(k), method, base + gap, direction=direction, a=("", "") if method == "baseline" else ("0.5", "1.5")))
    return found


def test_pairs_are_averaged_over_directions_before_anything_else():
    found = [row("a", "scsa", 1), row("a", "scsa", 3, direction="reverse"), row("b", "scsa", 5)]
    (summary,) = tables.summaries(found)
    assert summary.means[(Variant("lite", "scsa", "0.5", "1.5"), "ssl")].mean == 3.5
    assert (summary.pairs, summary.directions) == (2, 2)


def test_an_ablation_is_called_worse_only_with_an_interval_that_excludes_zero():
    (summary,) = tables.summaries(made(), resamples=500)
    worse = {v.method: m for v, m in tables.worse_ablations(summary).items()}
    assert worse == {"sca": ["SSL"], "ssa": []}
    against = next(c for c in summary.comparisons if c.other.method == "baseline" and c.metric == "ssl")
    assert against.result.difference.mean == pytest.approx(-0.6) and against.corrected < 0.01
    text = tables.markdown([summary], ["a note"], "a command")
    assert "worse than the whole on SSL" in text and "not shown to be worse" in text and "`vgg16-n`" in text and "12 pairs" in text


def test_figures_of_two_networks_or_sizes_never_share_a_table():
    found = [row("a", "scsa", 1), row("a", "scsa", 9, network="vgg19-n"), row("a", "scsa", 5, size="128")]
    assert sorted((s.network, s.size) for s in tables.summaries(found)) == [("vgg16-n", "128"), ("vgg16-n", "64"), ("vgg19-n", "64")]


def test_a_sweep_stays_out_of_the_table_and_makes_a_heat_map():
    found = made(4) + [row("0", "scsa", 1, a=(x, y)) for x in ("0", "1") for y in ("0", "1")]
    (summary,) = tables.summaries(found, resamples=200)
    assert [v.method for v in summary.variants] == ["scsa", "baseline", "sca", "ssa"]  # in the order of the methods, once each
    values = {(x, y): x + y for x in (0.0, 1.0) for y in (0.0, 1.0)}
    drawn = figures.sweep_map(values, {k: Image.new("RGB", (8, 8), "red") for k in values}, "title")
    assert drawn.startswith("<svg") and "image" in drawn
    assert figures.sweep_map({(0.0, 0.0): 1.0}, {}, "title") == ""


def test_a_table_is_read_back_and_a_line_cut_short_is_dropped(tmp_path):
    path = tmp_path / "results.csv"
    rows.append(path, [row("a", "scsa", 1)])
    with path.open("a") as f:
        f.write("b,forward,lite")
    assert [r["pair"] for r in rows.read_rows(path)] == ["a"]
    rows.append(path, [row("c", "scsa", 1)])
    assert [r["pair"] for r in rows.read_rows(path)] == ["a", "c"]
    (tmp_path / "other.csv").write_text("x,y\n1,2\n")
    with pytest.raises(ScsaError, match="not a table"):
        rows.read_rows(tmp_path / "other.csv")


def test_the_suite_has_every_method_of_each_family_and_the_trivial_rows():
    found = run.suite(["lite", "mast", "strotss"], None, 256, (None, None))
    assert [w.variant.title for w in found][:2] == ["content itself", "region colour match, no network"]
    names = {(w.variant.backbone, w.variant.method) for w in found}
    assert {("lite", m) for m in ("scsa", "baseline", "sca", "ssa", "no_sadain")} <= names
    assert {("mast", "regions"), ("mast", "single"), ("strotss", "regions")} <= names
    titles = [w.variant.title for w in found]
    assert {"mast", "mast-1", "lite scsa 0.25/0.75", "strotss regions"} <= set(titles)
    assert len(run.sweep(["lite", "mast"], 256, (0.0, 1.0))) == 4
    with pytest.raises(KnobError):
        run.suite(["nobody"], None, 256, (None, None))
    with pytest.raises(KnobError):
        run.suite(["lite"], ["nothing"], 256, (None, None))


# -- the command ----------------------------------------------------------------------


def picture(seed, width=80, height=64):
    small = np.random.default_rng(seed).integers(0, 255, (height // 8, width // 8, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)


def halves(width=80, height=64):
    ids = np.ones((height, width), np.uint8)
    ids[:, width // 2 :] = 2
    return LabelMap.from_ids(ids)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pairs")
    for k in range(2):
        write_pair(folder, str(k + 1), picture(2 * k), picture(2 * k + 1), halves(), halves())
    return folder


@pytest.fixture(scope="module")
def report(pairs, tmp_path_factory):
    out = tmp_path_factory.mktemp("report") / "out"
    command = ["evaluate", "--pairs", str(pairs), "--size", "64", "--backbones", "lite", "mast", "--out", str(out)]
    assert scsa_core.cli.main([*command, "--methods", "scsa", "baseline", "sca", "regions"]) == 0
    return out


def table_of(out):
    with (out / "results.csv").open() as f:
        return list(csv.DictReader(f))


def again(pairs, out, *more):
    command = ["evaluate", "--pairs", str(pairs), "--size", "64", "--backbones", "lite", "mast", "--out", str(out)]
    return scsa_core.cli.main([*command, "--methods", "scsa", "baseline", "sca", "regions", *more])


def test_one_row_a_render_with_every_metric(report):
    found = table_of(report)
    variants = {(r["backbone"], r["method"]) for r in found}
    assert variants == {(NONE, "content"), (NONE, "colour"), ("lite", "scsa"), ("lite", "baseline"), ("lite", "sca"), ("mast", "regions"), ("mast", "baseline")}
    assert len(found) == 2 * 2 * len(variants)
    for r in found:
        for metric in ("ssl", "gram", "swd", "cfsd", "content_distance", "colour", "colour_regions", "relu3_1"):
            assert np.isfinite(float(r[metric])), metric
        assert len(json.loads(r["regions"])) == 2
        assert r["lpips"] == ""
    own = [r for r in found if r["method"] == "content"]
    assert all(abs(float(r["cfsd"])) < 1e-3 and float(r["content_distance"]) == 0 for r in own)
    by = {(r["pair"], r["direction"], r["method"]): float(r["colour_regions"]) for r in found}
    assert all(by[(p, d, "colour")] < by[(p, d, "content")] for p in "12" for d in ("forward", "reverse"))
    assert {r["alpha1"] for r in found if r["method"] == "scsa"} == {"0.25"}
    assert {r["alpha1"] for r in found if r["method"] == "baseline"} == {""}


def test_the_page_stands_alone_and_the_summary_says_what_is_missing(report):
    text = (report / "index.html").read_text()
    assert not re.search(r"(src|href)=['\"](?!data:)", text.replace("xlink:href", "xhref").replace("xhref=\"#", "x#").replace("xhref=\"data", "xd"))
    assert text.count("<svg") == 2 and text.count("class=pair") == 4 and "data:image/jpeg" in text
    blocks = [float(v) for v in re.findall(r"class=pair [^>]*data-ssl='([\d.]+)'", text)]
    assert blocks == sorted(blocks, reverse=True)
    summary = (report / "summary.md").read_text()
    assert "LPIPS: not available here" in summary and "FID and KID: not available here" in summary
    assert "| mast |" in summary and "2 pairs × 2 directions, 64 px" in summary


def test_what_is_there_is_not_computed_again(report, pairs, monkeypatch):
    before = (report / "results.csv").read_bytes()
    monkeypatch.setattr(run, "perform", lambda *a: pytest.fail("nothing is missing"))
    assert again(pairs, report) == 0
    assert (report / "results.csv").read_bytes() == before


def test_a_lost_row_is_measured_from_its_render(report, pairs, monkeypatch):
    found = table_of(report)
    lost = next(r for r in found if r["method"] == "scsa")
    with (report / "results.csv").open("w", newline="") as f:
        writer = csv.DictWriter(f, FIELDS)
        writer.writeheader()
        writer.writerows([r for r in found if r is not lost])
    monkeypatch.setattr("scsa_core.engine.Engine.render", lambda *a, **k: pytest.fail("the render is kept"))
    assert again(pairs, report) == 0
    new = next(r for r in table_of(report) if rows.key(r) == rows.key(lost))
    assert float(new["ssl"]) == pytest.approx(float(lost["ssl"]), rel=1e-5)
    assert float(new["seconds"]) == pytest.approx(float(lost["seconds"]), rel=1e-3)


def test_rows_measured_elsewhere_come_in(pairs, tmp_path):
    path = tmp_path / "table.csv"
    fields = ("pair", "direction", "method", "ssl", "gram", "swd", "cfsd", "seconds", "relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
    with path.open("w", newline="") as f:
        writer = csv.DictWriter(f, fields)
        writer.writeheader()
        for pair in "1234":
            for method, ssl in (("scsa", 0.5), ("baseline", 1.5), ("colour", 1.2)):
                writer.writerow({**dict.fromkeys(fields, 0.1), "pair": pair, "direction": "forward", "method": method, "ssl": ssl})
    out = tmp_path / "out"
    command = ["evaluate", "--pairs", str(pairs), "--size", "512", "--out", str(out), "--report-only", "--import", str(path)]
    assert scsa_core.cli.main(command) == 0
    assert scsa_core.cli.main(command) == 0  # twice imported is imported once
    found = table_of(out)
    assert len(found) == 12 and {r["backbone"] for r in found} == {"lite", NONE}
    assert "lite scsa 0.25/0.75" in (out / "summary.md").read_text()
    path.write_text("a,b\n1,2\n")
    assert scsa_core.cli.main(command) == 2


def test_bad_input_is_one_line(pairs, tmp_path, capsys):
    base = ["evaluate", "--pairs", str(pairs), "--out", str(tmp_path / "x")]
    for argv, word in (
        ([*base, "--size", "100"], "multiple of 8"),
        (["evaluate", "--pairs", str(tmp_path / "none"), "--out", str(tmp_path / "x")], "cannot be read"),
        ([*base, "--backbones", "sanet"], "sanet"),
        ([*base, "--report-only"], "nothing was measured"),
    ):
        assert scsa_core.cli.main(argv) == 2
        error = capsys.readouterr().err
        assert word in error and error.count("\n") == 1


@pytest.mark.slow
def test_ray_workers_give_the_same_rows(pairs, tmp_path, monkeypatch):
    pytest.importorskip("ray")
    for name in ("RAY_USAGE_STATS_ENABLED", "RAY_ENABLE_UV_RUN_RUNTIME_ENV"):
        monkeypatch.setenv(name, "0")
    tasks = run.plan(
        find_pairs(pairs)[:1], run.suite(["lite"], ["baseline"], 64, (None, None)), [], 0, [],
        directions=("forward",), size=64, network="vgg16-n", renders=tmp_path / "renders",
    )  # fmt: skip
    here, there = {}, {}
    run.run_on_ray(tasks, lambda task, new, problem: there.update({r["method"]: r["ssl"] for r in new}), workers=1)
    run.run_local(tasks, lambda task, new, problem: here.update({r["method"]: r["ssl"] for r in new}))
    assert set(there) == {"content", "colour", "baseline"}
    assert there == {k: pytest.approx(v, rel=1e-3) for k, v in here.items()}


def test_bench_reconstruction_says_what_the_decoder_keeps(pairs, capsys):
    assert scsa_core.cli.main(["bench", "reconstruction", "--pairs", str(pairs), "--size", "64"]) == 0
    found = capsys.readouterr().out
    rows = [(float(mean), float(worst)) for mean, worst in re.findall(r"([\d.]+) dB mean, ([\d.]+) worst", found)]
    assert len(rows) == 3 and all(10 < worst <= mean < 40 for mean, worst in rows)
    assert scsa_core.cli.main(["bench", "reconstruction"]) == 2


PAIRS = Path(__file__).resolve().parents[3] / "shared" / "data" / "sem_pairs"


@pytest.mark.skipif(not PAIRS.is_dir(), reason="the picture pairs are not beside the checkout")
def test_real_pairs_favour_scsa_over_its_baseline_and_over_moving_colours_about(tmp_path):
    out = tmp_path / "out"
    command = ["evaluate", "--pairs", str(PAIRS), "--limit", "2", "--size", "256", "--one-way", "--backbones", "lite", "--out", str(out)]
    assert scsa_core.cli.main([*command, "--methods", "scsa", "baseline"]) == 0
    (summary,) = tables.summaries(table_of(out), resamples=999)
    against = {(c.metric, c.other.method): c.result for c in summary.comparisons}
    for metric in ("ssl", "gram", "swd"):
        for other in ("baseline", "colour", "content"):
            assert against[(metric, other)].difference.mean < 0, (metric, other)
    assert against[("ssl", "baseline")].relative < -0.2
