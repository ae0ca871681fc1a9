"""The sufficient statistic of classification: how often each label was predicted as which."""

from dataclasses import dataclass

import numpy as np

from ml_core.arrays import Ints


@dataclass(frozen=True)
class Cells:
    """The cells of a confusion matrix that are not empty, sorted by truth, then prediction.

    `truth`, `predicted` and `count` have one entry a cell; `n_labels` is the matrix's side. Kept
    sparse because a thousand labels make a million cells, of which a test split fills few. `n_top5`
    is how often the right label was among the five likeliest, None where there are no more than
    five labels or where nobody counted.
    """

    truth: Ints
    predicted: Ints
    count: Ints
    n_labels: int
    n_top5: int | None = None

    @property
    def n(self) -> int:
        return int(self.count.sum())

    @property
    def n_correct(self) -> int:
        return int(self.count[self.truth == self.predicted].sum())

    def support(self) -> Ints:
        """Items of each label, shape `(n_labels,)`."""
        return _sums(self.truth, self.count, self.n_labels)

    def predictions(self) -> Ints:
        """How often each label was predicted, shape `(n_labels,)`."""
        return _sums(self.predicted, self.count, self.n_labels)

    def hits(self) -> Ints:
        """How often each label was predicted where it was true, shape `(n_labels,)`."""
        right = self.truth == self.predicted
        return _sums(self.truth[right], self.count[right], self.n_labels)

    def dense(self) -> Ints:
        """The whole matrix, truth down, prediction across."""
        matrix = np.zeros((self.n_labels, self.n_labels), dtype=np.int64)
        matrix[self.truth, self.predicted] = self.count
        return matrix


def count_cells(truth: Ints, predicted: Ints, n_labels: int) -> Cells:
    """The cells of two arrays of label numbers, each from 0 to `n_labels - 1`.

    Raises:
        ValueError: the lengths differ, or a number is out of range.
    """
    truth, predicted = np.asarray(truth, np.int64), np.asarray(predicted, np.int64)
    if truth.shape != predicted.shape or truth.ndim != 1:
        raise ValueError("truth and predicted must be one-dimensional and of one length")
    for numbers in (truth, predicted):
        if numbers.size and (numbers.min() < 0 or numbers.max() >= n_labels):
            raise ValueError(f"a label number is outside 0 .. {n_labels - 1}")
    codes, counts = np.unique(truth * n_labels + predicted, return_counts=True)
    side = max(n_labels, 1)
    return Cells(codes // side, codes % side, counts.astype(np.int64), n_labels)


def _sums(keys: Ints, weights: Ints, n_labels: int) -> Ints:
    return np.bincount(keys, weights=weights, minlength=n_labels).astype(np.int64)
