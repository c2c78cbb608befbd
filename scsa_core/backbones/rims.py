"""Pale rims along region borders, found and taken out of a finished picture.

A decoder sees some twenty pixels around each of its own; near a border what it paints there
leans on the other side. Where a dark region meets a pale one this may show as a pale rim
within the dark one that neither picture has. Each region's lightness is therefore measured
by distance from the region's border, in the content, in the style and in what was painted:
where the painting is lighter at some depth, against the region's own middle, than both
pictures are at that depth, it is darkened by the excess, up to a bound. Where it rises more
steeply towards the border than both do, the bound is wider: a painter's sky may well be pale
all the way down to the roofs, but not only along them. Only that: a rim that
is too dark is seldom seen as a fault, and lifting one lightens things that are thin and dark
by right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from scsa_core.backbones.base import Checkpoint, no_checkpoint
from scsa_core.boxes import box_mean
from scsa_core.colours import LUMA
from scsa_core.transfer import upload

REACH = 0.09  # of the longer side: as far from a border as its rim may reach
BINS = 24  # depths that are told apart, within REACH
STEPS = 8  # finer depths a bin is read at, or bands would be seen
TOLERANCE = 0.015  # of white: an excess below is nobody's fault
MOST = 0.1  # of white: what is taken never reaches this, or gradients that a painting means are flattened too
APART = BINS // 2  # bins: how far within a steep rim is compared
STEEP_MOST = 0.25  # of white: what is taken of a steep rim never reaches this; nothing that is meant rises so much in so little
STEEP_FADE = 0.5  # share of APART
FADE = 0.25  # share of REACH, at its inner end, over which what is taken fades to nothing
CORE = 0.2  # least share of a region that must lie deeper than REACH: else it has no middle
LEAST = 1 / 640  # least share of the picture for that middle
BLUR = 3  # pixels: regions that meet are not darkened with an edge between them

Groups = Sequence[tuple[tuple[int, ...], tuple[int, ...]]]
"""As `align.groups_of`: content ids with the style ids that they take after; none: the whole style."""


def luma(picture: Tensor) -> Tensor:
    """(1, 3, H, W) RGB -> (1, 1, H, W), Rec. 601."""
    red, green, blue = (picture[:, k : k + 1] for k in range(3))
    return (red * LUMA[0]).add_(green, alpha=LUMA[1]).add_(blue, alpha=LUMA[2])


@dataclass(frozen=True)
class Depths:
    """Where a picture's regions lie, and how deep.

    index (H, W) int32: region × (BINS·STEPS + 1) + depth in steps, the last one for the middle;
    regions × (BINS·STEPS + 1) outside all. measured: regions that have a border, and enough of a middle.
    """

    index: npt.NDArray[np.int32]
    measured: tuple[int, ...]


def depths(labels: npt.NDArray[np.int64], regions: Sequence[tuple[int, ...]]) -> Depths:
    """Of regions, each of one or more labels, no label in two. The picture's edge is no border."""
    outside, full = len(regions), BINS * STEPS
    numbers = np.full(int(labels.max()) + 1, outside, np.int32)
    for k, ids in enumerate(regions):
        numbers[[i for i in ids if i < len(numbers)]] = k
    where = numbers[labels]
    inner = np.ones(where.shape, np.uint8)
    for one, other in ((np.s_[:, 1:], np.s_[:, :-1]), (np.s_[1:], np.s_[:-1])):
        differ = where[one] != where[other]
        inner[one][differ] = inner[other][differ] = 0
    if inner.all():
        return Depths(np.full(where.shape, outside * (full + 1), np.int32), ())
    # A pixel's nearest border is its own region's: any other lies beyond that.
    far = cv2.distanceTransform(inner, cv2.DIST_L2, 5)
    steps = np.minimum(far * (full / (REACH * max(where.shape))), full).astype(np.int32)
    sizes = np.bincount(where.ravel(), minlength=outside + 1)[:outside]
    middles = np.bincount(where[steps == full], minlength=outside + 1)[:outside]
    enough = (middles > 0) & (middles >= np.maximum(CORE * sizes, LEAST * where.size))
    known = np.append(enough, False)[where]
    index = np.where(known, where * (full + 1) + steps, outside * (full + 1)).astype(np.int32)
    return Depths(index, tuple(np.flatnonzero(enough).tolist()))


def profiles(light: Tensor, index: Tensor, regions: int) -> Tensor:
    """Mean lightness by bin of depth, less that of the middle: (H, W), indices into regions × (BINS·STEPS + 1) -> (regions, BINS) float64.

    Index regions × (BINS·STEPS + 1): no region's. A bin that holds nothing has its neighbours' mean, or 0.
    """
    width = BINS * STEPS + 1
    flat, values = index.flatten(), light.flatten().double()

    def collected(x: Tensor) -> Tensor:  # torch.bincount would make the processor wait for a GPU
        return x.new_zeros(regions * width + 1).index_add_(0, flat, x)[:-1].view(regions, width)

    sums, counts = collected(values), collected(torch.ones_like(values))
    middle = sums[:, -1:] / counts[:, -1:].clamp_min(1)
    near_sums, near = (_smooth(x[:, :-1].view(regions, BINS, STEPS).sum(-1)) for x in (sums, counts))
    return torch.where(near > 0, near_sums / near.clamp_min(1e-9) - middle, 0)


