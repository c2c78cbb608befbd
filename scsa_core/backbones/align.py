"""Region statistics at the decoder's finer layers: S-AdaIN with soft masks.

S-AdaIN before the attention sets a region's palette at relu4_1; what the decoder then
paints at relu3_1, 2_1 and 1_1 drifts towards its training pictures' average. Aligning
those layers' region means and deviations with the style's keeps colour and contrast.
Masks are soft at region borders, so no seam appears at full resolution.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from scsa_core.attention import Links

LEVELS = ("relu3_1", "relu2_1", "relu1_1")
FACTORS = (4, 2, 1)  # picture pixels per token of each level
MAX_GAIN = 4.0  # a flat content region must not have its noise blown up
EPS = 1e-4


@dataclass(frozen=True)
class Moments:
    """Per region: mean and deviation, each (R, C)."""

    mean: Tensor
    deviation: Tensor

    @property
    def nbytes(self) -> int:
        return self.mean.nbytes + self.deviation.nbytes


def masks(labels: Tensor, regions: Sequence[Sequence[int]], factor: int, feather: int = 0) -> Tensor:
    """Share of each cell that each region group covers: (H, W) integer -> (R, H/f, W/f) float.

    feather: width in cells over which borders are blended (0: area shares only).
    """
    groups = [torch.isin(labels, torch.tensor(list(g), dtype=labels.dtype)).float() for g in regions]
    out = torch.stack(groups)[None]
    if factor > 1:
        out = F.avg_pool2d(out, factor)
    if feather > 0:
        width = 2 * feather + 1
        for _ in range(2):  # twice a box is nearly a triangle: no visible edge
            out = F.avg_pool2d(F.pad(out, (feather,) * 4, mode="replicate"), width, stride=1)
    return out[0]


def moments(x: Tensor, weights: Tensor) -> Moments:
    """Weighted moments of features (C, H, W) for masks (R, H, W)."""
    w = weights.flatten(1)  # (R, N)
    f = x.flatten(1).float().T  # (N, C)
    total = w.sum(1, keepdim=True).clamp_min(1e-6)
    centre = f.mean(0)  # squares of centred values cancel less
    f = f - centre
    mean = (w @ f) / total
    variance = (w @ f.square()) / total - mean.square()
    return Moments(mean + centre, (variance.clamp_min(0) + EPS).sqrt())


def align(x: Tensor, weights: Tensor, target: Moments, strength: float = 1.0) -> Tensor:
    """Give each region of x (1, C, H, W) the target's moments. weights (R, H, W) sum to 1 over R."""
    own = moments(x[0], weights)
    gain = (target.deviation / own.deviation).clamp(1 / MAX_GAIN, MAX_GAIN)  # (R, C)
    shift = target.mean - own.mean * gain
    if strength != 1.0:
        gain, shift = 1 + strength * (gain - 1), strength * shift
    w = weights.flatten(1).T  # (N, R)
    shape = (*x.shape[-2:], x.shape[1])
    scale, offset = (w @ gain).view(shape), (w @ shift).view(shape)
    return x * scale.permute(2, 0, 1) + offset.permute(2, 0, 1)


@dataclass(frozen=True)
class Alignment:
    """Everything the decoder's three levels need: content masks and style moments per level."""

    weights: tuple[Tensor, ...]
    targets: tuple[Moments, ...]

    @property
    def nbytes(self) -> int:
        return sum(w.nbytes for w in self.weights) + sum(t.nbytes for t in self.targets)

    def at(self, level: int, x: Tensor, strength: float = 1.0) -> Tensor:
        return align(x, self.weights[level], self.targets[level], strength)


def groups_of(content_labels: Tensor, style_labels: Tensor, links: Links | None) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """(content ids, style ids) that belong together; an empty style tuple means the whole style picture."""
    present = set(torch.unique(style_labels).tolist())
    out: dict[tuple[int, ...], list[int]] = {}
    for region in torch.unique(content_labels).tolist():
        sources = tuple(sorted(present.intersection((links or {}).get(region, (region,)))))
        out.setdefault(sources or (-1, region), []).append(region)
    return [(tuple(v), () if k[0] == -1 else k) for k, v in out.items()]


def build(
    style: Mapping[str, Tensor],
    content_labels: Tensor,
    style_labels: Tensor,
    links: Links | None = None,
    feather: float = 1.0,
) -> Alignment:
    """Masks from labels at picture resolution (multiples of 8), moments from the style's taps (1, C, h, w)."""
    groups = groups_of(content_labels, style_labels, links)
    everything = torch.unique(style_labels).tolist()
    sources = [s or tuple(everything) for _, s in groups]
    weights, targets = [], []
    for level, factor in zip(LEVELS, FACTORS, strict=True):
        blur = round(feather * 4 / factor) if feather else 0
        weights.append(masks(content_labels, [c for c, _ in groups], factor, blur))
        targets.append(moments(style[level][0], masks(style_labels, sources, factor)))
    return Alignment(tuple(weights), tuple(targets))
