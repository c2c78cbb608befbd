"""Stable Diffusion's two file layouts, read by the code that a person's files take; wrong ones are refused with the reason."""

import importlib.util
import json
import sys
import types
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from scsa_core import checkpoints, weights
from scsa_core.backbones import FAMILIES
from scsa_core.backbones.styleid import StyleID, loading
from scsa_core.backbones.styleid.keys import unet_name, vae_name
from scsa_core.backbones.styleid.text import ClipText
from scsa_core.errors import CheckpointCorrupt, CheckpointMismatch, CheckpointMissing

spec = importlib.util.spec_from_file_location("tiny_diffusion", Path(__file__).with_name("tiny_diffusion.py"))
tiny = importlib.util.module_from_spec(spec)
spec.loader.exec_module(tiny)

SIZES = (tiny.UNET, tiny.VAE)


@pytest.fixture(scope="module")
def parts():
    return tiny.modules(5)


@pytest.fixture(autouse=True)
def root(tmp_path, monkeypatch):
    folder = tmp_path / "weights" / "styleid"
    folder.mkdir(parents=True)
    monkeypatch.setenv("SCSA_CHECKPOINTS", str(folder.parent))
    monkeypatch.setenv("SCSA_CACHE", str(tmp_path / "cache"))
    return folder


def agree(loaded, parts):
    unet, vae, text = parts
    for mine, theirs in ((loaded.unet, unet), (loaded.vae, vae)):
        state = mine.state_dict()
        assert all(torch.equal(state[k], v) for k, v in theirs.state_dict().items())
    with torch.inference_mode():
        assert torch.equal(loaded.context, text.empty_prompt())


def test_a_diffusers_folder_becomes_the_family(root, parts):
    tiny.write_folder(root, parts)
    assert loading.find() == root
    agree(loading.load(root, torch.float32), parts)
    FAMILIES["styleid"].probe()
    styleid = StyleID.load(torch.device("cpu"))
    with torch.inference_mode():
        out = styleid.encode(torch.rand(1, 3, 64, 64), role="content", timesteps=10)["trajectory"]
    assert out.shape == (11, 4, 8, 8)
    assert len(list((root.parent.parent / "cache" / "inversions").glob("*.safetensors"))) == 1


@pytest.mark.parametrize("suffix", [".safetensors", ".ckpt"])
def test_a_single_file_becomes_the_same(root, parts, suffix):
    tensors, path = tiny.single_file_tensors(parts), root / f"mine{suffix}"
    if suffix == ".ckpt":
        torch.save({"state_dict": tensors, "global_step": 7}, path)
    else:
        save_file(tensors, path)
    assert loading.find() == path
    agree(loading.load(path, torch.float32, SIZES), parts)
    half = loading.load(path, torch.float16, SIZES)
    assert half.unet.dtype == torch.float16 and half.vae.dtype == torch.float32


def test_what_a_training_framework_left_in_a_checkpoint_is_passed_over_and_nothing_is_run(root, parts, monkeypatch):
    names = ("pytorch_lightning", "pytorch_lightning.callbacks", "pytorch_lightning.callbacks.model_checkpoint")
    made = {name: types.ModuleType(name) for name in names}
    record = type("ModelCheckpoint", (), {"__module__": names[-1]})
    made[names[-1]].ModelCheckpoint = record
    path = root / "sd-v1-4.ckpt"
    with monkeypatch.context() as patch:
        for name, module in made.items():
            patch.setitem(sys.modules, name, module)
        kept = record()
        kept.best = 0.5
        torch.save({"state_dict": tiny.single_file_tensors(parts), "callbacks": {record: {"best": 1}}, "one": kept}, path)
    assert names[-1] not in sys.modules
    agree(loading.load(path, torch.float32, SIZES), parts)
    torch.save({"state_dict": {}, "run": print}, path)
    with pytest.raises(CheckpointCorrupt, match="wants to run code"):
        loading.load(path, torch.float32, SIZES)


def test_the_preferred_file_comes_first_and_unfinished_ones_are_not_taken(root, parts):
    with pytest.raises(CheckpointMissing) as caught:
        loading.find()
    assert str(root) in caught.value.hint and loading.FILES[0] in str(caught.value)
    (root / ".hidden.safetensors").write_bytes(b"x")
    (root / "v1-5-pruned-emaonly.safetensors.part").write_bytes(b"x")
    with pytest.raises(CheckpointMissing):
        loading.find()
    tiny.write_folder(root / "my-model", parts)
    (root / "a.safetensors").write_bytes(b"x")
    assert loading.find() == root / "my-model"
    for name in reversed(loading.FILES):
        (root / name).write_bytes(b"x")
        assert loading.find() == root / name


