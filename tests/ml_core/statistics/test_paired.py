"""Paired comparisons: tests and intervals against references, verdicts by hand and by property."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from ml_core.records import RecordError
from ml_core.statistics import (
    Comparison,
    Interval,
    Question,
    compare_means,
    compare_shares,
    compare_sums,
    ratio_of_sums,
)
from ml_core.statistics.bootstrap import distinct_rows
from ml_core.statistics.comparison import judge
from ml_core.statistics.paired_tests import (
    PairedRows,
    bonett_price_interval,
    mcnemar_p,
    swap_p,
)

few = settings(max_examples=40, deadline=None)
FAST = Question(n_draws=300)


def answers(both, only_base, only_candidate, neither):
    """Right and wrong answers of two models with these counts."""
    base = [1] * both + [1] * only_base + [0] * only_candidate + [0] * neither
    candidate = [1] * both + [0] * only_base + [1] * only_candidate + [0] * neither
    return np.array(base, float), np.array(candidate, float)


@pytest.mark.parametrize(
    ("only_base", "only_candidate", "p"),
    [
        # statsmodels 0.15.0, mcnemar([[50, b], [c, 40]], exact=True).pvalue
        (3, 12, 0.03515625),
        (0, 5, 0.0625),
        (10, 10, 1.0),
        (120, 170, 0.00393333651282517),
        (1, 0, 1.0),
    ],
)
def test_mcnemar_equals_statsmodels(only_base, only_candidate, p):
    assert mcnemar_p(only_base, only_candidate) == pytest.approx(p, rel=1e-10)
    assert compare_shares(*answers(50, only_base, only_candidate, 40), FAST).p == pytest.approx(p)


@given(st.integers(0, 2000), st.integers(0, 2000))
@few
def test_mcnemar_equals_the_binomial_test(only_base, only_candidate):
    n = only_base + only_candidate
    expected = stats.binomtest(only_base, n).pvalue if n else 1.0
    assert mcnemar_p(only_base, only_candidate) == pytest.approx(expected, rel=1e-9)
    assert mcnemar_p(only_candidate, only_base) == mcnemar_p(only_base, only_candidate)


def test_bonett_and_price_by_hand():
    # n 40, 1 against 8: p1 = 2/42, p2 = 9/42, difference 7/42, variance (11/42 - (7/42)²) / 42
    interval = bonett_price_interval(1, 8, 40)
    half = 1.959963984540054 * math.sqrt((11 / 42 - (7 / 42) ** 2) / 42)
    assert (interval.low, interval.high) == pytest.approx((7 / 42 - half, 7 / 42 + half))
    assert bonett_price_interval(0, 0, 0) is None


def test_a_comparison_of_shares_by_hand():
    found = compare_shares(*answers(60, 2, 14, 24), Question(margin=0.02))
    assert (found.base, found.candidate) == (0.62, 0.74)
    assert found.difference == pytest.approx(0.12)
    assert (found.only_base, found.only_candidate, found.n) == (2, 14, 100)
    # differences: 14 times 1, twice -1: sum of squares 16 - 100 * 0.12² = 14.56
    assert found.se == pytest.approx(math.sqrt(14.56 / 99 / 100))
    assert found.p == pytest.approx(2 * (1 + 16 + 120) / 2**16)
    assert found.low > 0
    assert found.verdict == "better"
    assert found.n_to_tell is None


@given(
    st.integers(0, 40), st.integers(0, 15), st.integers(0, 15), st.integers(0, 15),
    st.sampled_from([0.0, 0.01, 0.1]), st.booleans(),
)  # fmt: skip
@few
def test_changing_places_turns_a_comparison_round(both, a, b, neither, margin, has_clusters):
    base, candidate = answers(both, a, b, neither)
    clusters = [at // 2 for at in range(len(base))] if has_clusters else None
    question = Question(margin=margin)
    there = compare_shares(base, candidate, question, clusters=clusters)
    back = compare_shares(candidate, base, question, clusters=clusters)
    assert (back.only_base, back.only_candidate) == (there.only_candidate, there.only_base)
    assert back.p == there.p
    if there.low is not None:
        assert (back.low, back.high) == pytest.approx((-there.high, -there.low), abs=1e-12)
    errors = compare_shares(
        1 - base, 1 - candidate, Question(margin=margin, direction="lower"), clusters=clusters
    )
    assert errors.verdict == there.verdict
    assert (errors.only_base, errors.only_candidate) == (there.only_base, there.only_candidate)
    assert (errors.n_to_tell or 0) == pytest.approx(there.n_to_tell or 0, rel=1e-6, abs=1)


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=3, max_size=25))
@few
def test_a_comparison_of_means_equals_scipy(pairs):
    base, candidate = np.array(pairs).T
    found = compare_means(base, candidate, FAST)
    if np.ptp(candidate - base) < 1e-9:
        return
    reference = stats.ttest_rel(candidate, base)
    interval = reference.confidence_interval()
    assert found.p == pytest.approx(reference.pvalue, rel=1e-8, abs=1e-12)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high), abs=1e-9)


def rows_of(base, candidate):
    """The two models' means as rows of sums."""
    units = np.stack([base, candidate], axis=1)
    rows, weights = distinct_rows(units)
    n = len(base)

    def mean(own, other):
        sums = 0.0
        for counts, column in ((own, 0), (other, 1)):
            if counts is not None:
                sums = sums + counts @ rows[:, column]
        return sums / n

    return PairedRows(mean, weights)


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=2, max_size=9))
@few
def test_sign_flips_of_few_items_equal_scipy_s(pairs):
    base, candidate = np.round(np.array(pairs).T, 6)
    found = swap_p(rows_of(base, candidate), n_draws=10, rng=np.random.default_rng(0))

    def statistic(x, y, axis):
        return np.mean(x - y, axis=axis)

    reference = stats.permutation_test(
        (candidate, base), statistic, permutation_type="samples", vectorized=True,
    )  # fmt: skip
    assert found == pytest.approx(reference.pvalue, abs=1e-12)


