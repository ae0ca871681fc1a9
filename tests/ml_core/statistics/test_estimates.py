"""Errors and intervals of one score: by hand, against statsmodels, and as properties."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from ml_core.statistics import (
    estimate,
    estimate_mean,
    estimate_repeats,
    estimate_share,
    estimate_sums,
    ratio_of_sums,
)
from ml_core.statistics.bootstrap import bootstrap_sums, distinct_rows
from ml_core.statistics.clusters import cluster_codes, mean_covariance, sum_by_cluster

few = settings(max_examples=40, deadline=None)
values = st.lists(st.floats(-5, 5, width=32), min_size=2, max_size=40)
VALUES = np.array([i * i % 17 for i in range(24)]) / 16
"""Squares modulo 17: what the statsmodels figures below were computed from."""


def test_the_mean_of_four_by_hand():
    # mean 2.5, squares 2.25 + 0.25 + 0.25 + 2.25 = 5, sd sqrt(5/3), se sqrt(5/12)
    found = estimate_mean(np.array([1.0, 2, np.nan, 3, 4]))
    assert (found.value, found.n, found.n_missing, found.n_clusters) == (2.5, 4, 1, None)
    assert found.se == pytest.approx(math.sqrt(5 / 12), rel=1e-14)
    assert found.high - 2.5 == pytest.approx(3.182446305 * math.sqrt(5 / 12), rel=1e-9)


def test_a_plain_mean_equals_statsmodels():
    # statsmodels 0.15.0, DescrStatsW(VALUES).std_mean and .tconfint_mean()
    found = estimate_mean(VALUES)
    assert found.se == pytest.approx(0.07349665812837104, rel=1e-12)
    assert (found.low, found.high) == pytest.approx((0.30629391215571156, 0.6103727545109551))


@pytest.mark.parametrize(
    ("clusters", "se", "low", "high"),
    [
        # statsmodels 0.15.0, OLS(VALUES, ones).fit(cov_type="cluster",
        # cov_kwds={"groups": ...}, use_t=True): bse and conf_int(), df = clusters - 1
        ([i // 4 for i in range(24)], 0.09854629129387767, 0.20501203, 0.71165464),
        (
            [0, 0, 0, 1, 2, 2, 3, 3, 3, 3, 4, 5, 5, 6, 6, 6, 6, 6, 7, 7, 8, 8, 8, 9],
            0.08387211694103992,
            0.26860142323611136,
            0.6480652434305556,
        ),
    ],
)
def test_a_clustered_mean_equals_statsmodels(clusters, se, low, high):
    found = estimate_mean(VALUES, clusters=clusters)
    assert found.se == pytest.approx(se, rel=1e-12)
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-8)
    assert found.n_clusters == len(set(clusters))


@given(values)
@few
def test_items_that_stand_alone_are_no_clusters(sample):
    sample = np.array(sample)
    plain = estimate_mean(sample)
    for clusters in (range(len(sample)), [None] * len(sample)):
        alone = estimate_mean(sample, clusters=clusters)
        assert alone.se == pytest.approx(plain.se, rel=1e-9, abs=1e-12)
        assert (alone.low, alone.high) == pytest.approx((plain.low, plain.high), abs=1e-9)


@given(values, st.integers(2, 4))
@few
def test_asking_everything_twice_brings_no_certainty(sample, times):
    """Copies of the items in clusters of their own change neither value nor error."""
    once = estimate_mean(np.array(sample))
    copies = estimate_mean(
        np.repeat(np.array(sample), times), clusters=np.repeat(np.arange(len(sample)), times)
    )
    assert copies.value == pytest.approx(once.value, abs=1e-9)
    assert copies.se == pytest.approx(once.se, rel=1e-6, abs=1e-9)


@given(values, st.randoms(use_true_random=False))
@few
def test_order_and_names_of_clusters_do_not_matter(sample, random):
    clusters = [random.randrange(5) for _ in sample]
    order = random.sample(range(len(sample)), len(sample))
    first = estimate_mean(np.array(sample), clusters=clusters)
    again = estimate_mean(
        np.array(sample)[order], clusters=[f"passage {clusters[at]}" for at in order]
    )
    assert again.n_clusters == first.n_clusters
    assert again.value == pytest.approx(first.value, abs=1e-9)
    if first.se is not None:
        assert again.se == pytest.approx(first.se, rel=1e-6, abs=1e-9)


@given(st.lists(st.sampled_from([0.0, 1.0, math.nan]), max_size=60), st.booleans())
@few
def test_wrong_answers_mirror_right_ones(sample, has_clusters):
    sample = np.array(sample)
    clusters = [at // 3 for at in range(len(sample))] if has_clusters else None
    right, wrong = (estimate_share(s, clusters=clusters) for s in (sample, 1 - sample))
    if right.n == 0:
        assert (right.value, right.se, right.low, wrong.high) == (None,) * 4
        return
    assert wrong.value == pytest.approx(1 - right.value)
    assert (wrong.low, wrong.high) == pytest.approx((1 - right.high, 1 - right.low), abs=1e-9)
    assert 0 <= right.low <= right.value <= right.high <= 1


def test_a_share_of_clusters_is_less_sure_and_never_certain():
    hits = np.array([1.0, 1, 1, 0, 0, 0, 1, 1, 1, 1, 1, 1] * 5)
    clusters = [at // 3 for at in range(60)]
    plain, clustered = estimate_share(hits), estimate_share(hits, clusters=clusters)
    assert clustered.low < plain.low < plain.high < clustered.high
    # sixty right answers in twenty clusters: Wilson of 20 of 20
    sure = estimate_share(np.ones(60), clusters=clusters)
    assert sure.low == pytest.approx(stats.binomtest(20, 20).proportion_ci(method="wilson").low)
    assert sure.high == 1


def test_what_cannot_be_estimated_is_none():
    nothing, one = estimate(np.array([math.nan])), estimate_mean(np.array([3.0]))
    assert (nothing.value, nothing.se, nothing.low, nothing.n_missing) == (None, None, None, 1)
    assert (one.value, one.se, one.low, one.high) == (3.0, None, None, None)
    assert estimate_mean(np.array([1.0, 2]), clusters=["a", "a"]).se is None
    assert estimate(np.array([0.0, 1])).method.startswith("share")
    assert estimate(np.array([0.0, 0.5])).method.startswith("mean")
    for wrong in (np.array([1.0, math.inf]), np.array([[1.0]])):
        with pytest.raises(ValueError, match="finite"):
            estimate_mean(wrong)
    with pytest.raises(ValueError, match="zeros and ones"):
        estimate_share(np.array([0.5]))
    with pytest.raises(ValueError, match="2 cluster ids for 3 items"):
        estimate_mean(np.ones(3), clusters=["a", "b"])


def test_tries_at_one_item_are_averaged_first():
    # item means 0.5, 1, 0; variance within 0.5, 0, 0 -> mean 1/6; between 0.25 - 1/12
    found = estimate_repeats(np.array([[0.0, 1], [1, 1], [0, 0]]))
    assert found.estimate.value == 0.5
    assert found.estimate.n == 3
    assert found.estimate.se == pytest.approx(0.5 / math.sqrt(3))
    assert found.within_items == pytest.approx(1 / 6)
    assert found.between_items == pytest.approx(0.25 - 1 / 12)
    once = estimate_repeats(np.array([[0.0], [1]]))
    assert (once.between_items, once.within_items) == (None, None)
    partly = estimate_repeats(np.array([[0.0, math.nan], [1, 1], [math.nan, math.nan]]))
    assert (partly.estimate.value, partly.estimate.n_missing) == (0.5, 1)


@given(st.integers(2, 30), st.integers(1, 4), st.integers(0, 9))
@few
def test_covariance_of_means_equals_numpy_and_the_sum_over_clusters(n, k, seed):
    rng = np.random.default_rng(seed)
    sample = rng.normal(size=(n, k))
    alone = mean_covariance(sample, cluster_codes(None, n))
    assert alone == pytest.approx(np.cov(sample, rowvar=False).reshape(k, k) / n, abs=1e-12)
    codes = cluster_codes(rng.integers(0, 4, n), n)
    sums = np.array([sample[codes == at].sum(axis=0) for at in range(codes.max() + 1)])
    assert sum_by_cluster(sample, codes) == pytest.approx(sums, abs=1e-12)


def test_a_bootstrap_of_means_has_the_mean_s_error():
    rng = np.random.default_rng(0)
    sample = np.stack([rng.exponential(size=300), np.ones(300)], axis=1)
    found = estimate_sums(sample, ratio_of_sums, n_draws=4000, seed=1)
    plain = estimate_mean(sample[:, 0])
    assert found.value == pytest.approx(plain.value)
    assert found.se == pytest.approx(plain.se, rel=0.06)
    assert (found.low, found.high) == pytest.approx((plain.low, plain.high), abs=0.02)
    clusters = np.arange(300) // 10
    grouped = estimate_sums(sample, ratio_of_sums, n_draws=4000, clusters=clusters)
    assert grouped.se == pytest.approx(estimate_mean(sample[:, 0], clusters=clusters).se, rel=0.08)
    assert grouped.n_clusters == 30


def test_a_bootstrap_equals_scipy_s():
    """The error of a ratio of sums against scipy.stats.bootstrap, within four of its own errors."""
    rng = np.random.default_rng(2)
    words = rng.integers(3, 40, 120).astype(float)
    errors = rng.binomial(words.astype(int), 0.2).astype(float)

    def rate(e, w, axis):
        return e.sum(axis=axis) / w.sum(axis=axis)

    reference = stats.bootstrap(
        (errors, words), rate, paired=True, n_resamples=4000, vectorized=True, rng=rng
    )
    found = estimate_sums(np.stack([errors, words], axis=1), ratio_of_sums, n_draws=4000)
    assert found.se == pytest.approx(
        reference.standard_error, rel=4 * math.sqrt(2) / math.sqrt(8000)
    )


def test_equal_rows_are_drawn_together_and_nothing_else_changes():
    rows, weights = distinct_rows(np.array([[1.0, 2], [3, 4], [1, 2]] * 30))
    assert rows.tolist() == [[1, 2], [3, 4]]
    assert weights.tolist() == [60, 30]
    different = np.arange(60.0).reshape(30, 2)
    assert distinct_rows(different)[0] is different
    rng = np.random.default_rng(3)
    hits = (rng.random(400) < 0.7).astype(float)
    noisy = hits + rng.random(400) * 1e-9
    few_rows, many_rows = (
        bootstrap_sums(
            np.stack([sample, np.ones(400)], axis=1),
            ratio_of_sums,
            n_draws=4000,
            rng=np.random.default_rng(4),
        )
        for sample in (hits, noisy)
    )
    assert few_rows.mean() == pytest.approx(many_rows.mean(), abs=0.002)
    assert few_rows.std() == pytest.approx(many_rows.std(), rel=0.06)


def test_draws_are_those_of_the_seed_whatever_the_size_of_blocks(monkeypatch):
    from ml_core.statistics import bootstrap

    sample = np.random.default_rng(0).random((50, 2))
    sizes = (500_000, 1)
    found = []
    for size in sizes:
        monkeypatch.setattr(bootstrap, "CHUNK_VALUES", size)
        found.append(estimate_sums(sample, ratio_of_sums, n_draws=40, seed=5))
    assert found[0].se == pytest.approx(found[1].se, rel=1e-12)
    assert estimate_sums(sample, ratio_of_sums, n_draws=40, seed=6).se != found[0].se


def test_a_metric_without_value_is_none():
    empty = estimate_sums(np.zeros((5, 2)), ratio_of_sums, n_draws=10)
    assert (empty.value, empty.se, empty.low) == (None, None, None)
    one = estimate_sums(np.array([[1.0, 2], [math.nan, 1]]), ratio_of_sums, n_draws=10)
    assert (one.value, one.se, one.n, one.n_missing) == (0.5, None, 1, 1)
    assert estimate_sums(np.empty((0, 2)), ratio_of_sums).value is None
