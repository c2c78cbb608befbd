"""Stable Diffusion in miniature: diffusers' own modules, random weights, both layouts of its files."""

from __future__ import annotations

import json

import torch
from safetensors.torch import save_file

from scsa_core.backbones.styleid.text import ClipText

UNET = {
    "in_channels": 4, "out_channels": 4, "sample_size": 8, "layers_per_block": 2, "block_out_channels": [8, 16],
    "down_block_types": ["CrossAttnDownBlock2D"] * 2, "up_block_types": ["CrossAttnUpBlock2D"] * 2,
    "cross_attention_dim": 16, "attention_head_dim": 2, "norm_num_groups": 4,
}  # fmt: skip
VAE = {
    "in_channels": 3, "out_channels": 3, "latent_channels": 4, "layers_per_block": 1, "block_out_channels": [4, 4, 4, 8],
    "down_block_types": ["DownEncoderBlock2D"] * 4, "up_block_types": ["UpDecoderBlock2D"] * 4, "norm_num_groups": 4,
    "sample_size": 64, "scaling_factor": 0.18215,
}  # fmt: skip


def fill(module, seed):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, p in sorted(module.named_parameters()):
            x = torch.randn(p.shape, generator=generator)
            fan = p.numel() / p.shape[0]
            p.copy_(x * (1 / fan) ** 0.5 if p.ndim > 1 else 1 + 0.1 * x if name.endswith("weight") else 0.05 * x)
    return module.requires_grad_(False).eval()


def modules(seed=0):
    """(UNet, VAE, text encoder)."""
    from diffusers import AutoencoderKL, UNet2DConditionModel

    return (
        fill(UNet2DConditionModel.from_config(UNET), seed),
        fill(AutoencoderKL.from_config(VAE), seed + 1),
        fill(ClipText(10, 5, 16, 32, 2), seed + 2),
    )


def write_folder(folder, parts):
    """As diffusers saves a pipeline, the VAE's attention under the names it had in 2022."""
    old = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    for name, module, config in zip(("unet", "vae", "text_encoder"), parts, (UNET, VAE, {}), strict=True):
        (folder / name).mkdir(parents=True)
        (folder / name / "config.json").write_text(json.dumps({"_class_name": type(module).__name__, **config}))
        state = {k: v.clone() for k, v in module.state_dict().items()}
        if name == "vae":
            for new, former in old.items():
                state = {k.replace(f"attentions.0.{new}.", f"attentions.0.{former}."): v for k, v in state.items()}
        file = "model.safetensors" if name == "text_encoder" else "diffusion_pytorch_model.safetensors"
        save_file(state, folder / name / file)


def single_file_tensors(parts):
    """As its authors' single file holds them, with what else is in there."""
    from scsa_core.backbones.styleid.keys import unet_name, vae_name

    unet, vae, text = (p.state_dict() for p in parts)
    out = {f"model.diffusion_model.{theirs}": unet[ours] for theirs, ours in pairs(ldm_unet_names(), unet, lambda n: unet_name(n, 2))}
    for theirs, ours in pairs(ldm_vae_names(), vae, lambda n: vae_name(n, 4)):
        value = vae[ours]
        out[f"first_stage_model.{theirs}"] = value[:, :, None, None] if ".attn_1." in theirs and value.ndim == 2 else value
    out |= {f"cond_stage_model.transformer.{k}": v for k, v in text.items()}
    extra = {"betas": torch.ones(3), "cond_stage_model.transformer.text_model.embeddings.position_ids": torch.arange(5)[None]}
    return {k: v.clone() for k, v in (out | extra).items()}


def pairs(names, state, convert):
    """(single-file name, diffusers' name) of every tensor; fails where one has no partner."""
    found = {convert(n): n for n in names}
    assert set(state) <= set(found), sorted(set(state) - set(found))[:5]
    return [(found[k], k) for k in state]


def ldm_unet_names(levels=2, resnets=2, attention=(0, 1)):
    """Names in openaimodel.py's order of building, with weight and bias; some are not in every network."""
    res = ("in_layers.0", "in_layers.2", "emb_layers.1", "out_layers.0", "out_layers.3", "skip_connection")
    block = "transformer_blocks.0."
    att = ["norm", "proj_in", "proj_out"] + [f"{block}norm{k}" for k in (1, 2, 3)] + [block + "ff.net.0.proj", block + "ff.net.2"]
    att += [f"{block}attn{k}.{n}" for k in (1, 2) for n in ("to_q", "to_k", "to_v", "to_out.0")]
    names = ["time_embed.0", "time_embed.2", "input_blocks.0.0", "out.0", "out.2"]
    n = 1
    for level in range(levels):
        for _ in range(resnets):
            names += [f"input_blocks.{n}.0.{r}" for r in res]
            names += [f"input_blocks.{n}.1.{a}" for a in att] if level in attention else []
            n += 1
        if level < levels - 1:
            names.append(f"input_blocks.{n}.0.op")
            n += 1
    names += [f"middle_block.{k}.{r}" for k in (0, 2) for r in res] + [f"middle_block.1.{a}" for a in att]
    n = 0
    for level in reversed(range(levels)):
        for k in range(resnets + 1):
            names += [f"output_blocks.{n}.0.{r}" for r in res]
            names += [f"output_blocks.{n}.1.{a}" for a in att] if level in attention else []
            if k == resnets and level:
                names.append(f"output_blocks.{n}.{2 if level in attention else 1}.conv")
            n += 1
    return [f"{name}.{kind}" for name in names for kind in ("weight", "bias")]


def ldm_vae_names(levels=4, resnets=1):
    """Names in autoencoder's model.py."""
    res = ("norm1", "conv1", "norm2", "conv2", "nin_shortcut")
    names = ["quant_conv", "post_quant_conv"]
    for side in ("encoder", "decoder"):
        names += [f"{side}.{n}" for n in ("conv_in", "norm_out", "conv_out")]
        names += [f"{side}.mid.block_{k}.{r}" for k in (1, 2) for r in res]
        names += [f"{side}.mid.attn_1.{n}" for n in ("norm", "q", "k", "v", "proj_out")]
    for level in range(levels):
        names += [f"encoder.down.{level}.block.{k}.{r}" for k in range(resnets) for r in res]
        names += [f"decoder.up.{level}.block.{k}.{r}" for k in range(resnets + 1) for r in res]
        names += [f"encoder.down.{level}.downsample.conv", f"decoder.up.{level}.upsample.conv"]
    return [f"{name}.{kind}" for name in names for kind in ("weight", "bias")]
