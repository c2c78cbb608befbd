"""Stable Diffusion 1.4 or 1.5 from a person's file or folder: what is there, and diffusers' modules filled from it.

Nothing is fetched and nothing but tensors is read. Two layouts are known: the authors'
single file (`.safetensors` or `.ckpt`), and diffusers' folder with `unet/`, `vae/` and
`text_encoder/`, the folder `styleid` itself or one inside it.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from scsa_core import checkpoints
from scsa_core.backbones.styleid.keys import unet_name, vae_name, vae_tensors
from scsa_core.backbones.styleid.schedule import Schedule
from scsa_core.backbones.styleid.text import ClipText
from scsa_core.errors import CheckpointCorrupt, CheckpointMismatch, CheckpointMissing, MissingPackage

FAMILY = "styleid"
FILES = ("v1-5-pruned-emaonly.safetensors", "sd-v1-4.ckpt")
"""Names under which the single file is published, the preferred one first; any other name works too."""

SD1_UNET: dict[str, Any] = {
    "in_channels": 4, "out_channels": 4, "sample_size": 64, "layers_per_block": 2, "block_out_channels": [320, 640, 1280, 1280],
    "down_block_types": ["CrossAttnDownBlock2D"] * 3 + ["DownBlock2D"], "up_block_types": ["UpBlock2D"] + ["CrossAttnUpBlock2D"] * 3,
    "cross_attention_dim": 768, "attention_head_dim": 8,
}  # fmt: skip
SD1_VAE: dict[str, Any] = {
    "in_channels": 3, "out_channels": 3, "latent_channels": 4, "layers_per_block": 2, "block_out_channels": [128, 256, 512, 512],
    "down_block_types": ["DownEncoderBlock2D"] * 4, "up_block_types": ["UpDecoderBlock2D"] * 4, "sample_size": 512,
    "scaling_factor": 0.18215,
}  # fmt: skip
_PREFIXES = {"unet": "model.diffusion_model.", "vae": "first_stage_model.", "text": "cond_stage_model.transformer."}
_HINT = "Use Stable Diffusion 1.4 or 1.5."


@dataclass(frozen=True)
class Parts:
    """What the family runs on. context: the empty prompt's embedding (1, tokens, C). paths: the files read."""

    unet: Any
    vae: Any
    context: Tensor
    schedule: Schedule
    paths: tuple[Path, ...]


def probe() -> None:
    """Raise MissingPackage or CheckpointMissing if the family cannot run here. Reads nothing."""
    if importlib.util.find_spec("diffusers") is None:
        raise MissingPackage("StyleID needs the package diffusers", package="diffusers", hint="Run `pip install diffusers`.")
    find()


def find() -> Path:
    """The checkpoint to use: a single file, or a diffusers folder. Raises CheckpointMissing."""
    for folder in (checkpoints.root() / FAMILY, checkpoints.SHIPPED / FAMILY):
        named = [folder / name for name in FILES]
        inside = sorted(folder.iterdir()) if folder.is_dir() else []
        folders = [f for f in (folder, *inside) if (f / "unet").is_dir() and (f / "vae").is_dir()]
        others = [f for f in inside if f.suffix in (".safetensors", ".ckpt") and not f.name.startswith(".")]
        for path in (*(f for f in named if f.is_file()), *folders, *(f for f in others if f.is_file())):
            return path
    target = checkpoints.root() / FAMILY
    raise CheckpointMissing(
        f"weights for {FAMILY} are not here: {FILES[0]}",
        path=str(target / FILES[0]),
        hint=f"Put Stable Diffusion 1.4 or 1.5 into {target} (a single file or a diffusers folder), or use lite, which is ready.",
    )


def load(path: Path, dtype: torch.dtype, sizes: tuple[Mapping[str, Any], Mapping[str, Any]] = (SD1_UNET, SD1_VAE)) -> Parts:
    """All parts on the CPU, the UNet in `dtype`, the rest float32. sizes: of a single file's UNet and VAE.

    Raises CheckpointMissing, CheckpointCorrupt, CheckpointMismatch, MissingPackage.
    """
    return _folder(path, dtype) if path.is_dir() else _single_file(path, dtype, *sizes)


