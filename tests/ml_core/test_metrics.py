"""Metrics against numbers by hand, scikit-learn and scipy, and as properties."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml_core.metrics import METRICS, Setting, count_cells, get_metric
from ml_core.metrics.classification import accuracy, bootstrap_macro_f1, label_scores, macro_f1
from ml_core.statistics.intervals import (
    mean_standard_error,
    percentile_interval,
    share_standard_error,
    wilson_interval,
)

SETTING = Setting(n_missing=0, n_draws=200, seed=0)
labelled = st.integers(1, 6).flatmap(
    lambda k: st.tuples(
        st.just(k),
        st.lists(st.tuples(st.integers(0, k - 1), st.integers(0, k - 1)), min_size=1, max_size=60),
    )
)


def cells_of(pairs, n_labels):
    truth, predicted = zip(*pairs, strict=True) if pairs else ((), ())
    return count_cells(np.array(truth, int), np.array(predicted, int), n_labels)


def test_metrics_by_hand():
    # truth 0 0 0 1 1 2, predicted 0 0 1 1 1 0:
    # F1 of 0 = 2*2/(3+3), of 1 = 2*2/(2+3), of 2 = 0
    cells = cells_of([(0, 0), (0, 0), (0, 1), (1, 1), (1, 1), (2, 0)], 3)
    assert accuracy(cells) == 4 / 6
    assert macro_f1(cells) == pytest.approx((2 / 3 + 4 / 5 + 0) / 3, abs=1e-15)
    scores = label_scores(cells)
    assert scores.precision.tolist()[:2] == [2 / 3, 2 / 3]
    assert math.isnan(scores.precision[2])
    assert scores.recall.tolist() == [2 / 3, 1.0, 0.0]
    assert cells.dense().tolist() == [[2, 1, 0], [0, 2, 0], [1, 0, 0]]


def test_nothing_has_no_score():
    for n_labels in (0, 3):
        cells = cells_of([], n_labels)
        for metric in METRICS.values():
            value = metric.compute(cells, SETTING)
            assert (value.value, value.se, value.ci_low, value.ci_high) == (None,) * 4
            assert value.n == 0


def test_one_item_has_a_score_but_no_standard_error():
    for name, metric in METRICS.items():
        value = metric.compute(cells_of([(1, 1)], 2), SETTING)
        assert value.value == (None if name == "top5_accuracy" else 1.0)
        assert value.se is None


def test_a_label_absent_from_the_split_counts_only_where_it_is_predicted():
    # label 2 is never true; predicted once its F1 is 0, predicted never it has none
    assert macro_f1(cells_of([(0, 0), (1, 1)], 3)) == 1.0
    assert macro_f1(cells_of([(0, 0), (1, 2)], 3)) == pytest.approx(1 / 3)


@given(labelled)
@settings(max_examples=60, deadline=None)
def test_metrics_equal_scikit_learn(case):
    from sklearn.metrics import accuracy_score, f1_score

    n_labels, pairs = case
    truth, predicted = zip(*pairs, strict=True)
    cells = cells_of(pairs, n_labels)
    assert accuracy(cells) == pytest.approx(accuracy_score(truth, predicted), abs=1e-15)
    reference = f1_score(truth, predicted, average="macro", zero_division=0)
    assert macro_f1(cells) == pytest.approx(reference, abs=1e-12)


@given(labelled, st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None)
def test_metrics_do_not_depend_on_the_order_of_items_or_names(case, random):
    n_labels, pairs = case
    shuffled = random.sample(pairs, len(pairs))
    names = random.sample(range(n_labels), n_labels)
    renamed = [(names[t], names[p]) for t, p in shuffled]
    for metric in (accuracy, macro_f1):
        expected = metric(cells_of(pairs, n_labels))
        assert metric(cells_of(shuffled, n_labels)) == expected
        assert metric(cells_of(renamed, n_labels)) == pytest.approx(expected, abs=1e-12)


@given(labelled)
@settings(max_examples=40, deadline=None)
def test_values_lie_in_their_intervals_and_ranges(case):
    n_labels, pairs = case
    value = get_metric("accuracy").compute(cells_of(pairs, n_labels), SETTING)
    assert 0 <= value.ci_low <= value.value <= value.ci_high <= 1
    value = get_metric("macro_f1").compute(cells_of(pairs, n_labels), SETTING)
    assert 0 <= value.value <= 1
    if len(pairs) >= 2:
        assert 0 <= value.ci_low <= value.ci_high <= 1


def test_numbers_outside_the_labels_are_refused():
    for truth, predicted in (([0, 2], [0, 0]), ([0], [-1]), ([0, 1], [0])):
        with pytest.raises(ValueError, match=r"label number|one length"):
            count_cells(np.array(truth), np.array(predicted), 2)


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [
        # statsmodels.stats.proportion.proportion_confint(method="wilson"), 0.14.4
        (8, 10, 0.4901624715 + 0, 0.9433178485),
        (0, 10, 0.0, 0.2775327998),
        (10, 10, 0.7224672002, 1.0),
        (65, 100, 0.5525447, 0.7363575),
    ],
)
def test_wilson_interval_equals_the_reference(successes, n, low, high):
    from scipy.stats import binomtest

    interval = wilson_interval(successes, n)
    reference = binomtest(successes, n).proportion_ci(method="wilson")
    assert interval.low == pytest.approx(reference.low, abs=1e-12)
    assert interval.high == pytest.approx(reference.high, abs=1e-12)
    assert interval.low == pytest.approx(low, abs=1e-6)
    assert interval.high == pytest.approx(high, abs=1e-6)


def test_wilson_interval_needs_items_and_sense():
    assert wilson_interval(0, 0) is None
    with pytest.raises(ValueError, match="successes"):
        wilson_interval(3, 2)


@given(st.integers(0, 200), st.integers(2, 200))
@settings(deadline=None)
def test_standard_error_of_a_share_is_that_of_its_zeros_and_ones(successes, n):
    successes = min(successes, n)
    values = np.array([1.0] * successes + [0.0] * (n - successes))
    assert share_standard_error(successes, n) == pytest.approx(mean_standard_error(values))
    assert mean_standard_error(values) == pytest.approx(values.std(ddof=1) / math.sqrt(n))


def test_the_bootstrap_draws_what_drawing_items_draws():
    """Draws from counts have the mean and spread of draws of items, within five of their errors."""
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 3, 200)
    predicted = np.where(rng.random(200) < 0.7, truth, rng.integers(0, 3, 200))
    cells = count_cells(truth, predicted, 3)
    fast = bootstrap_macro_f1(cells, n_draws=4000, rng=np.random.default_rng(2))
    picks = rng.integers(0, 200, (1000, 200))
    slow = np.array([macro_f1(count_cells(truth[p], predicted[p], 3)) for p in picks])
    assert abs(fast.mean() - slow.mean()) < 5 * slow.std() / math.sqrt(1000)
    assert fast.std() == pytest.approx(slow.std(), rel=5 / math.sqrt(2 * 1000))


def test_the_bootstrap_is_the_same_for_one_seed_and_another_for_another():
    cells = cells_of([(0, 0), (0, 1), (1, 1), (1, 0), (2, 2)] * 7, 3)
    compute = get_metric("macro_f1").compute
    first, again = compute(cells, SETTING), compute(cells, SETTING)
    assert first == again
    assert compute(cells, Setting(0, 200, seed=1)) != first


def test_the_bootstrap_does_not_depend_on_its_chunks(monkeypatch):
    from ml_core.statistics import bootstrap

    cells = cells_of([(0, 0), (0, 1), (1, 1), (2, 2)] * 5, 3)
    whole = bootstrap_macro_f1(cells, n_draws=50, rng=np.random.default_rng(0))
    monkeypatch.setattr(bootstrap, "CHUNK_VALUES", 1)
    cut = bootstrap_macro_f1(cells, n_draws=50, rng=np.random.default_rng(0))
    assert np.array_equal(whole, cut)


def test_many_labels_take_no_square_of_memory():
    n_labels = 100_000
    cells = cells_of([(i, i) for i in range(0, n_labels, 1000)], n_labels)
    assert get_metric("macro_f1").compute(cells, Setting(0, 20, 0)).value == 1.0


def test_percentiles_of_no_draws_are_no_interval():
    assert percentile_interval(np.empty(0)) is None


def test_accuracy_covers_as_often_as_it_says():
    """Wilson's 95 % interval holds the true share in 93 to 97 % of 4000 splits of 50 items."""
    rng = np.random.default_rng(3)
    for share in (0.65, 0.9):
        hits = rng.binomial(50, share, 4000)
        inside = [wilson_interval(int(k), 50) for k in hits]
        covered = np.mean([i.low <= share <= i.high for i in inside])
        assert 0.93 <= covered <= 0.975
