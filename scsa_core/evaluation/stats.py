"""Statistics over picture pairs. The unit of evidence is the pair: its two directions are averaged before.

Intervals are 95 % BCa bootstrap over pairs with a fixed seed (Efron 1987, `scipy.stats.bootstrap`).
Two methods: the same on per-pair differences, Wilcoxon's signed rank, and the share of
pairs won with its Wilson interval; several comparisons are corrected after Holm.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 9999
FEWEST = 3  # pairs: below, an interval would only be a range
Values = NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """A mean and its 95 % interval; low and high are NaN where there are too few values."""

    mean: float
    low: float
    high: float
    n: int

    @property
    def excludes_zero(self) -> bool:
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class Paired:
    """a - b over pairs. p: two-sided Wilcoxon, NaN where there is nothing to rank; won: share of pairs with a < b."""

    difference: Interval
    relative: float
    p: float
    won: float
    won_low: float
    won_high: float


def interval(values: Values, *, resamples: int = RESAMPLES, seed: int = 0) -> Interval:
    """BCa interval of the mean; of equal values, that value."""
    values = np.asarray(values, dtype=np.float64)
    mean = float(values.mean()) if len(values) else float("nan")
    if len(values) < FEWEST:
        return Interval(mean, float("nan"), float("nan"), len(values))
    if np.ptp(values) <= 1e-12 * max(1.0, abs(mean)):
        return Interval(mean, mean, mean, len(values))
    from scipy.stats import bootstrap

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a degenerate resample is told by its NaN below
        found = bootstrap((values,), np.mean, n_resamples=resamples, method="BCa", rng=np.random.default_rng(seed)).confidence_interval
    return Interval(mean, float(found.low), float(found.high), len(values))


def paired(a: Values, b: Values, *, resamples: int = RESAMPLES, seed: int = 0) -> Paired:
    """Compare two methods on the same pairs; lower is better."""
    difference = np.asarray(a, dtype=np.float64) - np.asarray(b, dtype=np.float64)
    p = float("nan")
    if len(difference) >= FEWEST and np.any(difference):
        from scipy.stats import wilcoxon

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # few pairs: scipy says so, and the table says how many
            p = float(wilcoxon(difference).pvalue)
    wins, decided = int((difference < 0).sum()), len(difference)
    low, high = wilson(wins, decided)
    of = float(np.mean(b)) if decided else float("nan")
    relative = float(np.mean(a)) / of - 1 if decided and of else float("nan")
    return Paired(interval(difference, resamples=resamples, seed=seed), relative, p, wins / decided if decided else float("nan"), low, high)


def wilson(k: int, n: int) -> tuple[float, float]:
    """95 % Wilson interval of k of n. Known: 28 of 40 -> 0.5457 to 0.8193."""
    from statsmodels.stats.proportion import proportion_confint

    if not n:
        return float("nan"), float("nan")
    low, high = proportion_confint(k, n, method="wilson")
    return float(low), float(high)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's correction; NaNs stay and do not count."""
    from statsmodels.stats.multitest import multipletests

    there = [k for k, p in enumerate(p_values) if p == p]
    out = [float("nan")] * len(p_values)
    if there:
        corrected = multipletests([p_values[k] for k in there], method="holm")[1]
        for k, p in zip(there, corrected, strict=True):
            out[k] = float(p)
    return out
