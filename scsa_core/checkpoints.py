"""Weights: where they are, and reading them safely. Every model loads through here.

Only tensors are ever read: safetensors, or `torch.load(weights_only=True)`, never a bare
unpickle. Each way a file can be wrong has its own message.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import re
import zipfile
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from scsa_core.errors import CheckpointCorrupt, CheckpointMismatch, CheckpointMissing

SHIPPED = Path(__file__).resolve().parent.parent / "checkpoints"
VARIABLE = "SCSA_CHECKPOINTS"
WEB_PAGE = re.compile(rb"\s*<(!doctype|html|head|\?xml|!--)", re.IGNORECASE)
# A key that only one kind of file has, and what that file is.
_KNOWN = (
    (re.compile(r"sanet[45]_1\.|merge_conv\."), "SANet's attention (transformer_iter_500000.pth)"),
    (re.compile(r"model\.diffusion_model\."), "a Stable Diffusion checkpoint"),
    (re.compile(r"decoder\.layers\.\d+\.multihead_attn\."), "StyTr2's transformer"),
    (re.compile(r"features\.\d+\.weight"), "a VGG as torchvision names it"),
    (re.compile(r"module\."), "a file saved from a model in DataParallel"),
    (re.compile(r"42\.weight"), "a normalised VGG-19 (vgg_normalised.pth)"),
    (re.compile(r"28\.weight"), "SANet's or StyTr2's decoder (decoder_iter_*.pth)"),
    (re.compile(r"proj\.weight"), "StyTr2's patch embedding (embedding_iter_160000.pth)"),
)


class _Ignored:
    """Stands in for a training framework's record inside a checkpoint; it can hold values and do nothing."""


# What Stable Diffusion's .ckpt files keep beside the weights. The names are never imported.
_STAND_INS = tuple(
    (_Ignored, f"pytorch_lightning.callbacks.{name}")
    for name in ("model_checkpoint.ModelCheckpoint", "early_stopping.EarlyStopping", "lr_monitor.LearningRateMonitor")
)


def root() -> Path:
    """The folder a person puts weights into: $SCSA_CHECKPOINTS, or `checkpoints/` beside the package."""
    named = os.environ.get(VARIABLE)
    return Path(named).expanduser() if named else SHIPPED


