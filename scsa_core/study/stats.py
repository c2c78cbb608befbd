"""What the answers say: preference, scores, agreement, and who is left out, each with its interval.

Votes of one person, or on one pair, are not independent. So beside the Wilson interval stand
bootstraps over participants and over pairs, and the widest of the three is the headline.
Formulas: Wilson 1927; Davidson 1970 (Bradley–Terry with ties); Krippendorff 2011.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from scsa_core.study.design import Kind, Order

Z95 = 1.959963984540054
DRAWS = 2000
TIE = -1
FAST_MS = 800
SIDE_SHARE, SIDE_TRIALS = 0.9, 10
PSEUDO = 0.5
"""Votes added to every possible answer of every compared set, so that unanimous votes give finite scores."""


@dataclass(frozen=True)
class Answer:
    """One vote with its trial. choice: position from the left, or TIE. ms: on screen and visible."""

    participant: int
    ordinal: int
    kind: Kind
    pair: int
    order: Order
    choice: int
    ms: int
    good: int | None = None
    repeats: int | None = None

    @property
    def chosen(self) -> int | None:
        """The chosen method, None for no difference."""
        return None if self.choice == TIE else self.order[self.choice]

    @property
    def arms(self) -> Order:
        return tuple(sorted(self.order))


@dataclass(frozen=True)
class Interval:
    """A 95 % interval of a share or a score."""

    low: float
    high: float

    @property
    def width(self) -> float:
        return self.high - self.low


def wilson(k: float, n: float, z: float = Z95) -> Interval:
    """Wilson's interval of k of n. n = 0: everything is possible."""
    if n <= 0:
        return Interval(0.0, 1.0)
    p = k / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return Interval(0.0 if k == 0 else max(0.0, centre - half), 1.0 if k == n else min(1.0, centre + half))


# -- who is left out ------------------------------------------------------------------


def exclusions(answers: Iterable[Answer]) -> dict[int, tuple[str, ...]]:
    """Participant -> reasons: "check", "fast", "side". Fixed before the data:

    - check: an obvious check missed (two, where six or more were given)
    - fast: median answer under 0.8 s
    - side: the same side in at least 90 % of at least 10 comparisons
    """
    by_person: dict[int, list[Answer]] = defaultdict(list)
    for answer in answers:
        if answer.kind != "practice":
            by_person[answer.participant].append(answer)
    found = {}
    for person, given in by_person.items():
        reasons = []
        checks = [a for a in given if a.kind == "check"]
        missed = sum(a.choice != a.good for a in checks)
        if missed > (1 if len(checks) >= 6 else 0):
            reasons.append("check")
        if np.median([a.ms for a in given]) < FAST_MS:
            reasons.append("fast")
        sides = Counter(a.choice for a in given if a.kind == "main" and a.choice != TIE)
        total = sum(sides.values())
        if total >= SIDE_TRIALS and max(sides.values()) >= SIDE_SHARE * total:
            reasons.append("side")
        if reasons:
            found[person] = tuple(reasons)
    return found


# -- preference -----------------------------------------------------------------------


@dataclass(frozen=True)
class Preference:
    """`first` against `second` (None: against all others shown with it): wins of decisive votes, ties beside.

    half: the share with each tie as half a win. by_participant, by_pair: percentile bootstraps, None under
    two of either. headline: the widest of the three, `headline_by` its name. design_effect: variance
    over that of as many independent votes, None where it is not defined.
    """

    first: int
    second: int | None
    wins: int
    decisive: int
    ties: int
    share: float | None
    wilson: Interval
    by_participant: Interval | None
    by_pair: Interval | None
    headline: Interval
    headline_by: str
    design_effect: float | None
    half: float | None
    half_wilson: Interval
    chance: float


def preferences(answers: Iterable[Answer], *, draws: int = DRAWS, seed: int = 0) -> list[Preference]:
    """Of two pictures a trial: one for each two methods. Of three: one for each method, how often it was the best."""
    main = [a for a in answers if a.kind == "main"]
    two = [a for a in main if len(a.order) == 2]
    three = [a for a in main if len(a.order) > 2]
    found = []
    for first, second in sorted({(a.arms[0], a.arms[1]) for a in two}):
        found.append(_preference([a for a in two if a.arms == (first, second)], first, second, draws, seed))
    for arm in sorted({arm for a in three for arm in a.order}):
        found.append(_preference([a for a in three if arm in a.order], arm, None, draws, seed))
    return found


