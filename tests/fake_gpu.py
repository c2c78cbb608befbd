"""A make-believe GPU: tensors lie on the processor, but know that they were sent to "cuda".

Mixing the two kinds is refused, as CUDA refuses it, and whatever would make the processor
wait for a real GPU is noted. So the path of a render on a GPU is followed on machines
that have none. It says nothing of speed, of half precision, or of CUDA's own kernels.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

HERE, THERE = torch.device("cpu"), torch.device("cuda")
_MARK = "_on_the_fake_gpu"
_WAITS = {
    "item", "tolist", "cpu", "numpy", "nonzero", "unique", "bincount", "__bool__", "__int__", "__float__", "__index__",
    "equal", "masked_select", "is_nonzero", "unique_consecutive",
}  # fmt: skip
_MOVES = {"to", "cuda", "cpu", "pin_memory"}


def is_there(x: object) -> bool:
    """Whether a tensor was sent to the make-believe GPU."""
    return isinstance(x, Tensor) and getattr(x, _MARK, False)


def _tensors(x: object) -> Iterator[Tensor]:
    if isinstance(x, Tensor):
        yield x
    elif isinstance(x, dict):
        for v in x.values():
            yield from _tensors(v)
    elif isinstance(x, (list, tuple)):
        for v in x:
            yield from _tensors(v)


def _mark(x: Any, there: bool) -> Any:
    for t in _tensors(x):
        setattr(t, _MARK, there)
    return x


def _wanted(args: tuple[Any, ...], kwargs: dict[str, Any]) -> torch.device | None:
    """The device that a call to `to` or to a factory names."""
    for x in (kwargs.get("device"), *args):
        if isinstance(x, Tensor):
            return THERE if is_there(x) else HERE
        if isinstance(x, torch.device):
            return THERE if x.type == "cuda" else HERE
        if isinstance(x, str) and x.split(":")[0] in ("cpu", "cuda"):
            return THERE if x.startswith("cuda") else HERE
    return None


class FakeGpu(TorchFunctionMode):
    """While active, "cuda" is a device. waits: names of the calls for which a processor would have waited."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[str] = []

    def __torch_function__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None) -> Any:
        kwargs = dict(kwargs or {})
        name = getattr(func, "__name__", "")
        if func == Tensor.device.__get__:  # type: ignore[attr-defined]
            return THERE if is_there(args[0]) else HERE
        if func == Tensor.is_cuda.__get__:  # type: ignore[attr-defined]
            return is_there(args[0])
        if func == Tensor.data.__set__:  # type: ignore[attr-defined]
            func(*args)
            return _mark(args[0], is_there(args[1]))
        if name == "__get__" or name == "__set__":
            out = func(*args, **kwargs)
            return _mark(out, is_there(args[0])) if isinstance(out, Tensor) else out
        given = list(_tensors((args, kwargs)))
        if name in _MOVES and given:
            return self._moved(func, name, args, kwargs)
        there = any(map(is_there, given))
        if there and name == "numpy":
            raise TypeError("can't convert a cuda tensor to numpy")
        if there and name in _WAITS:
            self.waits.append(name)
        if name in ("__getitem__", "__setitem__") and is_there(args[0]):
            index = args[1] if isinstance(args[1], tuple) else (args[1],)
            self.waits.extend("mask" for k in index if isinstance(k, Tensor) and k.dtype in (torch.bool, torch.uint8))
            self.waits.extend("host index" for k in index if isinstance(k, (list, Tensor)) and not is_there(k))
            if name == "__setitem__" and isinstance(args[2], Tensor) and args[2].ndim and not is_there(args[2]):
                raise RuntimeError("a tensor on cuda is given values on cpu")
        elif there and name not in ("copy_", "as_tensor", "_has_compatible_shallow_copy_type"):
            alien = [t for t in given if not is_there(t) and t.ndim]
            if alien:
                raise RuntimeError(f"{name}: tensors on cuda and on cpu, the latter {[tuple(t.shape) for t in alien]}")
        named = kwargs.get("device")
        if name in ("tensor", "as_tensor", "asarray") and named is not None and _wanted((), kwargs) is THERE and not there:
            self.waits.append("upload")
        if named is not None:
            kwargs["device"] = HERE
            if given and not there and _wanted((), {"device": named}) is THERE and name in ("as_tensor", "tensor", "asarray"):
                there = True
            elif _wanted((), {"device": named}) is not None:
                there = _wanted((), {"device": named}) is THERE
        if name in ("tolist", "numpy", "item", "__bool__"):
            return func(*args, **kwargs)
        if name == "copy_" and not all(map(is_there, given)) and there:
            self.waits.append("copy_")
            there = is_there(args[0])
        out = func(*args, **kwargs)
        if isinstance(out, Tensor) and any(out is t for t in given):
            return out  # in place: stays where it is
        return _mark(out, there)

    def _moved(self, func: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        x = args[0]
        before = is_there(x)
        if name == "pin_memory":
            return x
        device = THERE if name == "cuda" else HERE if name == "cpu" else _wanted(args[1:], kwargs)
        after = before if device is None else device is THERE
        if before and not after:
            self.waits.append(name)
        elif after and not before and not kwargs.get("non_blocking"):
            self.waits.append("upload")
        kwargs.pop("device", None)
        for a in args[1:]:
            if isinstance(a, (Tensor, torch.dtype)):
                kwargs["dtype"] = a.dtype if isinstance(a, Tensor) else a
        out = x if name in ("cpu", "cuda") else Tensor.to(x, **kwargs)
        if out is x and before != after:
            out = x.detach()  # another tensor, with the same numbers
        return _mark(out, after)


@contextmanager
def fake_gpu() -> Iterator[FakeGpu]:
    """The make-believe GPU, for the calls of one thread."""
    with FakeGpu() as gpu:
        yield gpu
