"""`scsa checkpoints`: the list, the checks, a person's own files; and fetching through a server on this machine."""

import dataclasses
import hashlib
import json
import sys
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch
from safetensors.torch import save_file

import scsa_core.cli
from scsa_core import checkpoints, fetch, registry, weights
from scsa_core.backbones.sanet import SANet, Transform
from scsa_core.backbones.vgg import SANET_DECODER, VGG19_NORMALISED, ConvStack
from scsa_core.commands import checkpoints as command
from scsa_core.errors import CheckpointCorrupt, CheckpointMismatch, FetchFailed, KnobError
from scsa_core.progress import Progress


def main(*argv):
    return scsa_core.cli.main(["checkpoints", *map(str, argv)])


QUICK = fetch.Settings(timeout=5, attempts=1, wait=lambda n: 0.0, insecure=True)


@pytest.fixture(autouse=True)
def root(tmp_path, monkeypatch):
    folder = tmp_path / "weights"
    folder.mkdir()
    monkeypatch.setenv("SCSA_CHECKPOINTS", str(folder))
    return folder


@pytest.fixture(scope="module")
def official(tmp_path_factory):
    """SANet's three files with random weights under the published names, VGG with its unused end."""
    folder = tmp_path_factory.mktemp("official")
    torch.manual_seed(0)
    vgg = ConvStack(VGG19_NORMALISED).state_dict()
    for k in (45, 48, 51):
        vgg |= {f"{k}.weight": torch.zeros(512, 512, 3, 3), f"{k}.bias": torch.zeros(512)}
    states = {
        "vgg_normalised.pth": vgg,
        "decoder_iter_500000.pth": ConvStack(SANET_DECODER).state_dict(),
        "transformer_iter_500000.pth": Transform().state_dict(),
    }
    for name, state in states.items():
        torch.save(state, folder / name)
    return folder


@pytest.fixture
def served(tmp_path, monkeypatch, official):
    """A registry whose one family `sanet` is served from this machine."""

    class Quiet(SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=str(official))

        def log_message(self, *_):
            pass

    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    http = ThreadingHTTPServer(("127.0.0.1", 0), Quiet)
    threading.Thread(target=http.serve_forever, daemon=True).start()
    real = registry.families()["sanet"]

    def listed(**changes):
        files = []
        for f in real.files:
            size = (official / f.name).stat().st_size
            values = {"url": f"http://127.0.0.1:{http.server_port}/{f.name}", "listing": "", "size": size, "about": size}
            values |= changes.get(f.name.split("_")[0], {})
            files.append(dataclasses.replace(f, **values))
        family = dataclasses.replace(real, files=tuple(files))
        monkeypatch.setattr(registry, "families", lambda: {"sanet": family})
        return family

    monkeypatch.setattr(fetch, "Settings", lambda: QUICK)
    yield listed
    http.shutdown()
    http.server_close()


# -- list -------------------------------------------------------------------------------


def test_the_table_and_the_instructions(capsys):
    assert main("list") == 0
    out = capsys.readouterr().out
    for family in registry.families().values():
        for f in family.files:
            assert f.name in out
    assert "by hand" in out
    assert "scsa checkpoints fetch sanet" in out


def test_json_of_one_family(capsys, official, root):
    (root / "sanet").mkdir()
    (root / "sanet" / "decoder_iter_500000.pth").write_bytes((official / "decoder_iter_500000.pth").read_bytes())
    assert main("list", "sanet", "--json") == 0
    (family,) = json.loads(capsys.readouterr().out)
    assert (family["family"], family["status"], family["needs"]) == ("sanet", "fetchable", "all")
    assert family["missing"] == ["vgg_normalised.pth", "transformer_iter_500000.pth"]
    assert [f["here"] for f in family["files"]] == [False, True, False]


def test_an_unknown_family_is_one_line(capsys):
    for argv in (("list", "magic"), ("fetch", "magic"), ("verify", "magic"), ("fetch", "sam", "magic.pth")):
        assert main(*argv) == 2
        captured = capsys.readouterr()
        assert captured.err.count("\n") == 1
        assert "magic" in captured.err
    assert main() == 2


# -- fetch ------------------------------------------------------------------------------


def test_fetch_brings_all_files_and_the_family_loads(capsys, served, root):
    served()
    assert main("fetch", "sanet") == 0
    assert capsys.readouterr().out.count("no hash is published") == 3
    assert sorted(p.name for p in (root / "sanet").iterdir()) == sorted(f.name for f in registry.families()["sanet"].files)
    SANet.load(torch.device("cpu"))
    assert main("fetch", "sanet") == 0
    assert "everything is here" in capsys.readouterr().out
    assert main("verify", "sanet") == 0
    assert capsys.readouterr().out.count(": right") == 3


