"""Tails and quantiles against scipy, to ten digits."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats

from ml_core.statistics.distributions import (
    binomial_cdf,
    incomplete_beta,
    normal_two_sided_p,
    student_quantile,
    student_two_sided_p,
)

many = settings(max_examples=80, deadline=None)


@given(st.floats(0.05, 400), st.floats(0.05, 400), st.floats(0, 1))
@many
def test_incomplete_beta_equals_scipy(a, b, x):
    found = float(incomplete_beta(a, b, np.array(x), np.array(1 - x)))
    assert found == pytest.approx(special.betainc(a, b, x), rel=1e-10, abs=1e-14)


@given(st.lists(st.floats(-60, 60), min_size=1, max_size=6), st.integers(1, 20_000))
@many
def test_student_tails_equal_scipy(t, df):
    t = [round(number, 4) for number in t]  # nearer to 0 scipy's own tail loses digits
    found = student_two_sided_p(np.array(t), df)
    assert found == pytest.approx(2 * stats.t.sf(np.abs(t), df), rel=1e-10, abs=1e-14)


@given(st.floats(0.01, 0.9999), st.integers(1, 100_000))
@many
def test_student_quantiles_equal_scipy(confidence, df):
    expected = stats.t.ppf(0.5 + confidence / 2, df)
    assert student_quantile(confidence, df) == pytest.approx(expected, rel=1e-10)


@given(st.integers(0, 3000), st.integers(0, 3000), st.floats(0.001, 0.999))
@many
def test_binomial_tails_equal_scipy(successes, n, share):
    expected = stats.binom.cdf(successes, n, share)
    assert binomial_cdf(successes, n, share) == pytest.approx(expected, rel=1e-10, abs=1e-14)


def test_edges_of_the_distributions():
    assert binomial_cdf(-1, 10, 0.5) == 0
    assert binomial_cdf(10, 10, 0.5) == 1
    assert binomial_cdf(500_000, 1_000_001, 0.5) == pytest.approx(0.5, abs=1e-9)
    assert student_two_sided_p(np.array([0.0, np.inf]), 3).tolist() == [1.0, 0.0]
    assert normal_two_sided_p(0) == 1
    assert normal_two_sided_p(-1.959963984540054) == pytest.approx(0.05, rel=1e-12)
    for confidence, df in ((0, 3), (1, 3), (0.9, 0)):
        with pytest.raises(ValueError, match="confidence"):
            student_quantile(confidence, df)
