"""Many rough clusterings vote on what any one of them gets wrong.

No weighting of layers, colour and position cuts every pair of pictures well, and a merge
tree changes much for a small change of its tokens. So there are many trees, each over other
weights and a random half of the tokens. For K regions the cut that agrees best with all the
others (mean IoU, regions named alike by the Hungarian method) is the first reference; the
rest take its names and vote, the more they agree the more they count. The measure of a
segmentation and of agreement being the same, that is the choice of least expected loss.

Sources: bagged clustering (Dudoit & Fridlyand 2003), cluster ensembles (Strehl & Ghosh
2002), minimum Bayes risk decoding.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray

from scsa_core.segment import merge_tree

Floats = NDArray[np.float64]
Labels = NDArray[np.uint8]

ROUNDS = 2
AGREEMENT_POWER = 4.0
"""How much more a cut counts that agrees with the others. Between 1 and 8 the outcome hardly moves."""


@dataclass(frozen=True, eq=False)
class Consensus:
    """cuts: (most, trees, N) labels of every tree cut at 1..most regions."""

    cuts: Labels

    @property
    def most(self) -> int:
        return len(self.cuts)

    def votes(self, regions: int) -> Floats:
        """(N, K) shares of the vote, each row's sum 1, K = min(regions, most), the region with most votes first."""
        count = min(max(regions, 1), self.most)
        return vote(self.cuts[count - 1], count)


def build(views: Iterable[Floats], *, most: int, seed: int = 0) -> Consensus:
    """One tree a view: (N, D) tokens, N even, the first half one picture's and the second the other's.

    Every tree sees the same places of both pictures, so equal pictures get equal labels.
    Deterministic for a seed.
    """
    random = np.random.default_rng(seed)
    cuts = []
    for tokens in views:
        half = len(tokens) // 2
        chosen = np.sort(random.choice(half, max(half // 2, 1), replace=False))
        chosen = np.concatenate([chosen, chosen + half])
        between = merge_tree.distances(tokens, tokens[chosen])
        tree = merge_tree.of_distances(between[chosen], leaves=most)
        cuts.append(_every_cut(tree, between, chosen, most))
    return Consensus(np.stack(cuts, 1))


def _every_cut(tree: merge_tree.MergeTree, between: Floats, chosen: NDArray[np.int64], most: int) -> Labels:
    """(most, N) labels of all tokens: of those not in the tree, the cluster of least mean distance."""
    members = np.eye(tree.most)[tree.leaves]
    sums, sizes = between @ members, members.sum(0)
    out = np.empty((most, len(between)), dtype=np.uint8)
    for k in range(1, most + 1):
        owners = tree.owners(k)
        joined = np.eye(int(owners.max()) + 1)[owners]
        out[k - 1] = (sums @ joined / (sizes @ joined)).argmin(1)
        out[k - 1, chosen] = owners[tree.leaves]
    return out


def vote(cuts: Labels, regions: int) -> Floats:
    """(N, regions) shares of the vote of (trees, N) labels 0..regions-1, the region with most votes first."""
    members = np.eye(regions)[cuts]  # (trees, N, K)
    weights = agreement(members) ** AGREEMENT_POWER
    votes: Floats = members[int(weights.argmax())]
    for _ in range(ROUNDS):
        total = np.zeros_like(votes)
        for cut, weight in zip(members, weights, strict=True):
            rows, columns = scipy.optimize.linear_sum_assignment(-_iou(votes.T @ cut, votes.sum(0), cut.sum(0)))
            total[:, rows] += weight * cut[:, columns]
        votes = total / total.sum(1, keepdims=True)
    return votes[:, np.argsort(-votes.sum(0), kind="stable")]


def agreement(members: Floats) -> Floats:
    """(trees, N, K) memberships -> (trees,) mean IoU of each with all, itself included; 1 is full agreement."""
    trees, _, k = members.shape
    wide = members.transpose(1, 0, 2).reshape(-1, trees * k)
    shared = (wide.T @ wide).reshape(trees, k, trees, k)
    sizes = members.sum(1)
    found = np.eye(trees)
    for a in range(trees):
        for b in range(a):
            iou = _iou(shared[a, :, b], sizes[a], sizes[b])
            found[a, b] = found[b, a] = iou[scipy.optimize.linear_sum_assignment(-iou)].mean()
    out: Floats = found.mean(1)
    return out


def _iou(shared: Floats, a: Floats, b: Floats) -> Floats:
    union = a[:, None] + b[None] - shared
    out: Floats = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return out