def test_another_model_is_refused_by_name(root, parts):
    tensors = tiny.single_file_tensors(parts)
    newer = {k.replace("cond_stage_model.transformer.text_model", "cond_stage_model.model"): v for k, v in tensors.items()}
    save_file(newer, root / "sd2.safetensors")
    with pytest.raises(CheckpointMismatch, match="another version of Stable Diffusion") as caught:
        loading.load(root / "sd2.safetensors", torch.float32, SIZES)
    assert "1.4 or 1.5" in caught.value.hint
    save_file({k: v for k, v in tensors.items() if "first_stage" not in k}, root / "half.safetensors")
    with pytest.raises(CheckpointMismatch, match="not a whole Stable Diffusion 1"):
        loading.load(root / "half.safetensors", torch.float32, SIZES)
    del tensors["model.diffusion_model.out.2.weight"]
    save_file(tensors, root / "hole.safetensors")
    with pytest.raises(CheckpointMismatch, match=r"the UNet of Stable Diffusion 1 .*conv_out\.weight"):
        loading.load(root / "hole.safetensors", torch.float32, SIZES)
    with pytest.raises(CheckpointMismatch, match="should be"):  # the true sizes
        loading.load(_without_hole(root, parts), torch.float32)


def _without_hole(root, parts):
    save_file(tiny.single_file_tensors(parts), root / "small.safetensors")
    return root / "small.safetensors"


def test_a_folder_that_is_not_whole_or_of_another_kind(root, parts):
    tiny.write_folder(root, parts)
    (root / "scheduler").mkdir()
    (root / "scheduler" / "scheduler_config.json").write_text(json.dumps({"prediction_type": "v_prediction"}))
    with pytest.raises(CheckpointMismatch, match="v_prediction"):
        loading.load(root, torch.float32)
    (root / "scheduler" / "scheduler_config.json").write_text(json.dumps({"beta_start": 0.001, "beta_end": 0.02}))
    assert loading.load(root, torch.float32).schedule.kept[0] == pytest.approx(0.999)
    config = root / "vae" / "config.json"
    for text in ("{", "[]"):
        config.write_text(text)
        with pytest.raises(CheckpointCorrupt, match=r"vae/config\.json"):
            loading.load(root, torch.float32)
    config.unlink()
    with pytest.raises(CheckpointMissing, match=r"vae/config\.json"):
        loading.load(root, torch.float32)
    (root / "text_encoder" / "model.safetensors").unlink()
    with pytest.raises(CheckpointMissing, match="text_encoder"):
        loading.load(root, torch.float32)


def test_damaged_weights_are_said(root, parts):
    tiny.write_folder(root, parts)
    file = root / "unet" / "diffusion_pytorch_model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(CheckpointCorrupt, match="damaged or cut short"):
        loading.load(root, torch.float32)


def test_no_text_encoder_of_this_kind():
    with pytest.raises(CheckpointMismatch, match="token_embedding"):
        ClipText.from_tensors({"x": torch.ones(1)})


# -- the true sizes -----------------------------------------------------------------------


def test_every_tensor_of_the_true_network_has_one_name_in_the_single_file():
    from diffusers import AutoencoderKL, UNet2DConditionModel

    with torch.device("meta"):
        unet = {k: tuple(v.shape) for k, v in UNet2DConditionModel.from_config(loading.SD1_UNET).state_dict().items()}
        vae = {k: tuple(v.shape) for k, v in AutoencoderKL.from_config(loading.SD1_VAE).state_dict().items()}
    assert (len(unet), len(vae)) == (686, 248)  # what the published files hold
    names = {unet_name(n): n for n in tiny.ldm_unet_names(4, 2, (0, 1, 2))}
    names |= {vae_name(n): n for n in tiny.ldm_vae_names(4, 2)}
    assert set(unet) | set(vae) <= set(names)
    for key, shape in weights.STABLE_DIFFUSION.items():
        ours = unet[unet_name(key.removeprefix("model.diffusion_model."))] if "diffusion" in key else vae[vae_name(key.removeprefix("first_stage_model."))]
        assert ours == shape, key
    assert sum(torch.Size(s).numel() for s in unet.values()) == 859_520_964


def test_the_text_encoder_is_clip():
    from transformers import CLIPTextConfig, CLIPTextModel

    config = CLIPTextConfig(
        vocab_size=30, hidden_size=128, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2, max_position_embeddings=7,
        hidden_act="quick_gelu", bos_token_id=28, eos_token_id=29,
    )  # fmt: skip
    theirs = tiny.fill(CLIPTextModel(config), 9)
    tensors = {k if k.startswith("text_model.") else f"text_model.{k}": v for k, v in theirs.state_dict().items()}
    mine = ClipText.from_tensors(tensors)
    with torch.inference_mode():
        expected = theirs(torch.tensor([[28, 29, 29, 29, 29, 29, 29]])).last_hidden_state
        assert torch.allclose(mine.empty_prompt(), expected, atol=1e-5)


def test_large_weights_are_taken_and_not_copied():
    tensors = {"weight": torch.ones(2, 2), "bias": torch.ones(2)}
    with torch.device("meta"):
        module = torch.nn.Linear(2, 2)
    checkpoints.load_into(module, tensors, "a layer", assign=True)
    assert module.weight.data_ptr() == tensors["weight"].data_ptr()