def _preference(answers: Sequence[Answer], first: int, second: int | None, draws: int, seed: int) -> Preference:
    decisive = [a for a in answers if a.choice != TIE]
    wins, n, ties = sum(a.chosen == first for a in decisive), len(decisive), len(answers) - len(decisive)
    plain = wilson(wins, n)
    by_participant, spread = _bootstrap(decisive, first, lambda a: a.participant, draws, seed)
    by_pair, _ = _bootstrap(decisive, first, lambda a: a.pair, draws, seed + 1)
    named = {"wilson": plain, "participants": by_participant, "pairs": by_pair}
    headline_by = max((k for k, v in named.items() if v is not None), key=lambda k: named[k].width)  # type: ignore[union-attr]
    share = wins / n if n else None
    independent = share * (1 - share) / n if share is not None else 0.0
    effect = spread / independent if independent > 0 and by_participant is not None else None
    size = len(answers[0].order) if answers else 2
    half = wins + ties / size
    return Preference(
        first, second, wins, n, ties, share, plain, by_participant, by_pair, named[headline_by] or plain, headline_by, effect,
        half / len(answers) if answers else None, wilson(half, len(answers)), 1 / size,
    )  # fmt: skip


def _bootstrap(
    answers: Sequence[Answer], first: int, group: Callable[[Answer], Hashable], draws: int, seed: int
) -> tuple[Interval | None, float]:
    """Percentile interval of the share over resampled groups, and the draws' variance."""
    keys = sorted({group(a) for a in answers}, key=str)
    if len(keys) < 2:
        return None, 0.0
    index = {key: k for k, key in enumerate(keys)}
    table = np.zeros((len(keys), 2))
    for a in answers:
        table[index[group(a)]] += (a.chosen == first, 1)
    sums = _weights(len(keys), draws, seed) @ table
    shares = sums[:, 0] / np.maximum(sums[:, 1], 1)
    shares = shares[sums[:, 1] > 0]
    low, high = np.percentile(shares, [2.5, 97.5])
    return Interval(float(low), float(high)), float(shares.var())


def _weights(count: int, draws: int, seed: int) -> np.ndarray:
    """(draws, count): how often each was drawn in a resample of `count` with replacement."""
    return np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=draws).astype(float)


# -- scores ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Scores:
    """Log strengths by method, centred; intervals by participant bootstrap (None under two participants).

    nu: Davidson's tie parameter, None without ties. left_out: methods that no vote connects to the rest.
    """

    values: dict[int, float]
    intervals: dict[int, Interval | None]
    nu: float | None
    left_out: tuple[int, ...] = ()


def scores(answers: Iterable[Answer], arms: int, *, draws: int = DRAWS, seed: int = 0, pseudo: float = PSEUDO) -> Scores:
    """Davidson's model for two pictures a trial, Luce's first choice for three. Ties of three are left out."""
    used = [a for a in answers if a.kind == "main" and (a.choice != TIE or len(a.order) == 2)]
    group = _largest_group(used, arms)
    left_out = tuple(k for k in range(arms) if k not in group)
    used = [a for a in used if set(a.order) <= set(group)]
    if len(group) < 2 or not used:
        return Scores({}, {}, None, tuple(range(arms)))
    situations = sorted({a.arms for a in used})
    ties = any(a.choice == TIE for a in used)
    outcomes = [(s, o) for s in situations for o in (*s, *((None,) if ties and len(s) == 2 else ()))]
    features = np.zeros((len(outcomes), len(group) + 1))
    for row, (s, o) in zip(features, outcomes, strict=True):
        if o is None:
            row[[group.index(s[0]), group.index(s[1])]] = 0.5
            row[-1] = 1.0
        else:
            row[group.index(o)] = 1.0
    owner = np.array([situations.index(s) for s, _ in outcomes])
    index = {outcome: k for k, outcome in enumerate(outcomes)}
    people = {number: k for k, number in enumerate(sorted({a.participant for a in used}))}
    table = np.zeros((len(people), len(outcomes)))
    for a in used:
        table[people[a.participant], index[a.arms, a.chosen]] += 1
    extra = np.array([0.0 if o is None else pseudo for _, o in outcomes])
    whole = _fit(table.sum(0, keepdims=True) + extra, features, owner, ties)[0]
    intervals: dict[int, Interval | None] = dict.fromkeys(group)
    if len(people) > 1:
        fits = _fit(_weights(len(people), draws, seed) @ table + extra, features, owner, ties)
        low, high = np.percentile(fits[:, :-1], [2.5, 97.5], axis=0)
        intervals = {arm: Interval(float(low[k]), float(high[k])) for k, arm in enumerate(group)}
    nu = float(np.exp(whole[-1]) / 2) if ties else None
    return Scores({arm: float(whole[k]) for k, arm in enumerate(group)}, intervals, nu, left_out)


