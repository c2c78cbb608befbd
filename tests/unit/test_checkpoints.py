"""Every way a weights file can be wrong has its own message, and no file runs code."""

import contextlib
import io
import os
import pickle
import zipfile

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save, save_file
from torch import nn

from scsa_core import checkpoints
from scsa_core.errors import CheckpointCorrupt, CheckpointError, CheckpointMismatch, CheckpointMissing

TENSORS = {"weight": torch.arange(12.0).view(3, 4), "bias": torch.ones(3)}


class Hostile:
    """Unpickled without care, this would make a file."""

    def __init__(self, target):
        self.target = str(target)

    def __reduce__(self):
        return os.mkdir, (self.target,)


def torch_bytes(value):
    out = io.BytesIO()
    torch.save(value, out)
    return out.getvalue()


def written(folder, name, data):
    path = folder / name
    path.write_bytes(data)
    return path


# -- reading ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["w.safetensors", "w.pth"])
def test_both_formats_are_read(tmp_path, name):
    path = written(tmp_path, name, save(TENSORS) if name.endswith("safetensors") else torch_bytes(TENSORS))
    read = checkpoints.read_tensors(path)
    assert read.keys() == TENSORS.keys()
    assert all(torch.equal(read[k], TENSORS[k]) for k in TENSORS)


def test_a_state_dict_inside_a_checkpoint_is_found(tmp_path):
    path = written(tmp_path, "w.pth", torch_bytes({"state_dict": TENSORS, "epoch": 3}))
    assert checkpoints.read_tensors(path).keys() == TENSORS.keys()


@pytest.mark.parametrize("legacy", [False, True])
def test_a_hostile_pickle_is_named_and_not_run(tmp_path, legacy):
    target = tmp_path / "made"
    path = tmp_path / "w.pth"
    torch.save({"weight": Hostile(target)}, path, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(CheckpointCorrupt, match=r"wants to run code \((posix|nt)\.mkdir\)") as caught:
        checkpoints.read_tensors(path)
    assert caught.value.hint
    assert not target.exists()


@pytest.mark.parametrize("protocol", [2, pickle.HIGHEST_PROTOCOL])
def test_a_plain_hostile_pickle_is_not_run(tmp_path, protocol):
    target = tmp_path / "made"
    path = written(tmp_path, "w.pth", pickle.dumps(Hostile(target), protocol))
    with pytest.raises(CheckpointCorrupt, match=r"w\.pth"):
        checkpoints.read_tensors(path)
    assert not target.exists()


@pytest.mark.parametrize("name", ["w.safetensors", "w.pth"])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.95])
def test_a_truncated_file_is_damaged(tmp_path, name, share):
    tensors = {"weight": torch.randn(64, 64)}
    whole = save(tensors) if name.endswith("safetensors") else torch_bytes(tensors)
    path = written(tmp_path, name, whole[: int(len(whole) * share)])
    with pytest.raises(CheckpointCorrupt, match=f"{name} is (damaged|not a PyTorch file)"):
        checkpoints.read_tensors(path)


@pytest.mark.parametrize("name", ["w.safetensors", "w.pth"])
def test_what_is_no_weights_file_at_all(tmp_path, name):
    for data, says in (
        (b"", "is empty"),
        (b"<!DOCTYPE html><html><body>Sign in</body></html>", "web page"),
        (b"\n  <html>Too many requests</html>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n", "LFS"),
        (b"just some words", "damaged|not a PyTorch file"),
    ):
        with pytest.raises(CheckpointCorrupt, match=says):
            checkpoints.read_tensors(written(tmp_path, name, data))


def test_a_header_that_begins_like_markup_is_still_weights(tmp_path):
    """0x3c20 bytes of safetensors header start with the two characters of ' <'."""
    data = save(TENSORS)
    header = data[8 : 8 + int.from_bytes(data[:8], "little")]
    path = written(tmp_path, "w.safetensors", (0x3C20).to_bytes(8, "little") + header.ljust(0x3C20) + data[8 + len(header) :])
    assert checkpoints.read_tensors(path).keys() == TENSORS.keys()


@pytest.mark.parametrize("value", [[torch.ones(2)], {"a": 1}, {}, {"a": {"b": torch.ones(2)}}, torch.ones(3)])
def test_anything_but_a_flat_dictionary_of_tensors_is_refused(tmp_path, value):
    with pytest.raises(CheckpointCorrupt, match="dictionary of tensors"):
        checkpoints.read_tensors(written(tmp_path, "w.pth", torch_bytes(value)))


def test_a_zip_that_is_not_a_checkpoint(tmp_path):
    path = tmp_path / "w.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("holiday.txt", "sun")
    with pytest.raises(CheckpointCorrupt, match="damaged"):
        checkpoints.read_tensors(path)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(CheckpointMissing, match=r"none\.pth"):
        checkpoints.read_tensors(tmp_path / "none.pth")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=8), st.booleans())
def test_flipped_bytes_never_raise_anything_else(tmp_path, flips, safe):
    data = bytearray(save(TENSORS) if safe else torch_bytes(TENSORS))
    for at, value in flips:
        data[at % len(data)] = value
    path = written(tmp_path, "w.safetensors" if safe else "w.pth", bytes(data))
    with contextlib.suppress(CheckpointError):
        checkpoints.read_tensors(path)


