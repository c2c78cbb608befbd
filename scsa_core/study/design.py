"""Who sees what: a participant's trials, drawn from what the study has served least.

A *unit* is a pair of pictures with the methods compared on it; a *cell* is a unit in one order of
its methods from left to right. Trials are drawn one by one: pairs this person has not seen, then
units least served in the whole study, then the order that keeps this person's sides and the
unit's orders within one of each other. The rest is chance, from the participant's own seed.
"""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from scsa_core.errors import StudyError

Kind = Literal["practice", "main", "check", "repeat"]
Order = tuple[int, ...]
Cell = tuple[int, Order]
"""(pair, methods from left to right), both as indices."""

MIN_MAIN = 3


@dataclass(frozen=True)
class Plan:
    """What a study shows. shown: pictures a trial, 2 or 3. trials: a person's, checks and the repeat among them."""

    pairs: int
    arms: int
    shown: int = 2
    trials: int = 20
    checks: int = 4
    repeat: bool = True

    def __post_init__(self) -> None:
        if self.pairs < 1:
            raise StudyError("a study needs at least one pair of pictures", hint="Choose some pairs.", reason="no_pairs")
        if self.shown not in (2, 3):
            raise StudyError(f"a trial shows two or three pictures, not {self.shown}")
        if self.arms < self.shown:
            said = f"{self.shown} pictures a trial need as many methods"
            raise StudyError(said, hint="Add a method.", reason="few_methods", shown=self.shown)
        if self.main < MIN_MAIN or self.checks < 0:
            least = MIN_MAIN + max(0, self.checks) + int(self.repeat)
            raise StudyError(
                f"of {self.trials} trials too few are left for the comparison",
                hint=f"Take at least {least} trials, or fewer checks.", reason="few_trials", trials=self.trials, least=least,
            )  # fmt: skip

    @property
    def main(self) -> int:
        """Trials that count."""
        return self.trials - self.checks - int(self.repeat)

    @property
    def units(self) -> list[Cell]:
        """Every (pair, methods in rising order)."""
        sets = list(itertools.combinations(range(self.arms), self.shown))
        return [(pair, arms) for pair in range(self.pairs) for arms in sets]


@dataclass(frozen=True)
class Trial:
    """One trial to show. order: methods from left to right; in a check all the same one.

    good: in a check, the position of the sound picture (the others are blurred). repeats: in a
    repeat, the index of the trial that it shows again with its sides reversed.
    """

    kind: Kind
    pair: int
    order: Order
    good: int | None = None
    repeats: int | None = None


def check_arm(pair: int, arms: int) -> int:
    """The method whose render is blurred in this pair's checks."""
    return pair % arms


def draw(plan: Plan, served: Mapping[Cell, int], seed: int) -> list[Trial]:
    """A participant's trials in their order, the practice first. served: how often each cell was given so far."""
    rng = random.Random(seed)
    main = _arranged([Trial("main", pair, order) for pair, order in _chosen(plan, served, rng)], rng)
    trials = _with_checks(main, plan, rng)
    if plan.repeat:
        trials = _with_repeat(trials, rng)
    return [_practice(plan, trials, rng), *trials]


def _chosen(plan: Plan, served: Mapping[Cell, int], rng: random.Random) -> list[Cell]:
    cells: Counter[Cell] = Counter(served)
    seen: Counter[int] = Counter()  # by this person: pairs, sets of methods, (method, position)
    sets: Counter[Order] = Counter()
    places: Counter[tuple[Order, int, int]] = Counter()
    units, chosen = plan.units, []
    orders = {arms: list(itertools.permutations(arms)) for _, arms in units}
    totals = {(pair, arms): sum(cells[pair, order] for order in orders[arms]) for pair, arms in units}
    for _ in range(plan.main):
        rarest = min(seen[pair] for pair, _ in units)
        fresh = [unit for unit in units if seen[unit[0]] == rarest]
        least = min(totals[unit] for unit in fresh)
        best: tuple[tuple[float, ...], Cell, Order] | None = None
        for pair, arms in fresh:
            if totals[pair, arms] > least:
                continue
            lowest = min(cells[pair, order] for order in orders[arms])
            for order in orders[arms]:
                spread = _spread(places, arms, order)
                score = (sets[arms], max(spread - 1, 0), cells[pair, order] - lowest, spread, rng.random())
                if best is None or score < best[0]:
                    best = score, (pair, order), arms
        assert best is not None
        _, (pair, order), arms = best
        chosen.append((pair, order))
        cells[pair, order] += 1
        totals[pair, arms] += 1
        seen[pair] += 1
        sets[arms] += 1
        for position, arm in enumerate(order):
            places[arms, arm, position] += 1
    return chosen


