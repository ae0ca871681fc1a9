"""Statistics over many items: a board ranked in joint draws, and two models compared.

The peer is scipy where it has the same thing, with the same number of draws in one process.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from scipy import stats

from benchmarks.report import compare, report
from ml_core.statistics import Question, compare_sums, rank_models, ratio_of_sums

ITEMS, MODELS, DRAWS = 10_000, 20, 1000
BUDGET_S = 2.0
REPEATS = 3


def main() -> None:
    rng = np.random.default_rng(0)
    hits = (rng.random((ITEMS, MODELS)) < np.linspace(0.6, 0.7, MODELS)).astype(float)
    names = [f"model-{at:02}" for at in range(MODELS)]
    ranked = fastest(lambda: rank_models(hits, names, n_draws=DRAWS))
    words = rng.integers(5, 30, ITEMS).astype(float)
    sides = [np.stack([rng.poisson(words * 0.1), words], axis=1) for _ in range(2)]
    question = Question(metric="wer", direction="lower", n_draws=DRAWS)
    ours = fastest(lambda: compare_sums(sides[0], sides[1], ratio_of_sums, question))
    theirs = fastest(lambda: scipy_interval(sides))
    board = f"rank {MODELS} models, {ITEMS:,} items, {DRAWS:,} draws (peer: the budget)"
    pair = f"paired WER, {ITEMS:,} items, {DRAWS:,} draws and swaps (peer: scipy's draws alone)"
    report(
        "statistics",
        [
            compare(board, ranked, BUDGET_S, "s", goal=1.0, higher_is_better=False),
            compare(pair, ours, theirs, "s", goal=1.0, higher_is_better=False),
        ],
    )


def scipy_interval(sides: list[np.ndarray]) -> object:
    def gap(be, bw, ce, cw, axis):
        return ce.sum(axis=axis) / cw.sum(axis=axis) - be.sum(axis=axis) / bw.sum(axis=axis)

    columns = (*sides[0].T, *sides[1].T)
    return stats.bootstrap(
        columns,
        gap,
        paired=True,
        n_resamples=DRAWS,
        batch=50,
        method="percentile",
        vectorized=True,
        rng=np.random.default_rng(0),
    )


def fastest(work: Callable[[], object]) -> float:
    """Process seconds of the fastest of a few runs, so that a busy machine does not count."""
    times = []
    for _ in range(REPEATS):
        began = time.process_time()
        work()
        times.append(time.process_time() - began)
    return round(min(times), 3)


if __name__ == "__main__":
    main()
