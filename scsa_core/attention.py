"""Semantic attention: S-AdaIN, SCA, SSA and their fusion. Tensors in, tensors out.

Source: SCSA (Shang et al., CVPR 2025, arXiv 2503.04119), sections 3.2 to 3.4.

Shape letters, used in every comment below::

    B  batch        L  leading dimensions (batch, or batch and heads)
    C  channels     D  width of queries and keys      E  width of values
    N  query tokens (content)    M  key tokens (style)
    n, m  tokens of one block    R  regions

A query may see only the keys that its region is linked to. No N x M matrix is formed:
tokens are grouped by region once (`RegionIndex`), each group is a dense block, and a
block is worked through in chunks of at most `CHUNK` logits (`GPU_CHUNK` on a GPU). The cost is the sum of n*m
over the blocks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from scsa_core.counting import members, present
from scsa_core.errors import ShapeError
from scsa_core.nearest import nearest, worth_tiling
from scsa_core.transfer import upload

CHUNK = 1 << 20  # logits held at once: 4 MB in float32, about a core's share of the cache
GPU_CHUNK = 1 << 26  # 256 MB: a GPU is slowed by launches, not by leaving a cache
TOKENS = 1 << 12  # of a map that are told apart at once
NUMBERS = 1 << 22  # of features that are normalised, softened or laid out at once: 16 MB in float32, which the heap serves

Links = Mapping[int, tuple[int, ...]]
"""Content region id -> style region ids that may feed it. A missing id means the same id."""

Fallback = Literal["whole", "mean"]
"""What feeds a query whose region has no key: attention over the whole style picture
("whole"), or its plain mean ("mean", what the reference implementation arrives at)."""


@dataclass(frozen=True)
class Block:
    """Queries (n,) and the keys (m,) they may see, as int64 token numbers.

    uniform: attend to all keys equally instead of by similarity.
    """

    queries: Tensor
    keys: Tensor
    uniform: bool = False


@dataclass(frozen=True)
class RegionIndex:
    """Tokens grouped by region: who may see whom. Blocks cover every query exactly once.

    unmatched: content region ids that no style token feeds, in ascending order.
    """

    blocks: tuple[Block, ...]
    unmatched: tuple[int, ...]

    @classmethod
    def build(
        cls,
        query_labels: Tensor,
        key_labels: Tensor,
        links: Links | None = None,
        fallback: Fallback = "whole",
    ) -> RegionIndex:
        """Group the tokens of integer labels (N,) and (M,)."""
        if not len(key_labels):
            raise ShapeError("the style has no tokens", expected="at least 1 key", actual="0")
        groups: dict[tuple[int, ...], list[int]] = {}
        there = set(present(key_labels).tolist())
        unmatched = []
        for region in present(query_labels).tolist():
            sources = (links or {}).get(region, (region,))
            found = tuple(sorted(there.intersection(sources)))
            if not found:
                unmatched.append(region)
            groups.setdefault(found, []).append(region)
        everything = torch.arange(len(key_labels), device=key_labels.device)
        blocks = []
        for found, regions in groups.items():
            queries = _members(query_labels, regions)
            if found:
                blocks.append(Block(queries, _members(key_labels, found)))
            else:
                blocks.append(Block(queries, everything, uniform=fallback == "mean"))
        return cls(tuple(blocks), tuple(unmatched))

    def to(self, device: torch.device) -> RegionIndex:
        """The same on another device. Grouping itself belongs on the processor: every step of it needs a number back."""
        if all(t.device.type == device.type for b in self.blocks for t in (b.queries, b.keys)):
            return self
        blocks = tuple(Block(upload(b.queries, device), upload(b.keys, device), b.uniform) for b in self.blocks)
        return RegionIndex(blocks, self.unmatched)

    @classmethod
    def whole(cls, queries: int, keys: int, device: torch.device | None = None) -> RegionIndex:
        """One block: every query sees every key (plain attention)."""
        return cls((Block(torch.arange(queries, device=device), torch.arange(keys, device=device)),), ())


def _members(labels: Tensor, regions: tuple[int, ...] | list[int]) -> Tensor:
    """Token numbers whose label is among `regions`, in picture order."""
    return members(labels, torch.as_tensor(list(regions), device=labels.device, dtype=labels.dtype))


def semantic_adain(
    content: Tensor,
    style: Tensor,
    content_labels: Tensor,
    style_labels: Tensor,
    eps: float = 1e-5,
    *,
    links: Links | None = None,
    checkpoint: Callable[[], None] | None = None,
) -> Tensor:
    """S-AdaIN: each content region takes its style region's mean and deviation.

    content (B, C, H, W), style (B, C, H', W') float; content_labels (H, W), style_labels
    (H', W') integer, best on the processor (`RegionIndex.to`). Returns (B, C, H, W). Deviations are biased, sqrt(var + eps), as in
    the paper's equation 3. A region that the style lacks is left as it is.
    checkpoint is called once a region; it may raise to stop the work. Raises ShapeError
    where labels and features disagree.
    """
    _check_map(content, content_labels, "content")
    _check_map(style, style_labels, "style")
    flat, source = _tokens(content), _tokens(style)  # (B, N, C), (B, M, C): no copies where channels lie last
    out = flat.clone(memory_format=torch.contiguous_format)
    index = RegionIndex.build(content_labels.flatten(), style_labels.flatten(), links)
    labels = content_labels.flatten()
    style_statistics: dict[int, tuple[Tensor, Tensor]] = {}
    for k, block in enumerate(index.blocks):
        regions = present(labels[block.queries]).tolist()
        if regions and regions[0] in index.unmatched:
            continue
        style_statistics[k] = _statistics(source.index_select(1, upload(block.keys, style.device)), eps)
        for region in regions:  # a content region's own moments, also where several share a source
            if checkpoint is not None:
                checkpoint()
            at = upload((labels == region).nonzero().flatten(), content.device)
            part = flat.index_select(1, at)
            mean, deviation = _statistics(part, eps)
            to_mean, to_deviation = style_statistics[k]
            out.index_copy_(1, at, (part - mean) * (to_deviation / deviation) + to_mean)
    return _picture(out, content)


def _tokens(x: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, H W, C)."""
    return x.flatten(2).transpose(1, 2)