def _single_file(path: Path, dtype: torch.dtype, unet: Mapping[str, Any], vae: Mapping[str, Any]) -> Parts:
    tensors = checkpoints.read_tensors(path)
    parts = {
        part: {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)} for part, prefix in _PREFIXES.items()
    }
    absent = [_PREFIXES[part] for part, found in parts.items() if not found]
    if absent:
        newer = any(k.startswith(("conditioner.", "cond_stage_model.model.")) for k in tensors)
        what = "another version of Stable Diffusion" if newer else "not a whole Stable Diffusion 1"
        raise CheckpointMismatch(
            f"{path.name} is {what}: it has no tensors named {absent[0]}*", missing=tuple(absent), hint=_HINT
        )
    del tensors
    text = {k if k.startswith("text_model.") else f"text_model.{k}": v for k, v in parts["text"].items()}
    resnets, levels = unet["layers_per_block"], len(vae["block_out_channels"])
    return Parts(
        unet=_fill("UNet2DConditionModel", unet, {unet_name(k, resnets): v for k, v in parts["unet"].items()}, "the UNet", dtype),
        vae=_fill("AutoencoderKL", vae, vae_tensors({vae_name(k, levels): v for k, v in parts["vae"].items()}), "the VAE"),
        context=_context(text),
        schedule=Schedule.scaled_linear(),
        paths=(path,),
    )


def _folder(folder: Path, dtype: torch.dtype) -> Parts:
    paths = {part: _weights(folder / part) for part in ("unet", "vae", "text_encoder")}
    unet, vae = (_config(folder / part / "config.json") for part in ("unet", "vae"))
    planned = folder / "scheduler" / "scheduler_config.json"
    plan = _config(planned) if planned.is_file() else {}
    for name, wanted, found in (
        ("in_channels", 4, unet.get("in_channels", 4)),
        ("latent_channels", 4, vae.get("latent_channels", 4)),
        ("prediction_type", "epsilon", plan.get("prediction_type", "epsilon")),
        ("beta_schedule", "scaled_linear", plan.get("beta_schedule", "scaled_linear")),
    ):
        if found != wanted:
            raise CheckpointMismatch(f"{folder.name} is another kind of diffusion model: {name} is {found!r}, not {wanted!r}", hint=_HINT)
    return Parts(
        unet=_fill("UNet2DConditionModel", unet, checkpoints.read_tensors(paths["unet"]), "the UNet", dtype),
        vae=_fill("AutoencoderKL", vae, vae_tensors(checkpoints.read_tensors(paths["vae"])), "the VAE"),
        context=_context(checkpoints.read_tensors(paths["text_encoder"])),
        schedule=Schedule.scaled_linear(plan.get("beta_start", 0.00085), plan.get("beta_end", 0.012)),
        paths=tuple(paths.values()),
    )


def _weights(folder: Path) -> Path:
    """The weights file of one part: safetensors before PyTorch's format, full precision before half."""
    for stem in ("diffusion_pytorch_model", "model", "pytorch_model"):
        for suffix in (".safetensors", ".fp16.safetensors", ".bin", ".fp16.bin"):
            if (folder / f"{stem}{suffix}").is_file():
                return folder / f"{stem}{suffix}"
    raise CheckpointMissing(
        f"{folder.parent.name} has no weights in {folder.name}",
        path=str(folder),
        hint=f"Copy the folder {folder.name} of the model whole; its weights are in one .safetensors file.",
    )


def _config(path: Path) -> dict[str, Any]:
    name = f"{path.parent.name}/{path.name}"
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CheckpointMissing(f"{name} is missing", path=str(path), hint="Copy the model's folder whole.") from error
    except ValueError as error:
        raise CheckpointCorrupt(f"{name} is not JSON", hint="Fetch it again.") from error
    if not isinstance(value, dict):
        raise CheckpointCorrupt(f"{name} holds no settings", hint="Fetch it again.")
    return {k: v for k, v in value.items() if not k.startswith("_")}


def _fill(kind: str, config: Mapping[str, Any], tensors: Mapping[str, Tensor], what: str, dtype: torch.dtype = torch.float32) -> Any:
    """One of diffusers' modules, built without memory and given the tensors themselves."""
    try:
        import diffusers
    except ImportError as error:
        raise MissingPackage(
            f"StyleID cannot import the package diffusers ({error})", package="diffusers", hint="Run `pip install --upgrade diffusers`."
        ) from error
    try:
        with torch.device("meta"):
            module = getattr(diffusers, kind).from_config(dict(config))
    except (TypeError, ValueError, KeyError) as error:
        raise CheckpointMismatch(f"{what}'s settings describe no {kind} ({error})", hint=_HINT) from error
    checkpoints.load_into(module, tensors, f"{what} of Stable Diffusion 1", dtype, assign=True)
    return module.requires_grad_(False).eval()


def _context(tensors: Mapping[str, Tensor]) -> Tensor:
    with torch.inference_mode():
        return ClipText.from_tensors(tensors).empty_prompt().clone()
