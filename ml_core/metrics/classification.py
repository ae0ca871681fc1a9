"""Accuracy, F1 and their kin, from the cells of a confusion matrix. Higher is better for all."""

from dataclasses import dataclass

import numpy as np

from ml_core.arrays import Floats, Ints
from ml_core.metrics.cells import Cells
from ml_core.statistics.bootstrap import draw_counts
from ml_core.statistics.paired_tests import PairedRows


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
    blocks = draw_counts(cells.count, n_draws=n_draws, rng=rng, width=cells.n_labels)
    return np.concatenate([macro_f1_of_counts(counts, cells) for counts in blocks])


def macro_f1_of_counts(counts: Floats, cells: Cells) -> Floats:
    """Macro-F1 of each row of `counts`, shape `(draws, cells)`, in place of the cells' own counts.

    A cell may be there more than once. A row without items has NaN.
    """
    right = cells.truth == cells.predicted
    hits = _grouped(counts[:, right], cells.truth[right], cells.n_labels)
    slots = _grouped(counts, cells.truth, cells.n_labels)
    slots += _grouped(counts, cells.predicted, cells.n_labels)
    f1 = 2 * hits / np.maximum(slots, 1)
    n_seen = (slots > 0).sum(axis=1)
    return np.where(n_seen == 0, np.nan, f1.sum(axis=1) / np.maximum(n_seen, 1))


def _grouped(counts: Floats, keys: Ints, n_labels: int) -> Floats:
    """Column sums of `counts` by key, shape `(draws, n_labels)`."""
    return np.stack([np.bincount(keys, weights=row, minlength=n_labels) for row in counts])


def _ratio(numerator: Ints, denominator: Ints) -> Floats:
    empty = denominator == 0
    return np.where(empty, np.nan, numerator / np.where(empty, 1, denominator))


def paired_macro_f1(
    truth: Ints, base: Ints, candidate: Ints, n_labels: int, codes: Ints | None = None
) -> PairedRows:
    """Macro-F1 of two models on the same items, to be drawn together.

    Items with the same truth and the same two answers are one row, unless `codes` puts them in
    clusters.
    """
    triples = np.stack([truth, base, candidate], axis=1)
    weights = np.ones(len(triples), dtype=np.int64)
    if codes is None:
        triples, weights = np.unique(triples, axis=0, return_counts=True)
    sides = [Cells(triples[:, 0], triples[:, at], weights, n_labels) for at in (1, 2)]

    def of_counts(base_rows: Floats | None, candidate_rows: Floats | None) -> Floats:
        given = [
            (counts, side)
            for counts, side in zip((base_rows, candidate_rows), sides, strict=True)
            if counts is not None
        ]
        cells = Cells(
            np.concatenate([side.truth for _, side in given]),
            np.concatenate([side.predicted for _, side in given]),
            np.concatenate([side.count for _, side in given]),
            n_labels,
        )
        return macro_f1_of_counts(np.hstack([counts for counts, _ in given]), cells)

    return PairedRows(of_counts, weights.astype(np.int64), codes)
