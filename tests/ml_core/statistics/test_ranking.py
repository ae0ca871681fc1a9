"""Ranges of ranks and tie groups, from draws and from intervals."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml_core.statistics import rank_draws, rank_models
from ml_core.statistics.ranking import interval_groups, interval_ranges

few = settings(max_examples=20, deadline=None)


def board(seed, n, shares):
    """Right and wrong answers of models with these true shares, on items of unequal difficulty."""
    rng = np.random.default_rng(seed)
    difficulty = rng.normal(size=(n, 1))
    ability = np.log(np.array(shares) / (1 - np.array(shares)))
    return (rng.random((n, len(shares))) < 1 / (1 + np.exp(difficulty - ability))).astype(float)


def names_of(n):
    return [f"m{at:02}" for at in range(n)]


def test_models_far_apart_have_one_rank_and_those_alike_share_one():
    scores = np.hstack([board(0, 1000, [0.9, 0.9]), board(1, 1000, [0.5])])
    found = rank_models(scores, ["b", "a", "c"], n_draws=300)
    assert [(r.name, r.rank, r.best, r.worst, r.group) for r in found] == [
        ("a", 1, 1, 2, 1),
        ("b", 1, 1, 2, 1),
        ("c", 3, 3, 3, 2),
    ]
    for ranked in found:
        assert ranked.low < ranked.value < ranked.high
        share = ranked.value
        assert ranked.se == pytest.approx(math.sqrt(share * (1 - share) / 999), rel=1e-9)


@given(st.integers(0, 50), st.sampled_from(["higher", "lower"]))
@few
def test_order_of_models_and_direction_change_names_only(seed, direction):
    scores = board(seed, 200, [0.5, 0.6, 0.7, 0.9])
    found = rank_models(scores, names_of(4), n_draws=100, direction=direction)
    turned = rank_models(1 - scores[:, ::-1], names_of(4)[::-1], n_draws=100, direction="lower")
    if direction == "higher":
        assert [(r.name, r.best, r.worst, r.rank) for r in found] == [
            (r.name, r.best, r.worst, r.rank) for r in turned
        ]
    for ranked in found:
        assert ranked.rank >= 1
        assert 1 <= ranked.best <= ranked.worst <= 4
    assert [r.rank for r in found] == sorted(r.rank for r in found)


def test_models_that_answer_alike_are_never_told_apart():
    scores = np.repeat(board(0, 100, [0.7]), 4, axis=1)
    found = rank_models(scores, names_of(4), n_draws=100)
    assert {(r.rank, r.best, r.worst) for r in found} == {(1, 1, 4)}


def test_a_handful_of_items_separates_nobody():
    for n in (1, 2, 4):
        found = rank_models(np.tile([1.0, 0.0], (n, 1)), ["a", "b"], n_draws=100)
        assert {(r.best, r.worst) for r in found} == {(1, 2)}
    found = rank_models(np.tile([1.0, 0.0], (40, 1)), ["a", "b"], n_draws=100)
    assert [(r.best, r.worst) for r in found] == [(1, 1), (2, 2)]


def test_missing_answers_are_counted_and_a_model_without_any_has_no_rank():
    scores = board(0, 300, [0.9, 0.5, 0.7])
    scores[:100, 1] = math.nan
    scores[:, 2] = math.nan
    found = rank_models(scores, ["a", "b", "c"], n_draws=200)
    assert [(r.name, r.n, r.n_missing) for r in found] == [
        ("a", 300, 0), ("b", 200, 100), ("c", 0, 300),
    ]  # fmt: skip
    assert found[1].value == pytest.approx(np.nanmean(scores[:, 1]))
    assert (found[2].value, found[2].rank, found[2].se, found[2].best) == (None,) * 4
    assert (found[0].best, found[1].worst) == (1, 2)
    assert rank_models(np.empty((0, 2)), ["a", "b"])[0].value is None
    assert rank_models(np.empty((5, 0)), []) == ()


def test_clusters_make_ranges_wider():
    scores = board(0, 250, [0.75, 0.65])
    tripled = np.repeat(scores, 4, axis=0)
    alone = rank_models(tripled, ["a", "b"], n_draws=300)
    grouped = rank_models(tripled, ["a", "b"], n_draws=300, clusters=np.arange(1000) // 4)
    once = rank_models(scores, ["a", "b"], n_draws=300)
    assert grouped[0].se == pytest.approx(once[0].se, rel=0.01)
    assert grouped[0].high - grouped[0].low > 1.6 * (alone[0].high - alone[0].low)


def test_any_metric_can_be_ranked_from_its_draws():
    rng = np.random.default_rng(0)
    values = np.array([0.2, 0.25, 0.6])
    draws = values + rng.normal(scale=0.02, size=(500, 3))
    n = np.full(3, 400)
    found = rank_draws(
        values, draws, ["a", "b", "c"], n=n, n_missing=n * 0, n_units=400, direction="lower"
    )
    assert [(r.name, r.rank, r.best, r.worst) for r in found] == [
        ("a", 1, 1, 2), ("b", 1, 1, 2), ("c", 3, 3, 3),
    ]  # fmt: skip
    assert found[0].se == pytest.approx(0.02, rel=0.1)
    with pytest.raises(ValueError, match="one name"):
        rank_draws(values, draws, ["a"], n=n, n_missing=n * 0, n_units=400)


def test_few_boards_of_equal_models_separate_any_two():
    """Ranges hold together: of 100 boards of 10 equal models about 5 separate a pair, not 60.

    Between 0 and 12 is what a chance of 5 % gives in all but one of a thousand tries.
    """
    wrong = 0
    for seed in range(100):
        found = rank_models(board(seed, 300, [0.7] * 10), names_of(10), n_draws=300, seed=seed)
        wrong += any((r.best, r.worst) != (1, 10) for r in found)
    assert wrong <= 12


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 0.3)), max_size=12))
@settings(max_examples=60, deadline=None)
def test_ranges_from_intervals_count_who_is_surely_better_and_worse(rows):
    lows = np.array([value - width for value, width in rows])
    highs = np.array([value + width for value, width in rows])
    best, worst = interval_ranges(lows, highs)
    for at in range(len(rows)):
        assert best[at] == 1 + (lows > highs[at]).sum()
        assert worst[at] == len(rows) - (highs < lows[at]).sum()


def test_a_group_ends_before_the_first_interval_below_that_of_its_first():
    lows, highs = np.array([0.8, 0.7, 0.6, 0.2]), np.array([0.9, 0.85, 0.79, 0.3])
    assert interval_groups(lows, highs).tolist() == [1, 1, 2, 3]
    assert interval_groups(np.empty(0), np.empty(0)).tolist() == []
