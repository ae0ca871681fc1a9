"""Published rows from parquet files, and the comparison of two of them. Needs no torch."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq

from ml_core.errors import Code, UserError
from ml_core.evaluate.tasks import get_task
from ml_core.metrics.registry import Metric
from ml_core.published import RunsCompared, Samples, columns_needed, compare_samples
from ml_core.records import RecordError, from_json, to_json
from ml_core.statistics.comparison import Question

MAX_SPEC_BYTES = 1 << 20


@dataclass(frozen=True)
class CompareSpec:
    """Which files to compare, by which metric of which task; the rest as `Question` has it."""

    base: str
    candidate: str
    task: str
    metric: str
    margin: float = 0.0
    confidence: float = 0.95
    n_draws: int = 2000
    seed: int = 0

    @classmethod
    def read(cls, path: Path) -> "CompareSpec":
        """The spec in a JSON file. Raises UserError `spec_invalid`."""
        try:
            with path.open("rb") as stream:
                return from_json(cls, json.loads(stream.read(MAX_SPEC_BYTES)))
        except (OSError, ValueError, RecursionError, RecordError) as error:
            message = f"The spec {path.name} does not hold: {error}"
            raise UserError(Code.SPEC_INVALID, message) from error

    def to_json(self) -> dict[str, object]:
        return dict(to_json(self))


def run(spec: CompareSpec) -> RunsCompared:
    """The candidate's rows against the base's.

    Raises:
        UserError: `spec_invalid`, `task_unknown`, `metric_unknown`, `data_unreadable`.
    """
    known = get_task(spec.task).known_metrics
    if spec.metric not in known:
        names = ", ".join(sorted(known))
        raise UserError(
            Code.METRIC_UNKNOWN, f"There is no metric {spec.metric!r}; there are {names}."
        )
    metric = known[spec.metric]
    try:
        question = Question(
            spec.metric, metric.direction, spec.margin, spec.confidence, spec.seed, spec.n_draws
        )
    except ValueError as error:
        raise UserError(Code.SPEC_INVALID, f"The spec does not hold: {error}.") from error
    sides = (read_samples(Path(path), metric) for path in (spec.base, spec.candidate))
    return compare_samples(next(sides), next(sides), question)


def read_samples(
    source: Path | IO[bytes], metric: Metric, *, max_rows: int | None = None
) -> Samples:
    """The rows of a file, as far as a comparison by `metric` needs them.

    Raises:
        UserError: `data_unreadable`, also for more than `max_rows`; `metric_unknown` where the
            rows do not tell the metric.
    """
    try:
        with pq.ParquetFile(source) as file:
            if max_rows is not None and file.metadata.num_rows > max_rows:
                raise UserError(Code.DATA_UNREADABLE, f"There are more than {max_rows:,} rows.")
            there = file.schema_arrow.names
            wanted = [name for name in columns_needed(metric) if name in there]
            columns = file.read(columns=wanted).to_pydict()
    except (OSError, pa.ArrowException) as error:
        raise UserError(Code.DATA_UNREADABLE, f"The rows cannot be read: {error}") from error
    return Samples.of(columns, metric)
