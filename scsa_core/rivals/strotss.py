"""STROTSS with region guidance: the picture itself is optimised, coarse to fine.

Kolkin, Salavon, Shakhnarovich, *Style Transfer by Relaxed Optimal Transport and
Self-Similarity* (CVPR 2019, arXiv 1904.12785), sections 2 and 2.5. On VGG-16 with divided
taps (`VGG16_DIVISORS`), so that the moment term is of order 1; regions are
weighted by content area by default where the authors' code takes the plain mean.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from scsa_core.attention import Links
from scsa_core.backbones.base import Checkpoint, no_checkpoint
from scsa_core.backbones.level import grid_labels
from scsa_core.backbones.vgg import ConvStack
from scsa_core.rivals.strotss_loss import StyleSet, region_loss

TAPS = ("relu1_1", "relu1_2", "relu2_1", "relu2_2", "relu3_1", "relu3_2", "relu3_3", "relu4_3", "relu5_3")
BANDS = 5
FEWEST = 64  # positions: a smaller region joins its largest neighbour for that scale
FEWEST_DRAWN = 256
SHORTEST = 32  # pixels: sides of the first scale, so that the deepest layer still has two rows


@dataclass(frozen=True)
class Settings:
    """steps, rate: of each scale; last_rate at the last. positions: drawn a step. style_set: drawn a scale.

    per: what these two numbers are for. "region" is the paper's; "picture" divides them
    among the regions by area, never below FEWEST_DRAWN, so that the time does not grow
    with the number of regions. content_weight: w of the paper, 0.25 to 2. search: number
    format in which nearest style columns are looked for.
    """

    steps: int = 200
    rate: float = 2e-3
    last_rate: float = 1e-3
    positions: int = 1024
    style_set: int = 5000
    content_weight: float = 1.0
    per: Literal["picture", "region"] = "picture"
    region_weight: Literal["area", "equal"] = "area"
    seed: int = 0
    preview_every: int = 10
    search: torch.dtype = torch.float32


@dataclass(frozen=True)
class _Region:
    """Positions (n, 2) of (row, column) in the content, how many are drawn a step, its weight, and its style."""

    positions: Tensor
    drawn: int
    weight: float
    style: StyleSet


def scales(size: int) -> list[int]:
    """Long sides from 64 doubling up to `size`, without a last step under 1.3."""
    sides = [64]
    while sides[-1] * 2 < size:
        sides.append(sides[-1] * 2)
    if size / sides[-1] < 1.3:
        sides.pop()
    return [*sides, size]


def stylize(
    network: ConvStack,
    content: Tensor,
    style: Tensor,
    content_labels: Tensor | None = None,
    style_labels: Tensor | None = None,
    links: Links | None = None,
    settings: Settings | None = None,
    checkpoint: Checkpoint = no_checkpoint,
) -> Tensor:
    """(1, 3, H, W) content and style in 0..1 -> (1, 3, H, W) in 0..1.

    Labels (H, W) and (H', W') integer, or both absent: one region. A region without a
    counterpart takes the whole style picture.
    """
    settings = settings or Settings()
    generator = torch.Generator().manual_seed(settings.seed)
    labels = [
        torch.zeros(x.shape[-2:], dtype=torch.long) if m is None else m.cpu()
        for x, m in ((content, content_labels), (style, style_labels))
    ]
    sides = scales(max(content.shape[-2:]))
    done, total = 0.0, sum(_cost(side) for side in sides) * settings.steps
    picture = torch.empty(0)
    with torch.inference_mode(False), torch.enable_grad():
        content, style = content.clone(), style.clone()  # tensors of inference mode take no part in gradients
        for k, side in enumerate(sides):
            last = side == sides[-1]
            small, small_style = _to_side(content, side), _to_side(style, side)
            bands = small - _up(_down(small), small)
            if k == 0:
                picture = style.mean((2, 3), keepdim=True) + bands
            elif last:
                picture = _up(picture, small)
            else:
                picture = _up(picture, small) + bands
            grids = [grid_labels(m, *x.shape[-2:]) for m, x in zip(labels, (small, small_style), strict=True)]
            alpha = 16.0 * settings.content_weight / 2**k
            rate = settings.last_rate if last else settings.rate

            def report(step: int, now: Tensor, before: float = done, side: int = side) -> None:
                shown = _up(now, content).clamp(0, 1) if step % settings.preview_every == 0 else None
                checkpoint((before + step * _cost(side)) / total, shown)

            picture = _optimise(network, picture, small, small_style, grids, links, alpha, rate, settings, generator, report)
            done += settings.steps * _cost(side)
    return picture.clamp(0, 1)


def _cost(side: int) -> float:
    """Of a step, in arbitrary units: the losses cost the same at every size, the network by area (measured)."""
    return 200.0**2 + side**2


def _optimise(
    network: ConvStack,
    start: Tensor,
    content: Tensor,
    style: Tensor,
    grids: list[Tensor],
    links: Links | None,
    alpha: float,
    rate: float,
    settings: Settings,
    generator: torch.Generator,
    report: Callable[[int, Tensor], None],
) -> Tensor:
    """One scale."""
    with torch.no_grad():
        of_content = features(network, content)
        regions = _regions(features(network, style), grids[0], grids[1], links, settings, generator)
    pyramid = [band.requires_grad_(True) for band in decompose(start)]
    optimiser = torch.optim.RMSprop(pyramid, lr=rate, alpha=0.99, eps=1e-8)
    picture = start
    for step in range(settings.steps):
        report(step, picture.detach())
        optimiser.zero_grad()
        picture = compose(pyramid)
        of_picture = features(network, picture)
        loss = picture.new_zeros(())
        for region in regions:
            at = region.positions
            if len(at) > region.drawn:
                at = at[torch.randperm(len(at), generator=generator)[: region.drawn]]
            at = at.to(picture.device)
            x, y = (hypercolumns(f, at) for f in (of_picture, of_content))
            loss = loss + region.weight * region_loss(x, y, region.style, alpha)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    return compose(pyramid).detach()


def features(network: ConvStack, picture: Tensor) -> list[Tensor]:
    """The picture itself and its taps, finest first: each (1, C, h, w)."""
    dtype = next(network.parameters()).dtype
    taps = network(picture.to(dtype).contiguous(memory_format=torch.channels_last), TAPS)
    return [picture, *(taps[name] for name in TAPS if name in taps)]


def hypercolumns(maps: list[Tensor], at: Tensor, mode: str = "bilinear") -> Tensor:
    """Values of all maps at positions (n, 2) of (row, column) in the first map's pixels: (n, C) float32."""
    height, width = maps[0].shape[-2:]
    centre = (at.float() + 0.5) / torch.tensor([height, width], device=at.device) * 2 - 1
    grid = centre.flip(1)[None, None]  # (1, 1, n, 2) of (x, y)
    found = [F.grid_sample(m.float(), grid, mode=mode, padding_mode="border", align_corners=False) for m in maps]
    return torch.cat([f[0, :, 0].T for f in found], 1)