def test_sign_flips_of_many_items_equal_mcnemar():
    """Flipping right and wrong answers is McNemar's test; equal items are drawn as one row."""
    base, candidate = answers(30, 4, 14, 20)
    drawn = swap_p(rows_of(base, candidate), n_draws=20_000, rng=np.random.default_rng(0))
    assert drawn == pytest.approx(mcnemar_p(4, 14), abs=4 * math.sqrt(0.03 / 20_000))


def corpus(seed, n=150, shift=0.0):
    rng = np.random.default_rng(seed)
    words = rng.integers(3, 30, n).astype(float)
    hard = rng.beta(2, 8, n)
    sides = [rng.binomial(words.astype(int), np.clip(hard + s, 0, 1)) for s in (0.0, shift)]
    return [np.stack([side.astype(float), words], axis=1) for side in sides]


def test_a_corpus_metric_is_recomputed_and_not_averaged():
    base, candidate = corpus(0, shift=-0.06)
    question = Question(metric="wer", direction="lower", margin=0.01)
    found = compare_sums(base, candidate, ratio_of_sums, question)
    assert found.base == pytest.approx(base[:, 0].sum() / base[:, 1].sum(), rel=1e-12)
    assert found.candidate == pytest.approx(candidate[:, 0].sum() / candidate[:, 1].sum())
    assert found.low < found.difference < found.high < 0
    assert found.verdict == "better"
    assert found.p < 0.01
    assert found.only_candidate > found.only_base
    back = compare_sums(candidate, base, ratio_of_sums, question)
    assert (back.low, back.high) == pytest.approx((-found.high, -found.low), abs=1e-12)
    assert (back.p, back.verdict) == (pytest.approx(found.p), "worse")


