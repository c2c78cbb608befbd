"""The dense masked form of the method, written straight from its equations: what the blocks must equal.

Everything is one N x M mask and whole-matrix operations, in float64 where the caller gives float64.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


def allowed(content_labels: Tensor, style_labels: Tensor, links: Mapping[int, tuple[int, ...]] | None = None) -> Tensor:
    """(N, M) bool: may query i see key j?"""
    links = links or {}
    rows = []
    for label in content_labels.tolist():
        sources = links.get(label, (label,))
        rows.append([s in sources for s in style_labels.tolist()])
    return torch.tensor(rows, dtype=torch.bool).reshape(len(content_labels), len(style_labels))


def continuous(query, key, value, mask, scale=1.0, fallback="whole"):
    """SCA: softmax over all logits, the hidden ones at the lowest number."""
    orphans = ~mask.any(-1)  # (N,)
    seen = mask | orphans[:, None] if fallback == "whole" else mask
    logits = (query @ key.transpose(-1, -2) * scale).masked_fill(~seen, torch.finfo(query.dtype).min)
    return logits.softmax(-1) @ value  # a row that sees nothing has equal logits: the plain mean


def sparse(query, key, value, mask, scale=1.0, fallback="whole"):
    """SSA: softmax over the single survivor of each row."""
    orphans = ~mask.any(-1)
    logits = query @ key.transpose(-1, -2) * scale
    logits = logits.masked_fill(~(mask | orphans[:, None]), -torch.inf)
    best = torch.zeros_like(logits, dtype=torch.bool).scatter_(-1, logits.argmax(-1, keepdim=True), True)
    out = logits.masked_fill(~best, -torch.inf).softmax(-1) @ value
    if fallback == "mean":
        out[..., orphans, :] = value.mean(-2, keepdim=True)
    return out


def adain(content, style, content_labels, style_labels, eps=1e-5, links=None):
    """S-AdaIN by masks, region by region; a region without a source is left as it is."""
    out = torch.zeros_like(content)
    links = links or {}
    for label in content_labels.unique().tolist():
        here = (content_labels == label).to(content.dtype)  # (H, W)
        there = torch.zeros_like(style_labels, dtype=content.dtype)
        for source in links.get(label, (label,)):
            there = torch.maximum(there, (style_labels == source).to(content.dtype))
        if not there.any():
            out += here * content
            continue
        mean_c, deviation_c = _moments(content, here, eps)
        mean_s, deviation_s = _moments(style, there, eps)
        out += here * ((content - mean_c) / deviation_c * deviation_s + mean_s)
    return out


def _moments(x, mask, eps):
    n = mask.sum()
    mean = (x * mask).sum((-2, -1), keepdim=True) / n
    variance = (mask * (x - mean) ** 2).sum((-2, -1), keepdim=True) / n
    return mean, (variance + eps).sqrt()
