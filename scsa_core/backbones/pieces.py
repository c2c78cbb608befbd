"""Large layers in pieces of bounded arithmetic, so that a stop is seen in time wherever it comes.

The numbers stay what the whole layer gives: a piece is a strip with the rows around it that
it sees (`strips`). On a GPU, where a layer takes milliseconds, nothing is cut, and under
torch.compile no stack of layers is: it wants a network whole.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch.nn.functional as F
from torch import Tensor, nn

from scsa_core.backbones.base import Checkpoint, no_checkpoint
from scsa_core.backbones.strips import in_strips
from scsa_core.backbones.vgg import ConvSpec, ConvStack
from scsa_core.compiled import wanted

WORK = 30e9  # operations of a piece: a sixth of a second on two slow cores (175 GFLOP/s), and every layer of a picture of 512 pixels whole


def positions_of(work: float) -> int:
    """How many positions of so many operations each make a piece."""
    return max(1, int(WORK // work))


def convolved(layer: nn.Module, x: Tensor, checkpoint: Checkpoint = no_checkpoint) -> Tensor:
    """layer(x) for x (1, C, H, W) and a 1x1 or 3x3 convolution that keeps the size, or an identity."""
    if not isinstance(layer, nn.Conv2d) or x.is_cuda:
        checkpoint()
        out: Tensor = layer(x)
        return out
    halo = layer.kernel_size[0] // 2
    whole: Tensor = in_strips(layer, x, halo, pixels=positions_of(2.0 * layer.weight.numel()), step=1, checkpoint=checkpoint)
    return whole


def layer_by_layer(
    stack: ConvStack, x: Tensor, taps: Iterable[str] = (), first: int = 0, last: int | None = None, checkpoint: Checkpoint = no_checkpoint
) -> dict[str, Tensor]:
    """`stack(x, taps, first, last)` for x (1, C, H, W). checkpoint is called before every piece of every layer."""
    missing = set(taps)
    if x.is_cuda or wanted():
        checkpoint()
        found: dict[str, Tensor] = stack(x, missing, first, last)
        return found
    out: dict[str, Tensor] = {}
    end = first
    while end < len(stack.specs[:last]):
        begin, end = end, end + 1
        if stack.specs[begin].upsample and stack.specs[begin].tap not in missing and end < len(stack.specs[:last]):
            end += 1  # a layer that doubles is quicker together with the next
        if stack.specs[begin].pool:  # here, so that the larger one is gone while the layer runs
            x = F.max_pool2d(x, 2, ceil_mode=True)
        x = _group(stack, x, begin, end, checkpoint)
        tap = stack.specs[end - 1].tap
        if tap in missing:
            out[tap] = x
            missing.remove(tap)
            if not missing:
                break
    return out | {"": x}


def _group(stack: ConvStack, x: Tensor, begin: int, end: int, checkpoint: Checkpoint) -> Tensor:
    """The layers from number `begin` to before `end`: one, its input pooled already, or one that doubles and the next."""
    specs = stack.specs[begin:end]
    alone = len(specs) == 1 and not specs[0].upsample
    halo = specs[0].kernel // 2 if alone else 2

    def run(part: Tensor) -> Tensor:
        made: Tensor = stack.layer(begin, part) if alone else stack(part, first=begin, last=end)[""]
        return made

    return in_strips(run, x, halo, pixels=positions_of(operations(specs)), step=1, checkpoint=checkpoint)


def operations(specs: Iterable[ConvSpec]) -> float:
    """Multiplications and additions of these layers for each position that the first convolves, as plain convolutions."""
    total, scale = 0.0, 1.0
    for spec in specs:
        total += 2.0 * spec.kernel**2 * spec.inputs * spec.outputs * scale
        scale *= 4.0 if spec.upsample else 1.0
    return total