def test_fetch_of_one_file_with_a_hash(capsys, served, official, root):
    digest = hashlib.sha256((official / "decoder_iter_500000.pth").read_bytes()).hexdigest()
    served(decoder={"sha256": digest})
    assert main("fetch", "sanet", "decoder_iter_500000.pth") == 0
    assert "checked: hash" in capsys.readouterr().out
    assert [p.name for p in (root / "sanet").iterdir()] == ["decoder_iter_500000.pth"]


def test_the_rest_is_fetched_where_one_file_cannot_be(capsys, served, root):
    served(decoder={"url": ""})
    assert main("fetch", "sanet") == 1
    captured = capsys.readouterr()
    assert captured.out.count("checked:") == 2
    assert "no direct link" in captured.err
    assert "yadi.sk" in captured.err


def test_another_network_under_the_name_is_removed_again(capsys, served, root, official):
    url = served().files[0].url
    served(decoder={"url": url, "size": None})
    assert main("fetch", "sanet", "decoder_iter_500000.pth") == 2
    assert "looks like a normalised VGG-19" in capsys.readouterr().err
    assert list((root / "sanet").iterdir()) == []


def test_offline_leaves_with_one(capsys, served):
    served(decoder={"url": "http://127.0.0.1:9/x"})
    assert main("fetch", "sanet", "decoder_iter_500000.pth") == 1
    assert "offline" in capsys.readouterr().err


def test_the_bar_speaks_only_on_a_terminal(capsys, monkeypatch):
    file = registry.family("sam").files[0]
    command._Bar(file)(Progress("fetch", 0.5))
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    bar = command._Bar(file)
    bar(Progress("fetch", 0.5))
    bar(Progress("verify", 1.0))
    bar.clear()
    err = capsys.readouterr().err
    assert "187.5 of 375.0 MB" in err
    assert "checking" in err


# -- verify -----------------------------------------------------------------------------


def test_verify_tells_right_from_wrong_from_missing(capsys, official, root):
    (root / "sanet").mkdir()
    (root / "sanet" / "vgg_normalised.pth").write_bytes((official / "vgg_normalised.pth").read_bytes())
    data = (official / "decoder_iter_500000.pth").read_bytes()
    (root / "sanet" / "decoder_iter_500000.pth").write_bytes(data[: len(data) // 2])
    assert main("verify", "sanet", "--json") == 2
    states = {r["file"]: (r["state"], r["said"]) for r in json.loads(capsys.readouterr().out)}
    assert states["vgg_normalised.pth"] == ("right", "34 tensors, no hash is published")
    assert states["decoder_iter_500000.pth"][0] == "wrong"
    assert "cut short" in states["decoder_iter_500000.pth"][1]
    assert states["transformer_iter_500000.pth"] == ("missing", "")
    assert main("verify", "stytr2") == 0
    assert capsys.readouterr().out.count("missing") == 4


def test_a_file_of_another_size_than_published(capsys, root):
    (root / "sam").mkdir()
    (root / "sam" / "sam_vit_b_01ec64.pth").write_bytes(b"too short")
    assert main("verify", "sam") == 2
    assert "9 bytes" in capsys.readouterr().out


# -- import -----------------------------------------------------------------------------


def test_import_by_name_and_by_content(capsys, official, root, tmp_path):
    assert main("import", official / "transformer_iter_500000.pth") == 0
    assert "still missing: vgg_normalised.pth, decoder_iter_500000.pth" in capsys.readouterr().out
    renamed = tmp_path / "download (1).bin"
    renamed.write_bytes((official / "decoder_iter_500000.pth").read_bytes())
    assert main("import", renamed, "--family", "sanet") == 0
    assert main("import", official / "vgg_normalised.pth", "--family", "sanet") == 0
    assert "sanet: ready" in capsys.readouterr().out
    SANet.load(torch.device("cpu"))
    assert sorted(p.name for p in (root / "sanet").iterdir()) == sorted(p.name for p in official.iterdir())


def test_a_file_that_fits_two_families_asks_which(capsys, official, root):
    assert main("import", official / "vgg_normalised.pth") == 2
    err = capsys.readouterr().err
    assert "sanet/vgg_normalised.pth, stytr2/vgg_normalised.pth" in err
    assert "--family" in err
    assert list(root.iterdir()) == []


def test_import_keeps_what_is_there_unless_told(capsys, official, root, tmp_path):
    path = official / "decoder_iter_500000.pth"
    assert main("import", path) == 0
    assert main("import", path) == 2
    assert "--replace" in capsys.readouterr().err
    assert main("import", path, "--replace") == 0
    assert main("import", root / "sanet" / path.name) == 0  # already in its place


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("decoder_iter_500000.pth", b"<html>sign in</html>", "web page"),
        ("decoder_iter_500000.pth", b"", "empty"),
        ("decoder_iter_500000.pth", b"PK\x03\x04 cut", "damaged"),
    ],
)
def test_import_refuses_what_is_no_weights_file(capsys, tmp_path, root, name, data, words):
    path = tmp_path / name
    path.write_bytes(data)
    assert main("import", path) == 2
    assert words in capsys.readouterr().err
    assert list(root.iterdir()) == []


