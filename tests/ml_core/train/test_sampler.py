"""Steps of a training: each row once an epoch, little padding, the same for every machine."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml_core.errors import UserError
from ml_core.train.recipes import RECIPES
from ml_core.train.sampler import parts_of, plan_steps
from ml_core.train.schedule import rate_of
from ml_core.train.split import hold_back

pytestmark = pytest.mark.pure

lengths = st.lists(st.integers(1, 90), min_size=1, max_size=120).map(np.array)


def plan_of(values, units=None, **settings_):
    units = np.ones(len(values), dtype=np.int64) if units is None else units
    return plan_steps(values, units, **({"step_slots": 128, "epochs": 2, "seed": 3} | settings_))


@given(values=lengths, step_slots=st.integers(1, 400), seed=st.integers(0, 9))
@settings(max_examples=40, deadline=None)
def test_each_epoch_has_each_row_once_within_the_bound(values, step_slots, seed):
    plan = plan_of(values, step_slots=step_slots, seed=seed)
    start = 0
    for end in plan.epoch_ends:
        rows = np.concatenate(plan.steps[start:end])
        assert sorted(rows.tolist()) == list(range(len(values)))
        start = end
    assert start == len(plan)
    for rows in plan:
        assert len(rows) == 1 or values[rows].sum() <= step_slots


@given(values=lengths, budget=st.integers(1, 200), max_rows=st.none() | st.integers(1, 5))
@settings(max_examples=40, deadline=None)
def test_parts_of_a_step_are_its_rows_and_within_the_budget(values, budget, max_rows):
    for rows in plan_of(values, step_slots=300, epochs=1):
        parts = parts_of(rows, values, budget=budget, max_rows=max_rows)
        assert sorted(np.concatenate(parts).tolist()) == sorted(rows.tolist())
        for part in parts:
            assert len(part) == 1 or len(part) * values[part].max() <= budget
            assert max_rows is None or len(part) <= max_rows


def test_the_same_seed_gives_the_same_steps_and_another_epoch_others():
    values = np.random.default_rng(0).integers(5, 60, 200)
    plan, again = plan_of(values), plan_of(values)
    assert all((a == b).all() for a, b in zip(plan, again, strict=True))
    first, second = plan.steps[: plan.epoch_ends[0]], plan.steps[plan.epoch_ends[0] :]
    made = {frozenset(rows.tolist()) for rows in first}
    assert sum(frozenset(rows.tolist()) in made for rows in second) < len(second) / 4


def test_mixed_lengths_pad_little():
    """Log-normal lengths as of the notes: random batches of 16 pad about threefold."""
    rng = np.random.default_rng(1)
    values = np.clip(np.exp(rng.normal(4.4, 0.9, 2000)), 3, 512).astype(np.int64)
    plan = plan_of(values, step_slots=2048, epochs=1)
    parts = [p for rows in plan for p in parts_of(rows, values, budget=2048, max_rows=None)]
    padded = sum(len(part) * values[part].max() for part in parts)
    assert padded / values.sum() < 1.1
    order = rng.permutation(2000).reshape(-1, 16)
    assert sum(16 * values[rows].max() for rows in order) / values.sum() > 2


def test_every_example_has_the_same_weight_over_an_epoch():
    """The divisor is one number for all steps, so no example counts for more than another."""
    values = np.array([10] * 12 + [60] * 2)
    plan = plan_of(values, step_slots=60, epochs=1)
    assert sorted(len(rows) for rows in plan) == [1, 1, 6, 6]
    assert plan.units_per_step == 14 / 4


def test_a_plan_ends_at_its_most_steps_and_counts_epochs():
    values = np.full(8, 10)
    plan = plan_of(values, step_slots=20, epochs=3, max_steps=6)
    assert len(plan) == 6
    assert plan.units_per_step == 2
    assert [plan.epoch(step) for step in (0, 2, 4, 6)] == [0.0, 0.5, 1.0, 1.5]


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("linear", [1 / 3, 2 / 3, 1, 0.75, 0.5, 0.25]),
        ("constant", [1 / 3, 2 / 3, 1, 1, 1, 1]),
        ("cosine", [1 / 3, 2 / 3, 1, (2 + 2**0.5) / 4, 0.5, (2 - 2**0.5) / 4]),
    ],
)
def test_learning_rates_by_hand(schedule, expected):
    rate = rate_of(schedule, n_steps=6, warmup_share=0.3, factor=0.5)
    assert [rate(step) for step in range(6)] == pytest.approx([v / 2 for v in expected])


@given(
    strata=st.lists(st.integers(0, 3), min_size=2, max_size=200).map(np.array),
    share=st.floats(0.01, 0.5),
)
@settings(max_examples=40, deadline=None)
def test_rows_held_back_take_their_share_of_each_label(strata, share):
    kept, held = hold_back(len(strata), strata, share=share, seed=1)
    assert sorted([*kept, *held]) == list(range(len(strata)))
    assert len(held) == min(max(1, round(share * len(strata))), len(strata) - 1)
    for label in set(strata.tolist()):
        expected = (strata == label).sum() * len(held) / len(strata)
        assert abs((strata[held] == label).sum() - expected) <= 1


def test_one_row_cannot_be_held_back():
    with pytest.raises(UserError) as refused:
        hold_back(1, None, share=0.1, seed=0)
    assert refused.value.code == "dataset_empty"


def test_a_step_is_of_32_rows_on_average_within_the_bound_of_its_recipe():
    recipe = RECIPES["text-classification"]
    assert [recipe.slots_of_step(mean) for mean in (0.01, 4.625, 25.0, 64.0, 400.0)] == [
        1, 148, 800, 2048, 2048,
    ]  # fmt: skip
    assert RECIPES["image-classification"].slots_of_step(1.0) == 32
