"""Who sees what: balance, order and checks, for many participants."""

from __future__ import annotations

import itertools
import random
from collections import Counter

import pytest

from scsa_core.errors import StudyError
from scsa_core.study.design import Plan, Trial, check_arm, draw

PLANS = [Plan(8, 2), Plan(6, 3), Plan(49, 2), Plan(8, 3, 3), Plan(5, 2, trials=30), Plan(1, 2, trials=8, checks=1), Plan(9, 4, 2, 24, 6)]


def study(plan: Plan, people: int = 20, dropout: float = 0.0):
    rng, served, all_trials = random.Random(1), Counter(), []
    for person in range(people):
        trials = draw(plan, served, seed=person)
        all_trials.append(trials)
        seen = len(trials) if rng.random() >= dropout else rng.randrange(len(trials))
        served.update((t.pair, t.order) for t in trials[:seen] if t.kind == "main")
    return all_trials, served


@pytest.mark.parametrize("plan", PLANS)
def test_each_person_sees_what_the_plan_says(plan):
    for trials in study(plan)[0]:
        assert Counter(t.kind for t in trials) == Counter(practice=1, main=plan.main, check=plan.checks, repeat=1)
        assert trials[0].kind == "practice" and all(t.kind != "check" for t in trials[1:3])
        pairs = Counter(t.pair for t in trials if t.kind == "main")
        assert max(pairs.values()) - min(pairs[p] for p in range(plan.pairs)) <= 1  # none twice before all once
        if plan.pairs > 1:
            assert all(a.pair != b.pair for a, b in itertools.pairwise(trials))
        for t in trials:
            if t.kind == "repeat":
                first = trials[t.repeats]
                assert (first.kind, first.pair, first.order) == ("main", t.pair, t.order[::-1])
            elif t.kind == "check":
                assert t.order == (check_arm(t.pair, plan.arms),) * plan.shown and 0 <= t.good < plan.shown
            else:
                assert len(set(t.order)) == plan.shown


@pytest.mark.parametrize("plan", PLANS)
def test_sides_differ_by_at_most_one_a_person_and_cells_by_two(plan):
    trials, served = study(plan, 40)
    for person in trials:
        places = Counter((tuple(sorted(t.order)), arm, k) for t in person if t.kind == "main" for k, arm in enumerate(t.order))
        for arms in {s for s, _, _ in places}:
            for k in range(plan.shown):
                counts = [places[arms, arm, k] for arm in arms]
                assert max(counts) - min(counts) <= 1
    units = Counter()
    for (pair, order), n in served.items():
        units[pair, tuple(sorted(order))] += n
    assert max(units.values()) - min(units[u] for u in plan.units) <= 1
    for pair, arms in plan.units:
        counts = [served[pair, order] for order in itertools.permutations(arms)]
        assert max(counts) - min(counts) <= 2


def test_dropouts_are_made_up_for():
    plan = Plan(10, 2, trials=10, checks=2)
    _, served = study(plan, 60, dropout=0.3)
    units = Counter()
    for (pair, _), n in served.items():
        units[pair] += n
    assert max(units.values()) - min(units.values()) <= 2


def test_a_seed_gives_the_same_trials_and_another_one_others():
    plan = Plan(8, 2)
    assert draw(plan, {}, 5) == draw(plan, {}, 5) != draw(plan, {}, 6)


def test_checks_change_sides():
    for trials in study(Plan(8, 2))[0]:
        goods = Counter(t.good for t in trials if t.kind == "check")
        assert goods == Counter({0: 2, 1: 2})


def test_without_checks_and_repeat_only_comparisons_are_left():
    trials = draw(Plan(4, 2, trials=6, checks=0, repeat=False), {}, 0)
    assert [t.kind for t in trials] == ["practice"] + ["main"] * 6 and isinstance(trials[0], Trial)


@pytest.mark.parametrize("wrong", [(0, 2), (3, 1), (3, 2, 3), (3, 4, 4), (3, 2, 2, 6), (3, 2, 2, 20, -1)])
def test_plans_that_cannot_be(wrong):
    with pytest.raises(StudyError):
        Plan(*wrong)


def test_too_few_trials_are_refused_with_the_number_that_would_do():
    with pytest.raises(StudyError) as refused:
        Plan(3, 2, trials=4, checks=1)
    assert "at least 5 trials" in refused.value.hint
    assert (refused.value.reason, refused.value.values) == ("few_trials", {"trials": 4, "least": 5})
    assert Plan(3, 2, trials=5, checks=1).main == 3