def _picture(tokens: Tensor, like: Tensor) -> Tensor:
    """(B, H W, C) -> (B, C, H, W), channels last in memory."""
    return tokens.view(like.shape[0], *like.shape[2:], like.shape[1]).permute(0, 3, 1, 2)


def _statistics(x: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """Mean and deviation over tokens: (B, n, C) -> twice (B, 1, C)."""
    mean, centred = _centred(x, (1,))
    return mean, (_mean_square(centred, (1,)) + eps).sqrt()


def _centred(x: Tensor, dims: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """The mean over some dimensions, kept as 1, and x less it. A second pass over this gives the variance, as exactly
    as `torch.var_mean` and many times sooner."""
    mean = x.mean(dims, keepdim=True)
    return mean, x - mean


def _mean_square(x: Tensor, dims: tuple[int, ...], fewer: int = 0) -> Tensor:
    """The sum of squares over some dimensions, by their size less `fewer`."""
    count = math.prod(x.shape[d] for d in dims) - fewer
    wide = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x  # squares may leave the range of half precision
    total = wide.square().sum(dims, keepdim=True)
    return (total / count if count > 0 else torch.full_like(total, math.nan)).to(x.dtype)


def adain(content: Tensor, style: Tensor, eps: float = 1e-5) -> Tensor:
    """AdaIN over the whole picture (Huang & Belongie 2017): S-AdaIN with one region."""
    flat = _tokens(content)
    mean, deviation = _statistics(flat, eps)
    to_mean, to_deviation = _statistics(_tokens(style), eps)
    return _picture(((flat - mean) * (to_deviation / deviation) + to_mean).contiguous(), content)


def semantic_continuous_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    query_labels: Tensor,
    key_labels: Tensor,
    scale: float = 1.0,
    *,
    links: Links | None = None,
    fallback: Fallback = "whole",
) -> Tensor:
    """SCA: softmax attention of each query over all keys of its region (equation 5).

    query (B, N, D), key (B, M, D), value (B, M, E) float; labels (N,), (M,) integer.
    Returns (B, N, E). In the method, query and key come from the features of the two
    semantic maps, value from the style picture.
    """
    _check_tokens(query, key, value, query_labels, key_labels)
    index = RegionIndex.build(query_labels, key_labels, links, fallback).to(query.device)
    return continuous_attention(query, key, value, index, scale)


def semantic_sparse_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    query_labels: Tensor,
    key_labels: Tensor,
    scale: float = 1.0,
    *,
    links: Links | None = None,
    fallback: Fallback = "whole",
) -> Tensor:
    """SSA: each query takes the value of the single most similar key of its region (equation 6).

    Shapes as in `semantic_continuous_attention`. The softmax of the paper has one
    survivor there, which is 1, so none is computed; a positive `scale` changes nothing.
    """
    _check_tokens(query, key, value, query_labels, key_labels)
    index = RegionIndex.build(query_labels, key_labels, links, fallback).to(query.device)
    return sparse_attention(query, key, value, index, scale)


