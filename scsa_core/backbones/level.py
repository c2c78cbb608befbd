"""One level of semantic attention, as SANet places it: shared by `sanet` and `lite`.

Source: Park & Lee 2019 (the module), Shang et al. 2025 (what SCSA replaces in it).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scsa_core.attention import (
    NUMBERS,
    Distinct,
    Fallback,
    Links,
    RegionIndex,
    continuous_attention,
    mvn,
    semantic_adain,
    sparse_attention,
)
from scsa_core.backbones.base import Checkpoint, no_checkpoint
from scsa_core.backbones.pieces import convolved
from scsa_core.backbones.strips import in_strips
from scsa_core.counting import present
from scsa_core.parts import Parts, bits
from scsa_core.transfer import upload


@dataclass(frozen=True)
class Attended:
    """The three summands of a level, each (1, C, h, w): fused = residual + α₁ sca + α₂ ssa."""

    residual: Tensor
    sca: Tensor
    ssa: Tensor

    @property
    def nbytes(self) -> int:
        return self.residual.nbytes + self.sca.nbytes + self.ssa.nbytes


class AttentionLevel(nn.Module):
    """SANet's attention on one feature level.

    f, g, h, out_conv: 1x1 convolutions under SANet's names, or identities (`lite`).
    scale multiplies the logits; SANet has 1, without a 1/sqrt(d).
    """

    def __init__(self, planes: int, *, learned: bool = True, scale: float = 1.0) -> None:
        super().__init__()
        for name in ("f", "g", "h", "out_conv"):
            self.add_module(name, nn.Conv2d(planes, planes, 1) if learned else nn.Identity())
        self.scale = scale

    def _tokens(self, name: str, x: Tensor, checkpoint: Checkpoint) -> Tensor:
        """A projection of (1, C, h, w) as (1, h*w, C), contiguous."""
        return convolved(self.get_submodule(name), x, checkpoint).flatten(2).transpose(1, 2).contiguous()

    def _picture(self, tokens: Tensor, like: Tensor, checkpoint: Checkpoint) -> Tensor:
        """(1, N, C) -> out_conv of (1, C, h, w)."""
        laid_out = tokens.reshape(-1, *like.shape[2:], like.shape[1]).permute(0, 3, 1, 2)
        return convolved(self.get_submodule("out_conv"), laid_out, checkpoint)

    def baseline(self, content: Tensor, style: Tensor, checkpoint: Checkpoint = no_checkpoint) -> tuple[Tensor, Tensor]:
        """SANet's own attention, no maps: (residual, attended), each (1, C, h, w); their sum is SANet's output."""
        sides = (("f", mvn(content, checkpoint=checkpoint)), ("g", mvn(style, checkpoint=checkpoint)), ("h", style))
        query, key, value = (self._tokens(name, x, checkpoint) for name, x in sides)
        index = RegionIndex.whole(query.shape[1], key.shape[1], content.device)
        return content, self._picture(continuous_attention(query, key, value, index, self.scale, checkpoint), content, checkpoint)

    def attend(
        self,
        content: Tensor,
        style: Tensor,
        content_map: Tensor,
        style_map: Tensor,
        content_labels: Tensor,
        style_labels: Tensor,
        *,
        links: Links | None = None,
        fallback: Fallback = "whole",
        use_adain: bool = True,
        checkpoint: Checkpoint = no_checkpoint,
        parts: Parts | None = None,
    ) -> Attended:
        """SCSA on one level. Features (1, C, h, w); labels at the grids' size, integer. parts: where the maps' tokens may be found."""
        if use_adain:
            checkpoint()
            content = semantic_adain(content, style, content_labels, style_labels, links=links, checkpoint=checkpoint)
            checkpoint()
        index = RegionIndex.build(content_labels.flatten(), style_labels.flatten(), links, fallback).to(content.device)
        value = self._tokens("h", style, checkpoint)
        if content.device.type == "cuda":  # finding equal tokens would keep it waiting longer than all of them take
            map_query, map_key = self._tokens("f", mvn(content_map), checkpoint), self._tokens("g", mvn(style_map), checkpoint)
            sca = continuous_attention(map_query, map_key, value, index, self.scale, checkpoint)
        else:
            maps = (("content_map", content_map, content_labels), ("style_map", style_map, style_labels))
            queries, keys = (self._distinct(*each, parts or Parts(), checkpoint) for each in maps)
            sca = self._continuous(queries, keys, value, links, fallback, checkpoint)
        checkpoint()
        ssa = self.sparse(content, style, value, index, checkpoint)
        return Attended(content, self._picture(sca, content, checkpoint), self._picture(ssa, content, checkpoint))

    def _distinct(self, name: str, features: Tensor, labels: Tensor, parts: Parts, checkpoint: Checkpoint) -> Distinct:
        """A map's tokens, normalised, one of each kind."""
        of = tuple(features.shape), bits(labels)
        found = parts.get(Distinct, name, *of)
        if found is None:
            checkpoint()
            rows = _rows(mvn(features, checkpoint=checkpoint))
            checkpoint()
            found = Distinct.of(rows, labels.flatten(), checkpoint)
            parts.put(found, name, *of)
        return found

    def _continuous(
        self, queries: Distinct, keys: Distinct, value: Tensor, links: Links | None, fallback: Fallback, checkpoint: Checkpoint
    ) -> Tensor:
        """SCA: (1, N, C). Tokens inside a region of one colour are all alike, so each kind is worked out once."""
        checkpoint()
        index = RegionIndex.build(queries.labels, keys.labels, links, fallback)
        checkpoint()
        query, key = self._project("f", queries.rows)[None], self._project("g", keys.rows)[None]
        means = keys.means(value[0])[None]
        checkpoint()
        out = continuous_attention(query, key, means, index, self.scale, checkpoint, keys.counts)
        return out.index_select(1, queries.which)

    def sparse(self, content: Tensor, style: Tensor, value: Tensor, index: RegionIndex, checkpoint: Checkpoint) -> Tensor:
        """SSA: (1, N, C), from features (1, C, h, w), the value (1, M, C) and the index."""
        sides = ("f", content), ("g", style)
        query, key = (self._tokens(name, mvn(x, checkpoint=checkpoint), checkpoint) for name, x in sides)
        return sparse_attention(query, key, value, index, self.scale, checkpoint)

    def _project(self, name: str, rows: Tensor) -> Tensor:
        """What the 1x1 convolution makes of single tokens: (n, C) -> (n, C)."""
        layer = self.get_submodule(name)
        return F.linear(rows, layer.weight.flatten(1), layer.bias) if isinstance(layer, nn.Conv2d) else rows


