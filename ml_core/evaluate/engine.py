"""The batches of a job through a model: memory that runs out, rows that fail, progress."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import torch

from ml_core.evaluate.batching import Plan, Rows
from ml_core.evaluate.events import Reporter
from ml_core.evaluate.transfer import Arriving, Ragged, Values, fetch

T = TypeVar("T")
Inputs = dict[str, torch.Tensor]
MakeInputs = Callable[[Rows], Any]  # what the family's own forward pass takes, mostly `Inputs`
Given = torch.Tensor | Ragged
Forward = Callable[[Any], Given]

IN_FLIGHT = 2
"""Batches given to the device and not yet read: while it computes one, the next is made ready."""
NO_MEMORY_WORDS = (
    "not enough memory",
    "out of memory",
    "can't allocate memory",
    "cublas_status_alloc_failed",
    "cudnn_status_alloc_failed",
)
NOT_FINITE = "not_finite"
NO_MEMORY = "out_of_memory"


class RowsFailed(Exception):
    """Some rows of a batch cannot be computed; `errors` says which and why, by row number."""

    def __init__(self, errors: dict[int, str]) -> None:
        super().__init__(f"{len(errors)} rows failed")
        self.errors = errors


@dataclass
class Outputs:
    """What came out, by row number, and how it went.

    `rows` holds what `forward` gave for a row, of any shape; None where `errors` says why.
    """

    rows: list[Values | None]
    errors: dict[int, str] = field(default_factory=dict)
    batch_sizes: list[int] = field(default_factory=list)
    padded_slots: int = 0
    oom_halvings: int = 0

    def dense(self, width: int) -> Values:
        """Rows of `width` values as an array, shape `(n, width)`; NaN where there is no row."""
        table = np.full((len(self.rows), width), np.nan, dtype=np.float32)
        there = [at for at, row in enumerate(self.rows) if row is not None]
        if there:
            table[there] = np.stack([row for row in self.rows if row is not None])
        return table


@dataclass(frozen=True)
class _Flight:
    """A batch that was given to the device: `computed` are the rows of it that could be."""

    rows: Rows
    computed: Rows
    given: Arriving | None


def run_batches(
    plan: Plan,
    *,
    inputs: Callable[[Rows], T],
    forward: Callable[[T], Given],
    n_rows: int,
    slots: Callable[[Rows], int],
    reporter: Reporter,
) -> Outputs:
    """All batches of `plan` through `forward`, results by row number.

    A device that computes by itself is given the next batch before the last one is read. A batch
    without memory is halved until it fits, and no later one is tried with as many slots; a single
    row without memory, or with a value that is no finite number, is an error of that row.

    Args:
        inputs: row numbers to what `forward` takes, on the host; may raise RowsFailed.
        forward: inputs to a tensor whose first dimension is the rows, or to `Ragged` ones; it need
            not be computed yet.
        slots: row numbers to the slots their batch computes, padding included.
    """
    outputs = Outputs([None] * n_rows)
    waiting, flying = deque(plan.batches), deque[_Flight]()
    too_many_slots: int | None = None
    done = 0
    while waiting or flying:
        if flying and _is_next(flying, is_last=not waiting):
            flight = flying.popleft()
            _store(flight, outputs)
            outputs.batch_sizes.append(len(flight.rows))
            outputs.padded_slots += slots(flight.rows)
            done += len(flight.rows)
            reporter.progress(done, n_rows)
            continue
        rows = waiting.popleft()
        if too_many_slots is not None and len(rows) > 1 and slots(rows) >= too_many_slots:
            waiting.extendleft(_halves(rows))
            continue
        started = _start(rows, inputs, forward, outputs)
        if started is not None:
            flying.append(started)
            continue
        # Outside of the handler, whose traceback holds what the batch had computed.
        free_memory()
        outputs.oom_halvings += 1
        too_many_slots = slots(rows)
        reporter.note("oom_halved", f"A batch of {len(rows)} rows did not fit in memory.")
        waiting.extendleft(_halves(rows))
    return outputs


def _is_next(flying: deque[_Flight], *, is_last: bool) -> bool:
    """Whether the oldest batch under way is read before another is started."""
    given = flying[0].given
    return is_last or len(flying) == IN_FLIGHT or given is None or given.has_arrived()


def _start(
    rows: Rows, inputs: Callable[[Rows], T], forward: Callable[[T], Given], outputs: Outputs
) -> _Flight | None:
    """Give `rows` to the device; None where memory ran out and halves of them may fit."""
    try:
        return _launch(rows, inputs, forward, outputs)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
    if len(rows) > 1:
        return None
    free_memory()
    outputs.errors[int(rows[0])] = NO_MEMORY
    return _Flight(rows, rows[:0], None)


def _launch(
    rows: Rows, inputs: Callable[[Rows], T], forward: Callable[[T], Given], outputs: Outputs
) -> _Flight:
    """The batch of the rows that can be computed; the others become errors."""
    computed = rows
    try:
        batch = inputs(rows)
    except RowsFailed as failed:
        outputs.errors |= failed.errors
        computed = np.array([row for row in rows if int(row) not in failed.errors], dtype=np.int64)
        if not len(computed):
            return _Flight(rows, computed, None)
        batch = inputs(computed)
    return _Flight(rows, computed, fetch(forward(batch)))


def _halves(rows: Rows) -> tuple[Rows, Rows]:
    """A batch in two, the second half first."""
    middle = len(rows) // 2
    return rows[middle:], rows[:middle]


def _store(flight: _Flight, outputs: Outputs) -> None:
    if flight.given is None:
        return
    for row, values in zip(flight.computed.tolist(), flight.given.wait(), strict=True):
        if np.isfinite(values).all():
            outputs.rows[row] = values
        else:
            outputs.errors[row] = NOT_FINITE


def is_out_of_memory(error: BaseException) -> bool:
    """Whether `error` says that memory ran out, on the CPU or on a device."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(words in text for words in NO_MEMORY_WORDS)


def free_memory() -> None:
    """Give back what the failed batch held on the device."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