def _spread(places: Mapping[tuple[Order, int, int], int], arms: Order, order: Order) -> int:
    """The largest difference between two methods at one position, had this person seen `order` too."""
    worst = 0
    for position in range(len(order)):
        counts = [places.get((arms, arm, position), 0) + (order[position] == arm) for arm in arms]
        worst = max(worst, max(counts) - min(counts))
    return worst


def _arranged(trials: Sequence[Trial], rng: random.Random) -> list[Trial]:
    """Shuffled, no pair twice in a row where that can be helped."""
    left = list(trials)
    rng.shuffle(left)
    out: list[Trial] = []
    while left:
        counts = Counter(t.pair for t in left)
        pair, most = counts.most_common(1)[0]
        last = out[-1].pair if out else None
        free = [t for t in left if t.pair != last] or left
        if 2 * most > len(left) and pair != last:  # this one must go now, or two of it will meet
            free = [t for t in left if t.pair == pair]
        taken = rng.choice(free)
        left.remove(taken)
        out.append(taken)
    return out


def _with_checks(main: Sequence[Trial], plan: Plan, rng: random.Random) -> list[Trial]:
    """One check in each stretch of the sequence, never among the first two, beside other pairs than its own."""
    if plan.checks == 0:
        return list(main)
    sides = [k % plan.shown for k in range(plan.checks)]
    rng.shuffle(sides)
    used: Counter[int] = Counter()
    places = _stretches(len(main), plan.checks, rng)
    at: dict[int, list[Trial]] = {}
    for place, good in zip(places, sides, strict=True):
        near = {t.pair for t in (*main[max(place - 1, 0) : place + 1], *at.get(place, []))}
        free = [p for p in range(plan.pairs) if p not in near] or list(range(plan.pairs))
        fewest = min(used[p] for p in free)
        pair = rng.choice([p for p in free if used[p] == fewest])
        used[pair] += 1
        arm = check_arm(pair, plan.arms)
        at.setdefault(place, []).append(Trial("check", pair, (arm,) * plan.shown, good=good))
    out: list[Trial] = []
    for k in range(len(main) + 1):
        out += at.get(k, [])
        out += main[k : k + 1]
    return out


def _stretches(length: int, count: int, rng: random.Random) -> list[int]:
    """`count` places to insert at, one in each equal stretch of 2 … length."""
    first = min(2, length)
    edges = [first + (length - first) * k / count for k in range(count + 1)]
    return [rng.randint(round(low), max(round(low), round(high) - 1)) for low, high in itertools.pairwise(edges)]


def _with_repeat(trials: Sequence[Trial], rng: random.Random) -> list[Trial]:
    """An early trial again, sides reversed, in the last third where no neighbour shows the same pair."""
    early = [k for k, t in enumerate(trials) if t.kind == "main"]
    early = early[: max(1, len(early) // 2)]
    late = range(max(2 * len(trials) // 3, early[-1] + 1), len(trials) + 1)

    def clash(first: int, place: int) -> bool:
        return trials[first].pair in {t.pair for t in trials[place - 1 : place + 1]}

    options = [(first, place) for first in early for place in late]
    first, place = rng.choice([o for o in options if not clash(*o)] or options)
    again = Trial("repeat", trials[first].pair, trials[first].order[::-1], repeats=first + 1)  # the practice comes before
    return [*trials[:place], again, *trials[place:]]


def _practice(plan: Plan, trials: Sequence[Trial], rng: random.Random) -> Trial:
    """A trial that does not count, of a pair that comes late or not at all."""
    counts = Counter(t.pair for t in trials)
    free: Iterable[int] = [p for p in range(plan.pairs) if p != trials[0].pair] or range(plan.pairs)
    fewest = min(counts[p] for p in free)
    pair = rng.choice([p for p in free if counts[p] == fewest])
    order = tuple(rng.sample(range(plan.arms), plan.shown))
    return Trial("practice", pair, order)
