"""Pale and coloured rims along region borders, found and taken out of a finished picture.

Where a dark region meets a pale one, a painting may have a pale rim within the dark one that
neither picture has; it stays when convolutions see nothing beyond the border, so it is not only
what leaks across. So each region is measured along its border, piece by piece and by depth,
against its own inside nearby: in the content, in the style and in what was painted. Where the
painting is lighter than the content is at that place and depth, and than a share of what the
style is at that depth, it is moved back towards the colour of the inside by the excess, up to a
bound. Likewise where it is of another colour than the inside by more than both pictures are:
the glow of what lies beyond the border. Not where it is too dark: such a rim is seldom seen as
a fault, and lifting one lightens things that are thin and dark by right.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from scsa_core.backbones.base import Checkpoint, no_checkpoint
from scsa_core.backbones.borders import from_border
from scsa_core.boxes import box_mean
from scsa_core.colours import LUMA
from scsa_core.transfer import upload

EDGES = tuple(n / 512 for n in (0, 4, 8, 14, 22, 32, 46, 64, 84))  # of the classes of depth, as shares of the longer side
CLASSES = len(EDGES) - 1
INSIDES = 6, 4  # classes from which on a region counts as its own inside: the first that leaves enough of it
ENDS = 8, 6  # edges at which pale rims end, for each of these
END_OF_COLOUR = 5  # where coloured ones do: what drifts further in is a picture's own, as a sky's red above a horizon


def _fade(end: int) -> tuple[float, ...]:
    """How much of an excess counts, by class: no edge where it ends."""
    return tuple(max(0.0, min(1.0, (EDGES[end] - (a + b) / 2) / (0.4 * EDGES[end]))) for a, b in itertools.pairwise(EDGES))


FADES, FADE_OF_COLOUR = tuple(map(_fade, ENDS)), _fade(END_OF_COLOUR)
GRID = 64  # cells along the longer side: what is measured along a border changes no sooner
NEAR, FAR = 2, 8  # cells, twice: reach along the border, and of the inside that a piece of border is compared with
PRIOR = 0.02  # of a cell: what the whole inside counts, where none is near
TOLERANCE = 0.02  # of white: an excess below is nobody's fault
OF_COLOUR = 0.03  # likewise, of a difference in colour: the length of (R, G, B) less lightness
OF_STYLE = 0.25  # share of the style's own rise towards its borders that is allowed; of its drift in colour all is
MOST = 0.6  # of white: what is taken never reaches this
HUE = 2.0  # times the lightness: as far as a channel counts
CORE = 0.05  # least share of a region that must be its inside
LEAST = 0.01  # least share of the picture for a region
BLUR = 2  # pixels: regions that meet are not darkened with an edge between them
PIXELS = 1 << 19  # worked on at once

Groups = Sequence[tuple[tuple[int, ...], tuple[int, ...]]]
"""As `align.groups_of`: content ids with the style ids that they take after; none: the whole style."""


def luma(picture: Tensor) -> Tensor:
    """(..., 3, H, W) RGB -> (..., 1, H, W), Rec. 601."""
    red, green, blue = (picture[..., k : k + 1, :, :] for k in range(3))
    return (red * LUMA[0]).add_(green, alpha=LUMA[1]).add_(blue, alpha=LUMA[2])


def _length(colour: Tensor) -> Tensor:
    """Of differences, less their lightness: (..., 3, h, w) -> (..., h, w)."""
    return colour.square().sum(-3).sqrt()


@dataclass(frozen=True)
class Places:
    """Where a picture's regions lie, and how deep.

    at (H, W) float32: region × (CLASSES + 1) + depth in classes, from 0 at the border to CLASSES where EDGES
    end; -1 outside all that are measured. measured: regions that have a border and enough of an inside. inside: for
    each region, its number in INSIDES.
    """

    at: npt.NDArray[np.float32]
    measured: tuple[int, ...]
    inside: tuple[int, ...]


def places(labels: npt.NDArray[np.int64], regions: Sequence[tuple[int, ...]]) -> Places:
    """Of regions, each of one or more labels, no label in two. The picture's edge is no border."""
    outside = len(regions)
    numbers = np.full(int(labels.max()) + 1, outside, np.int32)
    for k, ids in enumerate(regions):
        numbers[[i for i in ids if i < len(numbers)]] = k
    where = numbers[labels]
    far = from_border(where)
    if far is None:
        return Places(np.full(where.shape, -1, np.float32), (), (0,) * outside)
    # A pixel's nearest border is its own region's: any other lies beyond that.
    depth = np.interp(far / max(where.shape), EDGES, np.arange(CLASSES + 1)).astype(np.float32)
    sizes = np.bincount(where.ravel(), minlength=outside + 1)[:outside]
    insides = np.array([np.bincount(where[depth >= first], minlength=outside + 1)[:outside] for first in INSIDES])
    enough = (insides > 0) & (insides >= CORE * sizes) & (sizes >= LEAST * where.size)
    measured = enough.any(0)
    known = np.append(measured, False)[where]
    at = np.where(known, where * (CLASSES + 1) + depth, -1).astype(np.float32)
    return Places(at, tuple(np.flatnonzero(measured).tolist()), tuple(enough.argmax(0).tolist()))


