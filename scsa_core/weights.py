"""What a weights file has to hold: its keys and shapes, tried by loading it as its family would.

Modules are built without memory (`torch.device("meta")`), so checking a file costs the
file itself and no second copy.
"""

from __future__ import annotations

import shutil
import tempfile
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from scsa_core import checkpoints, fetch
from scsa_core.errors import CheckpointCorrupt, CheckpointError, CheckpointMismatch, FetchFailed, KnobError
from scsa_core.progress import CancelToken, ProgressCallback
from scsa_core.registry import WeightsFile, families

_BEYOND = {f"{n}.{kind}" for n in (45, 48, 51) for kind in ("weight", "bias")}  # layers after relu5_1, which nobody needs
_MEASURES = ("inception", "art_inception", "lpips")
Build = Callable[[], nn.Module]
STABLE_DIFFUSION = {
    "model.diffusion_model.input_blocks.0.0.weight": (320, 4, 3, 3),
    "model.diffusion_model.output_blocks.11.1.transformer_blocks.0.attn2.to_k.weight": (320, 768),
    "model.diffusion_model.out.2.weight": (4, 320, 3, 3),
    "first_stage_model.encoder.conv_in.weight": (128, 3, 3, 3),
    "first_stage_model.decoder.conv_out.weight": (3, 128, 3, 3),
}
"""The UNet and VAE of Stable Diffusion 1.x in one-file names: the parts that tell it from its relatives."""


def check(file: WeightsFile, path: Path) -> int:
    """Read a file and compare it with what the family loads. Returns the number of tensors.

    Raises CheckpointMissing, CheckpointCorrupt or CheckpointMismatch, each with its own words.
    """
    tensors = checkpoints.read_tensors(path)
    what = f"{file.family}'s {file.what}"
    if file.family == "styleid":
        _stable_diffusion(tensors, what)
        return len(tensors)
    wanted = tensors
    if file.name == "vgg_normalised.pth":
        wanted = {k: v for k, v in tensors.items() if k not in _BEYOND}
    module = module_of(file)
    if file.family in _MEASURES:
        wanted = {k: v for k, v in tensors.items() if not k.startswith(("fc.", "AuxLogits.", "classifier."))}
        for name in module.state_dict():  # older files have no counters of batches
            if name.endswith("num_batches_tracked"):
                wanted.setdefault(name, torch.zeros(()))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns that a module without memory keeps nothing: that is the point
        checkpoints.load_into(module, wanted, what)
    return len(tensors)


def module_of(file: WeightsFile) -> nn.Module:
    """The module that a file of a family other than `styleid` fills, with shapes and without memory."""
    builders: dict[str, Callable[[str], nn.Module]] = {"sanet": _sanet, "stytr2": _stytr2, "sam": _sam}
    builders |= dict.fromkeys(_MEASURES, _measure)
    with torch.device("meta"):
        return builders[file.family](file.name)


def _sanet(name: str) -> nn.Module:
    from scsa_core.backbones.sanet import Transform
    from scsa_core.backbones.vgg import SANET_DECODER, VGG19_NORMALISED, ConvStack

    parts: dict[str, Build] = {
        "vgg_normalised.pth": lambda: ConvStack(VGG19_NORMALISED),
        "decoder_iter_500000.pth": lambda: ConvStack(SANET_DECODER),
        "transformer_iter_500000.pth": Transform,
    }
    return parts[name]()


def _stytr2(name: str) -> nn.Module:
    from scsa_core.backbones.stytr2 import Embedding
    from scsa_core.backbones.transformer import Transformer
    from scsa_core.backbones.vgg import SANET_DECODER, VGG19_NORMALISED, ConvStack

    parts: dict[str, Build] = {
        "vgg_normalised.pth": lambda: ConvStack(VGG19_NORMALISED),
        "decoder_iter_160000.pth": lambda: ConvStack(SANET_DECODER),
        "embedding_iter_160000.pth": Embedding,
        "transformer_iter_160000.pth": Transformer,
    }
    return parts[name]()


