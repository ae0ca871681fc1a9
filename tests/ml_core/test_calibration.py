"""Calibration by hand, against scikit-learn and scipy, and as properties."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, special

from ml_core.metrics.calibration import (
    adaptive_calibration_error,
    brier_per_item,
    calibration,
    expected_calibration_error,
    fit_temperature,
    nll_per_item,
    reliability_bins,
)


def sample(seed, n=400, k=4, sharpness=2.0):
    """Probabilities that are right as often as they say, for sharpness 1 of the logits drawn."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(n, k)) * 2
    honest = special.softmax(logits, axis=1)
    truth = np.array([rng.choice(k, p=row) for row in honest])
    return special.softmax(logits * sharpness, axis=1), truth


def test_three_items_by_hand():
    rows = np.array([[0.9, 0.1], [0.8, 0.2], [0.35, 0.65]])
    truth = np.array([0, 1, 1])
    # confidences 0.9, 0.8, 0.65 in bins 14, 12, 10 of 15: |1 - .9|, |0 - .8|, |1 - .65|
    assert expected_calibration_error(rows, truth) == pytest.approx((0.1 + 0.8 + 0.35) / 3)
    assert expected_calibration_error(rows, truth, 1) == pytest.approx(abs(2 / 3 - 2.35 / 3))
    # two runs by confidence: (0.65, 0.8) with one right, then 0.9
    expected = (abs(0.35 - 0.8) + 0.1) / 3
    assert adaptive_calibration_error(rows, truth, 2) == pytest.approx(expected)
    assert brier_per_item(rows, truth) == pytest.approx([0.02, 1.28, 2 * 0.35**2])
    assert nll_per_item(rows, truth) == pytest.approx(-np.log([0.9, 0.2, 0.65]))
    bins = reliability_bins(rows, truth)
    assert [b.n for b in bins if b.n] == [1, 1, 1]
    assert (bins[0].n, bins[0].accuracy, bins[0].ci_low) == (0, None, None)
    assert bins[13].low == pytest.approx(13 / 15)


def test_bin_edges_belong_to_the_bin_below():
    bins = reliability_bins(np.array([[0.6, 0.4], [1.0, 0.0]]), np.array([0, 0]), 5)
    assert [b.n for b in bins] == [0, 0, 1, 0, 1]


def test_calibration_equals_scikit_learn():
    from sklearn.metrics import brier_score_loss, log_loss

    rows, truth = sample(0, k=2)
    found = calibration(rows, truth)
    assert found.nll.value == pytest.approx(log_loss(truth, rows), rel=1e-10)
    assert found.brier.value == pytest.approx(2 * brier_score_loss(truth, rows[:, 1]), rel=1e-10)
    confidence, right = rows.max(axis=1), rows.argmax(axis=1) == truth
    expected = 0.0
    for low in np.arange(15) / 15:
        inside = (confidence > low) & (confidence <= low + 1 / 15)
        if inside.any():
            expected += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    assert found.ece == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("sharpness", [0.4, 1.0, 3.0])
def test_the_temperature_is_the_one_scipy_finds(sharpness):
    rows, truth = sample(1, sharpness=sharpness)
    found = fit_temperature(rows, truth)

    def nll(log_t):
        tempered = special.log_softmax(np.log(rows) / math.exp(log_t), axis=1)
        return -tempered[np.arange(len(truth)), truth].mean()

    reference = optimize.minimize_scalar(nll, bounds=(-4, 4), method="bounded")
    assert found.temperature == pytest.approx(math.exp(reference.x), rel=1e-4)
    assert found.nll_after == pytest.approx(reference.fun, abs=1e-9)
    assert found.temperature == pytest.approx(sharpness, rel=0.25)


@given(st.integers(0, 200), st.floats(0.3, 3))
@settings(max_examples=15, deadline=None)
def test_a_fitted_temperature_never_makes_the_labels_less_likely(seed, sharpness):
    rows, truth = sample(seed, n=60, sharpness=sharpness)
    found = fit_temperature(rows, truth)
    assert found.temperature is None or found.nll_after <= found.nll_before + 1e-12


def test_a_model_that_is_always_or_never_right_has_no_temperature():
    rows = np.tile([[0.8, 0.2]], (5, 1))
    for truth in (np.zeros(5, int), np.ones(5, int)):
        found = fit_temperature(rows, truth)
        assert (found.temperature, found.nll_after, found.ece_after) == (None, None, None)


@given(st.integers(0, 100), st.randoms(use_true_random=False))
@settings(max_examples=20, deadline=None)
def test_order_of_items_and_labels_does_not_matter(seed, random):
    rows, truth = sample(seed, n=80)
    rows[::7] = rows[0]
    order, names = random.sample(range(80), 80), random.sample(range(4), 4)
    renamed = np.argsort(names)[truth]
    for measure in (expected_calibration_error, adaptive_calibration_error):
        first = measure(rows, truth)
        assert 0 <= first <= 1
        assert measure(rows[order], truth[order]) == pytest.approx(first, abs=1e-12)
        assert measure(rows[:, names], renamed) == pytest.approx(first, abs=1e-12)


def test_stored_probabilities_may_be_missing_and_zero():
    rows = np.array([[1.0, 0.0], [np.nan, np.nan], [0.0, 1.0]], dtype=np.float32)
    found = calibration(rows, np.array([0, 1, 0]))
    assert (found.n, found.n_missing, found.nll.n_missing) == (2, 1, 1)
    assert found.nll.value == pytest.approx(-math.log(np.finfo(np.float32).tiny) / 2)
    assert found.brier.value == 1.0
    empty = calibration(np.full((2, 3), np.nan), np.array([0, 1]))
    assert (empty.ece, empty.adaptive_ece, empty.nll.value, empty.temperature) == (None,) * 4
    assert calibration(np.empty((0, 3)), np.empty(0, int)).n == 0


def test_probabilities_of_other_items_or_labels_are_refused():
    for rows, truth in ((np.ones((2, 2)), [0]), (np.ones((1, 2)), [2]), (np.ones(2), [0, 0])):
        with pytest.raises(ValueError, match=r"one row|out of range"):
            calibration(rows, np.array(truth))
