"""Many questions, groups and tasks: Holm, power, slices, macro means."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from ml_core.statistics import (
    TaskScore,
    estimate_mean,
    holm,
    interval_error,
    items_needed,
    macro_mean,
    minimum_detectable_effect,
    score_slices,
    simultaneous_confidence,
)
from ml_core.statistics.power import detectable_in_errors, paired_deviation, unpaired_deviation

few = settings(max_examples=40, deadline=None)
p_values = st.lists(st.floats(0, 1), max_size=12)


def test_holm_equals_statsmodels():
    # statsmodels 0.15.0, multipletests([...], method="holm")[1]
    found = holm(np.array([0.01, 0.04, 0.03, 0.005, 0.2, 0.04]))
    assert found == pytest.approx([0.05, 0.12, 0.12, 0.03, 0.2, 0.12], rel=1e-12)
    assert holm(np.empty(0)).tolist() == []


@given(p_values)
@few
def test_holm_lies_between_no_correction_and_bonferroni_and_keeps_the_order(sample):
    p = np.array(sample)
    adjusted = holm(p)
    assert (adjusted >= p).all()
    assert (adjusted <= np.minimum(p * len(p), 1) + 1e-12).all()
    assert (np.diff(adjusted[np.argsort(p)]) >= 0).all()
    assert holm(p[::-1]).tolist() == adjusted[::-1].tolist()


def test_bonferroni_shares_the_doubt():
    assert simultaneous_confidence(5) == pytest.approx(0.99)
    assert simultaneous_confidence(1) == simultaneous_confidence(0) == 0.95


@pytest.mark.parametrize(
    ("points", "paired", "unpaired"),
    # Evaluation notes, section 4: 20 % disagreement, and 65 % accuracy; there 2.8 stands for 2.8016
    [(1, 15_680, 35_672), (2, 3_920, 8_918), (3, 1_743, 3_964), (5, 628, 1_427)],
)
def test_items_needed_are_those_of_the_notes(points, paired, unpaired):
    effect = points / 100
    assert items_needed(1, paired_deviation(0.2), effect) == pytest.approx(paired, rel=0.003)
    assert items_needed(1, unpaired_deviation(0.65, 0.65), effect) == pytest.approx(
        unpaired, rel=0.003
    )


def test_items_needed_equal_statsmodels():
    # statsmodels 0.15.0, NormalIndPower().solve_power(0.1, alpha=.05, power=.8, ratio=0): 784.886
    assert items_needed(1, 1.0, 0.1) == 785
    assert items_needed(100, 0.1, -0.1) == 785
    assert items_needed(10, 1.0, 0.0) is items_needed(10, None, 0.1) is None
    assert items_needed(10, 1.0, 1e-300) is None
    assert detectable_in_errors() == pytest.approx(stats.norm.isf(0.025) + stats.norm.isf(0.2))
    assert minimum_detectable_effect(None) is None
    assert minimum_detectable_effect(0.01) == pytest.approx(0.02801585218)
    assert paired_deviation(0.2, 0.1) == pytest.approx(math.sqrt(0.19))
    assert interval_error(2 * stats.norm.isf(0.025)) == pytest.approx(1)


@given(st.integers(1, 500), st.floats(0.001, 1), st.floats(0.001, 1), st.floats(1.01, 5))
@few
def test_a_larger_effect_needs_fewer_items_and_a_larger_error_more(n, se, effect, factor):
    needed = items_needed(n, se, effect)
    assert items_needed(n, se, effect * factor) <= needed <= items_needed(n, se * factor, effect)


def test_slices_by_hand():
    values = np.array([1.0, 1, 1, 0, 1, 0, 0, 0, math.nan, 1])
    groups = ["a", "a", "a", "a", "b", "b", "b", "b", "b", None]
    found = score_slices(values, groups, min_items=4)
    assert [(g.group, g.score.value, g.score.n, g.score.n_missing) for g in found.groups] == [
        ("a", 0.75, 4, 0),
        ("b", 0.25, 4, 1),
    ]
    assert (found.n_ungrouped, found.small) == (1, ())
    assert (found.gap.best, found.gap.worst, found.gap.difference) == ("a", "b", 0.5)
    # each variance 3/16 * 4/3 / 4 = 1/16
    assert found.gap.se == pytest.approx(math.sqrt(1 / 8))
    assert found.gap.high - 0.5 == pytest.approx(3.182446305 * math.sqrt(1 / 8), rel=1e-8)
    assert found.worst.group == "b"
    lower = score_slices(values, groups, min_items=4, direction="lower")
    assert (lower.gap.best, lower.gap.worst, lower.gap.difference) == ("b", "a", 0.5)


def test_a_group_of_a_few_items_is_shown_but_never_the_worst():
    values = np.array([1.0] * 30 + [0.5] * 30 + [0.0])
    found = score_slices(values, ["a"] * 30 + ["b"] * 30 + ["c"])
    assert (found.small, found.gap.worst) == (("c",), "b")
    assert [g.group for g in found.groups] == ["a", "b", "c"]
    alone = score_slices(values, [None] * 31 + ["b"] * 30)
    assert (alone.gap, alone.worst, alone.n_ungrouped) == (None, None, 31)
    assert score_slices(np.empty(0), []).groups == ()
    with pytest.raises(ValueError, match="1 groups for 2 items"):
        score_slices(np.ones(2), ["a"])


def test_equal_groups_have_a_gap_of_nothing():
    gap = score_slices(np.tile([0.0, 1.0], 40), ["a", "a", "b", "b"] * 20).gap
    assert (gap.best, gap.worst, gap.difference, gap.n_pairs) == ("a", "b", 0.0, 1)
    assert gap.p == pytest.approx(1)


def test_the_gap_of_pairs_is_that_of_a_paired_comparison():
    """One sentence asked about two groups: the error is that of the differences."""
    rng = np.random.default_rng(0)
    hard = rng.random(200)
    her = hard + rng.normal(scale=0.05, size=200)
    him = hard + 0.02 + rng.normal(scale=0.05, size=200)
    values = np.concatenate([her, him])
    groups, clusters = ["her"] * 200 + ["him"] * 200, list(range(200)) * 2
    paired = score_slices(values, groups, clusters=clusters).gap
    expected = estimate_mean(him - her)
    assert paired.difference == pytest.approx(expected.value)
    assert paired.se == pytest.approx(expected.se, rel=1e-9)
    assert paired.p == pytest.approx(stats.ttest_rel(him, her).pvalue, rel=1e-6)
    assert score_slices(values, groups).gap.se > 4 * paired.se


def test_a_gap_among_many_groups_is_held_to_a_stricter_measure():
    rng = np.random.default_rng(1)
    values = rng.random(400)
    groups = [f"g{at % 8}" for at in range(400)]
    gap = score_slices(values, groups).gap
    assert gap.n_pairs == 28
    reach = stats.t.isf(0.025 / 28, 49)
    assert gap.high - gap.difference == pytest.approx(reach * gap.se, rel=1e-8)


def test_a_macro_mean_by_hand():
    # (0.7 - 0.25) / 0.75 = 0.6, (0.8 - 0.5) / 0.5 = 0.6, perplexity-like: (3 - 5) / (1 - 5) = 0.5
    found = macro_mean(
        [
            TaskScore("a", 0.7, 0.03, chance=0.25),
            TaskScore("b", 0.8, 0.02, chance=0.5),
            TaskScore("c", 3.0, 0.1, chance=5.0, ceiling=1.0),
        ]
    )
    assert found.value == pytest.approx((0.6 + 0.6 + 0.5) / 3)
    se = math.sqrt(0.04**2 + 0.04**2 + 0.025**2) / 3
    assert found.se == pytest.approx(se)
    assert found.high - found.value == pytest.approx(1.959963984540054 * se)


def test_a_task_without_a_score_leaves_no_mean():
    full, empty = TaskScore("a", 0.7, None), TaskScore("b", None, None)
    assert macro_mean([full, empty]).value is None
    assert macro_mean([full, empty]).missing == ("b",)
    assert (macro_mean([full]).value, macro_mean([full]).se) == (0.7, None)
    assert (macro_mean([]).value, macro_mean([]).n_tasks) == (None, 0)
    with pytest.raises(ValueError, match="guessing"):
        TaskScore("a", 0.5, None, chance=1.0)


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 0.9)), min_size=1, max_size=8))
@few
def test_guessing_is_nothing_and_order_does_not_matter(rows):
    tasks = [TaskScore(str(at), v, 0.1, chance=c) for at, (v, c) in enumerate(rows)]
    guessed = [TaskScore(t.task, t.chance, 0.1, chance=t.chance) for t in tasks]
    assert macro_mean(guessed).value == 0
    for order in itertools.islice(itertools.permutations(tasks), 3):
        assert macro_mean(order).value == pytest.approx(macro_mean(tasks).value, abs=1e-12)
