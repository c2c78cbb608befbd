"""FID, KID and ArtFID: distances of two sets of feature vectors. The features come from `inception`.

    FID     |mu_1 - mu_2|^2 + tr(S_1 + S_2 - 2 (S_1 S_2)^1/2)          Heusel et al. 2017
    KID     unbiased MMD^2 with k(x, y) = (x^T y / d + 1)^3            Binkowski et al. 2018 (1801.01401)
    ArtFID  (1 + mean LPIPS) (1 + FID)                                 Wright & Ommer 2022 (2207.12280)

FID is biased, by an amount that depends on the model, and its covariance is singular below
as many pictures as there are features (Chong & Forsyth, 1911.07023): a report prints the
number of pictures and `unreliable` below RELIABLE of them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Features = NDArray[np.float64]
"""(pictures, features)."""
RELIABLE = 2048


def frechet(mean_1: Features, covariance_1: Features, mean_2: Features, covariance_2: Features) -> float:
    """Fréchet distance of two normal distributions. Known: N(0, diag(1, 4)) to N((1, 2), diag(4, 9)) = 7."""
    values, vectors = np.linalg.eigh(covariance_1)
    root = (vectors * np.sqrt(values.clip(0))) @ vectors.T
    # S_1^1/2 S_2 S_1^1/2 is symmetric and has the eigenvalues of S_1 S_2: no root of a raw matrix is needed.
    cross = np.sqrt(np.linalg.eigvalsh(root @ covariance_2 @ root).clip(0)).sum()
    apart = np.square(mean_1 - mean_2).sum()
    return float(apart + np.trace(covariance_1) + np.trace(covariance_2) - 2 * cross)


def fid(x: Features, y: Features) -> float:
    """Of two sets of at least two feature vectors; covariances with n - 1."""
    return frechet(x.mean(0), np.cov(x, rowvar=False), y.mean(0), np.cov(y, rowvar=False))


def kid(x: Features, y: Features) -> float:
    """Unbiased squared maximum mean discrepancy over all pairs; may be below 0 and is not clipped."""
    n, m, d = len(x), len(y), x.shape[1]
    xx, yy, xy = ((a @ b.T / d + 1) ** 3 for a, b in ((x, x), (y, y), (x, y)))
    within = (xx.sum() - np.trace(xx)) / (n * (n - 1)) + (yy.sum() - np.trace(yy)) / (m * (m - 1))
    return float(within - 2 * xy.mean())


def kid_interval(x: Features, y: Features, *, resamples: int = 999, seed: int = 0) -> tuple[float, float]:
    """95 % percentile bootstrap over pictures."""
    rng = np.random.default_rng(seed)
    drawn = [kid(x[rng.integers(0, len(x), len(x))], y[rng.integers(0, len(y), len(y))]) for _ in range(resamples)]
    low, high = np.percentile(drawn, (2.5, 97.5))
    return float(low), float(high)


def art_fid(lpips: float, fid: float) -> float:
    """(1 + mean LPIPS to the contents) (1 + FID to the styles, on the art Inception)."""
    return (1 + lpips) * (1 + fid)