def continuous_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    index: RegionIndex,
    scale: float = 1.0,
    checkpoint: Callable[[], None] | None = None,
    counts: Tensor | None = None,
) -> Tensor:
    """SCA over a prepared index: (L, N, D), (L, M, D), (L, M, E) -> (L, N, E).

    checkpoint is called once a chunk; it may raise to stop the work. counts (M,): how many
    tokens of equal key each key stands for, its value being their mean (None: one each).
    The result is that of the keys written out, since equal keys have equal weights.
    """
    out = value.new_empty(*query.shape[:-1], value.shape[-1])
    for block in index.blocks:
        v = value.index_select(-2, block.keys)  # (L, m, E)
        shares = None if counts is None else counts[block.keys].to(v.dtype)  # (m,)
        if block.uniform:
            out[..., block.queries, :] = _mean(v, shares)
            continue
        for at, logits in _logits(query, key, block, scale, checkpoint):
            weights = logits.sub_(logits.amax(-1, keepdim=True)).exp_()  # (L, c, m)
            if shares is not None:
                weights.mul_(shares)
            out[..., at, :] = (weights @ v) / weights.sum(-1, keepdim=True)  # (L, c, E)
    return out


def _mean(v: Tensor, shares: Tensor | None) -> Tensor:
    """Mean over tokens, weighted by `shares` (m,): (L, m, E) -> (L, 1, E)."""
    if shares is None:
        return v.mean(-2, keepdim=True)
    return (v * shares[:, None]).sum(-2, keepdim=True) / shares.sum()


def sparse_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    index: RegionIndex,
    scale: float = 1.0,
    checkpoint: Callable[[], None] | None = None,
) -> Tensor:
    """SSA over a prepared index: shapes as in `continuous_attention`."""
    out = value.new_empty(*query.shape[:-1], value.shape[-1])
    for block in index.blocks:
        v = value.index_select(-2, block.keys)  # (L, m, E)
        if block.uniform:
            out[..., block.queries, :] = v.mean(-2, keepdim=True)
            continue
        for at, winner in _winners(query, key, block, scale, checkpoint):
            out[..., at, :] = _taken(v, winner)
    return out


def _taken(v: Tensor, winner: Tensor) -> Tensor:
    """(L, m, E) at (L, c, 1) -> (L, c, E)."""
    if v.shape[:-2].numel() == 1:  # whole rows at once
        return v.index_select(-2, winner.flatten())
    return v.gather(-2, winner.expand(*winner.shape[:-1], v.shape[-1]))