def test_metadata(tmp_path):
    save_file(TENSORS, tmp_path / "w.safetensors", {"encoder_scale": "{}"})
    assert checkpoints.read_metadata(tmp_path / "w.safetensors") == {"encoder_scale": "{}"}
    save_file(TENSORS, tmp_path / "bare.safetensors")
    assert checkpoints.read_metadata(tmp_path / "bare.safetensors") == {}
    with pytest.raises(CheckpointCorrupt, match="damaged"):
        checkpoints.read_metadata(written(tmp_path, "cut.safetensors", b"12345"))


# -- shards -----------------------------------------------------------------------------


def shard(folder, k, total, tensors):
    save_file(tensors, folder / f"vgg-{k:05d}-of-{total:05d}.safetensors")


def test_shards_are_joined(tmp_path):
    shard(tmp_path, 1, 2, {"weight": TENSORS["weight"]})
    shard(tmp_path, 2, 2, {"bias": TENSORS["bias"]})
    (tmp_path / "vgg-notes-of-mine.safetensors").write_text("not a part")
    assert checkpoints.read_shards(tmp_path, "vgg").keys() == TENSORS.keys()


@pytest.mark.parametrize("present", [(1,), (2,), ()])
def test_a_missing_shard_is_named(tmp_path, present):
    for k in present:
        shard(tmp_path, k, 2, TENSORS)
    absent = 2 if present == (1,) else 1
    with pytest.raises(CheckpointMissing, match=f"vgg-{absent:05d}-of-"):
        checkpoints.read_shards(tmp_path, "vgg")


# -- loading ----------------------------------------------------------------------------


def test_weights_are_loaded_and_half_precision_is_widened():
    layer = nn.Linear(4, 3)
    checkpoints.load_into(layer, {k: v.half() for k, v in TENSORS.items()}, "a layer")
    assert torch.equal(layer.weight, TENSORS["weight"])
    assert layer.weight.dtype == torch.float32


def test_another_architecture_names_what_differs():
    layer = nn.Linear(4, 3)
    before = layer.weight.clone()
    wrong = {"weight": torch.ones(3, 5), **{f"extra{k}": torch.ones(1) for k in range(5)}}
    with pytest.raises(CheckpointMismatch, match="and 2 more") as caught:
        checkpoints.load_into(layer, wrong, "a layer")
    error = caught.value
    assert error.missing == ("bias",)
    assert len(error.unexpected) == 5
    assert error.misshapen == {"weight": ((3, 4), (3, 5))}
    for part in ("a layer", "missing: bias", "extra0", "(3, 4), is (3, 5)"):
        assert part in str(error)
    assert torch.equal(layer.weight, before)


@pytest.mark.parametrize(
    ("key", "seems"),
    [
        ("sanet4_1.f.weight", "SANet's attention"),
        ("28.bias_and_more", ""),
        ("28.weight", "StyTr2's decoder"),
        ("proj.weight", "StyTr2's patch embedding"),
        ("features.0.weight", "torchvision"),
        ("module.conv.weight", "DataParallel"),
        ("model.diffusion_model.out.0.weight", "Stable Diffusion"),
    ],
)
def test_a_known_file_in_the_wrong_place_is_recognised(key, seems):
    with pytest.raises(CheckpointMismatch) as caught:
        checkpoints.load_into(nn.Linear(4, 3), {key: torch.ones(1)}, "a layer")
    assert seems in str(caught.value)
    assert ("looks like" in str(caught.value)) == bool(seems)


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_weights_that_are_not_finite_are_refused(value):
    layer = nn.Linear(4, 3)
    broken = {"weight": TENSORS["weight"].clone(), "bias": TENSORS["bias"]}
    broken["weight"][1, 2] = value
    with pytest.raises(CheckpointCorrupt, match="weight holds values that are not finite"):
        checkpoints.load_into(layer, broken, "a layer")
    assert torch.isfinite(layer.weight).all()


# -- places -----------------------------------------------------------------------------


def test_the_named_folder_comes_before_the_shipped_one(tmp_path, monkeypatch):
    shipped, own = tmp_path / "shipped", tmp_path / "own"
    for folder in (shipped, own):
        (folder / "lite").mkdir(parents=True)
    monkeypatch.setattr(checkpoints, "SHIPPED", shipped)
    monkeypatch.delenv(checkpoints.VARIABLE, raising=False)
    (shipped / "lite" / "w.pth").touch()
    assert checkpoints.root() == shipped
    assert checkpoints.find("lite", "w.pth") == shipped / "lite" / "w.pth"
    monkeypatch.setenv(checkpoints.VARIABLE, str(own))
    assert checkpoints.root() == own
    assert checkpoints.find("lite", "w.pth") == shipped / "lite" / "w.pth"
    (own / "lite" / "w.pth").touch()
    assert checkpoints.find("lite", "w.pth") == own / "lite" / "w.pth"


def test_a_missing_file_says_where_to_put_it(tmp_path, monkeypatch):
    monkeypatch.setenv(checkpoints.VARIABLE, str(tmp_path))
    with pytest.raises(CheckpointMissing, match=r"none\.pth") as caught:
        checkpoints.find("sanet", "none.pth")
    assert caught.value.path == str(tmp_path / "sanet" / "none.pth")
    assert "none.pth" in caught.value.hint
    assert str(tmp_path / "sanet") in caught.value.hint


def test_the_fingerprint_follows_the_bytes(tmp_path):
    path = written(tmp_path, "w.pth", b"one")
    first = checkpoints.fingerprint([path])
    assert len(first) == 16
    assert checkpoints.fingerprint([path]) == first
    written(tmp_path, "w.pth", b"another")
    second = checkpoints.fingerprint([path])
    assert second != first
    assert checkpoints.fingerprint([written(tmp_path, "copy.pth", b"another")]) == second
