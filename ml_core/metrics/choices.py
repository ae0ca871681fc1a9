"""Which of several answers a model finds likeliest: one outcome a question, averaged.

Source: lm-evaluation-harness 0.4.13 (`acc`, `acc_norm`, `brier_score`); lengths here are bytes of
UTF-8, as its `acc_bytes` counts, and not characters.
"""

from dataclasses import dataclass

import numpy as np

from ml_core.arrays import Floats, Ints
from ml_core.metrics.per_item import Columns, ItemScores, Means, PerItem, mean_of
from ml_core.metrics.registry import Metric, Setting
from ml_core.metrics.values import metric_value
from ml_core.results import MetricValue
from ml_core.statistics.estimates import estimate


@dataclass(frozen=True)
class Outcomes:
    """The statistic: one entry a question that was answered. `brier` is from 0 to 2."""

    is_right: Floats
    is_right_by_byte: Floats
    brier: Floats


def outcomes_of(likelihoods: list[Floats], n_bytes: list[Ints], right: Ints) -> Outcomes:
    """Outcomes of questions from the log likelihood and the length of each of their answers.

    Ties go to the first answer. An empty answer counts as one byte.
    """
    rows = []
    for values, lengths, answer in zip(likelihoods, n_bytes, right.tolist(), strict=True):
        powers = np.exp(values - values.max())
        wanted = np.arange(len(values)) == answer
        brier = float(((powers / powers.sum() - wanted) ** 2).sum())
        by_byte = int((values / np.maximum(lengths, 1)).argmax())
        rows.append((values.argmax() == answer, by_byte == answer, brier))
    table = np.array(rows, dtype=np.float64).reshape(len(rows), 3)
    return Outcomes(*table.T)


def accuracy(outcomes: Outcomes, setting: Setting) -> MetricValue:
    """Share of questions whose right answer is the likeliest."""
    what = "right answer is the likeliest"
    return metric_value("accuracy", estimate(outcomes.is_right), setting, what=what)


def accuracy_norm(outcomes: Outcomes, setting: Setting) -> MetricValue:
    """Share of questions whose right answer has the highest log likelihood a byte."""
    what = "right answer is the likeliest by byte"
    return metric_value("accuracy_norm", estimate(outcomes.is_right_by_byte), setting, what=what)


def brier(outcomes: Outcomes, setting: Setting) -> MetricValue:
    """Mean squared distance of the answers' probabilities, summed to 1, from what is right."""
    what = "Brier score over the answers"
    value = estimate(outcomes.brier)
    return metric_value("brier", value, setting, what=what, direction="lower")


def _from_rows(name: str) -> PerItem:
    """The outcome called `name`, made anew from the likelihoods of each row."""

    def read(columns: Columns) -> ItemScores:
        rows = columns["log_likelihoods"]
        there = [at for at, row in enumerate(rows) if row is not None]
        outcomes = outcomes_of(
            [np.array(rows[at], dtype=np.float64) for at in there],
            [np.array(columns["n_bytes"][at], dtype=np.int64) for at in there],
            np.array([columns["target"][at] for at in there], dtype=np.int64),
        )
        values = np.full(len(rows), np.nan)
        values[there] = getattr(outcomes, name)
        return Means(values)

    return PerItem(("log_likelihoods", "n_bytes", "target"), read)


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("accuracy", "Accuracy", accuracy, per_item=mean_of("correct")),
        Metric(
            "accuracy_norm",
            "Accuracy by byte",
            accuracy_norm,
            per_item=_from_rows("is_right_by_byte"),
        ),
        Metric("brier", "Brier score", brier, "lower", 2.0, per_item=_from_rows("brier")),
    )
}
