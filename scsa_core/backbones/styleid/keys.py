"""Names of Stable Diffusion 1 in its authors' single file -> names in diffusers' modules.

Sources: CompVis/stable-diffusion `ldm/modules/diffusionmodules/{openaimodel,model}.py` and
diffusers' `UNet2DConditionModel` and `AutoencoderKL`, by the order in which both build
the same layers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

_RESNET = {
    "in_layers.0": "norm1", "in_layers.2": "conv1", "emb_layers.1": "time_emb_proj",
    "out_layers.0": "norm2", "out_layers.3": "conv2", "skip_connection": "conv_shortcut",
}  # fmt: skip
_UNET_ENDS = {
    "time_embed.0": "time_embedding.linear_1", "time_embed.2": "time_embedding.linear_2",
    "input_blocks.0.0": "conv_in", "out.0": "conv_norm_out", "out.2": "conv_out",
}  # fmt: skip
_MIDDLE = {"0": "resnets.0", "1": "attentions.0", "2": "resnets.1"}
# VAE attention: what its authors call it, what diffusers called it, what diffusers calls it.
_VAE_ATTENTION = {"norm": "group_norm", "q": "to_q", "k": "to_k", "v": "to_v", "proj_out": "to_out.0"}
_VAE_OLD = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}


def unet_name(name: str, resnets: int = 2) -> str:
    """diffusers' name of a UNet tensor. resnets: residual blocks a level on the way down. Unknown names stay."""
    for theirs, ours in _UNET_ENDS.items():
        if name.startswith(theirs + "."):
            return ours + name[len(theirs) :]
    found = re.fullmatch(r"middle_block\.([012])\.(.+)", name)
    if found:
        return f"mid_block.{_MIDDLE[found[1]]}.{_layer(found[2])}"
    found = re.fullmatch(r"input_blocks\.(\d+)\.([01])\.(.+)", name)
    if found:
        level, place = divmod(int(found[1]) - 1, resnets + 1)
        if place == resnets:
            return f"down_blocks.{level}.downsamplers.0.{found[3].replace('op.', 'conv.', 1)}"
        kind = "resnets" if found[2] == "0" else "attentions"
        return f"down_blocks.{level}.{kind}.{place}.{_layer(found[3])}"
    found = re.fullmatch(r"output_blocks\.(\d+)\.([012])\.(.+)", name)
    if found:
        level, place = divmod(int(found[1]), resnets + 1)
        if found[3].startswith("conv."):
            return f"up_blocks.{level}.upsamplers.0.{found[3]}"
        kind = "resnets" if found[2] == "0" else "attentions"
        return f"up_blocks.{level}.{kind}.{place}.{_layer(found[3])}"
    return name


def _layer(rest: str) -> str:
    for theirs, ours in _RESNET.items():
        if rest.startswith(theirs + "."):
            return ours + rest[len(theirs) :]
    return rest


def vae_name(name: str, levels: int = 4) -> str:
    """diffusers' name of a VAE tensor. Unknown names stay."""
    name = name.replace("nin_shortcut", "conv_shortcut").replace(".norm_out.", ".conv_norm_out.")
    name = re.sub(r"encoder\.down\.(\d+)\.block\.", r"encoder.down_blocks.\1.resnets.", name)
    name = re.sub(r"encoder\.down\.(\d+)\.downsample\.", r"encoder.down_blocks.\1.downsamplers.0.", name)
    found = re.fullmatch(r"decoder\.up\.(\d+)\.(block|upsample)\.(.+)", name)
    if found:
        kind = "resnets." if found[2] == "block" else "upsamplers.0."
        name = f"decoder.up_blocks.{levels - 1 - int(found[1])}.{kind}{found[3]}"
    name = re.sub(r"\.mid\.block_([12])\.", lambda m: f".mid_block.resnets.{int(m[1]) - 1}.", name)
    return re.sub(
        r"\.mid\.attn_1\.(\w+)\.", lambda m: f".mid_block.attentions.0.{_VAE_ATTENTION.get(m[1], m[1])}.", name
    )


def vae_tensors(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """diffusers' VAE under its present names: older files have other ones, and 1x1 convolutions for linear layers."""
    out = {}
    for name, value in tensors.items():
        name = re.sub(r"(\.attentions\.0\.)(\w+)\.", lambda m: f"{m[1]}{_VAE_OLD.get(m[2], m[2])}.", name) if "to_out" not in name else name
        if ".attentions.0.to_" in name and value.ndim == 4:
            value = value[:, :, 0, 0]
        out[name] = value
    return out