def _cells(shape: torch.Size) -> tuple[int, int, int]:
    """(side of a cell in pixels, rows, columns) of the grid over a picture (..., H, W)."""
    height, width = shape[-2:]
    side = -(-max(height, width) // GRID)
    return side, -(-height // side), -(-width // side)


def around(picture: Tensor, at: Tensor, inside: Sequence[int], checkpoint: Checkpoint = no_checkpoint) -> Tensor:
    """How much more a picture (1, C, H, W) has by depth than inside nearby, around each cell: (R, CLASSES, C, h, w).

    at, inside: of `Places`.
    """
    outer, middle = _outer_and_middle(picture, at, inside, checkpoint)
    blurred = _blurred(outer.flatten(0, 1), NEAR).view_as(outer)
    values, counts = blurred[:, :, :-1], blurred[:, :, -1:]
    return torch.where(counts > 1e-3, values / counts.clamp_min(1e-3) - middle, 0)


def all_along(picture: Tensor, at: Tensor, inside: Sequence[int], checkpoint: Checkpoint = no_checkpoint) -> Tensor:
    """`around` in the mean over a region's whole border: (R, CLASSES, C)."""
    outer, middle = _outer_and_middle(picture, at, inside, checkpoint)
    values, counts = outer[:, :, :-1], outer[:, :, -1:]
    return (values - counts * middle).sum((3, 4)) / counts.sum((3, 4)).clamp_min(1)


def _outer_and_middle(picture: Tensor, at: Tensor, inside: Sequence[int], checkpoint: Checkpoint) -> tuple[Tensor, Tensor]:
    """Sums and counts of the classes (R, CLASSES, C + 1, h, w), and the mean inside nearby (R, 1, C, h, w)."""
    sums = _collected(picture, at, len(inside), checkpoint)
    within = torch.stack([one[INSIDES[number] :].sum(0) for one, number in zip(sums, inside, strict=True)])  # (R, C + 1, h, w)
    all_of_it = within.sum((2, 3), keepdim=True)
    all_of_it = all_of_it / all_of_it[:, -1:].clamp_min(1)
    nearby = _blurred(within, FAR) + PRIOR * _cells(at.shape)[0] ** 2 * all_of_it
    return sums[:, :CLASSES], (nearby[:, :-1] / nearby[:, -1:].clamp_min(1e-6))[:, None]


def _collected(picture: Tensor, at: Tensor, regions: int, checkpoint: Checkpoint) -> Tensor:
    """Sums of the channels, and how many pixels: (R, CLASSES + 1, C + 1, h, w), the last class being all that is deeper."""
    side, rows, columns = _cells(at.shape)
    bins, channels = regions * (CLASSES + 1), picture.shape[1]
    total = at.new_zeros(bins * rows * columns + 1, channels + 1)  # the last one: no region's
    across = torch.arange(at.shape[1], device=at.device) // side
    step = max(1, PIXELS // at.shape[1])
    for first in range(0, at.shape[0], step):
        checkpoint()
        part = at[first : first + step]
        down = torch.arange(first, first + len(part), device=at.device) // side
        cell = down[:, None] * columns + across
        flat = torch.where(part < 0, bins * rows * columns, part.long() * (rows * columns) + cell)
        values = picture[0, :, first : first + step].float().permute(1, 2, 0).flatten(0, 1)
        total.index_add_(0, flat.flatten(), F.pad(values, (0, 1), value=1.0))
    return total[:-1].view(regions, CLASSES + 1, rows, columns, channels + 1).permute(0, 1, 4, 2, 3).contiguous()


def _blurred(x: Tensor, reach: int) -> Tensor:
    """`box_mean` twice, of many small (..., h, w): as matrix products, which are quicker there."""
    down, across = (_boxes(n, reach, x.device) for n in x.shape[-2:])
    return down @ x @ across.T


def _boxes(n: int, reach: int, device: torch.device) -> Tensor:
    """(n, n): each position's share in each twice blurred one."""
    seen = torch.arange(n, device=device)[:, None] + torch.arange(-reach, reach + 1, device=device)
    share = torch.full(seen.shape, 1 / seen.shape[1], device=device)
    once = torch.zeros(n, n, device=device).scatter_add_(1, seen.clamp(0, n - 1), share)
    return once @ once


@dataclass(frozen=True)
class Rims:
    """Where rims may be in a picture, and how pale and how coloured they may be there.

    at (H, W) float32: each pixel's region and depth (`Places`); near (n,) int64: the pixels that are not too deep.
    allowed (R, CLASSES, h, w): how much lighter than the inside nearby; coloured, likewise: how far from its colour.
    inside: as in `Places`.
    """

    at: Tensor
    near: Tensor
    allowed: Tensor
    coloured: Tensor
    inside: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        return self.at.nbytes + self.near.nbytes + self.allowed.nbytes + self.coloured.nbytes

    def excess(self, picture: Tensor, checkpoint: Checkpoint = no_checkpoint) -> Tensor:
        """Of (1, 3, H, W): what is to be taken of each channel, by region, class and cell (R, CLASSES, 3, h, w), saturating."""
        found = around(picture, self.at, self.inside, checkpoint)
        pale = self._pale(found)
        return pale + self._coloured(found - pale)

    def _pale(self, found: Tensor) -> Tensor:
        light = luma(found)
        over = (light - self.allowed[:, :, None]).clamp_min(0)
        fade = upload(torch.tensor([FADES[number] for number in self.inside]), over.device).view(-1, CLASSES, 1, 1, 1)
        bounded = MOST * (over / MOST).tanh() * fade
        return bounded * (found / light.clamp_min(TOLERANCE)).clamp(0, HUE)

    def _coloured(self, found: Tensor) -> Tensor:
        colour = found - luma(found)
        length = _length(colour)
        over = (length - self.coloured).clamp_min(0)
        fade = upload(torch.tensor(FADE_OF_COLOUR), over.device).view(CLASSES, 1, 1)
        bounded = MOST * (over / MOST).tanh() * fade
        return colour * (bounded / length.clamp_min(OF_COLOUR))[:, :, None]

    def without(self, picture: Tensor, strength: float = 1.0, checkpoint: Checkpoint = no_checkpoint) -> Tensor:
        """The picture (1, 3, H, W), written over, less its rims by `strength`, 0 to 1, towards the colour of what lies within."""
        over = self.excess(picture, checkpoint)
        if not over.is_cuda and not over.any():  # asking a GPU would mean waiting for it
            return picture
        volume = F.pad(over, (0, 0, 0, 0, 0, 0, 0, 1))  # beyond the last class: nothing
        volume = volume.flatten(0, 1).transpose(0, 1)[None]  # (1, 3, R (CLASSES + 1), h, w)
        taken = torch.zeros(3, self.at.numel(), device=over.device)
        for part in torch.split(self.near, PIXELS):
            checkpoint()
            grid = self._grid(part, volume.shape[2:])
            taken[:, part] = F.grid_sample(volume, grid, padding_mode="border", align_corners=False)[0, :, 0, 0]
        checkpoint()
        return picture.sub_(box_mean(taken.view(1, 3, *self.at.shape), BLUR).to(picture.dtype), alpha=strength)

    def _grid(self, pixels: Tensor, size: torch.Size) -> Tensor:
        """Where they lie in the volume, -1 to 1: (1, 1, 1, n, 3). Half a class from the border the first one's value holds."""
        at, width, (side, rows, columns) = self.at.flatten()[pixels], self.at.shape[1], _cells(self.at.shape)
        region = (at / (CLASSES + 1)).floor()
        depth = at - region * (CLASSES + 1)
        plane = region * (CLASSES + 1) + ((depth - 0.5) * (CLASSES / (CLASSES - 0.5))).clamp_min(0)
        places = (pixels % width, side * columns), (pixels // width, side * rows), (plane, size[0])
        return torch.stack([(2 * x + 1) / length - 1 for x, length in places], -1).float()[None, None, None]


def rims_allowed(
    content: Tensor,
    style: Tensor,
    content_labels: Tensor,
    style_labels: Tensor,
    groups: Groups,
    checkpoint: Checkpoint = no_checkpoint,
) -> Rims | None:
    """What rims a pair allows. Pictures (1, 3, H, W), labels (H, W) integer. None where no region has a border and an inside."""
    ours, theirs = content_labels.cpu().numpy(), style_labels.cpu().numpy()
    found = places(ours, [mine for mine, _ in groups])
    checkpoint()
    if not found.measured:
        return None
    at = upload(torch.from_numpy(found.at), content.device)
    own = around(content, at, found.inside, checkpoint)
    light = luma(own)
    allowed, coloured = light[:, :, 0].clamp_min(0), _length(own - light)
    for layer in _apart([(k, groups[k][1]) for k in found.measured if groups[k][1]]):
        checkpoint()
        there = places(theirs, [sources for _, sources in layer])
        whole = all_along(style, upload(torch.from_numpy(there.at), style.device), there.inside, checkpoint)[..., None, None]
        lighter = luma(whole)
        drift = _length(whole - lighter)
        for m in there.measured:
            k = layer[m][0]
            allowed[k] = torch.maximum(allowed[k], OF_STYLE * lighter[m, :, 0])
            coloured[k] = torch.maximum(coloured[k], drift[m])
    near = np.flatnonzero((found.at >= 0) & (found.at % (CLASSES + 1) < CLASSES))
    return Rims(at, upload(torch.from_numpy(near), content.device), allowed + TOLERANCE, coloured + OF_COLOUR, found.inside)


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
