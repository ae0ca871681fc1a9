"""Items that belong together: one passage, speaker or picture asked about several times."""

from collections.abc import Hashable, Iterable

import numpy as np

from ml_core.arrays import Floats, Ints


def cluster_codes(ids: Iterable[Hashable] | None, n: int) -> Ints:
    """A number for each item, equal where its cluster is, counted up from 0 as clusters appear.

    Without `ids` each item is a cluster of its own; so is an item whose id is None.

    Raises:
        ValueError: there is not one id an item.
    """
    if ids is None:
        return np.arange(n, dtype=np.int64)
    seen: dict[Hashable, int] = {}
    codes = [
        seen.setdefault(object() if key is None else key, len(seen))
        for key in (ids.tolist() if isinstance(ids, np.ndarray) else ids)
    ]
    if len(codes) != n:
        raise ValueError(f"{len(codes)} cluster ids for {n} items")
    return np.array(codes, dtype=np.int64)


def sum_by_cluster(values: Floats, codes: Ints) -> Floats:
    """Sums of the rows of each cluster: `(items, columns)` to `(clusters, columns)`."""
    n_clusters = int(codes.max(initial=-1)) + 1
    if n_clusters == len(codes) and np.array_equal(codes, np.arange(n_clusters)):
        return values
    columns = [np.bincount(codes, weights=column, minlength=n_clusters) for column in values.T]
    return np.stack(columns, axis=1) if columns else np.empty((n_clusters, 0))


def mean_covariance(values: Floats, codes: Ints) -> Floats:
    """Covariance of the column means of `values`, shape `(items, columns)`, robust to clusters.

    Residuals are summed within each cluster, multiplied, added over the clusters and divided by the
    items of both columns, times G / (G - 1) for G clusters. NaN is missing: a column's mean, items
    and clusters are those where it has a value. A column of fewer than two clusters has NaN
    everywhere. With each item its own cluster the diagonal is the square of sd / sqrt(n).

    Source: Miller, arXiv 2411.00640, section 2.2; Liang and Zeger, Biometrika 73 (1986). The factor
    G / (G - 1) is that of the usual regression packages.
    """
    present = ~np.isnan(values)
    n = present.sum(axis=0)
    filled = np.where(present, values, 0.0)
    residuals = np.where(present, values - filled.sum(axis=0) / np.maximum(n, 1), 0.0)
    groups = sum_by_cluster(present.astype(np.float64), codes) > 0
    n_clusters = groups.sum(axis=0).astype(np.float64)
    factor = np.sqrt(n_clusters / np.where(n_clusters > 1, n_clusters - 1, np.nan))
    scaled = sum_by_cluster(residuals, codes) * (factor / np.maximum(n, 1))
    covariance: Floats = scaled.T @ scaled
    return covariance
