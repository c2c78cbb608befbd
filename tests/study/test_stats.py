"""Known answers of every statistic, and what comes out of simulated people."""

from __future__ import annotations

import math

import numpy as np
import pytest

from scsa_core.study import stats
from scsa_core.study.stats import TIE, Answer, wilson


def votes(*groups, shown=(0, 1)):
    """One vote a person: (how many, choice)."""
    choices = [choice for count, choice in groups for _ in range(count)]
    return [Answer(k, 1, "main", k % 5, shown, choice, 2000) for k, choice in enumerate(choices)]


def test_wilson():
    interval = wilson(28, 40)
    assert (round(interval.low, 4), round(interval.high, 4)) == (0.5457, 0.8193)
    assert wilson(0, 10).low == 0 and round(wilson(0, 10).high, 4) == 0.2775
    assert wilson(10, 10).high == 1 and (wilson(0, 0).low, wilson(0, 0).high) == (0, 1)


def test_davidson_with_ties():
    """Two methods make a saturated model: 60 wins, 20 losses, 20 ties are fitted exactly."""
    found = stats.scores(votes((60, 0), (20, 1), (20, TIE)), 2, pseudo=0)
    difference = found.values[0] - found.values[1]
    assert difference == pytest.approx(math.log(3), abs=1e-5)
    assert found.nu == pytest.approx(1 / (2 * math.sqrt(3)), abs=1e-5)
    strong, weak = math.exp(difference), 1.0
    tie = 2 * found.nu * math.sqrt(strong * weak)
    assert [strong, weak, tie] / np.sum([strong, weak, tie]) == pytest.approx([0.6, 0.2, 0.2], abs=1e-5)


def test_bradley_terry_of_three_methods():
    """Win counts made from known strengths come back: log strengths 1, 0, -1."""
    strengths, answers = {0: 1.0, 1: 0.0, 2: -1.0}, []
    for a, b in ((0, 1), (0, 2), (1, 2)):
        wins = round(2000 / (1 + math.exp(strengths[b] - strengths[a])))
        answers += votes((wins, 0), (2000 - wins, 1), shown=(a, b))
    found = stats.scores(answers, 3, draws=2, pseudo=0)
    assert [found.values[k] for k in range(3)] == pytest.approx([1, 0, -1], abs=5e-3) and found.nu is None


def test_first_choices_of_three():
    """Luce's rule: shares 60, 30 and 10 of a hundred are strengths in that ratio."""
    answers = votes((60, 0), (30, 1), (10, 2), shown=(0, 1, 2))
    found = stats.scores(answers, 3, draws=50, pseudo=0)
    assert found.values[0] - found.values[1] == pytest.approx(math.log(2), abs=1e-5)
    assert found.values[0] - found.values[2] == pytest.approx(math.log(6), abs=1e-5)
    best = stats.preferences(answers)
    assert [(p.first, p.second, p.wins, p.decisive) for p in best] == [(0, None, 60, 100), (1, None, 30, 100), (2, None, 10, 100)]
    assert best[0].chance == pytest.approx(1 / 3) and [s.k for s in stats.positions(answers)] == [60, 30, 10]


def test_unanimous_votes_stay_finite_and_unconnected_methods_get_no_score():
    found = stats.scores(votes((30, 0)), 4, draws=100)
    assert found.left_out == (2, 3) and set(found.values) == {0, 1}
    assert found.values[0] == -found.values[1] == pytest.approx(math.log(30.5 / 0.5) / 2, abs=1e-4)
    assert all(i is not None and math.isfinite(i.width) for i in found.intervals.values())
    assert stats.scores([], 3).left_out == (0, 1, 2)


def test_score_intervals_come_from_resampled_people():
    """Ten people of one opinion each: as wide as ten votes, however often each of them voted."""
    once = [Answer(p, 1, "main", 0, (0, 1), int(p >= 7), 2000) for p in range(10)]
    often = [Answer(p, t, "main", t % 4, (0, 1), int(p >= 7), 2000) for p in range(10) for t in range(1, 21)]
    narrow, wide = stats.scores(once, 2, pseudo=0.01), stats.scores(often, 2, pseudo=0.2)
    assert wide.intervals[0].width == pytest.approx(narrow.intervals[0].width, rel=0.05)


def test_the_headline_is_the_widest_interval():
    people = [Answer(p, t, "main", t % 4, (0, 1), int(p % 10 >= 7), 2000) for p in range(20) for t in range(1, 21)]
    [found] = stats.preferences(people)
    assert found.headline_by == "participants" and found.headline.width > found.wilson.width
    assert found.design_effect == pytest.approx(20, rel=0.15)  # twenty votes of one opinion weigh as one
    [single] = stats.preferences(votes((12, 0)))
    assert single.share == 1 and single.headline_by == "wilson" and single.design_effect is None
    assert stats.preferences(votes((3, TIE)))[0].share is None
    half = stats.preferences(votes((6, 0), (2, 1), (4, TIE)))[0]
    assert (half.wins, half.decisive, half.ties, half.half) == (6, 8, 4, pytest.approx(8 / 12))


