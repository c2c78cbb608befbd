"""Region statistics on the way through the decoder: S-AdaIN with soft masks.

S-AdaIN before the attention sets a region's palette at relu4_1; the weighted sum that
follows it averages features and so flattens them, and what the decoder then paints at
relu3_1, 2_1 and 1_1 drifts towards its training pictures' average. Aligning region means
and deviations with the style's at each of these layers keeps colour and contrast.
Masks are soft at region borders, so no seam appears at full resolution.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from scsa_core.attention import Links
from scsa_core.backbones.base import Checkpoint, no_checkpoint
from scsa_core.boxes import box_mean
from scsa_core.counting import present
from scsa_core.parts import Parts
from scsa_core.transfer import upload

LEVELS = ("relu4_1", "relu3_1", "relu2_1", "relu1_1")  # the decoder's input and what its stages stand for
FACTORS = (8, 4, 2, 1)  # picture pixels per token of each level
SHARED = 1  # the level that takes a share of the content's own layer
MAX_GAIN = 3.0  # a flat content region must not have its noise blown up
EPS = 1e-4
NUMBERS = 1 << 19  # worked on at once: 2 MB
GPU_NUMBERS = 1 << 26  # there every launch costs, and 256 MB do not
TOGETHER = 4  # regions summed at once
SAMPLE = 1 << 13  # positions that a mean is guessed from
LIMIT = 2.0  # deviations: what is rarer at relu3_1 is squeezed
DETAIL = 0.4  # share of the content's own relu3_1: edges and faces survive, palette and grain stay the style's
STRENGTHS = (1.0, 0.4, 1.0, 1.0)  # how far statistics move at each level: at relu3_1 less, where the relations between places are
UNITY = (0.0, 0.0, 0.0, 0.05)  # share of the whole style in a region's targets, by level: less of the content's own order is lost


@dataclass(frozen=True)
class Moments:
    """Per region: mean and deviation, each (R, C)."""

    mean: Tensor
    deviation: Tensor

    @property
    def nbytes(self) -> int:
        return self.mean.nbytes + self.deviation.nbytes


def masks(
    labels: Tensor, regions: Sequence[Sequence[int]], factor: int, feather: int = 0, checkpoint: Checkpoint = no_checkpoint
) -> Tensor:
    """Share of each cell that each region group covers: (H, W) integer -> (R, H/f, W/f) float.

    feather: width in cells over which borders are blended (0: area shares only).
    """
    if labels.is_cuda:  # every launch costs
        return _shares(labels, regions, factor, feather, checkpoint)
    out = torch.empty(len(regions), labels.shape[0] // factor, labels.shape[1] // factor)
    for group, result in zip(regions, out, strict=True):
        checkpoint()
        result.copy_(_shares(labels, [group], factor, feather, checkpoint)[0])
    return out


def _shares(labels: Tensor, regions: Sequence[Sequence[int]], factor: int, feather: int, checkpoint: Checkpoint) -> Tensor:
    """`masks`, all groups at once."""
    mask = torch.stack([torch.stack([labels == r for r in group]).any(0) for group in regions]).float()
    if factor > 1:
        mask = F.avg_pool2d(mask, factor)
    if feather <= 0:
        return mask
    for _ in range(2):  # twice a box is nearly a triangle: no visible edge
        checkpoint()
        mask = box_mean(mask, feather)
    return mask


def moments(x: Tensor, weights: Tensor, checkpoint: Checkpoint = no_checkpoint) -> Moments:
    """Weighted moments of features (C, H, W) for masks (R, H, W)."""
    f = _positions(x)  # (N, C)
    w = F.pad(weights.flatten(1), (0, 0, 0, -len(weights) % TOGETHER))  # (R and what fills up, N)
    total = w.sum(1, keepdim=True).clamp_min(1e-6)
    centre = f[:: max(1, len(f) // SAMPLE)].float().mean(0)  # squares of centred values cancel less
    sums = squares = torch.zeros(len(w), f.shape[1], device=x.device)
    for part in _parts(f):
        checkpoint()
        g = f[part].float() - centre
        sums = sums + _products(w[:, part], g)
        squares = squares + _products(w[:, part], g.square())
    mean = (sums / total)[: len(weights)]
    variance = (squares / total)[: len(weights)] - mean.square()
    return Moments(mean + centre, (variance.clamp_min(0) + EPS).sqrt())


def _products(w: Tensor, g: Tensor) -> Tensor:
    """(R, n) by (n, C), a few rows at a time: a row's sum is then the same to the last bit beside whatever others it stands."""
    return torch.cat([rows @ g for rows in torch.split(w, TOGETHER)])


