"""A tree of merges over tokens: built once, cut at any number of regions at no cost.

Average linkage joins the two clusters of least mean distance. Only its last merges are
kept: whatever lies below a few dozen clusters is never a region. `build` makes the upper part
again by the same mean distance times a power of the smaller cluster's size, so that stray
tokens join something before two large regions do.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray

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


def of_distances(between: Floats, *, leaves: int) -> MergeTree:
    """Average linkage of (N, N) distances, N > 1, from its last `leaves` clusters to one."""
    n = len(between)
    symmetric = (between + between.T) / 2
    np.fill_diagonal(symmetric, 0)
    tree = scipy.cluster.hierarchy.linkage(scipy.spatial.distance.squareform(symmetric, checks=False), "average")
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


def build(tokens: Floats, *, leaves: int, size_power: float) -> MergeTree:
    """The tree of (N, D) tokens over at most `leaves` leaf clusters.

    size_power 0 is plain average linkage; larger ones make small clusters join sooner.
    """
    n = len(tokens)
    labels = _flat(scipy.cluster.hierarchy.linkage(tokens, "average"), n, min(leaves, n))
    count = int(labels.max()) + 1
    belongs = np.zeros((n, count))
    belongs[np.arange(n), labels] = 1
    sums = belongs.T @ distances(tokens, tokens) @ belongs
    sizes = belongs.sum(0)
    merges, costs = _agglomerate(sums, sizes, size_power)
    return MergeTree(labels, merges, costs)


def _agglomerate(sums: Floats, sizes: Floats, power: float) -> tuple[tuple[tuple[int, int], ...], Floats]:
    """Greedy merges of (M, M) summed distances and (M,) sizes; both are used up."""
    m = len(sizes)
    cost = _cost(sums, sizes[:, None], sizes[None], power)
    np.fill_diagonal(cost, np.inf)
    merges, costs = [], []
    for _ in range(m - 1):
        a, b = sorted(divmod(int(cost.argmin()), m))
        merges.append((a, b))
        costs.append(cost[a, b])
        sums[a] += sums[b]
        sums[:, a] += sums[:, b]
        sizes[a] += sizes[b]
        gone = np.isinf(cost[a])
        row = _cost(sums[a], sizes[a], sizes, power)
        row[gone] = np.inf
        cost[a], cost[:, a] = row, row
        cost[b], cost[:, b] = np.inf, np.inf
    return tuple(merges), np.array(costs)


def _cost(sums: Floats, a: Floats, b: Floats, power: float) -> Floats:
    out: Floats = sums / (a * b) * np.minimum(a, b) ** power
    return out


def _flat(tree: Floats, n: int, clusters: int) -> Ints:
    """Labels 0.. of the cut of a scipy linkage that leaves `clusters` clusters."""
    parent = np.arange(2 * n - 1)
    for k in range(n - clusters):
        parent[tree[k, :2].astype(int)] = n + k
    for k in range(2 * n - 2, -1, -1):  # parents have larger numbers: one pass from the top
        parent[k] = parent[parent[k]]
    _, labels = np.unique(parent[:n], return_inverse=True)
    return labels.astype(np.int64)
