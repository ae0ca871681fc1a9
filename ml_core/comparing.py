"""Two models' predictions on the same items into a comparison with a verdict. Needs no torch."""

from collections.abc import Hashable, Sequence

import numpy as np

from ml_core.arrays import Floats
from ml_core.data.labels import Truth
from ml_core.data.predictions import MISSING, Predictions
from ml_core.metrics.classification import paired_macro_f1
from ml_core.metrics.registry import get_metric
from ml_core.statistics.clusters import cluster_codes
from ml_core.statistics.comparison import Comparison, Question
from ml_core.statistics.paired import compare_rows, compare_shares, count_pairs


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
    sides = hits(base, truth), hits(candidate, truth)
    if question.metric == "accuracy":
        return compare_shares(*sides, question, clusters=clusters)
    counted = count_pairs(*sides, clusters)
    kept = ~np.isnan(sides[0] + sides[1])
    codes = None
    if clusters is not None:
        codes = cluster_codes(clusters, len(kept))[kept]
        codes = np.unique(codes, return_inverse=True)[1].astype(np.int64)
    answers = base.label_index[kept], candidate.label_index[kept]
    rows = paired_macro_f1(truth.label_index[kept], *answers, len(truth.labels), codes)
    is_equal = bool(np.array_equal(*answers))
    return compare_rows(rows, counted, question, is_equal=is_equal)


def hits(predictions: Predictions, truth: Truth) -> Floats:
    """1 for each item answered right, 0 for a wrong one, NaN for one without an answer.

    Raises:
        ValueError: predictions and truth are of other items or labels, or of another order.
    """
    if predictions.item_ids != truth.item_ids or predictions.labels != truth.labels:
        raise ValueError("predictions and truth are not of the same items and labels")
    right = (predictions.label_index == truth.label_index).astype(np.float64)
    return np.where(predictions.label_index == MISSING, np.nan, right)
