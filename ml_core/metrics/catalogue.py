"""All metrics, by the answer kind they belong to. numpy and no more: the platform reads it."""

from collections.abc import Mapping

from ml_core.metrics import (
    answers,
    choices,
    curves,
    detection,
    likelihood,
    numbers,
    segmentation,
    similarity,
    spans,
    texts,
)
from ml_core.metrics.registry import METRICS, Metric

METRICS_OF: dict[str, Mapping[str, Metric]] = {
    "label": METRICS,
    "tags": spans.METRICS,
    "likelihood": likelihood.METRICS,
    "choice": choices.METRICS,
    "span": answers.METRICS,
    "similarity": similarity.METRICS,
    "boxes": detection.METRICS,
    "mask": segmentation.METRICS,
    "named_label": METRICS,
    "text": texts.METRICS,
    "scored_label": curves.METRICS,
    "number": numbers.METRICS,
}
