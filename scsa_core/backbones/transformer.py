"""StyTr²'s transformer: multi-head attention, encoder and decoder layers, under their published names.

Source: Deng et al. 2022 (StyTr², arXiv 2105.14576): post-norm layers as in DETR, ReLU between
the two linear maps, no dropout when painting.

Shape letters: N query tokens, M key tokens, C width, H heads. One picture at a time, so a
sequence is (N, C) and its heads are (H, N, C / H).

Nothing here holds an N x M matrix: queries are worked through in chunks, and the
semantic attentions go block by block (`scsa_core/attention.py`).
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scsa_core.attention import RegionIndex, continuous_attention, sparse_attention
from scsa_core.backbones.base import Checkpoint, no_checkpoint
from scsa_core.products import linear

ROWS = 2048  # tokens worked through at once where each is on its own
GPU_ROWS = 1 << 15
ATTENTION_WORK = 8e9  # operations of a piece of plain attention: the processor's kernel reaches half of a convolution's rate
_PARTS = {"query": 0, "key": 1, "value": 2}


class Attention(nn.Module):
    """Multi-head attention in three kinds: plain, semantic continuous (SCA) and semantic sparse (SSA).

    One packed projection (rows: query, key, value), heads in consecutive channels, logits
    over the square root of a head's width: torch's own MultiheadAttention and its names.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.empty(3 * width))
        self.out_proj = nn.Linear(width, width)
        nn.init.xavier_uniform_(self.in_proj_weight)
        nn.init.zeros_(self.in_proj_bias)

    @property
    def scale(self) -> float:
        return float((self.in_proj_weight.shape[1] // self.heads) ** -0.5)

    def project(self, part: Literal["query", "key", "value"], x: Tensor, checkpoint: Checkpoint = no_checkpoint) -> Tensor:
        """(N, C) -> (H, N, C / H)."""
        checkpoint()
        width = self.in_proj_weight.shape[1]
        rows = slice(_PARTS[part] * width, (_PARTS[part] + 1) * width)
        projected = linear(x, self.in_proj_weight[rows], self.in_proj_bias[rows])
        return projected.view(len(x), self.heads, -1).transpose(0, 1)

    def _out(self, heads: Tensor) -> Tensor:
        """(H, N, C / H) -> (N, C)."""
        return linear(heads.transpose(0, 1).flatten(1), self.out_proj.weight, self.out_proj.bias)

    def plain(self, query: Tensor, key: Tensor, value: Tensor, checkpoint: Checkpoint = no_checkpoint) -> Tensor:
        """Every query (N, C) sees every key (M, C): (N, C)."""
        k, v = self.project("key", key, checkpoint)[None], self.project("value", value, checkpoint)[None]
        out = torch.empty_like(query)
        most = max(1, int(ATTENTION_WORK // (4 * key.numel())))
        rows = GPU_ROWS if query.is_cuda else min(ROWS, -(-most // 64) * 64)
        for start in range(0, len(query), rows):
            q = self.project("query", query[start : start + rows], checkpoint)[None]
            out[start : start + rows] = self._out(F.scaled_dot_product_attention(q, k, v)[0])
        return out

    def continuous(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        index: RegionIndex,
        counts: Tensor | None = None,
        checkpoint: Checkpoint = no_checkpoint,
    ) -> Tensor:
        """SCA: every query sees the keys of its region. In the method, query and key come from the maps.

        counts (M,): how many equal keys each one stands for, `value` being their mean.
        """
        q, k, v = self._projected(query, key, value, checkpoint)
        return self._out(continuous_attention(q, k, v, index, self.scale, checkpoint, counts))

    def sparse(
        self, query: Tensor, key: Tensor, value: Tensor, index: RegionIndex, checkpoint: Checkpoint = no_checkpoint
    ) -> Tensor:
        """SSA: each head of each query takes the value of its one most similar key in the region."""
        q, k, v = self._projected(query, key, value, checkpoint)
        return self._out(sparse_attention(q, k, v, index, self.scale, checkpoint))

    def _projected(self, query: Tensor, key: Tensor, value: Tensor, checkpoint: Checkpoint) -> tuple[Tensor, Tensor, Tensor]:
        q, k = self.project("query", query, checkpoint), self.project("key", key, checkpoint)
        return q, k, self.project("value", value, checkpoint)


class _Layer(nn.Module):
    """The feed-forward half that encoder and decoder layers share."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.linear1, self.linear2 = nn.Linear(width, hidden), nn.Linear(hidden, width)

    def feed_forward(self, x: Tensor, norm: nn.Module, checkpoint: Checkpoint = no_checkpoint) -> Tensor:
        """norm(x + linear2(relu(linear1(x)))), a few rows at a time: the hidden layer is four times as wide."""
        out = torch.empty_like(x)
        step = GPU_ROWS if x.is_cuda else ROWS
        for start in range(0, len(x), step):
            checkpoint()
            rows = x[start : start + step]
            hidden = F.relu_(linear(rows, self.linear1.weight, self.linear1.bias))
            out[start : start + step] = norm(rows + linear(hidden, self.linear2.weight, self.linear2.bias))
        return out


class EncoderLayer(_Layer):
    """Self-attention, then feed-forward, each followed by its norm."""

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__(width, hidden)
        self.self_attn = Attention(width, heads)
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)

    def forward(
        self, x: Tensor, position: Tensor | None, counts: Tensor | None, checkpoint: Checkpoint = no_checkpoint
    ) -> Tensor:
        placed = x if position is None else x + position
        if counts is None:
            attended = self.self_attn.plain(placed, placed, x, checkpoint)
        else:
            everyone = RegionIndex.whole(len(x), len(x), x.device)
            attended = self.self_attn.continuous(placed, placed, x, everyone, counts, checkpoint)
        checkpoint()
        return self.feed_forward(self.norm1(x + attended), self.norm2, checkpoint)


class Encoder(nn.Module):
    """Layers in a row: (N, C) -> (N, C)."""

    def __init__(self, width: int, heads: int, hidden: int, layers: int = 3) -> None:
        super().__init__()
        self.layers = nn.ModuleList(EncoderLayer(width, heads, hidden) for _ in range(layers))

    def forward(
        self, x: Tensor, position: Tensor | None = None, counts: Tensor | None = None, checkpoint: Checkpoint = no_checkpoint
    ) -> Tensor:
        """position (N, C) is added to queries and keys. counts (N,): how many equal tokens each one stands for.

        Equal tokens stay equal through a layer without positions, so a sequence may be
        given as its distinct tokens and their counts: the same result for less work.
        """
        for layer in self.layers:
            x = layer(x, position, counts, checkpoint)
        return x


class DecoderLayer(_Layer):
    """Parts of a decoder layer; what runs between them differs by method (`stytr2.py`)."""

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__(width, hidden)
        self.self_attn, self.multihead_attn = Attention(width, heads), Attention(width, heads)
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(width) for _ in range(3))


class Decoder(nn.Module):
    """Decoder layers and the norm after the last."""

    def __init__(self, width: int, heads: int, hidden: int, layers: int = 3) -> None:
        super().__init__()
        self.layers = nn.ModuleList(DecoderLayer(width, heads, hidden) for _ in range(layers))
        self.norm = nn.LayerNorm(width)

    @property
    def parts(self) -> list[DecoderLayer]:
        """The layers, by their own type."""
        return list(self.layers)  # type: ignore[arg-type]


class Transformer(nn.Module):
    """Both encoders, the decoder and the positional encoding: the published file's keys and shapes."""

    def __init__(self, width: int = 512, heads: int = 8, hidden: int = 2048) -> None:
        super().__init__()
        self.encoder_c, self.encoder_s = Encoder(width, heads, hidden), Encoder(width, heads, hidden)
        self.decoder = Decoder(width, heads, hidden)
        self.new_ps = nn.Conv2d(width, width, 1)

    def position(self, patches: Tensor, pooled: int = 18) -> Tensor:
        """Content-aware positional encoding of (1, C, h, w), the same shape, at any size.

        A picture's layout is read on a grid of pooled x pooled cells whatever its size and
        then interpolated to its tokens (Deng et al., section 3.2).
        """
        coarse = self.new_ps(F.adaptive_avg_pool2d(patches, pooled))
        return F.interpolate(coarse, size=patches.shape[-2:], mode="bilinear", align_corners=False)
