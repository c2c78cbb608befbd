"""The command line on the shipped model at small sizes: results, JSON, and one line for bad input."""

import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import scsa_core.cli
from scsa_core.commands import base, bench, bench_attention, bench_render, render
from scsa_core.engine import Engine
from scsa_core.errors import Cancelled, OutOfMemory
from scsa_core.knobs import Knobs
from scsa_core.progress import Progress
from scsa_core.recipe import extract


def noise(width, height, seed):
    small = np.random.default_rng(seed).integers(0, 255, (height // 8, width // 8, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)


def halves(width, height, left=(255, 0, 0), right=(0, 0, 255)):
    picture = Image.new("RGB", (width, height), left)
    picture.paste(right, (width // 2, 0, width, height))
    return picture


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Content, style and their maps, by option."""
    folder = tmp_path_factory.mktemp("pictures")
    pictures = {
        "content": noise(96, 72, 0),
        "style": noise(80, 112, 1),
        "content-map": halves(96, 72),
        "style-map": halves(80, 112),
        "other-map": halves(80, 112, right=(0, 255, 0)),
    }
    for name, picture in pictures.items():
        picture.save(folder / f"{name}.png")
    return {name: str(folder / f"{name}.png") for name in pictures}


@pytest.fixture(scope="module", autouse=True)
def one_engine():
    """Loads the model once for the module instead of once a call."""
    shared_engine = Engine("cpu")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(render, "Engine", lambda device: shared_engine)
        yield


def arguments(files, out, *more, maps=("content-map", "style-map")):
    given = ["render", "--content", files["content"], "--style", files["style"], "--size", "64", "--out", str(out)]
    for option, name in zip(("--content-map", "--style-map"), maps, strict=False):
        given += [option, files[name]] if name else []
    return [*given, *more]


def main(*argv):
    return scsa_core.cli.main(argv)


def refused(capsys, argv, *words):
    """The line on standard error, after checking that it is the only output."""
    assert scsa_core.cli.main(argv) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert captured.err.endswith("\n")
    assert "Traceback" not in captured.err
    for word in words:
        assert word in captured.err
    return captured.err


def test_a_png_that_carries_its_recipe(files, tmp_path, capsys):
    out = tmp_path / "new" / "folder" / "out.png"
    assert main(*arguments(files, out, "--alpha1", "0.4", "--alpha2", "1.25", "--seed", "7")) == 0
    captured = capsys.readouterr()
    assert str(out) in captured.out
    assert captured.err == ""
    assert Image.open(out).size == (64, 48)
    recipe = extract(out)
    assert (recipe.backbone, recipe.method, recipe.size) == ("lite", "scsa", (64, 48))
    assert (recipe.knobs.alpha1, recipe.knobs.alpha2, recipe.knobs.size, recipe.knobs.seed) == (0.4, 1.25, 64, 7)
    assert recipe.content_map.region_ids == (1, 2)
    assert recipe.content_sha256
    assert sorted(p.name for p in out.parent.iterdir()) == ["out.png"]


def test_json_is_one_object_on_standard_output(files, tmp_path, capsys):
    out = tmp_path / "out.png"
    assert main(*arguments(files, out, "--json", maps=("content-map", "other-map"))) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    value = json.loads(captured.out)
    assert captured.out.count("\n") == 1
    assert value["out"] == str(out)
    assert value["size"] == [64, 48]
    assert (value["backbone"], value["method"], value["reference"]) == ("lite", "scsa", False)
    assert value["knobs"].keys() == Knobs().as_dict().keys()
    assert {"encode_content", "encode_style", "encode_maps", "match", "paint", "total"} <= value["timings"].keys()
    assert value["peak_memory_bytes"] > 10_000_000
    assert len(value["regions"]) == 3
    assert sum(r["content_share"] for r in value["regions"]) == pytest.approx(1)
    assert sum(r["style_share"] for r in value["regions"]) == pytest.approx(1)
    assert any("only in the content" in warning for warning in value["warnings"])


def test_warnings_go_to_standard_error_without_json(files, tmp_path, capsys):
    assert main(*arguments(files, tmp_path / "out.png", maps=())) == 0
    assert capsys.readouterr().err.startswith("note: ")


def test_defaults_are_the_family_own(files, tmp_path, capsys):
    assert main(*arguments(files, tmp_path / "out.png", "--json")) == 0
    knobs = json.loads(capsys.readouterr().out)["knobs"]
    own = Engine("cpu").defaults("lite")
    assert (knobs["alpha1"], knobs["alpha2"]) == (own.alpha1, own.alpha2)


@pytest.mark.parametrize("method", ["baseline", "sca", "ssa", "no_sadain"])
def test_methods(files, tmp_path, method):
    assert main(*arguments(files, tmp_path / "out.png", "--method", method)) == 0
    assert extract(tmp_path / "out.png").method == method


@pytest.mark.parametrize(("name", "kind"), [("out.jpg", "JPEG"), ("out.WebP", "WEBP"), ("out.jpeg", "JPEG")])
def test_other_formats(files, tmp_path, name, kind):
    assert main(*arguments(files, tmp_path / name)) == 0
    assert Image.open(tmp_path / name).format == kind


def test_reference_works_at_its_own_size_and_drops_alpha(files, tmp_path, capsys):
    see_through = halves(80, 112).convert("RGBA")
    see_through.putalpha(0)
    see_through.save(tmp_path / "map.png")
    more = ("--reference", "--json", "--style-map", str(tmp_path / "map.png"))
    assert main(*arguments(files, tmp_path / "out.png", *more, maps=("content-map", None))) == 0
    value = json.loads(capsys.readouterr().out)
    assert value["size"] == [512, 512]
    assert value["reference"]
    assert [r["style_share"] for r in value["regions"]] == [0.5, 0.5]
    assert any("--size was not used" in warning for warning in value["warnings"])


def test_reference_needs_both_maps(files, tmp_path, capsys):
    refused(capsys, arguments(files, tmp_path / "out.png", "--reference", maps=()), "map")


@pytest.mark.parametrize("option", ["--content", "--style", "--content-map", "--style-map"])
@pytest.mark.parametrize(
    ("name", "data"),
    [("none.png", None), ("words.png", b"not a picture"), ("empty.png", b""), ("page.jpg", b"<html></html>"), ("a\nb.svg", b"<svg/>")],
)
def test_a_broken_picture_is_named_with_its_option(files, tmp_path, capsys, option, name, data):
    path = tmp_path / name
    if data is not None:
        path.write_bytes(data)
    out = tmp_path / "out.png"
    line = refused(capsys, arguments(files, out, option, str(path)), f"{option} ")
    assert name.split("\n")[-1] in line
    assert not out.exists()


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--alpha1", "3"), ("--alpha1", "between 0 and 2")),
        (("--alpha2", "-0.1"), ("--alpha2", "between")),
        (("--alpha1", "nan"), ("--alpha1", "must be a number")),
        (("--alpha1", "much"), ("--alpha1", "invalid")),
        (("--size", "10"), ("--size", "between 64")),
        (("--size", "100.5"), ("--size", "invalid int")),
        (("--stroke-size", "9"), ("--stroke-size", "between 0.5 and 2")),
        (("--keep-colours", "1.5"), ("--keep-colours",)),
        (("--soft-borders", "-1"), ("--soft-borders",)),
        (("--seed", "-1"), ("--seed",)),
        (("--method", "magic"), ("--method", "magic", "no_sadain")),
        (("--backbone", "huge"), ("--backbone", "huge", "lite")),
        (("--alpha", "1"), ("--alpha",)),
        (("stray",), ("stray",)),
    ],
)
def test_bad_settings_are_one_line(files, tmp_path, capsys, more, words):
    refused(capsys, arguments(files, tmp_path / "out.png", *more), *words)
    assert not (tmp_path / "out.png").exists()


def test_one_map_alone_is_refused(files, tmp_path, capsys):
    refused(capsys, arguments(files, tmp_path / "out.png", maps=("content-map",)), "--style-map is missing")
    refused(capsys, arguments(files, tmp_path / "out.png", maps=(None, "style-map")), "--content-map is missing")


def test_missing_weights_say_where_to_put_them(files, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("SCSA_CHECKPOINTS", str(tmp_path))
    refused(capsys, arguments(files, tmp_path / "out.png", "--backbone", "sanet"), "vgg_normalised.pth", str(tmp_path / "sanet"))


def test_cuda_where_there_is_none(files, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(render.torch.cuda, "is_available", lambda: False)
    refused(capsys, arguments(files, tmp_path / "out.png", "--device", "cuda"), "no CUDA")


def test_outputs_that_cannot_be(files, tmp_path, capsys):
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "file").write_text("in the way")
    for out, words in (
        (tmp_path / "out.gif", ("--out", ".png, .jpg or .webp")),
        (tmp_path / "out", ("--out",)),
        (tmp_path / "folder.png", ("is a folder",)),
        (tmp_path / "file" / "out.png", ("is not a folder",)),
        (files["content"], ("overwrite an input",)),
    ):
        refused(capsys, arguments(files, out), *words)
    assert not (tmp_path / "out.gif").exists()


def test_a_failed_write_leaves_the_old_file_and_no_litter(tmp_path, monkeypatch):
    out = tmp_path / "out.png"
    out.write_bytes(b"old")

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(render.Path, "replace", fail)
    with pytest.raises(base.UsageError, match="No space left"):
        render.write_atomically(out, b"new")
    assert out.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["out.png"]


def test_no_command_and_an_unknown_one(capsys):
    refused(capsys, [], "command")
    refused(capsys, ["paint"], "paint", "render", "bench")
    refused(capsys, ["render"], "--content", "--style", "--out")


def test_help_and_version_leave_with_zero(capsys):
    for argv in (["--help"], ["render", "--help"], ["bench", "--help"], ["--version"]):
        with pytest.raises(SystemExit) as left:
            main(*argv)
        assert left.value.code == 0
    out = capsys.readouterr().out
    assert scsa_core.__version__ in out
    assert "Brush strokes and grain. 0 to 2." in out


@pytest.mark.parametrize(("error", "code"), [(Cancelled(), 130), (KeyboardInterrupt(), 130), (OutOfMemory("not enough memory"), 1)])
def test_other_ends(files, tmp_path, capsys, monkeypatch, error, code):
    def stop(*_, **__):
        raise error

    monkeypatch.setattr(Engine, "render", stop)
    assert main(*arguments(files, tmp_path / "out.png")) == code
    assert ("not enough memory" in capsys.readouterr().err) == (code == 1)
    assert not (tmp_path / "out.png").exists()


def test_progress_only_on_a_terminal(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    bar = render._Bar()
    bar(Progress("match", 0.5))
    bar.clear()
    assert "50% matching regions" in capsys.readouterr().err
    monkeypatch.setattr(sys.stderr, "isatty", lambda: False)
    render._Bar()(Progress("match", 0.5))
    assert capsys.readouterr().err == ""


def test_bench_forms_agree():
    for regions in bench_attention.REGIONS:
        tokens = bench_attention.tokens(8, regions)
        assert len(tokens.content_labels.unique()) == regions
        for mine, theirs in zip(bench_attention.blocks(tokens), bench_attention.dense(tokens), strict=True):
            assert np.allclose(mine, theirs, atol=1e-5)


def test_bench_attention_prints_a_row_per_number_of_regions(capsys, monkeypatch):
    monkeypatch.setattr(bench_attention, "extra_memory", bench_attention.probe)
    assert main("bench", "attention", "--size", "8", "--repeat", "2") == 0
    rows = [line.split()[0] for line in capsys.readouterr().out.splitlines()[2:5]]
    assert rows == ["1", "4", "16"]


def test_bench_measures_memory_in_a_process_of_its_own():
    dense = bench_attention.extra_memory("dense", 32, 4)
    assert 8_000_000 < dense < 100_000_000  # 1024 x 1024 logits are 4 MB


def test_bench_render_prints_its_three_kinds(capsys, monkeypatch):
    monkeypatch.setattr(bench_render, "convolution_rate", lambda repeat: 1e11)
    bench.render(64, 1)
    out = capsys.readouterr().out
    for word in ("cold", "new style", "alpha move", "peak memory", "paint"):
        assert word in out


def test_bench_refuses_bad_sizes(capsys):
    refused(capsys, ["bench", "attention", "--size", "0"], "--size")
    refused(capsys, ["bench", "attention", "--size", "1000"], "--size")
    refused(capsys, ["bench", "render", "--size", "5000"], "--size")
    refused(capsys, ["bench", "render", "--repeat", "none"], "--repeat")
    refused(capsys, ["bench", "everything"], "everything")


def test_the_module_runs_as_a_program(files, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "scsa_core", *arguments(files, tmp_path / "out.gif")],
        capture_output=True,
        text=True,
        cwd=scsa_core.cli.__file__.rsplit("scsa_core", 1)[0],
    )
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)


def test_importing_the_library_loads_no_page_and_no_segmenter():
    names = "gradio", "diffusers", "transformers", "segment_anything"
    code = f"import sys, scsa_core.cli; print([n for n in {names!r} if n in sys.modules])"
    root = scsa_core.cli.__file__.rsplit("scsa_core", 1)[0]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=True)
    assert done.stdout.strip() == "[]"