def _positions(x: Tensor) -> Tensor:
    """(C, H, W) -> (N, C): no copy where channels lie last."""
    return x.permute(1, 2, 0).reshape(-1, x.shape[0])


def _parts(f: Tensor) -> Iterator[slice]:
    """Rows of f in pieces that stay in a core's cache and keep what a picture of any size needs small."""
    step = max(1, (GPU_NUMBERS if f.is_cuda else NUMBERS) // f.shape[1])
    return (slice(k, k + step) for k in range(0, len(f), step))


def _each_part(
    x: Tensor, weights: Tensor, change: Callable[[Tensor, Tensor, Tensor | None], Tensor], own: bool, checkpoint: Checkpoint
) -> Tensor:
    """x (1, C, H, W) with `change` applied to its positions (n, C) and their weights (n, R), piece by piece.

    change: also told where to write, if anywhere; that may be what it reads. own: whether x may be written over.
    """
    f, w = _positions(x[0]), weights.flatten(1).T
    if torch.is_grad_enabled() and x.requires_grad:
        out = torch.cat([change(f[part], w[part], None) for part in _parts(f)])
    else:
        out = f if own else torch.empty_like(f, memory_format=torch.contiguous_format)
        for part in _parts(f):
            checkpoint()
            change(f[part], w[part], out[part])
    return out.view(1, *x.shape[2:], x.shape[1]).permute(0, 3, 1, 2)


def squeeze(
    x: Tensor, weights: Tensor, moments: Moments, strength: float = 1.0, *, own: bool = False, checkpoint: Checkpoint = no_checkpoint
) -> Tensor:
    """Bound how far x (1, C, H, W) leaves its region's mean, smoothly, to LIMIT deviations; by `strength` of the way.

    In a flat region the only strong responses are those of its border; raised to the
    style's contrast they would be a pale halo around everything that stands before a sky.
    own: whether x may be written over.
    """
    limit = moments.deviation * LIMIT

    def bounded(f: Tensor, w: Tensor, out: Tensor | None) -> Tensor:
        mean, reach = w @ moments.mean, w @ limit
        if out is None:
            return torch.lerp(f, mean + reach * torch.tanh((f - mean) / reach), strength)
        inside = (f - mean).div_(reach).tanh_()
        return torch.lerp(f, torch.addcmul(mean, reach, inside, out=mean), strength, out=out)

    return _each_part(x, weights, bounded, own, checkpoint)


def align(
    x: Tensor,
    weights: Tensor,
    target: Moments,
    strength: float = 1.0,
    *,
    squeezed: bool = False,
    own: bool = False,
    checkpoint: Checkpoint = no_checkpoint,
) -> Tensor:
    """Give each region of x (1, C, H, W) the target's moments. weights (R, H, W) sum to 1 over R.

    own: whether x may be written over.
    """
    now = moments(x[0], weights, checkpoint)
    if squeezed:
        x, own = squeeze(x, weights, now, strength, own=own, checkpoint=checkpoint), True
        now = moments(x[0], weights, checkpoint)
    gain = (target.deviation / now.deviation).clamp(1 / MAX_GAIN, MAX_GAIN)  # (R, C)
    shift = target.mean - now.mean * gain
    if strength != 1.0:
        gain, shift = 1 + strength * (gain - 1), strength * shift
    return _each_part(x, weights, lambda f, w, out: torch.addcmul(w @ shift, f, w @ gain, out=out), own, checkpoint)


def blend(x: Tensor, content: Tensor) -> Tensor:
    """x and the content's layer of the same shape, by DETAIL."""
    return torch.lerp(x, content, DETAIL)


@dataclass(frozen=True)
class Targets:
    """Of one region of a style: its moments at every level, (1, C) each."""

    levels: tuple[Moments, ...]

    @property
    def nbytes(self) -> int:
        return sum(m.nbytes for m in self.levels)


@dataclass(frozen=True)
class Alignment:
    """Everything that the levels need: content masks and style moments per level."""

    weights: tuple[Tensor, ...]
    targets: tuple[Moments, ...]

    @property
    def nbytes(self) -> int:
        return sum(w.nbytes for w in self.weights) + sum(t.nbytes for t in self.targets)

    def resized(self, height: int, width: int) -> Alignment:
        """The same for a smaller picture of so many pixels, multiples of 8: every cell's shares are means of those it covers."""
        weights = (F.adaptive_avg_pool2d(w, (height // f, width // f)) for w, f in zip(self.weights, FACTORS, strict=True))
        return replace(self, weights=tuple(weights))

    def at(
        self, level: int, x: Tensor, strength: float = 1.0, *, own: bool = False, checkpoint: Checkpoint = no_checkpoint
    ) -> Tensor:
        """x (1, C, H, W) with the style's moments, by `strength` (0 to 1) of the level's own share of the way.

        own: whether x may be written over, which saves a picture's worth of memory.
        """
        share = STRENGTHS[level] * strength
        squeezed = level == SHARED
        return align(x, self.weights[level], self.targets[level], share, squeezed=squeezed, own=own, checkpoint=checkpoint)

    def blend(self, x: Tensor, aligned: Tensor, strength: float = 1.0, checkpoint: Checkpoint = no_checkpoint) -> Tensor:
        """The level SHARED with a share of the content's own layer. aligned: that layer after it too took the style's statistics."""
        return self.at(SHARED, blend(x, aligned), strength, own=True, checkpoint=checkpoint)

    def steps(self, content: Tensor) -> list[Callable[[Tensor], Tensor]]:
        """What follows each stage of the decoder. content: relu3_1 (1, 256, h, w)."""
        return [partial(self.blend, aligned=self.at(SHARED, content)), partial(self.at, 2), partial(self.at, 3)]


def groups_of(content_labels: Tensor, style_labels: Tensor, links: Links | None) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """(content ids, style ids) that belong together; an empty style tuple means the whole style picture."""
    there = set(present(style_labels).tolist())
    out: dict[tuple[int, ...], list[int]] = {}
    for region in present(content_labels).tolist():
        sources = tuple(sorted(there.intersection((links or {}).get(region, (region,)))))
        out.setdefault(sources or (-1, region), []).append(region)
    return [(tuple(v), () if k[0] == -1 else k) for k, v in out.items()]


def build(
    style: Callable[[str], Tensor],
    content_labels: Tensor,
    style_labels: Tensor,
    links: Links | None = None,
    feather: float = 1.0,
    checkpoint: Checkpoint = no_checkpoint,
    parts: Parts | None = None,
) -> Alignment:
    """Masks from labels at picture resolution (multiples of 8), moments from the style's taps.

    style: gives its layer (1, C, h, w) by name, and is asked for the finest only where a region's moments are not known yet.

    A region's moments are mixed with the whole style's by UNITY: regions that are moved apart
    entirely lose more of what related them in the content than their style gains.
    parts: where moments of the style's regions may be found, and are left.
    """
    groups = groups_of(content_labels, style_labels, links)
    everything = present(style_labels).tolist()
    sources = [s or tuple(everything) for _, s in groups]
    found = _targets(style, style_labels, [*sources, tuple(everything)], checkpoint, parts or Parts())
    targets = tuple(_in_unity(m, share) for m, share in zip(found, UNITY, strict=True))
    content_labels = upload(content_labels, style(LEVELS[0]).device)
    weights = []
    for factor in FACTORS:
        blur = max(1, round(feather * 4 / factor)) if feather else 0
        weights.append(masks(content_labels, [c for c, _ in groups], factor, blur, checkpoint))
    return Alignment(tuple(weights), targets)


def _in_unity(m: Moments, share: float) -> Moments:
    """The moments of all regions but the last, which is the whole, with a share of the whole's."""
    return Moments(*(torch.lerp(x[:-1], x[-1:].expand_as(x[:-1]), share) for x in (m.mean, m.deviation)))


def _targets(
    style: Callable[[str], Tensor], labels: Tensor, sources: Sequence[tuple[int, ...]], checkpoint: Checkpoint, parts: Parts
) -> tuple[Moments, ...]:
    """By level, the moments of every region of the style; only those are worked out that are not among the parts."""
    places = [np.packbits(np.isin(labels.cpu().numpy(), group)).tobytes() for group in sources]
    found = {place: parts.get(Targets, "style", tuple(labels.shape), place) for place in places}
    missing = {place: group for place, group in zip(places, sources, strict=True) if found[place] is None}
    if missing:
        there = upload(labels, style(LEVELS[0]).device)
        made = []
        for level, factor in zip(LEVELS, FACTORS, strict=True):
            inside = masks(there, list(missing.values()), factor, checkpoint=checkpoint)
            made.append(moments(style(level)[0], inside, checkpoint))
        for k, place in enumerate(missing):
            new = Targets(tuple(Moments(m.mean[k : k + 1].clone(), m.deviation[k : k + 1].clone()) for m in made))
            found[place] = new
            parts.put(new, "style", tuple(labels.shape), place)
    levels = zip(*(t.levels for t in (found[place] for place in places) if t is not None), strict=True)
    return tuple(Moments(torch.cat([m.mean for m in of]), torch.cat([m.deviation for m in of])) for of in levels)