def sparse_winners(
    query: Tensor, key: Tensor, index: RegionIndex, scale: float = 1.0, checkpoint: Callable[[], None] | None = None
) -> Tensor:
    """Which key SSA takes for every query: (1, N, D), (1, M, D) -> (N,) int64. 0 where a block attends to all equally."""
    out = torch.zeros(query.shape[-2], dtype=torch.int64, device=query.device)
    for block in index.blocks:
        if not block.uniform:
            for at, winner in _winners(query, key, block, scale, checkpoint):
                out[at] = block.keys[winner.flatten()]
    return out


def _winners(
    query: Tensor, key: Tensor, block: Block, scale: float, checkpoint: Callable[[], None] | None
) -> Iterator[tuple[Tensor, Tensor]]:
    """Chunks of a block: query numbers (c,) and which of the block's keys has the largest logit, (L, c, 1)."""
    if query.shape[:-2].numel() == 1 and scale > 0:
        q, k = query.reshape(query.shape[-2:]), key.reshape(key.shape[-2:])
        if worth_tiling(q[: len(block.queries)], len(block.keys)):
            for rows, winner in nearest(q.index_select(0, block.queries), k.index_select(0, block.keys), checkpoint):
                yield block.queries[rows], winner.view(*query.shape[:-2], -1, 1)
            return
    for at, logits in _logits(query, key, block, scale, checkpoint):
        yield at, logits.argmax(-1, keepdim=True)


