"""For every query the key with the largest product, in tiles that stay in a core's cache."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from scsa_core.products import by_convolution, linear

ROWS, COLUMNS = 512, 2048  # queries and keys of a tile: a million products


def worth_tiling(query: Tensor, columns: int) -> bool:
    """Whether `nearest` is quicker for these queries (n, D) and so many keys: whole tiles, multiplied by convolution."""
    return columns >= COLUMNS and by_convolution(query[:ROWS], COLUMNS)


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
            k = key[first : first + COLUMNS]
            whole = len(q) == ROWS and len(k) == COLUMNS  # other sizes would each be compiled first
            found, which = (linear(q, k) if whole else q @ k.T).max(-1)
            better = found > best
            best, winner = torch.where(better, found, best), torch.where(better, which + first, winner)
        yield slice(start, start + len(q)), winner