def test_the_paired_bootstrap_has_the_error_of_scipy_s():
    base, candidate = corpus(1)

    def gap(be, bw, ce, cw, axis):
        return ce.sum(axis=axis) / cw.sum(axis=axis) - be.sum(axis=axis) / bw.sum(axis=axis)

    reference = stats.bootstrap(
        (*base.T, *candidate.T), gap, paired=True, n_resamples=4000, vectorized=True,
        rng=np.random.default_rng(0),
    )  # fmt: skip
    found = compare_sums(base, candidate, ratio_of_sums, Question(n_draws=4000))
    assert found.se == pytest.approx(reference.standard_error, rel=4 * math.sqrt(2 / 8000))


def test_clusters_are_drawn_and_swapped_whole():
    base, candidate = corpus(2, n=40)
    clusters = np.repeat(np.arange(40), 3)
    tripled = [np.repeat(side, 3, axis=0) for side in (base, candidate)]
    once = compare_sums(base, candidate, ratio_of_sums, Question())
    thrice = compare_sums(*tripled, ratio_of_sums, Question(), clusters=clusters)
    alone = compare_sums(*tripled, ratio_of_sums, Question())
    assert thrice.se == pytest.approx(once.se, rel=0.1)
    assert alone.se < 0.7 * thrice.se
    assert (thrice.n, thrice.n_clusters) == (120, 40)


def test_items_that_either_left_out_are_counted_and_in_none_of_the_numbers():
    base, candidate = np.array([1.0, math.nan, 0, 1, 1]), np.array([1.0, 1, math.nan, 0, 1])
    found = compare_shares(base, candidate, FAST)
    assert (found.n, found.n_missing, found.only_base) == (3, 2, 1)
    assert found.base == 1.0
    sums = [np.stack([side, np.ones(5)], axis=1) for side in (base, candidate)]
    corpus_metric = compare_sums(*sums, ratio_of_sums, FAST)
    assert (corpus_metric.n, corpus_metric.n_missing) == (3, 2)
    assert corpus_metric.base == 1.0


def test_nothing_to_compare_cannot_tell():
    nothing = np.array([math.nan, 1.0]), np.array([1.0, math.nan])
    sums = [np.stack([side, np.ones(2)], axis=1) for side in nothing]
    for found in (
        compare_shares(*nothing, FAST),
        compare_means(*nothing, FAST),
        compare_sums(*sums, ratio_of_sums, FAST),
    ):
        assert found.verdict == "cannot_tell"
        assert (found.n, found.n_missing) == (0, 2)
        assert (found.base, found.difference, found.low, found.p, found.n_to_tell) == (None,) * 5
    one = compare_means(np.array([0.25]), np.array([0.75]), FAST)
    assert (one.difference, one.se, one.p, one.verdict) == (0.5, None, None, "cannot_tell")


