"""The values of the items that have one, with the clusters they lie in."""

from collections.abc import Hashable, Iterable
from dataclasses import dataclass

import numpy as np

from ml_core.arrays import Floats, Ints
from ml_core.statistics.clusters import cluster_codes
from ml_core.statistics.intervals import clustered_standard_error, mean_standard_error

_ROUNDING = 1e-12


@dataclass(frozen=True)
class Sample:
    """Values that are there. `codes` number their clusters; None where items stand alone."""

    values: Floats
    codes: Ints | None
    n_missing: int

    @classmethod
    def of(cls, values: Floats, clusters: Iterable[Hashable] | None = None) -> "Sample":
        """The values that are not NaN. Raises ValueError for an infinite one."""
        values = np.asarray(values, dtype=np.float64)
        if values.ndim != 1 or np.isinf(values).any():
            raise ValueError("values are one finite number an item, or NaN where it is missing")
        present = ~np.isnan(values)
        codes = None
        if clusters is not None:
            kept = cluster_codes(clusters, len(values))[present]
            codes = np.unique(kept, return_inverse=True)[1].astype(np.int64)
        return cls(values[present], codes, int((~present).sum()))

    @property
    def n(self) -> int:
        return len(self.values)

    @property
    def n_clusters(self) -> int | None:
        return None if self.codes is None else int(self.codes.max(initial=-1)) + 1

    @property
    def n_units(self) -> int:
        """How many clusters, or items where there are none: what may be drawn or flipped alone."""
        return self.n if self.n_clusters is None else self.n_clusters

    @property
    def mean(self) -> float | None:
        return float(self.values.mean()) if self.n else None

    @property
    def is_binary(self) -> bool:
        return bool(np.isin(self.values, (0.0, 1.0)).all())

    @property
    def has_spread(self) -> bool:
        """Whether the values differ by more than rounding."""
        if self.n == 0:
            return False
        return bool(np.ptp(self.values) > _ROUNDING * np.abs(self.values).max())

    def standard_error(self) -> float | None:
        """Of the mean, clustered where there are clusters; None for fewer than two units."""
        if self.codes is None:
            return mean_standard_error(self.values)
        return clustered_standard_error(self.values, self.codes)

    def effective_n(self) -> float:
        """As how many independent items these count: n over the design effect.

        The design effect is the square of the clustered over the plain error. Never more than there
        are items nor fewer than there are clusters; values without spread count one a cluster.

        Source: Korn and Graubard, Survey Methodology 24 (1998).
        """
        if self.codes is None:
            return float(self.n)
        plain, clustered = mean_standard_error(self.values), self.standard_error()
        if not self.has_spread or not plain or not clustered:
            return float(self.n_units)
        return min(float(self.n), max(float(self.n_units), self.n * (plain / clustered) ** 2))
