"""The scores of a record made again from its published rows. Needs no torch."""

import hashlib
import math
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from ml_core.data.roles import CLUSTER_ROLE, ID_ROLE
from ml_core.evaluate.tasks import TASKS
from ml_core.metrics.per_item import ItemScores, Means
from ml_core.metrics.registry import Metric
from ml_core.statistics.clusters import cluster_codes

SAME = 1e-9
"""Numbers that are computed in another order differ in the last bits."""
DRAWN_SHARE = 0.25
"""By how much an error that is drawn may differ from another drawing of it."""
MAX_ROWS = 10_000_000


class RowsUnreadable(ValueError):
    """The file holds no rows that could be the record's."""


def items_digest(item_ids: Sequence[str]) -> str:
    """SHA-256 over the item ids in order: two runs with the same value saw the same items."""
    return hashlib.sha256("\n".join(item_ids).encode()).hexdigest()


def read_rows(source: Path | IO[bytes], columns: Sequence[str]) -> dict[str, list[Any]]:
    """Those of `columns` that a parquet file has. Raises `RowsUnreadable`."""
    import pyarrow as pa  # the platform reads this module's table of columns without it
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(source) as file:
            if file.metadata.num_rows > MAX_ROWS:
                raise RowsUnreadable(f"there are more than {MAX_ROWS:,} rows")
            wanted = [name for name in columns if name in file.schema_arrow.names]
            table = file.read(columns=wanted)
            return dict(table.to_pydict())
    except (OSError, pa.ArrowException) as error:
        raise RowsUnreadable(str(error).splitlines()[0][:200]) from error


def metrics_of(record: dict[str, Any]) -> dict[str, Metric]:
    """The metrics of a record that its task has, by name."""
    known = TASKS[record["protocol"]["task"]].known_metrics
    names = [value["name"] for value in record["results"]["metrics"]]
    return {name: known[name] for name in names if name in known}


def columns_for(metrics: dict[str, Metric]) -> list[str]:
    """All columns that these metrics are read from."""
    wanted = [ID_ROLE, CLUSTER_ROLE]
    for metric in metrics.values():
        wanted += metric.of_items.columns
    return list(dict.fromkeys(wanted))


def items_in(rows: dict[str, list[Any]], metric: Metric) -> ItemScores | None:
    """The metric item by item; None where the rows do not tell it."""
    form = metric.of_items
    if not set(form.columns) <= set(rows):
        return None
    return form.read(rows)


def judge_metric(
    published: dict[str, Any], metric: Metric, rows: dict[str, list[Any]]
) -> tuple[bool | None, str]:
    """Whether value, counts and error follow from the rows, None where those do not tell.

    A mean's error has a closed form and must come out the same. An error that was drawn is drawn
    again, and must come out near it.
    """
    items = items_in(rows, metric)
    if items is None:
        return None, "cannot be read item by item from the rows"
    n_rows = len(next(iter(rows.values())))
    n = int(items.present.sum())
    if (published["n"], published["n"] + published["n_missing"]) != (n, n_rows):
        return False, f"the rows have {n} answers to {n_rows} items"
    clusters = rows.get(CLUSTER_ROLE) if published.get("n_clusters") is not None else None
    codes = None if clusters is None else cluster_codes(clusters, n_rows)
    found = items.estimate(codes)
    if not _same(published["value"], found.value, SAME):
        return False, f"{found.value!r} follows from the rows, not {published['value']!r}"
    tolerance = SAME if isinstance(items, Means) else DRAWN_SHARE
    if not _same(published["se"], found.se, tolerance):
        return False, f"the error {found.se!r} follows from the rows, not {published['se']!r}"
    how = "" if isinstance(items, Means) else ", drawn again"
    error = "no error" if found.se is None else f"standard error {found.se:.4g}{how}"
    return True, f"{_shown(found.value)} from {n} rows, {error}"


def _same(published: float | None, found: float | None, tolerance: float) -> bool:
    if published is None or found is None:
        return published is None or not math.isfinite(published)
    return math.isclose(published, found, rel_tol=tolerance, abs_tol=1e-9)


def _shown(value: float | None) -> str:
    return "no value" if value is None else f"{value:.6g}"
