"""Two models' predictions on the same items into a comparison with a verdict. Needs no torch."""

from collections.abc import Hashable, Sequence

import numpy as np

from ml_core.arrays import Floats
from ml_core.data.labels import Truth
from ml_core.data.predictions import MISSING, Predictions
from ml_core.metrics.per_item import Labels, Means
from ml_core.metrics.registry import get_metric
from ml_core.statistics.clusters import cluster_codes
from ml_core.statistics.comparison import Comparison, Question


def compare(
    base: Predictions,
    candidate: Predictions,
    truth: Truth,
    question: Question,
    *,
    clusters: Sequence[Hashable] | None = None,
) -> Comparison:
    """`candidate` against `base` by the metric of `question`, over the items that both answered.

    Args:
        clusters: what belongs together (a passage, a speaker), one id an item; None stands alone.

    Raises:
        ValueError: the predictions are of other items or labels than `truth`.
        UserError: `metric_unknown`.
    """
    get_metric(question.metric)
    codes = None if clusters is None else cluster_codes(clusters, len(truth.item_ids))
    rights = hits(base, truth), hits(candidate, truth)
    if question.metric == "accuracy":
        return Means(rights[0]).compare(Means(rights[1]), question, codes)
    sides = (
        Labels(truth.label_index, answered.label_index, truth.labels)
        for answered in (base, candidate)
    )
    return next(sides).compare(next(sides), question, codes)


def hits(predictions: Predictions, truth: Truth) -> Floats:
    """1 for each item answered right, 0 for a wrong one, NaN for one without an answer.

    Raises:
        ValueError: predictions and truth are of other items or labels, or of another order.
    """
    if predictions.item_ids != truth.item_ids or predictions.labels != truth.labels:
        raise ValueError("predictions and truth are not of the same items and labels")
    right = (predictions.label_index == truth.label_index).astype(np.float64)
    return np.where(predictions.label_index == MISSING, np.nan, right)
