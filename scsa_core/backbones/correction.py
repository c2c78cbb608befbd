"""Asking for more where a painting came out short: the alignment's targets moved by what it missed.

A decoder's layer that has the style's moments does not make a picture with them: what follows
it flattens again. So a picture is painted once, encoded, and what its regions' means and
deviations lack is added to the targets, and a little more, since not all of it will arrive:
one over-relaxed step of a fixed-point iteration. A second one brings less, and moves the
content further.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from torch import Tensor

from scsa_core.backbones.align import LEVELS, Alignment, Moments, moments
from scsa_core.backbones.base import Checkpoint, no_checkpoint

CORRECTED = LEVELS[:3]
STEP = 1.7
FEW = 128  # tokens of a region: with fewer, what their statistics lack is chance as well, and asking for it takes a face's features
LIMIT = 1.8  # times: as far as a ratio counts, up or down
_EMPTY = 1e-3  # of a mean: features are about 1


def corrected(alignment: Alignment, reached: Mapping[str, Tensor], checkpoint: Checkpoint = no_checkpoint) -> Alignment:
    """The alignment with targets moved by what a picture that was painted to them is off.

    reached: the layers CORRECTED of that picture, (1, C, h, w) each. With targets t and moments
    reached m: relu4_1 is scaled as a whole by (t / m)^STEP of the means (a shift would fill what
    is empty, as a night sky, with the shortage of its surroundings); at relu3_1 a mean becomes
    t + STEP (t - m) and a deviation t (t / m)^STEP; at relu2_1 a mean t + (t - m), and
    deviations stay, or the noise of a flat sky would become cracks. Ratios are kept within LIMIT.
    STEP is less for a region of few tokens, in proportion.
    """
    there = [moments(reached[name][0], w, checkpoint) for name, w in zip(CORRECTED, alignment.weights, strict=False)]
    deep, middle, fine, *rest = alignment.targets
    step = STEP * (alignment.weights[0].flatten(1).sum(1, keepdim=True) / FEW).clamp(max=1)  # (R, 1)
    scale = _ratio(deep.mean.clamp_min(0) + _EMPTY, there[0].mean.clamp_min(0) + _EMPTY) ** step
    targets = (
        Moments(deep.mean * scale, deep.deviation * scale),
        Moments(
            middle.mean + step * (middle.mean - there[1].mean),
            middle.deviation * _ratio(middle.deviation, there[1].deviation) ** step,
        ),
        Moments(2 * fine.mean - there[2].mean, fine.deviation),
        *rest,
    )
    return replace(alignment, targets=targets)


def _ratio(wanted: Tensor, reached: Tensor) -> Tensor:
    return (wanted / reached).clamp(1 / LIMIT, LIMIT)
