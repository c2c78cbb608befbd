"""Encoding a picture of few flat colours, as a semantic map is, at the cost of its borders.

A pixel whose whole receptive field has one colour has the features of that colour: these
are computed once a colour. All others are computed pixel by pixel, as rows of a matrix
product over their gathered neighbours. The result is the dense convolutions' up to
rounding, for any number and shape of regions; no dense layer is in memory, but for maps so
detailed that plain convolutions are quicker.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from scsa_core.backbones.base import Checkpoint, no_checkpoint
from scsa_core.backbones.encoded import encoded
from scsa_core.backbones.pieces import layer_by_layer
from scsa_core.backbones.vgg import ConvSpec, ConvStack
from scsa_core.products import WIDTH, by_convolution, linear

MOST_COLOURS = 256
DENSE_ABOVE = 0.55  # share of pixels that lie near borders: beyond, plain convolutions are quicker
PIXELS = 1 << 18  # whose colours are sorted at once
HALO = 80  # pixels around a strip: enough for every stack here
GATHERED = 1 << 22  # numbers in memory at once: 16 MB in float32, which the heap serves
PIECES = 8  # sizes of a last piece


@dataclass(frozen=True)
class Flat:
    """A layer: rows (K + n, C) holds the K colours' features and those of n single pixels, index (H, W) tells which is where."""

    rows: Tensor
    index: Tensor
    colours: int

    @classmethod
    def of(cls, picture: Tensor, checkpoint: Checkpoint = no_checkpoint) -> Flat | None:
        """From (1, 3, H, W) in 0..1; None where it has more than `MOST_COLOURS` colours, as a photograph."""
        pixels = picture[0].flatten(1).T
        packed = (pixels * 255).round().long() @ torch.tensor([65536, 256, 1], device=picture.device)
        colours = packed[:0]
        for part in torch.split(packed, PIXELS):  # a photograph has too many in its first lines already
            checkpoint()
            colours = torch.unique(torch.cat([colours, torch.unique(part)]))
            if len(colours) > MOST_COLOURS:
                return None
        index = torch.searchsorted(colours, packed)
        one_of_each = torch.empty(len(colours), dtype=torch.long, device=picture.device)
        one_of_each[index] = torch.arange(len(pixels), device=picture.device)
        rows = pixels[one_of_each]
        if not torch.equal(rows[index], pixels):  # colours between the 256 steps
            return None
        return cls(rows.contiguous(), index.view(picture.shape[-2:]), len(colours))

    @property
    def share(self) -> float:
        """Computed rows over pixels."""
        return len(self.rows) / self.index.numel()

    def dense(self) -> Tensor:
        """(1, C, H, W), channels last in memory."""
        return self.rows.index_select(0, self.index.flatten()).view(1, *self.index.shape, -1).permute(0, 3, 1, 2)

    def pooled(self, checkpoint: Checkpoint = no_checkpoint) -> Flat:
        """2x2 maximum, rounding up."""
        height, width = self.index.shape
        across = torch.arange(0, width, 2), torch.arange(1, width + 1, 2).clamp_(max=width - 1)
        down = torch.arange(0, height, 2), torch.arange(1, height + 1, 2).clamp_(max=height - 1)
        around, index = self._windows([self.index[y][:, x] for y in down for x in across], checkpoint)
        parts = torch.split(around, max(1, GATHERED // (4 * self.rows.shape[1])))
        maxima = [self.rows.index_select(0, part.flatten()).view(*part.shape, self.rows.shape[1]).amax(1) for part in parts]
        return Flat(torch.cat([self.rows[: self.colours], *maxima]), index, self.colours)

    def convolved(self, weight: Tensor, bias: Tensor, relu: bool, checkpoint: Checkpoint = no_checkpoint) -> Flat:
        """By (C', C, k, k) with k 1 or 3, reflected at the sides as the stacks are."""
        kernel = weight.shape[-1]
        transposed = weight.permute(0, 2, 3, 1).reshape(weight.shape[0], -1)
        matrix = transposed.T.contiguous()
        if kernel == 1:
            rows = torch.addmm(bias, self.rows, matrix)
            return Flat(rows.relu_() if relu else rows, self.index, self.colours)
        down, across = (_reflected(n) for n in self.index.shape)
        padded = self.index[down][:, across]
        height, width = self.index.shape
        around, index = self._windows([padded[y : y + height, x : x + width] for y in range(3) for x in range(3)], checkpoint)
        alone = torch.arange(self.colours, device=around.device)[:, None].expand(-1, 9)
        count = self.colours + len(around)
        steps = _steps(count, max(1, GATHERED // matrix.shape[0] // WIDTH * WIDTH))
        around = torch.cat([alone, around, alone[:1].expand(sum(steps) - count, -1)])
        rows = weight.new_empty(len(around), weight.shape[0])
        start = 0
        for step in steps:
            checkpoint()
            gathered = self.rows.index_select(0, around[start : start + step].flatten()).view(-1, matrix.shape[0])
            if by_convolution(gathered, weight.shape[0]):
                rows[start : start + step] = linear(gathered, transposed, bias)
            else:
                torch.addmm(bias, gathered, matrix, out=rows[start : start + step])
            start += step
        rows = rows[:count]
        return Flat(rows.relu_() if relu else rows, index, self.colours)

    def _windows(self, views: list[Tensor], checkpoint: Checkpoint) -> tuple[Tensor, Tensor]:
        """From the rows each output pixel sees, k times (h, w): those of the pixels that see no single colour (n, k), and the new index."""
        first = views[0]
        single = first < self.colours
        for view in views[1:]:
            checkpoint()
            single &= view == first
        mixed = (~single).flatten().nonzero().flatten()
        index = first.clone(memory_format=torch.contiguous_format).flatten()
        index[mixed] = torch.arange(self.colours, self.colours + len(mixed), device=index.device)
        seen = torch.empty(len(mixed), len(views), dtype=index.dtype, device=index.device)
        for k, view in enumerate(views):
            checkpoint()
            seen[:, k] = view.reshape(-1)[mixed]
        return seen, index.view(first.shape)


def _steps(count: int, most: int) -> list[int]:
    """Pieces of at most `most` for `count` rows or a few more, of few different sizes: each is another kernel to compile.

    Every stroke makes another number of rows: with pieces just as long most of a small map's time went to that.
    """
    steps = [most] * (count // most)
    count %= most
    part = max(1, most // PIECES // WIDTH * WIDTH)
    rest = -(-count // part) * part
    return [*steps, min(rest, most)] if rest else steps


def _reflected(n: int) -> Tensor:
    """0..n-1 with one reflected number on each side."""
    return torch.tensor([min(1, n - 1), *range(n), max(0, n - 2)])


def encode_flat(
    stack: ConvStack, picture: Tensor, taps: Iterable[str], checkpoint: Checkpoint = no_checkpoint, halo: int = HALO
) -> dict[str, Tensor]:
    """What `stack(picture, taps)` gives, sooner where the (1, 3, H, W) picture has few colours and large regions.

    halo: as for `encoded`, where that is not so.
    """
    flat = Flat.of(picture, checkpoint) if picture.device.type == "cpu" else None
    wanted = set(taps)
    out: dict[str, Tensor] = {}
    for number, spec in enumerate(stack.specs):
        if flat is None or spec.upsample or flat.share > DENSE_ABOVE:
            missing = tuple(tap for tap in wanted if tap not in out)
            if flat is None or not any(s.pool for s in stack.specs[:number]):  # the finest layers whole would take too much memory
                return out | encoded(stack, picture, missing, halo, checkpoint)
            rest = layer_by_layer(stack, flat.dense(), missing, first=number, checkpoint=checkpoint)
            return out | {tap: rest[tap] for tap in missing}
        checkpoint()
        flat = _layer(flat, stack, spec, checkpoint)
        if spec.tap in wanted:
            out[spec.tap] = flat.dense()
            if len(out) == len(wanted):
                break
    return out


def _layer(flat: Flat, stack: ConvStack, spec: ConvSpec, checkpoint: Checkpoint) -> Flat:
    layer = stack.get_submodule(spec.name)
    weight = layer.get_parameter("weight")
    if flat.rows.dtype != weight.dtype:
        flat = Flat(flat.rows.to(weight.dtype), flat.index, flat.colours)
    return (flat.pooled(checkpoint) if spec.pool else flat).convolved(weight, layer.get_parameter("bias"), spec.relu, checkpoint)
