"""A tree of merges over tokens: built once, cut at any number of regions at no cost.

Average linkage joins the two clusters of least mean distance. Only its last merges are
kept: whatever lies below a few dozen clusters is never a region.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import linkage
from scipy.spatial.distance import squareform

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class MergeTree:
    """leaves: (N,) leaf cluster of every token. merges: (kept, absorbed) leaf ids, first merge first.

    costs: cost of each merge.
    """

    leaves: Ints
    merges: tuple[tuple[int, int], ...]
    costs: Floats

    @property
    def most(self) -> int:
        """The largest number of regions a cut can have."""
        return len(self.merges) + 1

    def owners(self, regions: int) -> Ints:
        """(most,) cluster 0..K-1 of every leaf, K = min(regions, most). Every cut refines those of fewer regions."""
        keep = min(max(regions, 1), self.most)
        owner = np.arange(self.most)
        for kept, absorbed in self.merges[: self.most - keep]:
            owner[owner == absorbed] = kept
        return np.unique(owner, return_inverse=True)[1].astype(np.int64)

    def cut(self, regions: int) -> Ints:
        """(N,) labels 0..K-1, largest cluster first."""
        _, labels, counts = np.unique(self.owners(regions)[self.leaves], return_inverse=True, return_counts=True)
        rank = np.empty(len(counts), dtype=np.int64)
        rank[np.argsort(-counts, kind="stable")] = np.arange(len(counts))
        return rank[labels]


def distances(a: Floats, b: Floats) -> Floats:
    """(N, D), (M, D) -> (N, M) Euclidean distances."""
    squares = (a**2).sum(1)[:, None] + (b**2).sum(1)[None] - 2 * a @ b.T
    out: Floats = np.sqrt(np.maximum(squares, 0))
    return out


def build(between: Floats, *, leaves: int) -> MergeTree:
    """Average linkage of (N, N) distances, N > 1, from its last `leaves` clusters to one."""
    n = len(between)
    symmetric = (between + between.T) / 2
    np.fill_diagonal(symmetric, 0)
    tree = linkage(squareform(symmetric, checks=False), "average")
    count = min(leaves, n)
    parent = np.arange(2 * n - 1)
    for k in range(n - count):
        parent[tree[k, :2].astype(int)] = n + k
    for k in range(2 * n - 2, -1, -1):  # parents have larger numbers: one pass from the top
        parent[k] = parent[parent[k]]
    tops, labels = np.unique(parent[:n], return_inverse=True)
    name = dict(zip(tops.tolist(), range(count), strict=True))
    merges = []
    for k in range(n - count, n - 1):
        kept, absorbed = sorted(name.pop(int(c)) for c in tree[k, :2])
        merges.append((kept, absorbed))
        name[n + k] = kept
    return MergeTree(labels.astype(np.int64), tuple(merges), tree[n - count :, 2])
