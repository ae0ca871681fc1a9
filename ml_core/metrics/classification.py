"""Accuracy, F1 and their kin, from the cells of a confusion matrix. Higher is better for all."""

from dataclasses import dataclass

import numpy as np

from ml_core.metrics.cells import Cells, Floats, Ints

CHUNK_VALUES = 4_000_000


@dataclass(frozen=True)
class LabelScores:
    """One array a score, shape `(n_labels,)`; NaN where the denominator is empty."""

    precision: Floats
    recall: Floats
    f1: Floats


def accuracy(cells: Cells) -> float | None:
    """Share of items predicted right; None for no items."""
    return cells.n_correct / cells.n if cells.n else None


def label_scores(cells: Cells) -> LabelScores:
    """Precision hits / predicted, recall hits / support, F1 2 hits / (support + predicted)."""
    hits, support, predicted = cells.hits(), cells.support(), cells.predictions()
    return LabelScores(
        _ratio(hits, predicted), _ratio(hits, support), _ratio(2 * hits, support + predicted)
    )


def macro_f1(cells: Cells) -> float | None:
    """Unweighted mean of F1 over the labels that are true or predicted for at least one item.

    A label that is neither has no F1 and is left out of the mean; one predicted but never true has
    F1 0. None for no items. Equals scikit-learn's `f1_score(average="macro")` with its own labels.
    """
    return float(np.nanmean(label_scores(cells).f1)) if cells.n else None


def bootstrap_macro_f1(cells: Cells, *, n_draws: int, rng: np.random.Generator) -> Floats:
    """Macro-F1 of `n_draws` resamples of the items, recomputed from counts in each draw.

    Drawing n items with replacement is drawing the cell counts from one multinomial distribution,
    so the items themselves are not needed.
    """
    if cells.n == 0 or n_draws == 0:
        return np.empty(0)
    shares = cells.count / cells.n
    step = max(1, CHUNK_VALUES // (len(shares) + cells.n_labels))
    sizes = [min(step, n_draws - start) for start in range(0, n_draws, step)]
    drawn = [_macro_f1_rows(rng.multinomial(cells.n, shares, size=s), cells) for s in sizes]
    return np.concatenate(drawn)


def _macro_f1_rows(counts: Ints, cells: Cells) -> Floats:
    """Macro-F1 of each row of `counts`, shape `(draws, cells)`."""
    right = cells.truth == cells.predicted
    hits = _grouped(counts[:, right], cells.truth[right], cells.n_labels)
    slots = _grouped(counts, cells.truth, cells.n_labels)
    slots += _grouped(counts, cells.predicted, cells.n_labels)
    f1 = 2 * hits / np.maximum(slots, 1)
    means: Floats = f1.sum(axis=1) / (slots > 0).sum(axis=1)
    return means


def _grouped(counts: Ints, keys: Ints, n_labels: int) -> Ints:
    """Column sums of `counts` by key, shape `(draws, n_labels)`."""
    sums = np.zeros((len(counts), n_labels), dtype=np.int64)
    if keys.size == 0:
        return sums
    order = np.argsort(keys, kind="stable")
    found, starts = np.unique(keys[order], return_index=True)
    sums[:, found] = np.add.reduceat(counts[:, order], starts, axis=1)
    return sums


def _ratio(numerator: Ints, denominator: Ints) -> Floats:
    empty = denominator == 0
    return np.where(empty, np.nan, numerator / np.where(empty, 1, denominator))