def _logits(
    query: Tensor, key: Tensor, block: Block, scale: float, checkpoint: Callable[[], None] | None
) -> Iterator[tuple[Tensor, Tensor]]:
    """Chunks of a block: query numbers (c,) and their logits (L, c, m), free to overwrite."""
    k = key.index_select(-2, block.keys).transpose(-1, -2)  # (L, D, m)
    leading = query[..., 0, 0].numel()
    step = max(1, (GPU_CHUNK if query.is_cuda else CHUNK) // (k.shape[-1] * leading))
    for start in range(0, len(block.queries), step):
        if checkpoint is not None:
            checkpoint()
        at = block.queries[start : start + step]
        q = query.index_select(-2, at)  # (L, c, D)
        yield at, (q * scale if scale != 1.0 else q) @ k


@dataclass(frozen=True)
class Distinct:
    """Tokens that differ, of many that are equal, as those of a semantic map are.

    rows (n, D): one of each. labels (n,): theirs. which (N,): the row of every token. counts (n,): how often it is there.
    """

    rows: Tensor
    labels: Tensor
    which: Tensor
    counts: Tensor

    @classmethod
    def of(cls, tokens: Tensor, labels: Tensor, checkpoint: Callable[[], None] | None = None) -> Distinct:
        """From (N, D) floats and (N,) integers: tokens are equal where their bits and their labels are.

        checkpoint is called once in a few thousand tokens; it may raise to stop the work.
        """
        wheel = torch.Generator().manual_seed(0)
        factors = torch.randint(1, 1 << 62, (tokens.shape[-1] + 1,), generator=wheel).mul_(2).add_(1).to(tokens.device)
        parts = list(_parts(len(tokens), tokens.is_cuda))
        code = labels.long() * factors[-1]
        for part in parts:
            if checkpoint is not None:
                checkpoint()
            bits = tokens[part].float().contiguous().view(torch.int32).long()
            code[part] += bits.mul_(factors[:-1]).sum(-1)  # overflow is what mixes it
        codes, which = torch.unique(code, return_inverse=True)
        one_of_each = torch.empty(len(codes), dtype=torch.long, device=tokens.device)
        one_of_each[which] = torch.arange(len(tokens), device=tokens.device)
        rows, own = tokens[one_of_each], labels[one_of_each]
        same = torch.equal(own[which], labels)
        for part in parts if same else ():
            if checkpoint is not None:
                checkpoint()
            same = same and torch.equal(rows.index_select(0, which[part]), tokens[part])
        if not same:  # two tokens of one code
            everyone = torch.arange(len(tokens), device=tokens.device)
            return cls(tokens, labels, everyone, torch.ones_like(everyone))
        return cls(rows, own, which, torch.bincount(which, minlength=len(codes)))

    @property
    def nbytes(self) -> int:
        return self.rows.nbytes + self.labels.nbytes + self.which.nbytes + self.counts.nbytes

    def means(self, values: Tensor) -> Tensor:
        """(M, E) values of all tokens -> their means over equal tokens (n, E)."""
        sums = values.new_zeros(len(self.rows), values.shape[-1]).index_add_(0, self.which, values)
        return sums / self.counts[:, None].to(values.dtype)


def _parts(count: int, whole: bool) -> Iterator[slice]:
    """0..count, some tokens at a time; whole: at once."""
    step = count if whole else TOKENS
    return (slice(k, k + step) for k in range(0, count, max(1, step)))


def fuse(residual: Tensor, sca: Tensor, ssa: Tensor, alpha1: float, alpha2: float) -> Tensor:
    """F_cs = alpha1 F_sca + alpha2 F_ssa + F_c (equation 7); all of one shape."""
    return residual + alpha1 * sca + alpha2 * ssa


def mvn(x: Tensor, eps: float = 1e-5, checkpoint: Callable[[], None] | None = None) -> Tensor:
    """Mean-variance normalisation per channel over positions, unbiased, as SANet has it.

    (B, C, H, W) -> (B, C, H, W). checkpoint is called between pieces of large features; it may
    raise to stop the work.
    """
    rows = max(1, NUMBERS // max(1, x[:, :, :1].numel()))
    if x.is_cuda or rows >= x.shape[2] or (torch.is_grad_enabled() and x.requires_grad):
        _, centred = _centred(x, (2, 3))
        return centred * (_mean_square(centred, (2, 3), fewer=1) + eps).rsqrt()
    count = x.shape[2] * x.shape[3]
    parts = torch.split(x, rows, 2)
    wide = torch.promote_types(x.dtype, torch.float32)  # sums may leave the range of half precision
    mean = torch.stack([p.sum((2, 3), keepdim=True, dtype=wide) for p in parts]).sum(0) / count
    out, squares = torch.empty_like(x), torch.zeros_like(mean)
    made = torch.split(out, rows, 2)
    for part, result in zip(parts, made, strict=True):
        if checkpoint is not None:
            checkpoint()
        centred = part - mean
        squares += centred.square().sum((2, 3), keepdim=True)
        result.copy_(centred)
    scale = (squares / (count - 1) + eps).rsqrt()
    for result in made:
        if checkpoint is not None:
            checkpoint()
        result.mul_(scale)
    return out


def _check_map(features: Tensor, labels: Tensor, which: str) -> None:
    if features.shape[-2:] != labels.shape:
        raise ShapeError(
            f"the {which} labels do not fit the {which} features",
            expected=f"{tuple(features.shape[-2:])}",
            actual=f"{tuple(labels.shape)}",
        )


def _check_tokens(query: Tensor, key: Tensor, value: Tensor, query_labels: Tensor, key_labels: Tensor) -> None:
    for name, tokens, labels in (("query", query, query_labels), ("key", key, key_labels), ("value", value, key_labels)):
        if tokens.shape[-2] != len(labels):
            raise ShapeError(
                f"{name} tokens and their labels differ in number", expected=str(len(labels)), actual=str(tokens.shape[-2])
            )
    if query.shape[-1] != key.shape[-1]:
        raise ShapeError("query and key differ in width", expected=str(query.shape[-1]), actual=str(key.shape[-1]))
