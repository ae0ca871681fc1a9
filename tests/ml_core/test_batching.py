"""Batches: bounded, complete, little padding, the same each time."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml_core.evaluate.batching import SHARES, histogram, plan_batches


@given(
    st.lists(st.integers(1, 600), min_size=1, max_size=300),
    st.integers(1, 4096),
    st.none() | st.integers(1, 8),
)
@settings(deadline=None)
def test_every_row_is_in_one_batch_within_the_bounds(lengths, budget, max_rows):
    sizes = np.array(lengths)
    plan = plan_batches(sizes, budget=budget, max_rows=max_rows)
    rows = np.concatenate(plan.batches)
    assert sorted(rows.tolist()) == list(range(len(lengths)))
    assert plan.budget <= max(1, -(-sum(lengths) // SHARES))
    for batch in plan.batches:
        assert len(batch) == 1 or len(batch) * sizes[batch].max() <= plan.budget
        assert max_rows is None or len(batch) <= max_rows
    assert plan.useful_slots == sum(lengths)
    assert plan.padded_slots == sum(len(b) * int(sizes[b].max()) for b in plan.batches)


def test_longest_rows_come_first_and_ties_keep_their_order():
    plan = plan_batches(np.array([3, 9, 3, 9, 1] * 20), budget=18)
    rows = np.concatenate(plan.batches).tolist()
    assert rows[:4] == [1, 3, 6, 8]
    assert rows[-1] == 99


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("median", "spread"), [(87, 0.9), (27, 0.6)])
def test_padding_is_at_most_a_tenth_on_a_job_of_fifteen_budgets(median, spread, seed):
    """Goal G3, on log-normal lengths like those of mixed and of short texts."""
    rng = np.random.default_rng(seed)
    lengths = np.clip(rng.lognormal(np.log(median), spread, 4000), 3, 512).astype(np.int64)
    plan = plan_batches(lengths, budget=int(lengths.sum()) // SHARES)
    assert plan.padded_slots / plan.useful_slots <= 1.10
    plan = plan_batches(lengths, budget=2048)
    assert plan.padded_slots / plan.useful_slots <= 1.10


def test_a_short_job_is_not_padded_for_nothing():
    lengths = np.array([200] + [10] * 99)
    plan = plan_batches(lengths, budget=32_768)
    assert plan.padded_slots / plan.useful_slots <= 1.10


def test_batch_sizes_are_counted():
    assert histogram([8, 8, 3]) == {"3": 1, "8": 2}