def _sam(name: str) -> nn.Module:
    from segment_anything import sam_model_registry

    kind = "_".join(name.split("_")[1:3])
    module: nn.Module = sam_model_registry[kind](checkpoint=None)
    return module


def _measure(name: str) -> nn.Module:
    from scsa_core.metrics import inception, lpips

    kinds = {file: kind for kind, (_, file) in inception.FILES.items()}
    module: nn.Module
    if name in kinds:
        module = inception.build(kinds[name])
    else:
        module = lpips.alexnet() if name == lpips.FILES[0][1] else lpips.channel_weights()
    return module


def _stable_diffusion(tensors: Mapping[str, Tensor], what: str) -> None:
    missing = tuple(k for k in STABLE_DIFFUSION if k not in tensors)
    misshapen = {k: (s, tuple(tensors[k].shape)) for k, s in STABLE_DIFFUSION.items() if k in tensors and tuple(tensors[k].shape) != s}
    if missing or misshapen:
        said = [f"missing: {missing[0]}"] if missing else []
        said += [f"{k} should be {a}, is {b}" for k, (a, b) in list(misshapen.items())[:1]]
        raise CheckpointMismatch(
            f"this file does not hold {what} ({'; '.join(said)})", missing=missing, misshapen=misshapen, hint="Check which version it is."
        )
    for name in STABLE_DIFFUSION:
        if not torch.isfinite(tensors[name]).all():
            raise CheckpointCorrupt(f"{what}: {name} holds values that are not finite", hint="Fetch the file again.")


def obtain(
    file: WeightsFile,
    *,
    progress: ProgressCallback | None = None,
    cancel: CancelToken | None = None,
    settings: fetch.Settings | None = None,
) -> Path:
    """Fetch a file and look into it; one that holds something else is removed again.

    Raises FetchFailed, CheckpointError, Cancelled; see `fetch.fetch`.
    """
    path = fetch.fetch(file, progress=progress, cancel=cancel, settings=settings)
    try:
        check(file, path)
    except CheckpointError:
        path.unlink(missing_ok=True)
        raise
    return path


# -- a person's own copy --------------------------------------------------------------


def recognise(path: Path, family: str | None = None) -> WeightsFile:
    """Which file of the registry this is: by name, else by what it holds.

    Raises KnobError where several fit and nothing says which, CheckpointError where none does.
    """
    listed = [f for known in families().values() if family in (None, known.name) for f in known.files]
    if not listed:
        raise KnobError(f"no weights are listed for {family!r}", knob="family", hint=f"Choose one of: {', '.join(families())}.")
    named = [f for f in listed if f.name == path.name]
    if len(named) == 1:
        return named[0]
    fitting, refusals = [], []
    for f in named or listed:
        try:
            check(f, path)
            fitting.append(f)
        except CheckpointMismatch as error:
            refusals.append(error)
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        options = ", ".join(f"{f.family}/{f.name}" for f in fitting)
        raise KnobError(f"{path.name} could be {options}", knob="family", hint="Say which with --family, or rename the file.")
    if len(refusals) == 1:
        raise refusals[0]
    raise CheckpointMismatch(f"{path.name} holds none of the listed weights", hint="See `scsa checkpoints list`.")


def import_file(path: Path, family: str | None = None, *, replace: bool = False) -> WeightsFile:
    """Check a person's file and copy it into its place, whole or not at all. Raises CheckpointError, KnobError."""
    file = recognise(path, family)
    check(file, path)
    target = file.target
    if target.exists() and target.samefile(path):
        return file
    if target.exists() and not replace:
        raise KnobError(f"{target} is there already", knob="replace", hint="Add --replace to put this file in its place.")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=target.parent, prefix=f".{file.name}.", delete=False) as f:
            temporary = Path(f.name)
        try:
            shutil.copyfile(path, temporary)
            temporary.chmod(0o644)
            temporary.replace(target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise FetchFailed(
            f"{file.name} cannot be copied to {target.parent} ({error.strerror})", hint="Make room, or set SCSA_CHECKPOINTS."
        ) from error
    return file