@pytest.mark.parametrize("compare", [compare_shares, compare_means])
def test_two_that_never_differ_are_as_good_only_if_there_were_items_enough(compare):
    question = Question(margin=0.02)
    verdicts = {}
    for n in (20, 1000):
        alike = np.array([1.0, 0.0] * (n // 2))
        found = compare(alike, alike, question)
        assert found.low < 0 < found.high
        assert found.p == 1
        verdicts[n] = found.verdict
    assert verdicts == {20: "cannot_tell", 1000: "not_worse"}
    assert compare(np.ones(20), np.ones(20), question).n_to_tell > 20


def test_the_same_step_on_every_item_is_as_sure_as_the_signs():
    base = np.array([0.1, 0.2, 0.3, 0.4])
    assert compare_means(base, base + 0.1, FAST).verdict == "cannot_tell"
    many = np.tile(base, 10)
    found = compare_means(many, many + 0.1, Question())
    assert found.p == 2.0**-39
    assert found.verdict == "better"


@pytest.mark.parametrize(
    ("low", "high", "p", "margin", "verdict"),
    [
        (0.01, 0.03, 0.001, 0.0, "better"),
        (0.0001, 0.03, 0.06, 0.0, "cannot_tell"),
        (-0.005, 0.03, 0.2, 0.01, "not_worse"),
        (-0.009, -0.001, 0.01, 0.01, "not_worse"),
        (-0.03, -0.001, 0.01, 0.01, "worse"),
        (-0.03, 0.001, 0.07, 0.01, "cannot_tell"),
        (-0.03, -0.0001, 0.06, 0.01, "cannot_tell"),
        (0.0, 0.0, 1.0, 0.0, "cannot_tell"),
    ],
)
def test_verdicts(low, high, p, margin, verdict):
    assert judge(Interval(low, high), p, Question(margin=margin)) == verdict
    mirrored = Question(margin=margin, direction="lower")
    assert judge(Interval(-high, -low), p, mirrored) == verdict


@given(st.floats(-1, 1), st.floats(0, 1), st.floats(0, 1), st.floats(0, 0.5))
@few
def test_a_better_interval_never_brings_a_worse_verdict(low, width, p, step):
    order = ["worse", "cannot_tell", "not_worse", "better"]
    question = Question(margin=0.05)
    first = judge(Interval(low, low + width), p, question)
    second = judge(Interval(low + step, low + width + step), p, question)
    assert order.index(second) >= order.index(first)


def test_cannot_tell_says_how_many_items_would_do():
    # 6 against 4 of 100: the seen gain of 0.02 over an asked margin of 0.01
    found = compare_shares(*answers(60, 4, 6, 30), Question(margin=0.01))
    assert found.verdict == "cannot_tell"
    planned = math.sqrt((12 / 102 - (2 / 102) ** 2) / 102)
    for effect, n in (
        (0.02, found.n_for_seen),
        (0.01, found.n_for_margin),
        (0.03, found.n_to_tell),
    ):
        assert n == math.ceil(100 * (2.801585218 * planned / effect) ** 2)
    assert found.detectable == pytest.approx(2.801585218 * planned)


@given(st.integers(0, 12), st.integers(0, 12), st.integers(2, 60), st.sampled_from([0.0, 0.02]))
@few
def test_more_items_are_always_asked_for(a, b, rest, margin):
    found = compare_shares(*answers(rest, a, b, 0), Question(margin=margin))
    if found.verdict == "cannot_tell" and found.n_to_tell is not None:
        assert found.n_to_tell > found.n
    if margin == 0:
        assert found.n_for_margin is None


def test_an_exact_test_may_ask_for_one_more_item():
    # five against none: McNemar's p is 1/16 although the interval is above 0
    found = compare_shares(*answers(2, 0, 5, 0), Question())
    assert found.low > 0
    assert found.p == pytest.approx(0.0625)
    assert (found.verdict, found.n_to_tell) == ("cannot_tell", 8)


def test_a_comparison_goes_through_json():
    found = compare_shares(*answers(60, 4, 6, 30), Question(margin=0.01))
    assert Comparison.from_json(found.to_json()) == found
    with pytest.raises(RecordError, match="verdict"):
        Comparison.from_json({**found.to_json(), "verdict": "great"})


def test_bad_questions_and_shapes_are_refused():
    for wrong in ({"margin": -0.1}, {"margin": math.nan}, {"confidence": 1.0}):
        with pytest.raises(ValueError, match=r"margin|confidence"):
            Question(**wrong)
    with pytest.raises(ValueError, match="one value"):
        compare_means(np.ones(3), np.ones(2), FAST)
    with pytest.raises(ValueError, match="zeros and ones"):
        compare_shares(np.array([0.5]), np.array([1.0]), FAST)
    with pytest.raises(ValueError, match="one row"):
        compare_sums(np.ones((3, 2)), np.ones((2, 2)), ratio_of_sums, FAST)
