"""For every query the key with the largest product, in tiles, where a convolution multiplies faster than a matrix product.

On AMD's processors with AVX-512 the library behind torch's matrix products (MKL) stays with
AVX2, and the one behind its convolutions (oneDNN) does not: a 1x1 convolution is the same
arithmetic at two to three times the rate. Elsewhere nothing is gained, and nothing changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

ROWS, COLUMNS = 512, 2048  # queries and keys of a tile: a million products, as large as a core's cache


def worth_tiling(query: Tensor, rows: int, columns: int) -> bool:
    """Whether `nearest` is quicker for so many queries, of (..., D) `query`, and keys: whole tiles, on such a processor, in float32."""
    large = rows >= ROWS and columns >= COLUMNS and query.shape[-1] >= 64
    return large and query.device.type == "cpu" and query.dtype == torch.float32 and _convolves_faster()


@lru_cache(maxsize=1)
def _convolves_faster() -> bool:
    libraries = torch.backends.mkl, torch.backends.mkldnn
    if torch.backends.cpu.get_cpu_capability() != "AVX512" or not all(x.is_available() for x in libraries):  # type: ignore[attr-defined]
        return False
    try:
        return "AuthenticAMD" in Path("/proc/cpuinfo").read_text()
    except OSError:  # not Linux
        return False


def nearest(query: Tensor, key: Tensor, checkpoint: Callable[[], None] | None = None) -> Iterator[tuple[slice, Tensor]]:
    """(rows, their best keys (c,) int64) for (n, D) queries and (m, D) keys, until all rows are done; of equal keys the first.

    checkpoint is called once a tile; it may raise to stop the work.
    """
    for start in range(0, len(query), ROWS):
        q = query[start : start + ROWS]
        best, winner = q.new_full((len(q),), -torch.inf), torch.zeros(len(q), dtype=torch.int64)
        for first in range(0, len(key), COLUMNS):
            if checkpoint is not None:
                checkpoint()
            found, which = _products(q, key[first : first + COLUMNS]).max(-1)
            better = found > best
            best, winner = torch.where(better, found, best), torch.where(better, which + first, winner)
        yield slice(start, start + len(q)), winner


def _products(q: Tensor, k: Tensor) -> Tensor:
    """q @ k.T: whole tiles as a 1x1 convolution over an 8 pixels wide picture of queries, with the keys as its weights."""
    if len(q) < ROWS or len(k) < COLUMNS:
        return q @ k.T
    picture = q.view(1, ROWS // 8, 8, -1).permute(0, 3, 1, 2)
    out = F.conv2d(picture, k[:, :, None, None])
    return out.permute(0, 2, 3, 1).reshape(ROWS, -1)
