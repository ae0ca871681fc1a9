"""Scores of masks, from how often each label was answered where each is true.

A pixel that the data tells to ignore is in none of the numbers. Every number is a function of sums
over images, so errors come from a bootstrap over images. Higher is better; 0 to 1.

Source: Everingham et al., The PASCAL Visual Object Classes Challenge (2010), section 4.2: one
matrix over all images, not a mean over images.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ml_core.arrays import Floats, Ints
from ml_core.metrics.cells import Cells
from ml_core.metrics.per_item import Columns, ItemScores, PerItem, Sums, sums_of
from ml_core.metrics.registry import Metric, Setting
from ml_core.metrics.values import metric_value
from ml_core.results import MetricValue
from ml_core.statistics.bootstrap import estimate_sums, ratio_of_sums


@dataclass(frozen=True)
class MaskCounts:
    """The statistic: the sums of each image that was answered, and the matrix of all.

    `labels` has shape `(images, labels, 3)`: pixels answered rightly, true, answered. `matrix` has
    a row for each true label and one column more than labels, for pixels answered with none.
    """

    labels: Floats
    matrix: Ints

    @property
    def cells(self) -> Cells:
        """The cells of the matrix that are not empty; the last label stands for none."""
        truth, predicted = np.nonzero(self.matrix)
        return Cells(truth, predicted, self.matrix[truth, predicted], self.matrix.shape[1])

    @property
    def pixels(self) -> Floats:
        """Pixels answered rightly, and all, by image."""
        found: Floats = self.labels[:, :, :2].sum(axis=1)
        return found


def counts_of(matrices: Sequence[Ints], n_labels: int) -> MaskCounts:
    """The statistic of the matrices of images."""
    total = np.zeros((n_labels, n_labels + 1), dtype=np.int64)
    labels = np.zeros((len(matrices), n_labels, 3))
    for at, matrix in enumerate(matrices):
        total += matrix
        labels[at] = sums_of_matrix(matrix)
    return MaskCounts(labels, total)


def sums_of_matrix(matrix: Ints) -> Floats:
    """Pixels answered rightly, true, answered, by label: shape `(labels, 3)`."""
    square = matrix[:, :-1]
    return np.stack([np.diagonal(square), matrix.sum(axis=1), square.sum(axis=0)], axis=1).astype(
        np.float64
    )


def iou_of(sums: Floats) -> Floats:
    """Right / (true + answered - right) of the last axis; NaN over nothing."""
    below = sums[..., 1] + sums[..., 2] - sums[..., 0]
    return np.where(below == 0, np.nan, sums[..., 0] / np.where(below == 0, 1.0, below))


def mean_iou_of(sums: Floats) -> Floats:
    """Mean IoU over the labels that are true or answered for a pixel; `(draws, 3 labels)`."""
    found = iou_of(sums.reshape(len(sums), -1, 3))
    there = ~np.isnan(found)
    n_there = there.sum(axis=1)
    total = np.where(there, found, 0.0).sum(axis=1)
    return np.where(n_there == 0, np.nan, total / np.maximum(n_there, 1))


def mean_iou(counts: MaskCounts, setting: Setting) -> MetricValue:
    """Mean over labels; a label answered but never true has 0. None for no pixels."""
    rows = counts.labels.reshape(len(counts.labels), -1)
    found = estimate_sums(rows, mean_iou_of, n_draws=setting.n_draws, seed=setting.seed)
    return metric_value("mean_iou", found, setting, what="mean IoU, one matrix over all images")


def pixel_accuracy(counts: MaskCounts, setting: Setting) -> MetricValue:
    """Share of pixels answered rightly; None for no pixels."""
    found = estimate_sums(counts.pixels, ratio_of_sums, n_draws=setting.n_draws, seed=setting.seed)
    return metric_value("pixel_accuracy", found, setting, what="share of pixels answered rightly")


def _read_labels(columns: Columns) -> ItemScores:
    """The three lists of the published rows, one number a label in each."""
    width = max((len(row) for row in columns["true"] if row is not None), default=0)
    rows = np.full((len(columns["true"]), width, 3), np.nan)
    for place, name in enumerate(("hits", "true", "answered")):
        for at, row in enumerate(columns[name]):
            if row is not None:
                rows[at, :, place] = row
    return Sums(rows.reshape(len(rows), -1), mean_iou_of)


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric(
            "mean_iou",
            "Mean IoU",
            mean_iou,
            per_item=PerItem(("hits", "true", "answered"), _read_labels),
        ),
        Metric(
            "pixel_accuracy",
            "Pixel accuracy",
            pixel_accuracy,
            per_item=sums_of("n_correct", "n_pixels", metric=ratio_of_sums),
        ),
    )
}
