"""What is shared, by hand and by property; nothing here needs torch."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml_core.evaluate.prefixes import Bounds, Pair, Row, plan_shared, rows_of, share_prefixes

pytestmark = pytest.mark.pure

CONTEXTS = st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=12).map(tuple), max_size=30)


@given(CONTEXTS, st.integers(0, 8))
@settings(max_examples=60, deadline=None)
def test_every_context_is_in_one_group_and_begins_as_its_group_does(contexts, worth):
    groups = share_prefixes(contexts, worth=worth)
    assert sorted(row for group in groups for row in group.rows) == list(range(len(contexts)))
    for group in groups:
        n = group.n_tokens
        assert len({contexts[row][:n] for row in group.rows}) == 1
        assert all(len(contexts[row]) > n for row in group.rows)
        assert n == 0 or (len(group.rows) - 1) * n > worth


def test_subjects_are_groups_of_their_own_although_all_begin_alike():
    """100 tokens in common by subject, 2 by all: two groups save 2 * 3 * 100, one 7 * 2."""
    subject = {s: (7, 7, *[s] * 98) for s in (1, 2)}
    contexts = [(*subject[at % 2 + 1], 3, at) for at in range(8)]
    groups = share_prefixes(contexts, worth=10)
    assert sorted((g.n_tokens, sorted(g.rows)) for g in groups) == [
        (101, [0, 2, 4, 6]),
        (101, [1, 3, 5, 7]),
    ]


def test_what_is_not_worth_a_pass_of_its_own_is_not_shared():
    contexts = [(1, 2, 3, 4), (1, 2, 3, 5)]
    (group,) = share_prefixes(contexts, worth=2)
    assert group.n_tokens == 3
    (alone,) = share_prefixes(contexts, worth=3)
    assert (alone.n_tokens, sorted(alone.rows)) == (0, [0, 1])
    assert share_prefixes([], worth=0) == []


def test_letters_share_a_row_and_texts_are_branches_of_it():
    letters = [Pair((1, 2), (letter,)) for letter in (5, 6, 7)]
    texts = [Pair((1, 2), (8, 9, 3)), Pair((1, 2), (8, 9, 4)), Pair((3,), (8,))]
    assert rows_of([*letters, *texts], together=True) == [
        Row((1, 2), ((), (8, 9)), ((0, 0), (1, 0), (2, 0), (3, 1), (4, 1))),
        Row((3,), ((),), ((5, 0),)),
    ]
    apart = rows_of([*letters, *texts], together=False)
    assert [row.branches for row in apart] == [((),), ((8, 9),), ((),)]


@pytest.mark.parametrize(
    ("pair", "limit", "expected"),
    [
        (Pair((1, 2, 3), (4, 5)), 4, Pair((1, 2, 3), (4, 5))),
        (Pair((1, 2, 3), (4, 5)), 3, Pair((2, 3), (4, 5))),
        (Pair((1,), (2, 3, 4, 5)), 2, Pair((3,), (4, 5))),
    ],
)
def test_pairs_that_are_too_long_lose_their_beginning(pair, limit, expected):
    """The last token is not read, so a limit of n keeps n + 1 tokens."""
    assert pair.cut_to(limit) == expected


def test_batches_keep_within_groups_and_bounds():
    contexts = [(*[g] * 50, 9, at) for at in range(40) for g in (1, 2)]
    groups = share_prefixes(contexts, worth=20)
    widths = np.array([1 + at % 7 for at in range(80)])
    plan = plan_shared(groups, widths, np.ones(80, np.int64), Bounds(30, 400, 5))
    owner = {row: number for number, group in enumerate(groups) for row in group.rows}
    owners = []
    for rows in plan.batches:
        (group,) = {owner[row] for row in rows.tolist()}
        owners.append(group)
        widest = int(widths[rows].max())
        assert len(rows) * widest <= 30
        assert len(rows) * (groups[group].n_tokens + widest) <= 400
        assert len(rows) <= 5
    assert sorted(np.concatenate(plan.batches).tolist()) == list(range(80))
    assert sum(a != b for a, b in pairwise(owners)) == len(groups) - 1
    assert plan.useful_slots == widths.sum() + sum(group.n_tokens for group in groups)


def test_a_question_with_what_it_shares_is_computed_once():
    """Five-shot letters as in MMLU: 36 questions, 580 tokens in common by subject of 12, 140 own.

    Whole, with one row for four letters, that is 36 * 720 = 25,920 positions; here 3 * 580 and
    36 * 140.
    """
    contexts = [(*[s] * 580, *[9] * 139, at) for s in range(3) for at in range(12)]
    groups = share_prefixes([(*c[:580], c[-1] + 10, *c[580:-1]) for c in contexts], worth=256)
    own = [720 - group.n_tokens for group in groups for _ in group.rows]
    assert sum(own) + sum(group.n_tokens for group in groups) == 3 * 580 + 36 * 140