def _rows(x: Tensor) -> Tensor:
    """(1, C, h, w) -> (h*w, C)."""
    return x[0].flatten(1).T.contiguous()


FEW = 32  # labels below this are counted as they are


def soften(x: Tensor, labels: Tensor, width: float, checkpoint: Checkpoint = no_checkpoint) -> Tensor:
    """Blend features across region borders: (1, C, h, w), labels (h, w), width in tokens (0: unchanged).

    Only tokens near a border move, towards the average of their neighbourhood.
    """
    if width <= 0:
        return x
    reach = max(1, round(width))
    kernel = 2 * reach + 1
    seen = upload(labels, x.device)[None, None].to(x.dtype)
    low = -F.max_pool2d(F.pad(-seen, (reach,) * 4, mode="replicate"), kernel, 1)
    high = F.max_pool2d(F.pad(seen, (reach,) * 4, mode="replicate"), kernel, 1)
    near = F.avg_pool2d(F.pad((low != high).to(x.dtype), (1,) * 4, mode="replicate"), 3, 1) * min(1.0, width)

    def blurred(part: Tensor) -> Tensor:
        return F.avg_pool2d(F.pad(part, (reach,) * 4, mode="replicate"), kernel, 1)

    smooth = in_strips(blurred, x, reach, pixels=max(1, NUMBERS // x.shape[1]), step=1, checkpoint=checkpoint)
    return torch.lerp(x, smooth, near)


def grid_labels(labels: Tensor, height: int, width: int) -> Tensor:
    """Area vote of integer labels (H, W) on a grid: each cell takes the label covering most of it, the least of equals."""
    if labels.shape[0] % height == 0 and labels.shape[1] % width == 0:  # whole cells: count, which is quicker and the same
        rows, columns = labels.shape[0] // height, labels.shape[1] // width
        low, high = (int(x) for x in labels.aminmax())
        few = low >= 0 and high < FEW
        ids = torch.arange(high + 1, dtype=labels.dtype, device=labels.device) if few else present(labels)
        numbers = labels.long() if few else torch.searchsorted(ids, labels.contiguous())
        cells = torch.arange(height * width, device=labels.device).view(height, 1, width, 1) * len(ids)
        seen = numbers.view(height, rows, width, columns) + cells
        counts = torch.bincount(seen.flatten(), minlength=height * width * len(ids))
        most: Tensor = ids[counts.view(height, width, len(ids)).argmax(-1)]
        return most
    ids = present(labels)
    shares = F.adaptive_avg_pool2d((labels[None] == ids[:, None, None]).float()[None], (height, width))[0]
    out: Tensor = ids[shares.argmax(0)]
    return out
