"""The batches of a job through a model: memory that runs out, rows that fail, progress."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import torch

from ml_core.evaluate.batching import Plan, Rows
from ml_core.evaluate.events import Reporter
from ml_core.evaluate.transfer import Arriving, Logits, fetch

T = TypeVar("T")
Inputs = dict[str, torch.Tensor]
MakeInputs = Callable[[Rows], Inputs]
Forward = Callable[[Inputs], torch.Tensor]

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
    """What came out, by row number in the order of the data, and how it went."""

    logits: Logits
    errors: dict[int, str] = field(default_factory=dict)
    batch_sizes: list[int] = field(default_factory=list)
    padded_slots: int = 0
    oom_halvings: int = 0


@dataclass(frozen=True)
class _Flight:
    """A batch that was given to the device: `computed` are the rows of it that could be."""

    rows: Rows
    computed: Rows
    logits: Arriving | None


def run_batches(
    plan: Plan,
    *,
    inputs: Callable[[Rows], T],
    forward: Callable[[T], torch.Tensor],
    n_rows: int,
    n_outputs: int,
    slots: Callable[[Rows], int],
    reporter: Reporter,
) -> Outputs:
    """All batches of `plan` through `forward`, results in the order of the data.

    A device that computes by itself is given the next batch before the last one is read. A batch
    without memory is halved until it fits, and no later one is tried with as many slots; a single
    row without memory, or with logits that are not numbers, is an error of that row. Such rows
    keep NaN logits.

    Args:
        inputs: row numbers to what `forward` takes, on the host; may raise RowsFailed.
        forward: inputs to logits of shape `(rows, n_outputs)`, which need not be computed yet.
        slots: row numbers to the slots their batch computes, padding included.
    """
    outputs = Outputs(np.full((n_rows, n_outputs), np.nan, dtype=np.float32))
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
    logits = flying[0].logits
    return is_last or len(flying) == IN_FLIGHT or logits is None or logits.has_arrived()


def _start(
    rows: Rows, inputs: Callable[[Rows], T], forward: Callable[[T], torch.Tensor], outputs: Outputs
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
    rows: Rows, inputs: Callable[[Rows], T], forward: Callable[[T], torch.Tensor], outputs: Outputs
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
    if flight.logits is None:
        return
    rows, logits = flight.computed, flight.logits.wait()
    finite = np.isfinite(logits).all(axis=1)
    outputs.logits[rows[finite]] = logits[finite]
    for row in rows[~finite]:
        outputs.errors[int(row)] = NOT_FINITE


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


def softmax(logits: Logits) -> Logits:
    """Row-wise softmax, shape `(n, k)`; rows of NaN stay NaN."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    powers = np.exp(shifted)
    probabilities: Logits = powers / powers.sum(axis=1, keepdims=True)
    return probabilities
