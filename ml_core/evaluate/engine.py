"""The batches of a job through a model: memory that runs out, rows that fail, progress."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from ml_core.evaluate.batching import Plan, Rows
from ml_core.evaluate.events import Reporter

Logits = NDArray[np.float32]
Forward = Callable[[Rows], Logits]

NO_MEMORY_WORDS = ("not enough memory", "out of memory", "can't allocate memory")
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


def run_batches(
    plan: Plan,
    forward: Forward,
    *,
    n_rows: int,
    n_outputs: int,
    slots: Callable[[Rows], int],
    reporter: Reporter,
) -> Outputs:
    """All batches of `plan` through `forward`, results in the order of the data.

    A batch without memory is halved until it fits; a single row without memory, or with logits
    that are not numbers, is an error of that row. Such rows keep NaN logits.

    Args:
        forward: row numbers to logits, shape `(rows, n_outputs)`; may raise RowsFailed.
        slots: row numbers to the slots their batch computes, padding included.
    """
    outputs = Outputs(np.full((n_rows, n_outputs), np.nan, dtype=np.float32))
    done = 0
    for batch in plan.batches:
        waiting = [batch]
        while waiting:
            rows = waiting.pop()
            halves = _run_one(rows, forward, outputs)
            if halves:
                reporter.note("oom_halved", f"A batch of {len(rows)} rows did not fit in memory.")
                waiting.extend(halves)
                continue
            outputs.batch_sizes.append(len(rows))
            outputs.padded_slots += slots(rows)
            done += len(rows)
            reporter.progress(done, n_rows)
    return outputs


def _run_one(rows: Rows, forward: Forward, outputs: Outputs) -> tuple[Rows, Rows] | None:
    """Compute one batch into `outputs`; the two halves to try instead where memory ran out."""
    try:
        computed = _without_failed(rows, forward, outputs)
        fits = True
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        fits = False
    if not fits:
        # Outside of the handler, whose traceback holds what the batch had computed.
        free_memory()
        return _halves(rows, outputs)
    if computed is not None:
        _store(computed, outputs)
    return None


def _halves(rows: Rows, outputs: Outputs) -> tuple[Rows, Rows] | None:
    """A batch in two; None for a single row, which becomes an error."""
    if len(rows) == 1:
        outputs.errors[int(rows[0])] = NO_MEMORY
        return None
    outputs.oom_halvings += 1
    middle = len(rows) // 2
    return rows[middle:], rows[:middle]


def _without_failed(rows: Rows, forward: Forward, outputs: Outputs) -> tuple[Rows, Logits] | None:
    """Logits of the rows that can be computed; the others become errors."""
    try:
        return rows, forward(rows)
    except RowsFailed as failed:
        outputs.errors |= failed.errors
        rest = np.array([row for row in rows if int(row) not in failed.errors], dtype=np.int64)
    return (rest, forward(rest)) if len(rest) else None


def _store(computed: tuple[Rows, Logits], outputs: Outputs) -> None:
    rows, logits = computed
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
