"""MAST: one linear map that aligns the two pictures' feature manifolds, in closed form.

Huo et al., *Manifold Alignment for Semantically Aligned Style Transfer* (ICCV 2021, arXiv
2005.10777), artistic variant with semantic guidance. Tokens are columns there and rows
here: F (N, C) of the content, G (M, C) of the style, no mean removed.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from scsa_core.attention import Links, RegionIndex
from scsa_core.backbones.level import grid_labels

NEIGHBOURS = 5
RIDGE = 1e-4  # of the mean diagonal; the published 1e-12 breaks on channels that never fire
SHARE = 0.6  # of the aligned features in the output
MOST_TOKENS = 128**2
ROWS = 1024  # of the similarity table held at a time
EDGES = 65536  # gathered at a time


def edges(
    content: Tensor,
    style: Tensor,
    index: RegionIndex,
    content_labels: Tensor | None = None,
    k: int = NEIGHBOURS,
    checkpoint: Callable[[], None] | None = None,
) -> tuple[Tensor, Tensor]:
    """Pairs (i, j) of token numbers, each once: j among the k nearest of i by cosine, or i among the k nearest of j.

    Only tokens of linked regions are compared. A content region without a counterpart
    looks at the whole style, one way only: the other way every style token would pull on it.
    content_labels (N,) tells such regions; needed where `index.unmatched` is not empty.
    """
    a, b = F.normalize(content, dim=1), F.normalize(style, dim=1)
    found = []
    for block in index.blocks:
        one_way = bool(index.unmatched) and content_labels is not None and int(content_labels[block.queries[0]]) in index.unmatched
        keys = b[block.keys]
        best = b.new_full((0, len(keys)), -2.0)  # (k, m) similarities of the nearest content tokens so far
        where = torch.empty(0, len(keys), dtype=torch.long, device=b.device)
        for start in range(0, len(block.queries), ROWS):
            if checkpoint is not None:
                checkpoint()
            at = block.queries[start : start + ROWS]
            table = a[at] @ keys.T  # (r, m)
            near = table.topk(min(k, len(keys)), dim=1).indices
            found.append(torch.stack([at[:, None].expand_as(near).flatten(), block.keys[near].flatten()]))
            if one_way:
                continue
            top = table.topk(min(k, len(at)), dim=0)
            best = torch.cat([best, top.values])
            where = torch.cat([where, at[top.indices]])
            if len(best) > k:
                best, chosen = best.topk(k, dim=0)
                where = where.gather(0, chosen)
        if not one_way:
            found.append(torch.stack([where.flatten(), block.keys.expand_as(where).flatten()]))
    both = torch.cat(found, 1)
    code = torch.unique(both[0] * len(style) + both[1])
    return code // len(style), code % len(style)


def alignment(content: Tensor, style: Tensor, i: Tensor, j: Tensor, ridge: float = RIDGE) -> Tensor:
    """P (C, C) that minimises the mean of |P^T f_i - g_j|^2 over the edges; apply as `tokens @ P`.

    P = (sum_i d_i f_i f_i^T + lambda I)^-1 sum_edges u f_i g_j^T, u = 1 / number of edges,
    d_i = u * degree of i, lambda = ridge * mean diagonal. In float64.
    """
    f, g = content.double(), style.double()
    degree = torch.bincount(i, minlength=len(f)).double() / len(i)
    pulled = torch.zeros(len(f), g.shape[1], dtype=torch.float64, device=f.device)
    for start in range(0, len(i), EDGES):
        pulled.index_add_(0, i[start : start + EDGES], g[j[start : start + EDGES]])
    own = (f * degree[:, None]).T @ f
    own += torch.eye(len(own), dtype=own.dtype, device=own.device) * (ridge * own.diagonal().mean())
    out: Tensor = torch.linalg.solve(own, f.T @ (pulled / len(i)))
    return out.to(content.dtype)


def align(
    content: Tensor,
    style: Tensor,
    content_labels: Tensor,
    style_labels: Tensor,
    links: Links | None = None,
    checkpoint: Callable[[], None] | None = None,
) -> Tensor:
    """0.6 P^T F + 0.4 F: features (1, C, h, w) and (1, C, h', w') of one layer -> (1, C, h, w).

    Labels (H, W), (H', W') integer at any size. Above MOST_TOKENS tokens P is found on
    features averaged 2x2, as often as needed, and applied to the full ones.
    """
    small, small_style = (_pooled(x) for x in (content, style))
    labels = [grid_labels(m, *x.shape[-2:]).flatten() for m, x in ((content_labels, small), (style_labels, small_style))]
    f, g = (x[0].flatten(1).T.contiguous() for x in (small, small_style))  # (N, C), (M, C)
    index = RegionIndex.build(labels[0], labels[1], links).to(content.device)
    p = alignment(f, g, *edges(f, g, index, labels[0], checkpoint=checkpoint))
    tokens = content[0].flatten(1).T  # (N, C)
    return torch.lerp(tokens, tokens @ p, SHARE).T.reshape(content.shape)


def _pooled(x: Tensor) -> Tensor:
    while x.shape[-2] * x.shape[-1] > MOST_TOKENS:
        x = F.avg_pool2d(x, 2)
    return x
