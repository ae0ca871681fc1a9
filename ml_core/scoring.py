"""Predictions and labels into scores. Needs no torch: the parent of a caged job calls this."""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from ml_core.arrays import Bools
from ml_core.data.labels import Truth
from ml_core.data.predictions import MISSING, Predictions
from ml_core.metrics import Cells, Setting, count_cells, get_metric
from ml_core.metrics.classification import label_scores
from ml_core.results import ClassScore, Confusion, Scores

TOP = 5


def score(
    predictions: Predictions,
    truth: Truth,
    *,
    metrics: Sequence[str],
    seed: int = 0,
    bootstrap_draws: int = 2000,
) -> Scores:
    """The metrics of `predictions` against `truth`, over the items that have a prediction.

    The same predictions, labels, seed and number of draws give the same numbers, to the last bit.

    Args:
        metrics: names, the main one first.

    Raises:
        ValueError: predictions and truth are of other items, or of another order.
        UserError: `metric_unknown`.
    """
    if predictions.item_ids != truth.item_ids or predictions.labels != truth.labels:
        raise ValueError("predictions and truth are not of the same items and labels")
    answered = predictions.label_index != MISSING
    cells = count_cells(
        truth.label_index[answered], predictions.label_index[answered], len(truth.labels)
    )
    top5 = in_top5(predictions, truth)
    if top5 is not None:
        cells = dataclasses.replace(cells, n_top5=int(top5[answered].sum()))
    setting = Setting(predictions.n_missing, bootstrap_draws, seed)
    values = tuple(get_metric(name).compute(cells, setting) for name in metrics)
    return Scores(values, class_scores(cells, truth.labels), confusion(cells, truth.labels))


def in_top5(predictions: Predictions, truth: Truth) -> Bools | None:
    """Whether an item's right label is among the five likeliest; None for five labels or fewer, or
    without probabilities.

    Ties go to the first label. It is false where there is no prediction.
    """
    if len(truth.labels) <= TOP or not predictions.probabilities.shape[1]:
        return None
    given = predictions.probabilities
    right = truth.label_index[:, None]
    likelihood = np.take_along_axis(given, right, axis=1)
    is_before = np.arange(given.shape[1]) < right
    ahead = (given > likelihood) | ((given == likelihood) & is_before)
    found: Bools = (ahead.sum(axis=1) < TOP) & (predictions.label_index != MISSING)
    return found


def class_scores(cells: Cells, labels: tuple[str, ...]) -> tuple[ClassScore, ...]:
    """Precision, recall and F1 of each label that is true or predicted at least once."""
    scores = label_scores(cells)
    support, predicted = cells.support(), cells.predictions()
    return tuple(
        ClassScore(
            label,
            _number(scores.precision[at]),
            _number(scores.recall[at]),
            _number(scores.f1[at]),
            int(support[at]),
            int(predicted[at]),
        )
        for at, label in enumerate(labels)
        if support[at] or predicted[at]
    )


def confusion(cells: Cells, labels: tuple[str, ...]) -> Confusion:
    """The cells of the matrix that are not empty, with the names of its rows and columns."""
    triples = zip(cells.truth.tolist(), cells.predicted.tolist(), cells.count.tolist(), strict=True)
    return Confusion(labels, tuple(triples))


def _number(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
