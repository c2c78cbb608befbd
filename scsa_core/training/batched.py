"""What the model does to one pair, for many pairs of equal size at once: dense masks instead of grouped tokens.

The same arithmetic as `attention` and `backbones.align`, written for a GPU that would
wait for every small kernel; a test holds the two against each other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import torch
from torch import Tensor

from scsa_core.attention import mvn
from scsa_core.backbones import align, patches
from scsa_core.training.regions import Regions

Statistics = tuple[Tensor, Tensor]
"""Mean and deviation of each region, each (B, R, C)."""


def statistics(x: Tensor, weights: Tensor, eps: float = align.EPS) -> Statistics:
    """Of features (B, C, H, W) under masks (B, R, H, W)."""
    f, w = x.flatten(2).transpose(1, 2), weights.flatten(2)  # (B, N, C), (B, R, N)
    total = w.sum(2, keepdim=True).clamp_min(1e-6)
    mean = w @ f / total
    variance = w @ f.square() / total - mean.square()
    return mean, (variance.clamp_min(0) + eps).sqrt()


def spread(weights: Tensor, values: Tensor) -> Tensor:
    """Values (B, R, C) of the regions on their masks (B, R, H, W): (B, C, H, W)."""
    return torch.einsum("brhw,brc->bchw", weights, values)


def semantic_adain(content: Tensor, style: Tensor, mine: Regions, theirs: Regions) -> Tensor:
    """`attention.semantic_adain` of (B, C, h, w) twice."""
    mean, deviation = statistics(content, mine.hot, 1e-5)
    to_mean, to_deviation = statistics(style, theirs.hot, 1e-5)
    shared = (mine.there & theirs.there)[..., None]
    gain = torch.where(shared, to_deviation / deviation, torch.ones_like(mean))
    shift = torch.where(shared, to_mean - mean * gain, torch.zeros_like(mean))
    return content * spread(mine.hot, gain) + spread(mine.hot, shift)


def attend(content: Tensor, style: Tensor, mine: Regions, theirs: Regions, sharp: Tensor, basis: Tensor) -> tuple[Tensor, Tensor]:
    """(SCA, SSA) of (B, C, h, w) features, on the pictures' own features. sharp (B,): the logit scale of SCA; basis: of SSA's windows."""
    query, key, value = (x.flatten(2).transpose(1, 2) for x in (mvn(content), mvn(style), style))
    logits = query @ key.transpose(1, 2)  # (B, N, M)
    sources = theirs.or_whole().hot
    allowed = torch.einsum("brn,brm->bnm", mine.hot.flatten(2), sources.flatten(2)) > 0
    around, among = (patches.windows(patches.projected(mvn(x), basis)) for x in (content, style))
    winner = (around @ among.transpose(1, 2)).masked_fill(~allowed, float("-inf")).argmax(2)
    own = mine.hot.argmax(1)  # (B, h, w)
    lacking = ~theirs.there  # (B, R): they share a source, the whole style, so they are one block
    alone = lacking.gather(1, own.flatten(1)).view_as(own)
    own = torch.where(alone, lacking.float().argmax(1)[:, None, None], own)
    ssa = torch.stack([patches.overlaid(*each) for each in zip(value, winner, own, sources > 0, strict=True)])
    sca = (logits * sharp[:, None, None]).masked_fill(~allowed, float("-inf")).softmax(2) @ value
    sca, ssa = (x.transpose(1, 2).reshape(content.shape) for x in (sca, ssa))
    return sca, ssa


class Alignment:
    """`align.Alignment` for many pairs: masks of the contents, statistics of the styles, level by level."""

    def __init__(self, style: Mapping[str, Tensor], mine: Regions, theirs: Regions, feather: float = 1.0) -> None:
        sources = theirs.or_whole()
        self.weights, self.targets = [], []
        for level, factor, unity in zip(align.LEVELS, align.FACTORS, align.UNITY, strict=True):
            self.weights.append(mine.at(factor, max(1, round(feather * 4 / factor))))
            each, whole = (statistics(style[level], weights) for weights in (sources.at(factor), torch.ones_like(style[level][:, :1])))
            self.targets.append(tuple(torch.lerp(a, b.expand_as(a), unity) for a, b in zip(each, whole, strict=True)))

    def at(self, level: int, x: Tensor, strength: float = 1.0) -> Tensor:
        """`align.Alignment.at`."""
        strength *= align.STRENGTHS[level]
        weights, (to_mean, to_deviation) = self.weights[level], self.targets[level]
        mean, deviation = statistics(x, weights)
        if level == align.SHARED:
            centre, reach = spread(weights, mean), spread(weights, deviation * align.LIMIT)
            x = torch.lerp(x, centre + reach * torch.tanh((x - centre) / reach), strength)
            mean, deviation = statistics(x, weights)
        gain = (to_deviation / deviation).clamp(1 / align.MAX_GAIN, align.MAX_GAIN)
        shift = strength * (to_mean - mean * gain)
        return x * spread(weights, 1 + strength * (gain - 1)) + spread(weights, shift)

    def steps(self, content: Tensor, strength: float = 1.0) -> Sequence[Callable[[Tensor], Tensor]]:
        """`align.Alignment.steps`: what follows each stage of the decoder. content: relu3_1 (B, 256, h, w)."""

        def blend(x: Tensor) -> Tensor:
            return self.at(align.SHARED, align.blend(x, self.at(align.SHARED, content, strength)), strength)

        return [blend, partial(self.at, 2, strength=strength), partial(self.at, 3, strength=strength)]