def test_import_names_what_differs(capsys, tmp_path, official):
    state = torch.load(official / "decoder_iter_500000.pth", weights_only=True)
    state["1.weight"] = torch.zeros(8, 8, 3, 3)
    del state["28.bias"]
    path = tmp_path / "decoder_iter_500000.pth"
    torch.save(state, path)
    assert main("import", path) == 2
    err = capsys.readouterr().err
    assert "28.bias" in err
    assert "1.weight should be (256, 512, 3, 3), is (8, 8, 3, 3)" in err
    state = torch.load(official / "decoder_iter_500000.pth", weights_only=True)
    state["1.weight"][0] = float("nan")
    torch.save(state, path)
    assert main("import", path) == 2
    assert "not finite" in capsys.readouterr().err


def test_import_of_nothing_and_of_something_else(capsys, tmp_path):
    assert main("import", tmp_path / "none.pth") == 2
    assert "is not a file" in capsys.readouterr().err
    path = tmp_path / "mine.pth"
    torch.save({"weight": torch.zeros(3)}, path)
    assert main("import", path) == 2
    assert "none of the listed weights" in capsys.readouterr().err
    assert main("import", path, "--family", "magic") == 2


def test_a_disk_that_is_full_leaves_nothing_half(official, root, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(weights.shutil, "copyfile", fail)
    with pytest.raises(FetchFailed, match="No space left"):
        weights.import_file(official / "decoder_iter_500000.pth")
    assert list((root / "sanet").iterdir()) == []


# -- what the other families' files have to hold ----------------------------------------


def test_stytr2_files_are_known_by_their_published_names(tmp_path):
    files = {f.name: f for f in registry.family("stytr2").files}
    for name in ("embedding_iter_160000.pth", "transformer_iter_160000.pth"):
        state = {k: torch.zeros(v.shape) for k, v in weights.module_of(files[name]).state_dict().items()}
        torch.save(state, tmp_path / name)
        assert weights.check(files[name], tmp_path / name) == len(state)
    assert "encoder_c.layers.2.self_attn.in_proj_weight" in state
    assert state["decoder.layers.0.multihead_attn.in_proj_weight"].shape == (1536, 512)
    assert state["new_ps.weight"].shape == (512, 512, 1, 1)


def test_sam_is_known_by_its_own_names():
    state = weights.module_of(registry.family("sam").file("sam_vit_b_01ec64.pth")).state_dict()
    assert state["image_encoder.patch_embed.proj.weight"].shape == (768, 3, 16, 16)
    assert all(v.is_meta for v in state.values())


def test_stable_diffusion_by_the_parts_that_tell_it_from_its_relatives(tmp_path):
    file = registry.family("styleid").files[0]
    tensors = {k: torch.zeros(s) for k, s in weights.STABLE_DIFFUSION.items()}
    path = tmp_path / file.name
    save_file(tensors, path)
    assert weights.check(file, path) == len(tensors)
    wide = "model.diffusion_model.output_blocks.11.1.transformer_blocks.0.attn2.to_k.weight"
    save_file(tensors | {wide: torch.zeros(320, 1024)}, path)  # Stable Diffusion 2
    with pytest.raises(CheckpointMismatch, match="768"):
        weights.check(file, path)
    save_file({"unet.weight": torch.zeros(2)}, path)
    with pytest.raises(CheckpointMismatch, match="missing"):
        weights.check(file, path)
    save_file(tensors | {wide: torch.full((320, 768), torch.nan)}, path)
    with pytest.raises(CheckpointCorrupt, match="not finite"):
        weights.check(file, path)


def test_an_imported_copy_of_other_bytes_is_noted(capsys, tmp_path):
    tensors = {k: torch.zeros(s) for k, s in weights.STABLE_DIFFUSION.items()}
    path = tmp_path / "v1-5-pruned-emaonly.safetensors"
    save_file(tensors, path)
    assert main("import", path) == 0
    captured = capsys.readouterr()
    assert "not the published bytes" in captured.err
    assert "styleid: ready" in captured.out


def test_recognise_wants_a_listed_family(official):
    with pytest.raises(KnobError):
        weights.recognise(official / "vgg_normalised.pth", "lite")
    assert checkpoints.root().name == "weights"
