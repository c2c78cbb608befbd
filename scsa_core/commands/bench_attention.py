"""Block-wise SCA + SSA against the dense masked form, side by side.

Each round times the dense form, the blocks and a plain matrix product once, in turn, so that
a busy machine slows all three alike. Memory is measured in a fresh process per form: its peak
resident memory during the call, less what was resident before it and less the results.
"""

from __future__ import annotations

import math
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from scsa_core.attention import semantic_continuous_attention, semantic_sparse_attention
from scsa_core.memory import peak_memory

WIDTH = 512
REGIONS = (1, 4, 16)


@dataclass(frozen=True)
class Tokens:
    """Inputs of one case: queries and keys of both attentions, values, labels of content and style."""

    map_query: Tensor
    map_key: Tensor
    query: Tensor
    key: Tensor
    value: Tensor
    content_labels: Tensor
    style_labels: Tensor


@dataclass(frozen=True)
class Case:
    """Seconds per round of one number of regions, and bytes beyond inputs and results."""

    regions: int
    dense: list[float]
    blocks: list[float]
    product: list[float]
    dense_bytes: int
    blocks_bytes: int
    flops: float
    product_flops: float


def tokens(side: int, regions: int, seed: int = 0) -> Tokens:
    """side x side tokens of width 512 in `regions` equal square regions (a square number)."""
    generator = torch.Generator().manual_seed(seed)
    n = side * side
    per_side = math.isqrt(regions)
    rows = torch.arange(side) * per_side // side
    labels = (rows[:, None] * per_side + rows[None, :]).flatten()
    map_query, map_key, query, key, value = torch.randn(5, 1, n, WIDTH, generator=generator)
    return Tokens(map_query, map_key, query, key, value, labels, labels)


def blocks(t: Tokens) -> tuple[Tensor, Tensor]:
    """SCA and SSA as the product computes them, grouping of tokens included."""
    scale = WIDTH**-0.5
    sca = semantic_continuous_attention(t.map_query, t.map_key, t.value, t.content_labels, t.style_labels, scale)
    return sca, semantic_sparse_attention(t.query, t.key, t.value, t.content_labels, t.style_labels, scale)


def dense(t: Tokens) -> tuple[Tensor, Tensor]:
    """The same by full N x M logits under a mask: softmax for SCA, softmax over the one survivor for SSA."""
    scale, never = WIDTH**-0.5, torch.finfo(t.value.dtype).min
    hidden = t.content_labels[:, None] != t.style_labels[None, :]
    logits = (t.map_query @ t.map_key.mT * scale).masked_fill(hidden, never)
    sca = logits.softmax(-1) @ t.value
    logits = (t.query @ t.key.mT * scale).masked_fill(hidden, never)
    best = logits.amax(-1, keepdim=True)
    ssa = logits.masked_fill(logits < best, never).softmax(-1) @ t.value
    return sca, ssa


FORMS: dict[str, Callable[[Tokens], tuple[Tensor, Tensor]]] = {"dense": dense, "blocks": blocks}


def measure(side: int, regions: int, repeat: int) -> Case:
    """Time one case, after one untimed round, and measure its memory."""
    t = tokens(side, regions)
    n = side * side
    rounds: list[tuple[float, float, float]] = []
    with torch.inference_mode():
        for _ in range(repeat + 1):
            rounds.append((_seconds(lambda: dense(t)), _seconds(lambda: blocks(t)), _seconds(lambda: t.query @ t.key.mT)))
    dense_s, blocks_s, product_s = (list(column) for column in zip(*rounds[1:], strict=True))
    pairs = torch.bincount(t.content_labels).double().dot(torch.bincount(t.style_labels).double()).item()
    return Case(
        regions,
        dense_s,
        blocks_s,
        product_s,
        extra_memory("dense", side, regions),
        extra_memory("blocks", side, regions),
        flops=6.0 * pairs * WIDTH,  # three products of 2 n m D a region: logits twice, values once
        product_flops=2.0 * n * n * WIDTH,
    )


def extra_memory(form: str, side: int, regions: int) -> int:
    """Peak bytes of one call beyond its inputs and results, measured in a process of its own."""
    call = f"from scsa_core.commands import bench_attention as b; print(b.probe({form!r}, {side}, {regions}))"
    # glibc otherwise keeps freed blocks of some sizes and not of others, by history: then the peak is not what was live.
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": "65536", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    answer = subprocess.run([sys.executable, "-c", call], check=True, stdout=subprocess.PIPE, text=True, env=environment)
    return int(answer.stdout)


def probe(form: str, side: int, regions: int) -> int:
    """What `extra_memory` runs. Earlier peaks of the process would hide a smaller one, so nothing large runs before."""
    import psutil

    with torch.inference_mode():
        t, small = tokens(side, regions), tokens(8, 1)
        FORMS[form](small)  # threads and library buffers exist before the measured call
        before = int(psutil.Process().memory_info().rss)
        results = FORMS[form](t)
        return max(0, _own_peak() - before - sum(r.nbytes for r in results))


def _own_peak() -> int:
    """Peak resident bytes of this program. Linux's getrusage also counts the parent's memory at the fork."""
    status = Path("/proc/self/status")
    if not status.exists():
        return peak_memory()
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started

