"""Which rows are computed together: sorted by length, bounded by tokens."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]

SHARES = 15
"""A batch holds at most this part of the job: more pads short jobs for nothing."""
MIN_FILL = 0.8
"""A batch ends before a row that would leave more of its slots empty."""


@dataclass(frozen=True)
class Plan:
    """Batches of row numbers, longest rows first, and the bound they were cut by."""

    batches: tuple[Rows, ...]
    budget: int
    useful_slots: int
    padded_slots: int


def plan_batches(
    lengths: NDArray[np.int64], *, budget: int, max_rows: int | None = None, shares: int = SHARES
) -> Plan:
    """Batches in which rows times longest row stay within `budget`.

    Rows are sorted by length, longest first, so that memory runs out at once if it does, and ties
    keep the order of the data. A row longer than the budget is a batch by itself. The budget is
    never more than one of `shares` of the job, and a row shorter than `MIN_FILL` of a batch's
    longest starts the next one.

    Args:
        lengths: slots (tokens, or 1 an image) of each row, at least 1.
        max_rows: bound on the rows of a batch besides the budget.
        shares: parts of the job, of which a batch is one at most.
    """
    total = int(lengths.sum())
    bound = max(1, min(budget, -(-total // shares)))
    order = np.argsort(-lengths, kind="stable")
    batches = list(cut(order, lengths, bound=bound, max_rows=max_rows))
    padded = sum(len(rows) * int(lengths[rows[0]]) for rows in batches)
    return Plan(tuple(batches), bound, total, padded)


def cut(
    order: Rows, lengths: NDArray[np.int64], *, bound: int, max_rows: int | None = None
) -> Iterator[Rows]:
    """Rows in `order`, which is longest first, in batches within `bound` slots."""
    falling = -lengths[order]
    start = 0
    while start < len(order):
        longest = int(-falling[start])
        n_rows = max(1, bound // longest)
        n_rows = n_rows if max_rows is None else min(n_rows, max_rows)
        first_short = int(np.searchsorted(falling, -MIN_FILL * longest, side="right"))
        end = min(start + n_rows, max(first_short, start + 1))
        yield order[start:end]
        start = end


def histogram(sizes: Iterable[int]) -> dict[str, int]:
    """How many batches had how many rows, by rows."""
    numbers, counts = np.unique(np.fromiter(sizes, np.int64), return_counts=True)
    return {str(n): int(c) for n, c in zip(numbers, counts, strict=True)}
