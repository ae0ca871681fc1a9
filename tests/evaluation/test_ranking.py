"""Order, ties, ranges of ranks and missing values, by hand and by property."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from evaluation.ranking import Contender, place


def test_ranges_follow_from_overlapping_intervals() -> None:
    """a and b overlap; c lies below a but overlaps b; d lies below all.

    a 0.90 [0.86, 0.94], b 0.88 [0.83, 0.93], c 0.82 [0.79, 0.85], d 0.50 [0.45, 0.55]:
    nobody is surely better than a or b; a is surely better than c; all are surely better than d.
    """
    rows = [
        Contender("c", "c", 0.82, 0.79, 0.85),
        Contender("a", "a", 0.90, 0.86, 0.94),
        Contender("d", "d", 0.50, 0.45, 0.55),
        Contender("b", "b", 0.88, 0.83, 0.93),
    ]
    found = [(p.key, p.best, p.worst, p.opens_group) for p in place(rows)]
    assert found == [
        ("a", 1, 2, False),
        ("b", 1, 3, False),
        ("c", 2, 3, True),
        ("d", 4, 4, True),
    ]


def test_lower_is_better_turns_the_order_round() -> None:
    rows = [Contender("a", "a", 0.5, 0.4, 0.6), Contender("b", "b", 0.1, 0.05, 0.15)]
    found = [(p.key, p.best, p.worst) for p in place(rows, direction="lower")]
    assert found == [("b", 1, 1), ("a", 2, 2)]


def test_missing_values_come_last_without_a_rank() -> None:
    rows = [Contender("a", "a", None), Contender("b", "b", 0.0, 0.0, 0.1)]
    found = [(p.key, p.best, p.worst) for p in place(iter(rows))]
    assert found == [("b", 1, 1), ("a", None, None)]


def test_equal_values_are_ordered_by_name_and_share_a_range() -> None:
    rows = [Contender("z", "zoe/m", 0.7), Contender("a", "ann/m", 0.7)]
    found = [(p.key, p.best, p.worst) for p in place(rows)]
    assert found == [("a", 1, 2), ("z", 1, 2)]


def test_nothing_in_nothing_out() -> None:
    assert place([]) == []


@given(
    st.lists(
        st.tuples(st.floats(0, 1, allow_nan=False), st.floats(0, 0.3), st.booleans()),
        max_size=12,
    ),
    st.sampled_from(["higher", "lower"]),
)
def test_ranges_count_who_is_surely_better_and_worse(
    rows: list[tuple[float, float, bool]], direction: str
) -> None:
    contenders = [
        Contender(n, str(n), None if gone else v, v - w, v + w)
        for n, (v, w, gone) in enumerate(rows)
    ]
    spans = {
        c.key: (c.low, c.high) if direction == "higher" else (-(c.high or 0), -(c.low or 0))
        for c in contenders
        if c.value is not None
    }
    placed = place(contenders, direction=direction)
    assert sorted(p.key for p in placed) == sorted(c.key for c in contenders)
    for p in placed:
        if p.key not in spans:
            assert (p.best, p.worst) == (None, None)
            continue
        low, high = spans[p.key]
        better = sum(other[0] > high for other in spans.values())  # type: ignore[operator]
        worse = sum(other[1] < low for other in spans.values())  # type: ignore[operator]
        assert (p.best, p.worst) == (1 + better, len(spans) - worse)
