"""torch.compile for the networks, behind one switch, SCSA_COMPILE: 0 (default) or 1.

For a GPU that paints one size all day: every size is compiled when it first comes, which
takes most of a minute, and up to eight variants of a network are kept; whatever comes after
them is computed as it stands. On a processor it gains nothing (README, "Measured").
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import torch

from scsa_core.errors import Cancelled, ScsaError
from scsa_core.memory import ran_out

VARIABLE = "SCSA_COMPILE"
log = logging.getLogger(__name__)
_In = ParamSpec("_In")
_Out = TypeVar("_Out")


def wanted() -> bool:
    """What the switch says. Raises ScsaError for an unknown setting."""
    value = os.environ.get(VARIABLE, "").strip() or "0"
    if value not in ("0", "1"):
        raise ScsaError(f"{VARIABLE} is {value!r}", hint="Set it to 0 or 1.")
    return value == "1"


def compile_method(owner: object, name: str) -> None:
    """Put the compiled method in the place of the owner's own; nothing happens where the switch is off."""
    if wanted():
        setattr(owner, name, compiled(getattr(owner, name)))


def compiled(f: Callable[_In, _Out], backend: str = "inductor") -> Callable[_In, _Out]:
    """f, compiled shape by shape. The first failure to compile or run puts f itself back for good."""
    fast: Callable[_In, _Out] | None = torch.compile(f, dynamic=False, backend=backend)

    def call(*args: _In.args, **kwargs: _In.kwargs) -> _Out:
        nonlocal fast
        if fast is not None:
            try:
                return fast(*args, **kwargs)
            except Exception as error:
                if isinstance(error, Cancelled) or ran_out(error):  # neither is the compiler's fault
                    raise
                log.warning("computing without torch.compile from here on: %s", error)
                fast = None
        return f(*args, **kwargs)

    return call