def _smooth(x: Tensor) -> Tensor:
    """(R, BINS): each bin with half as much of both its neighbours."""
    before, after = torch.cat([x[:, :1], x[:, :-1]], 1), torch.cat([x[:, 1:], x[:, -1:]], 1)
    return 0.25 * before + 0.5 * x + 0.25 * after


def rises(profile: Tensor) -> Tensor:
    """(R, BINS) -> (R, APART): how much lighter each outer depth is than what lies APART bins deeper, from 0."""
    return (profile[:, :APART] - profile[:, APART:]).clamp_min(0)


def _bounded(over: Tensor, most: float, fade: float) -> Tensor:
    """(R, bins): at least 0, nearing `most`, and fading to nothing over that share of the bins at their inner end."""
    bins = over.shape[1]
    depths = (torch.arange(bins, dtype=over.dtype, device=over.device) + 0.5) / bins
    return most * (over.clamp_min(0) / most).tanh() * ((1 - depths) / fade).clamp(0, 1)


@dataclass(frozen=True)
class Rims:
    """index (H, W) int32: each pixel's region and depth (`profiles`).

    allowed (regions, BINS), steep (regions, APART) float64: how much lighter it may be than its middle, and than what
    lies APART bins deeper.
    """

    index: Tensor
    allowed: Tensor
    steep: Tensor

    @property
    def nbytes(self) -> int:
        return self.index.nbytes + self.allowed.nbytes + self.steep.nbytes

    def excess(self, light: Tensor) -> Tensor:
        """(H, W) lightness -> (regions, BINS) float64 from 0: how much lighter it is at each depth than allowed, saturating."""
        found = profiles(light, self.index, len(self.allowed))
        over = _bounded(found - self.allowed, MOST, FADE)
        outer, inner = (found - over).chunk(2, 1)
        rise = outer - inner - inner.clamp_min(0)  # a gradient goes on rising within
        over[:, :APART] += _bounded(rise - self.steep, STEEP_MOST, STEEP_FADE)
        return over

    def without(self, picture: Tensor, strength: float = 1.0, checkpoint: Checkpoint = no_checkpoint) -> Tensor:
        """The picture (1, 3, H, W), written over, less its rims by `strength`, 0 to 1: all three channels by the same, so hues stay."""
        checkpoint()
        over = self.excess(luma(picture)[0, 0])
        if not over.is_cuda and not over.any():  # asking a GPU would mean waiting for it
            return picture
        checkpoint()
        fine = torch.nn.functional.interpolate(over[:, None], scale_factor=STEPS, mode="linear", align_corners=False)[:, 0]
        table = torch.nn.functional.pad(fine, (0, 1)).flatten()  # the middle: nothing
        table = torch.nn.functional.pad(table, (0, 1)).float()  # no region: nothing
        taken = table.index_select(0, self.index.flatten()).view(1, 1, *self.index.shape)
        checkpoint()
        return picture.sub_(box_mean(taken, BLUR).to(picture.dtype), alpha=strength)


def rims_allowed(
    content: Tensor,
    style: Tensor,
    content_labels: Tensor,
    style_labels: Tensor,
    groups: Groups,
    checkpoint: Checkpoint = no_checkpoint,
) -> Rims | None:
    """What rims a pair allows. Lightness (1, 1, H, W), labels (H, W) integer. None where no region has a border and a middle."""
    ours, theirs = content_labels.cpu().numpy(), style_labels.cpu().numpy()
    found = depths(ours, [mine for mine, _ in groups])
    checkpoint()
    if not found.measured:
        return None
    index = upload(torch.from_numpy(found.index), content.device)
    of_content = profiles(content[0, 0], index, len(groups))
    allowed, steep = of_content.clamp_min(0), rises(of_content)
    for layer in _apart([(k, groups[k][1]) for k in found.measured if groups[k][1]]):
        checkpoint()
        there = depths(theirs, [sources for _, sources in layer])
        of_style = profiles(style[0, 0], upload(torch.from_numpy(there.index), style.device), len(layer))
        steep_in_style = rises(of_style)
        for m in there.measured:
            k = layer[m][0]
            allowed[k] = torch.maximum(allowed[k], of_style[m])
            steep[k] = torch.maximum(steep[k], steep_in_style[m])
    return Rims(index, allowed + TOLERANCE, steep + TOLERANCE)


def _apart(sources: Sequence[tuple[int, tuple[int, ...]]]) -> list[list[tuple[int, tuple[int, ...]]]]:
    """(content group, style ids) in layers within which no id comes twice: nearly always one."""
    layers: list[list[tuple[int, tuple[int, ...]]]] = []
    for one in sources:
        for layer in layers:
            if all(set(one[1]).isdisjoint(ids) for _, ids in layer):
                layer.append(one)
                break
        else:
            layers.append([one])
    return layers
