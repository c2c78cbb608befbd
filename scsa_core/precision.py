"""Which number format convolutions run in. One switch, SCSA_PRECISION: auto (default), fp32, fp16 or bf16.

Processors with bfloat16 arithmetic (AVX-512 BF16, AMX) convolve two to three times faster
in it, GPUs with tensor cores in float16. Attention, statistics and the last convolution stay
in fp32. Parity with a reference is a matter of fp32.
"""

from __future__ import annotations

import os

import torch

from scsa_core.errors import ScsaError

VARIABLE = "SCSA_PRECISION"
_FAST = ("avx512_bf16", "amx_bf16")
_DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
_TENSOR_CORES = (7, 0)  # compute capability of the first GPUs that have them


def convolution_dtype(device: torch.device) -> torch.dtype:
    """What this device convolves fastest in, or what the switch says. Raises ScsaError for an unknown setting."""
    wanted = os.environ.get(VARIABLE, "auto").strip().lower() or "auto"
    if wanted != "auto" and wanted not in _DTYPES:
        raise ScsaError(f"{VARIABLE} is {wanted!r}", hint="Set it to auto, fp32, fp16 or bf16.")
    if wanted != "auto":
        return _DTYPES[wanted]
    if device.type == "cuda":
        return torch.float16 if torch.cuda.get_device_capability(device) >= _TENSOR_CORES else torch.float32
    return torch.bfloat16 if device.type == "cpu" and _has_bf16() else torch.float32


def _has_bf16() -> bool:
    try:
        found = torch.cpu.get_capabilities()
    except (AttributeError, RuntimeError):  # older PyTorch
        return False
    return any(found.get(name) for name in _FAST)