def _fit(counts: np.ndarray, features: np.ndarray, owner: np.ndarray, ties: bool) -> np.ndarray:
    """Newton's method on the concave log likelihood, for many count tables at once.

    counts: (B, outcomes); features: (outcomes, methods + 1), the last for ties; owner: the compared set
    of each outcome. Returns (B, methods + 1): centred log strengths, log(2 ν).
    """
    batch, width = len(counts), features.shape[1]
    theta = np.zeros((batch, width))
    groups = [np.flatnonzero(owner == k) for k in range(owner.max() + 1)]
    ridge = np.full(width, 1e-9)
    ridge[:-1] += 1e-6  # strengths are free up to a constant: this fixes it at mean zero
    if not ties:
        ridge[-1] = 1.0
    for _ in range(60):
        gradient = -theta * ridge
        hessian = np.broadcast_to(np.diag(ridge), (batch, width, width)).copy()
        for rows in groups:
            x = features[rows]
            utility = theta @ x.T
            p = np.exp(utility - utility.max(1, keepdims=True))
            p /= p.sum(1, keepdims=True)
            n = counts[:, rows].sum(1, keepdims=True)
            gradient += (counts[:, rows] - n * p) @ x
            mean = p @ x
            hessian += n[:, :, None] * (np.einsum("bo,oi,oj->bij", p, x, x) - mean[:, :, None] * mean[:, None, :])
        step = np.linalg.solve(hessian, gradient[:, :, None])[:, :, 0]
        step *= np.minimum(1.0, 1.5 / np.maximum(np.abs(step).max(1, keepdims=True), 1e-12))
        theta = theta + step
        theta[:, -1] = np.clip(theta[:, -1], -20, 20)
        if np.abs(step[:, :-1]).max() < 1e-9:
            break
    theta[:, :-1] -= theta[:, :-1].mean(1, keepdims=True)
    return theta


def _largest_group(answers: Iterable[Answer], arms: int) -> list[int]:
    """The largest set of methods that votes connect."""
    group: dict[int, set[int]] = {k: {k} for k in range(arms)}
    for a in answers:
        joined: set[int] = set().union(*(group[k] for k in a.order))
        for k in joined:
            group[k] = joined
    largest: set[int] = max(group.values(), key=lambda g: (len(g), -min(g)), default=set())
    return sorted(largest)


# -- the rest -------------------------------------------------------------------------


@dataclass(frozen=True)
class Share:
    """k of n with Wilson's interval."""

    k: int
    n: int
    interval: Interval


def share(k: int, n: int) -> Share:
    return Share(k, n, wilson(k, n))


def consistency(answers: Iterable[Answer]) -> Share:
    """How often a repeat with reversed sides got the same answer."""
    answers = list(answers)
    first = {(a.participant, a.ordinal): a for a in answers}
    both = [(a, first[a.participant, a.repeats]) for a in answers if a.repeats is not None and (a.participant, a.repeats) in first]
    return share(sum(a.chosen == b.chosen for a, b in both), len(both))


def positions(answers: Iterable[Answer]) -> list[Share]:
    """How often each position was chosen, from the left; even shares mean no side bias."""
    main = [a for a in answers if a.kind == "main" and a.choice != TIE]
    width = max((len(a.order) for a in main), default=0)
    return [share(sum(a.choice == k for a in main), len(main)) for k in range(width)]


def agreement(answers: Iterable[Answer]) -> float | None:
    """Krippendorff's alpha, nominal: units are (pair, methods), coders are participants. None where nothing overlaps."""
    units: dict[Hashable, list[Hashable]] = defaultdict(list)
    for a in answers:
        if a.kind == "main":
            units[a.pair, a.arms].append(a.chosen)
    return krippendorff(units.values())


def krippendorff(units: Iterable[Sequence[Hashable]]) -> float | None:
    """Nominal alpha of the values given to each unit: 1 is agreement, 0 is chance. None where it is not defined."""
    totals: Counter[Hashable] = Counter()
    observed, n = 0.0, 0
    for values in units:
        m = len(values)
        if m < 2:
            continue
        counts = Counter(values)
        totals.update(counts)
        n += m
        observed += (m * m - sum(c * c for c in counts.values())) / (m - 1)
    expected = n * n - sum(c * c for c in totals.values())
    if n < 2 or expected == 0:
        return None
    return 1 - (n - 1) * observed / expected


@dataclass(frozen=True)
class PairRow:
    """One pair and one set of methods: votes by method, and ties."""

    pair: int
    arms: Order
    votes: Mapping[int, int]
    ties: int
    first: Share
    median_ms: float


def per_pair(answers: Iterable[Answer]) -> list[PairRow]:
    main = [a for a in answers if a.kind == "main"]
    rows = []
    for (pair, arms), given in itertools.groupby(sorted(main, key=lambda a: (a.pair, a.arms)), key=lambda a: (a.pair, a.arms)):
        votes = list(given)
        counts = {arm: sum(a.chosen == arm for a in votes) for arm in arms}
        ties = sum(a.choice == TIE for a in votes)
        rows.append(PairRow(pair, arms, counts, ties, share(counts[arms[0]], len(votes) - ties), float(np.median([a.ms for a in votes]))))
    return rows


def times(answers: Iterable[Answer]) -> dict[str, float] | None:
    """Milliseconds an answer took: 10th, 50th and 90th percentile."""
    ms = [a.ms for a in answers if a.kind == "main"]
    if not ms:
        return None
    low, middle, high = np.percentile(ms, [10, 50, 90])
    return {"p10": float(low), "median": float(middle), "p90": float(high)}
