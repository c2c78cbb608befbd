"""SSA on patches instead of single tokens: what is taken from the style is a brush stroke, not a dot.

A token of relu4_1 knows little of its surroundings. Taken one by one, neighbours in the
content land on strangers in the style, and what belongs to a contour speckles a forehead.
Comparing windows around the tokens, and laying the windows that win over each other as they
stood in the style (style swap, Chen & Schmidt 2016), keeps neighbours together. Semantic as
SSA is: a token is given to by windows of its own region only, and from its own regions of
the style only.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from scsa_core.attention import NUMBERS, RegionIndex, mvn, sparse_winners
from scsa_core.backbones.base import Checkpoint, no_checkpoint
from scsa_core.backbones.level import AttentionLevel

REACH = 2  # tokens around the middle one: windows of 5 x 5
DIRECTIONS = 24  # of the shipped basis: 16 lose 0.2 points of SSL, 32 and 64 gain at most that


class PatchLevel(AttentionLevel):
    """An attention level without learned projections whose SSA compares and takes windows.

    basis (C, d): directions that features are compared in; few suffice, since a window has 25 tokens.
    """

    basis: Tensor

    def __init__(self, basis: Tensor, scale: float) -> None:
        super().__init__(basis.shape[0], learned=False, scale=scale)
        self.register_buffer("basis", basis)

    def sparse(self, content: Tensor, style: Tensor, value: Tensor, index: RegionIndex, checkpoint: Checkpoint) -> Tensor:
        query, key = (self._seen(x, checkpoint) for x in (content, style))
        winners = sparse_winners(query, key, index, self.scale, checkpoint)
        checkpoint()
        own, may = _regions(index, len(winners), value.shape[1])
        out = overlaid(value[0], winners, own.view(content.shape[-2:]), may.view(-1, *style.shape[-2:]), checkpoint=checkpoint)
        for block in index.blocks:
            if block.uniform:
                out[block.queries] = value[0, block.keys].mean(0)
        return out[None]

    def _seen(self, x: Tensor, checkpoint: Checkpoint) -> Tensor:
        """Windows of normalised features (1, C, h, w), in the principal directions."""
        flat = projected(mvn(x, checkpoint=checkpoint), self.basis)
        checkpoint()
        return windows(flat, checkpoint=checkpoint)


def _regions(index: RegionIndex, queries: int, keys: int) -> tuple[Tensor, Tensor]:
    """(N,) int64, the block of each query; (R, M) bool, the keys of each block."""
    device = index.blocks[0].queries.device
    own = torch.zeros(queries, dtype=torch.int64, device=device)
    may = torch.zeros(len(index.blocks), keys, dtype=torch.bool, device=device)
    for k, block in enumerate(index.blocks):
        own[block.queries] = k
        may[k, block.keys] = True
    return own, may


def projected(x: Tensor, basis: Tensor) -> Tensor:
    """(B, C, h, w) in the directions of a basis (C, d): (B, d, h, w)."""
    return F.conv2d(x, basis.T[:, :, None, None])


def windows(x: Tensor, reach: int = REACH, checkpoint: Checkpoint = no_checkpoint) -> Tensor:
    """What lies around each position of (B, d, h, w), reflected at the sides: (B, h * w, k d) with k = (2 reach + 1)²."""
    height, width = x.shape[-2:]
    down, across = (_reflected(torch.arange(-reach, n + reach, device=x.device), n) for n in (height, width))
    padded = x.permute(0, 2, 3, 1)[:, down][:, :, across]  # (B, h + 2 reach, w + 2 reach, d)
    side = 2 * reach + 1
    rows = height if x.is_cuda else max(1, NUMBERS // (width * x.shape[1] * side**2))
    if rows >= height:
        return _around(padded, height, width, side).view(len(x), height * width, -1)
    out = x.new_empty(len(x), height, width, x.shape[1] * side**2)
    for first in range(0, height, rows):
        checkpoint()
        last = min(height, first + rows)
        out[:, first:last] = _around(padded[:, first : last + side - 1], last - first, width, side)
    return out.view(len(x), height * width, -1)


def _around(padded: Tensor, height: int, width: int, side: int) -> Tensor:
    """(B, height + side - 1, width + side - 1, d) -> (B, height, width, side² d)."""
    return torch.cat([padded[:, i : i + height, j : j + width] for i in range(side) for j in range(side)], -1)


def overlaid(
    value: Tensor, winners: Tensor, own: Tensor, may: Tensor, reach: int = REACH, checkpoint: Checkpoint = no_checkpoint
) -> Tensor:
    """The windows around the winners, laid around their queries and averaged where they overlap: (N, E).

    value (M, E): the style's tokens. winners (N,): one of them for each query. own (h, w): the
    number of each query's region. may (R, h', w') bool: which tokens of the style a region may
    take; a query's own winner has to be among them.
    """
    device = value.device
    (height, width), (rows, columns) = own.shape, may.shape[1:]
    at, may = winners.view(own.shape), may.flatten(1)
    y, x = torch.arange(height, device=device)[:, None], torch.arange(width, device=device)
    sources, shares = [], []
    for i in range(-reach, reach + 1):
        checkpoint()
        for j in range(-reach, reach + 1):
            there_y, there_x = y - i, x - j  # the middle of the window that has this position at (i, j)
            inside = (there_y >= 0) & (there_y < height) & (there_x >= 0) & (there_x < width)
            there_y, there_x = there_y.clamp(0, height - 1), there_x.clamp(0, width - 1)
            middle = at[there_y, there_x]
            source = _reflected(middle // columns + i, rows) * columns + _reflected(middle % columns + j, columns)
            sources.append(source)
            shares.append(inside & (own[there_y, there_x] == own) & may[own, source])
    share = torch.stack(shares, -1).flatten(0, 1).to(value.dtype)  # (N, k); never all 0: the token's own window counts
    share /= share.sum(1, keepdim=True)
    source, value = torch.stack(sources, -1).flatten(0, 1), value.contiguous()
    step = max(1, NUMBERS // value.shape[1])
    if step >= len(source) or value.is_cuda or value.requires_grad:
        return F.embedding_bag(source, value, mode="sum", per_sample_weights=share)
    out = value.new_empty(len(source), value.shape[1])
    for first in range(0, len(source), step):
        checkpoint()
        part = slice(first, first + step)
        out[part] = F.embedding_bag(source[part], value, mode="sum", per_sample_weights=share[part])
    return out


def _reflected(at: Tensor, count: int) -> Tensor:
    """Positions beyond the first and the last of `count`, mirrored there; clamped where a mirror image is beyond the other side."""
    at = at.abs()
    return torch.where(at >= count, 2 * (count - 1) - at, at).clamp(0, count - 1)