def test_krippendorff_s_own_example():
    """Four coders, twelve units, values missing: alpha 0.743 (Krippendorff 2011)."""
    table = [
        (1, 1, None, 1), (2, 2, 3, 2), (3, 3, 3, 3), (3, 3, 3, 3), (2, 2, 2, 2), (1, 2, 3, 4), (4, 4, 4, 4), (1, 1, 2, 1),
        (2, 2, 2, 2), (None, 5, 5, 5), (None, None, 1, 1), (None, None, 3, None),
    ]  # fmt: skip
    units = [[v for v in unit if v is not None] for unit in table]
    assert stats.krippendorff(units) == pytest.approx(0.743, abs=5e-4)
    assert stats.krippendorff([[1, 1], [2, 2]]) == 1 and stats.krippendorff([[1], [2]]) is None
    assert stats.krippendorff([[1, 1], [1, 1]]) is None  # without variation it is not defined


def person(number, checks=(), choices=(), ms=2000):
    """checks: whether each was passed; choices: of comparisons."""
    given = [Answer(number, k, "check", k, (0, 0), 0 if passed else 1, ms, good=0) for k, passed in enumerate(checks)]
    return given + [Answer(number, 50 + k, "main", k, (0, 1), choice, ms) for k, choice in enumerate(choices)]


def test_the_rules_of_exclusion():
    mixed = (0, 1) * 6
    cases = {
        1: person(1, (True,) * 4, mixed), 2: person(2, (True, True, False, True), mixed), 3: person(3, (True,) * 5 + (False,), mixed),
        4: person(4, (False,) * 2 + (True,) * 4, mixed), 5: person(5, (), mixed, 700), 6: person(6, (), (0,) * 9 + (1,)),
        7: person(7, (), (0,) * 9), 8: person(8, (False,), (1,) * 12, 100),
    }  # fmt: skip
    found = stats.exclusions(a for given in cases.values() for a in given)
    assert found == {2: ("check",), 4: ("check",), 5: ("fast",), 6: ("side",), 8: ("check", "fast", "side")}


def test_consistency_side_bias_times_and_pairs():
    main = [Answer(1, 1, "main", 0, (0, 1), 0, 1000), Answer(1, 2, "main", 1, (1, 0), 0, 3000), Answer(2, 1, "main", 0, (0, 1), TIE, 2000)]
    repeats = [Answer(1, 9, "repeat", 0, (1, 0), 1, 900, repeats=1), Answer(2, 9, "repeat", 0, (1, 0), 0, 900, repeats=1)]
    assert (stats.consistency(main + repeats).k, stats.consistency(main + repeats).n) == (1, 2)
    assert [(s.k, s.n) for s in stats.positions(main)] == [(2, 2), (0, 2)]
    assert stats.times(main)["median"] == 2000 and stats.times([]) is None
    rows = stats.per_pair(main)
    assert [(r.pair, dict(r.votes), r.ties) for r in rows] == [(0, {0: 1, 1: 0}, 1), (1, {0: 0, 1: 1}, 0)]


def simulate(seed, people=40, pairs=20, trials=20, truth=0.7):
    """People and pairs with leanings of their own around `truth` (on the average over people, of these pairs)."""
    rng = np.random.default_rng(seed)
    of_pairs = rng.normal(0, 0.5, pairs)
    nodes, weights = np.polynomial.hermite_e.hermegauss(15)

    def mean(shift):
        logits = shift + of_pairs[:, None] + 0.5 * nodes
        return float(((1 / (1 + np.exp(-logits))) @ weights).mean() / weights.sum())

    low, high = -5.0, 5.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if mean(middle) < truth else (low, middle)
    answers = []
    for number, leaning in enumerate(rng.normal(0, 0.5, people)):
        for k, pair in enumerate(rng.permutation(pairs)[:trials]):
            wins = rng.random() < 1 / (1 + math.exp(-(low + of_pairs[pair] + leaning)))
            answers.append(Answer(number, k, "main", int(pair), (0, 1), int(wins), 2000))
    return answers


def test_the_interval_covers_the_truth_for_simulated_people():
    """40 people × 20 trials, people and pairs with leanings of 0.5 logit: the 95 % intervals hold 70 % in at least 90 of 100."""
    covered, headline = 0, 0
    for seed in range(100):
        [found] = stats.preferences(simulate(seed), draws=400, seed=seed)
        covered += 1 - found.by_participant.high <= 0.7 <= 1 - found.by_participant.low
        headline += 1 - found.headline.high <= 0.7 <= 1 - found.headline.low
    assert covered >= 90 and headline >= covered
