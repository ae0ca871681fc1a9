"""Rates over many simulated benchmarks, with fixed seeds: coverage, false alarms, power.

Limits are what chance allows around the promised rate in all but about one of a thousand tries. The
first two repeat simulations of the evaluation notes, section 4.
"""

import math

import numpy as np
import pytest

from ml_core.statistics import (
    Question,
    compare_means,
    compare_shares,
    compare_sums,
    estimate_mean,
    estimate_share,
    ratio_of_sums,
)
from ml_core.statistics.intervals import mean_standard_error


def answers(rng, n, *abilities, difficulty_sd=1.0):
    """Right and wrong answers of models on the same items, and what each is expected to get."""
    difficulty = rng.normal(scale=difficulty_sd, size=n)
    chances = [1 / (1 + np.exp(difficulty - ability)) for ability in abilities]
    return [(rng.random(n) < chance).astype(float) for chance in chances]


def around(rate, repeats, errors=3.3):
    spread = errors * math.sqrt(rate * (1 - rate) / repeats)
    return rate - spread, rate + spread


def test_comparing_on_the_same_items_needs_fewer_of_them():
    """At correlations of 0.26 to 0.35 the paired error is 0.81 to 0.86 of the unpaired."""
    first, second = answers(np.random.default_rng(0), 20_000, 0.8, 0.85, difficulty_sd=1.6)
    found = compare_means(first, second, Question())
    unpaired = math.hypot(mean_standard_error(first), mean_standard_error(second))
    assert 0.26 < found.correlation < 0.4
    assert found.se / unpaired == pytest.approx(math.sqrt(1 - found.correlation), abs=0.005)
    assert 0.77 < found.se / unpaired < 0.87


def test_only_clustered_errors_hold_their_level_where_items_come_in_clusters():
    """A model with an effect on each passage (sd 1): 11 % false alarms plain, 5 % clustered."""
    rng = np.random.default_rng(1)
    clusters = np.arange(500) // 5
    repeats, alarms = 300, {"plain": 0, "clustered": 0}
    for _ in range(repeats):
        difficulty = rng.normal(size=500)
        effect = rng.normal(size=100)[clusters]
        base = (rng.random(500) < 1 / (1 + np.exp(difficulty))).astype(float)
        other = (rng.random(500) < 1 / (1 + np.exp(difficulty + effect))).astype(float)
        alarms["plain"] += compare_means(base, other, Question()).p < 0.05
        alarms["clustered"] += compare_means(base, other, Question(), clusters=clusters).p < 0.05
    low, high = around(0.05, repeats)
    assert alarms["plain"] / repeats > high
    assert low < alarms["clustered"] / repeats < high


@pytest.mark.parametrize(
    ("n", "abilities"), [(40, (0.5, 0.5)), (40, (1.5, 2.5)), (200, (0.5, 0.9))]
)
def test_intervals_of_paired_shares_cover_and_mcnemar_keeps_its_level(n, abilities):
    rng = np.random.default_rng(2)
    large = answers(rng, 400_000, *abilities)
    true = float(large[1].mean() - large[0].mean())
    repeats, inside, alarms = 400, 0, 0
    for _ in range(repeats):
        found = compare_shares(*answers(rng, n, *abilities), Question())
        inside += found.low <= true <= found.high
        alarms += found.p <= 0.05
    assert inside / repeats > around(0.95, repeats)[0]
    if abilities[0] == abilities[1]:
        assert alarms / repeats < around(0.05, repeats)[1]


def test_few_clusters_are_covered_too():
    """Ten passages of eight questions: Student's interval and the share's hold the true value."""
    rng = np.random.default_rng(3)
    clusters = np.repeat(np.arange(10), 8)
    repeats, means, shares = 500, 0, 0
    true = float((1 / (1 + np.exp(-0.5 - rng.normal(size=400_000)))).mean())
    for _ in range(repeats):
        chance = 1 / (1 + np.exp(-0.5 - rng.normal(size=10)[clusters]))
        hits = (rng.random(80) < chance).astype(float)
        mean, share = (e(hits, clusters=clusters) for e in (estimate_mean, estimate_share))
        means += mean.low <= true <= mean.high
        shares += share.low <= true <= share.high
    assert means / repeats > around(0.95, repeats)[0]
    assert shares / repeats > 0.9


def test_a_model_worse_by_the_margin_seldom_passes():
    """ "not worse" is said of a model that is worse by the margin in 2.5 % of tries at most."""
    rng = np.random.default_rng(4)
    large = answers(rng, 400_000, 0.8, 0.4)
    margin = float(large[0].mean() - large[1].mean())
    repeats = 500
    passed = sum(
        compare_shares(*answers(rng, 300, 0.8, 0.4), Question(margin=margin)).verdict
        in {"not_worse", "better"}
        for _ in range(repeats)
    )
    assert passed / repeats < around(0.025, repeats)[1]


def test_the_number_of_items_asked_for_does():
    """A large pilot asks for n items to show its difference; four of five tries of n then do."""
    rng = np.random.default_rng(5)
    pilot = answers(rng, 400_000, 0.5, 0.7)
    n = compare_shares(*pilot, Question()).n_for_seen
    assert 500 < n < 5000
    repeats = 300
    told = sum(
        compare_shares(*answers(rng, n, 0.5, 0.7), Question()).verdict == "better"
        for _ in range(repeats)
    )
    assert around(0.77, repeats)[0] < told / repeats < around(0.8, repeats)[1]


def test_a_corpus_metric_covers_and_keeps_its_level():
    rng = np.random.default_rng(6)
    repeats, inside, alarms = 150, 0, 0
    for _ in range(repeats):
        words = rng.integers(3, 30, 80)
        hard = rng.beta(2, 8, 80)
        sides = [
            np.stack([rng.binomial(words, hard), words], axis=1).astype(float) for _ in range(2)
        ]
        found = compare_sums(*sides, ratio_of_sums, Question(n_draws=200))
        inside += found.low <= 0 <= found.high
        alarms += found.p <= 0.05
    assert inside / repeats > around(0.94, repeats)[0]
    assert alarms / repeats < around(0.05, repeats)[1]
