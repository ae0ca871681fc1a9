"""A label for every pixel of an image, as runs of pixels that have the same.

Pixels are counted from the upper left along the lines. A mask of a few regions is a few hundred
runs, whatever the size of its image.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml_core.arrays import Ints

Numbers = NDArray[np.uint16]
LONGEST = int(np.iinfo(np.uint16).max)


@dataclass(frozen=True)
class Runs:
    """Label and length of each run, shape `(runs,)`; a run longer than 65,535 pixels is several."""

    labels: Numbers
    lengths: Numbers

    @classmethod
    def of(cls, labels: Ints, lengths: Ints) -> "Runs":
        """Runs of any length."""
        n_parts = -(-lengths // LONGEST)
        parts = np.full(int(n_parts.sum()), LONGEST, dtype=np.int64)
        parts[np.cumsum(n_parts) - 1] = lengths - (n_parts - 1) * LONGEST
        return cls(np.repeat(labels, n_parts).astype(np.uint16), parts.astype(np.uint16))

    @property
    def n_pixels(self) -> int:
        return int(self.lengths.sum(dtype=np.int64))

    @property
    def ends(self) -> Ints:
        """The number of the pixel behind each run."""
        return np.cumsum(self.lengths, dtype=np.int64)


def runs_in(pixels: NDArray[Any]) -> tuple[Ints, Ints]:
    """Values and lengths of the runs of a mask of whole numbers, `(height, width)`."""
    flat = pixels.ravel()
    starts = np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]) + 1])
    return flat[starts].astype(np.int64), np.diff(np.append(starts, len(flat)))


def matrix_of(truth: Runs, said: Runs, n_labels: int, ignored: int) -> Ints:
    """How many pixels of a label (row) were answered with a label or with none (last column).

    Shape `(labels, labels + 1)`; any number from `n_labels` up is none. Pixels whose truth is
    `ignored` are left out. Nothing is unpacked: the runs are cut where either side changes.
    """
    ends = np.union1d(truth.ends, said.ends)
    lengths = np.diff(ends, prepend=0)
    right = truth.labels[np.searchsorted(truth.ends, ends)].astype(np.int64)
    answered = said.labels[np.searchsorted(said.ends, ends)].astype(np.int64)
    kept = right != ignored
    codes = right[kept] * (n_labels + 1) + np.minimum(answered[kept], n_labels)
    counts = np.bincount(codes, weights=lengths[kept], minlength=n_labels * (n_labels + 1))
    return counts.astype(np.int64).reshape(n_labels, n_labels + 1)