def find(family: str, filename: str) -> Path:
    """The file `<folder>/<family>/<filename>`, first under root(), then among the shipped ones.

    Raises CheckpointMissing, whose hint says where to put the file.
    """
    for folder in (root(), SHIPPED):
        path = folder / family / filename
        if path.is_file():
            return path
    path = root() / family / filename
    raise CheckpointMissing(
        f"weights for {family} are not here: {filename}",
        path=str(path),
        hint=f"Put {filename} into {path.parent}, or use lite, which is ready.",
    )


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a safetensors or PyTorch file, on the CPU, by name. Raises CheckpointMissing, CheckpointCorrupt."""
    try:
        with path.open("rb") as f:
            head = f.read(512)
    except OSError as error:
        raise CheckpointMissing(f"{path.name} cannot be opened ({error.strerror})", path=str(path)) from error
    if not head:
        raise CheckpointCorrupt(f"{path.name} is empty", hint="Fetch it again.")
    if WEB_PAGE.match(head):
        raise CheckpointCorrupt(f"{path.name} is a web page, not weights", hint="Fetch the file itself, not the page that links to it.")
    if head.startswith(b"version https://git-lfs"):
        raise CheckpointCorrupt(f"{path.name} is a Git LFS pointer, not weights", hint="Run `git lfs pull`.")
    if path.suffix == ".safetensors":
        try:
            return load_file(path)
        except (SafetensorError, OSError, ValueError) as error:
            raise CheckpointCorrupt(f"{path.name} is damaged or cut short ({error})", hint="Fetch it again.") from error
    return _read_torch(path)


def _read_torch(path: Path) -> dict[str, Tensor]:
    try:
        with torch.serialization.safe_globals(list(_STAND_INS)):
            state = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except pickle.UnpicklingError as error:
        found = re.search(r"GLOBAL ([\w.]+)", str(error))
        if found:
            raise CheckpointCorrupt(
                f"{path.name} wants to run code ({found[1]}); it holds more than tensors and was not loaded",
                hint="Use the file its authors publish.",
            ) from error
        raise CheckpointCorrupt(f"{path.name} is not a PyTorch file", hint="Fetch it again.") from error
    except Exception as error:  # a damaged pickle can fail in any way: KeyError, struct.error, ...
        raise CheckpointCorrupt(f"{path.name} is damaged or cut short", hint="Fetch it again.") from error
    if isinstance(state, Mapping) and isinstance(state.get("state_dict"), Mapping):
        state = state["state_dict"]
    if not isinstance(state, Mapping) or not state or not all(isinstance(v, Tensor) for v in state.values()):
        raise CheckpointCorrupt(f"{path.name} is not a plain dictionary of tensors", hint="Use the file its authors publish.")
    return {str(k): v for k, v in state.items()}


def read_shards(folder: Path, stem: str) -> dict[str, Tensor]:
    """All tensors of `<stem>-00001-of-0000N.safetensors` ... Raises CheckpointMissing if a shard is absent."""
    shards = sorted(folder.glob(f"{stem}-[0-9][0-9][0-9][0-9][0-9]-of-[0-9][0-9][0-9][0-9][0-9].safetensors"))
    total = int(shards[0].stem[-5:]) if shards else 1
    tensors: dict[str, Tensor] = {}
    for k in range(1, total + 1):
        path = folder / f"{stem}-{k:05d}-of-{total:05d}.safetensors"
        if path not in shards:
            raise CheckpointMissing(f"a part of {stem} is missing: {path.name}", path=str(path), hint="Fetch the project again.")
        tensors |= read_tensors(path)
    return tensors


def read_metadata(path: Path) -> dict[str, str]:
    """The metadata of a safetensors file. Raises CheckpointCorrupt."""
    try:
        with safe_open(path, "pt") as f:
            return dict(f.metadata() or {})
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointCorrupt(f"{path.name} is damaged or cut short ({error})", hint="Fetch it again.") from error


def load_into(
    module: nn.Module, tensors: Mapping[str, Tensor], what: str, dtype: torch.dtype = torch.float32, *, assign: bool = False
) -> None:
    """Fill a module, strictly. Raises CheckpointMismatch naming keys and shapes, CheckpointCorrupt for NaN or infinity.

    assign: the module takes the tensors themselves, which spares a copy of a large one built without memory.
    """
    own = {k: tuple(v.shape) for k, v in module.state_dict().items()}
    missing = tuple(k for k in own if k not in tensors)
    unexpected = tuple(k for k in tensors if k not in own)
    misshapen = {k: (own[k], tuple(tensors[k].shape)) for k in own if k in tensors and own[k] != tuple(tensors[k].shape)}
    if missing or unexpected or misshapen:
        said = [f"{name}: {_some(keys)}" for name, keys in (("missing", missing), ("not ours", unexpected)) if keys]
        said += [f"{k} should be {a}, is {b}" for k, (a, b) in list(misshapen.items())[:3]]
        seems = _looks_like(tensors)
        raise CheckpointMismatch(
            f"this file does not hold {what} ({'; '.join(said)})" + (f"; it looks like {seems}" if seems else ""),
            missing=missing,
            unexpected=unexpected,
            misshapen=misshapen,
            hint="Check that each file has the right name.",
        )
    for name, value in tensors.items():
        if value.is_floating_point() and not torch.isfinite(value).all():
            raise CheckpointCorrupt(f"{what}: {name} holds values that are not finite", hint="Fetch the file again.")
    module.load_state_dict({k: v.to(dtype) for k, v in tensors.items()}, assign=assign)


def _looks_like(tensors: Mapping[str, Tensor]) -> str:
    """What a file of these keys seems to be, or ""."""
    return next((name for pattern, name in _KNOWN if any(pattern.match(key) for key in tensors)), "")


def _some(keys: tuple[str, ...]) -> str:
    more = f" and {len(keys) - 3} more" if len(keys) > 3 else ""
    return ", ".join(keys[:3]) + more


def fingerprint(paths: Iterable[Path]) -> str:
    """16 hex digits that change when any of the files does."""
    return hashlib.sha256("".join(_file_hash(str(p), p.stat().st_size, p.stat().st_mtime_ns) for p in paths).encode()).hexdigest()[:16]


@lru_cache(maxsize=64)
def _file_hash(path: str, size: int, mtime: int) -> str:
    with Path(path).open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()
