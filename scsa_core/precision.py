"""Which number format convolutions run in. One switch, SCSA_PRECISION: auto (default), fp32 or bf16.

Processors with bfloat16 arithmetic (AVX-512 BF16, AMX) convolve two to three times faster
in it. Only models that allow it (`lite`) take part; parity with a reference is a matter of fp32.
"""

from __future__ import annotations

import os

import torch

from scsa_core.errors import ScsaError

VARIABLE = "SCSA_PRECISION"
_FAST = ("avx512_bf16", "amx_bf16")


def convolution_dtype(device: torch.device) -> torch.dtype:
    """torch.bfloat16 where this device convolves faster in it, else torch.float32. Raises ScsaError for an unknown setting."""
    wanted = os.environ.get(VARIABLE, "auto").strip().lower() or "auto"
    if wanted not in ("auto", "fp32", "bf16"):
        raise ScsaError(f"{VARIABLE} is {wanted!r}", hint="Set it to auto, fp32 or bf16.")
    if wanted == "auto":
        wanted = "bf16" if device.type == "cpu" and _has_bf16() else "fp32"
    return torch.bfloat16 if wanted == "bf16" else torch.float32


def _has_bf16() -> bool:
    try:
        found = torch.cpu.get_capabilities()
    except (AttributeError, RuntimeError):  # older PyTorch
        return False
    return any(found.get(name) for name in _FAST)
