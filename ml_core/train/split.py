"""A split in two: rows to train on, and rows held back to judge by."""

from dataclasses import replace

import numpy as np
import pyarrow as pa

from ml_core.arrays import Ints
from ml_core.data.schema import Items
from ml_core.errors import Code, UserError


def take(items: Items, rows: Ints) -> Items:
    """The items of `rows`, in that order."""
    places = pa.array(rows)
    return replace(
        items,
        item_ids=tuple(items.item_ids[row] for row in rows),
        inputs=items.inputs.take(places),
        truth=items.truth.take(places),
    )


def hold_back(n_rows: int, strata: Ints | None, *, share: float, seed: int) -> tuple[Ints, Ints]:
    """Rows to train on and rows held back, each in the order of the data.

    Args:
        strata: a number for each row (such as its label); each has about its share in both parts.

    Raises:
        UserError: `dataset_empty` where there are fewer than two rows.
    """
    if n_rows < 2:
        raise UserError(
            Code.EMPTY_SPLIT,
            "The training data has one row, of which none can be held back to judge by. Add rows, "
            "or name validation data.",
        )
    order = np.random.default_rng(seed).permutation(n_rows)
    if strata is not None:
        order = order[np.argsort(strata[order], kind="stable")]
    n_held = min(max(1, round(share * n_rows)), n_rows - 1)
    # Evenly spaced places in an order sorted by stratum take the same share of each.
    places = ((np.arange(n_held) + 0.5) * n_rows / n_held).astype(np.int64)
    held = np.zeros(n_rows, dtype=np.bool_)
    held[order[places]] = True
    return np.flatnonzero(~held), np.flatnonzero(held)