def _regions(
    style: list[Tensor], content_grid: Tensor, style_grid: Tensor, links: Links | None, settings: Settings, generator: torch.Generator
) -> list[_Region]:
    merged = join_small(content_grid.numpy())
    there = set(torch.unique(style_grid).tolist())
    found = []
    regions = len(np.unique(merged))
    for region in np.unique(merged).tolist():
        sources = sorted(there.intersection((links or {}).get(region, (region,)))) or sorted(there)
        at = torch.isin(style_grid, torch.tensor(sources)).nonzero()
        share = float((merged == region).mean())
        part = share if settings.per == "picture" else 1.0
        drawn, kept = (max(FEWEST_DRAWN, round(n * part)) for n in (settings.positions, settings.style_set))
        if len(at) > kept:
            at = at[torch.randperm(len(at), generator=generator)[:kept]]
        columns = hypercolumns(style, at.to(style[0].device), "nearest")
        positions = torch.from_numpy(np.argwhere(merged == region))
        weight = share if settings.region_weight == "area" else 1 / regions
        found.append(_Region(positions, drawn, weight, StyleSet.of(columns, settings.search)))
    return found


def join_small(ids: np.ndarray) -> np.ndarray:
    """(H, W) ids in which regions of fewer than FEWEST positions have taken the id of their largest neighbour."""
    ids = ids.copy()
    while True:
        values, counts = np.unique(ids, return_counts=True)
        sizes = dict(zip(values.tolist(), counts.tolist(), strict=True))
        small = min(sizes, key=sizes.__getitem__)
        if len(sizes) == 1 or sizes[small] >= FEWEST:
            return ids
        inside = np.pad(ids == small, 1)
        near = inside[:-2, 1:-1] | inside[2:, 1:-1] | inside[1:-1, :-2] | inside[1:-1, 2:]
        around = set(ids[near].tolist()) - {small}
        ids[ids == small] = max(around or sizes.keys() - {small}, key=sizes.__getitem__)


def decompose(picture: Tensor) -> list[Tensor]:
    """Laplacian pyramid: BANDS differences and the rest, halving each time."""
    bands = []
    for _ in range(BANDS):
        smaller = _down(picture)
        bands.append((picture - _up(smaller, picture)).detach().clone())
        picture = smaller
    return [*bands, picture.detach().clone()]


def compose(pyramid: list[Tensor]) -> Tensor:
    """The sum of a pyramid."""
    picture = pyramid[-1]
    for band in reversed(pyramid[:-1]):
        picture = band + _up(picture, band)
    return picture


def _down(x: Tensor) -> Tensor:
    size = [max(1, n // 2) for n in x.shape[-2:]]
    return F.interpolate(x, size, mode="bilinear", align_corners=False)


def _up(x: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(x, like.shape[-2:], mode="bilinear", align_corners=False)


def _to_side(x: Tensor, side: int) -> Tensor:
    """Resized so that the long side is `side`, the short one at least SHORTEST."""
    height, width = x.shape[-2:]
    size = [max(SHORTEST, round(n * side / max(height, width))) for n in (height, width)]
    if size == [height, width]:
        return x
    return F.interpolate(x, size, mode="bilinear", align_corners=False, antialias=True)
