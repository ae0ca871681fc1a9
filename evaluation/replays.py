"""A run measured again: the verdict that its worker gives, and what pages and API say of it."""

from __future__ import annotations

import hashlib
import io
import logging
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from evaluation.models import Run, RunState
from hub.site import store
from hub.storage.errors import KeyMissing, StorageError
from ml_core.data.roles import CLUSTER_ROLE
from ml_core.evaluate.tasks import get_task
from ml_core.replaying import DEFAULT_TOLERANCE, Replayed, Terms, replayed
from ml_core.verify.recomputing import RowsUnreadable, columns_for, read_rows

if TYPE_CHECKING:
    import pyarrow as pa

logger = logging.getLogger(__name__)

SHOWN = 20
SAME_PACKAGES = ("python", "torch", "transformers", "tokenizers", "numpy")
LOST = "samples_lost"


def replay_facts(*, run: Run, samples: pa.Table, found: dict[str, Any]) -> dict[str, Any]:
    """What the record of `run` says of the run that it measures again.

    Args:
        run: one with `replay_of`.
        samples: its own rows.
        found: its own record, as far as it is made.
    """
    base = run.replay_of
    assert base is not None
    record = base.record or {}
    head = {
        "of": str(base.pk),
        "record_digest": base.record_digest,
        "is_same_worker": base.worker_id is not None and base.worker_id == run.worker_id,
        "is_same_person": base.owner_id is not None and base.owner_id == run.owner_id,
        "base_worker": record.get("runner", {}).get("worker", ""),
    }
    rows = _rows_of(base, found)
    if rows is None:
        return {**head, "verdict": "cannot_tell", "reason": LOST}
    columns = columns_for(_metrics(found))
    mine = samples.select([name for name in columns if name in samples.column_names]).to_pydict()
    if "prediction" in samples.column_names:
        mine["prediction"] = samples.column("prediction").to_pylist()
    if CLUSTER_ROLE in rows and CLUSTER_ROLE not in mine:
        del rows[CLUSTER_ROLE]
    told = replayed(rows, mine, _metrics(found), _terms(record, found), _values(record, found))
    return {**head, **as_facts(told)}


def as_facts(told: Replayed) -> dict[str, Any]:
    return {**asdict(told), "share_changed": told.share_changed}


def _rows_of(base: Run, found: dict[str, Any]) -> dict[str, list[Any]] | None:
    """The rows of the first measurement as they were signed; None where they are lost."""
    try:
        data = store().read(base.predictions_key)
    except (KeyMissing, StorageError):
        logger.warning("run %s: its rows are not in the store", base.pk)
        return None
    if hashlib.sha256(data).hexdigest() != base.predictions_sha256:
        return None
    try:
        return read_rows(io.BytesIO(data), [*columns_for(_metrics(found)), "prediction"])
    except RowsUnreadable:
        return None


def _metrics(record: dict[str, Any]) -> dict[str, Any]:
    known = get_task(record["protocol"]["task"]).known_metrics
    return {value["name"]: known[value["name"]] for value in record["results"]["metrics"]}


def _values(
    base: dict[str, Any], again: dict[str, Any]
) -> dict[str, tuple[float | None, float | None]]:
    before = {m["name"]: m["value"] for m in base.get("results", {}).get("metrics", [])}
    return {m["name"]: (before.get(m["name"]), m["value"]) for m in again["results"]["metrics"]}


def _terms(base: dict[str, Any], again: dict[str, Any]) -> Terms:
    first: dict[str, Any] = next(iter(base.get("results", {}).get("metrics", [])), {})
    tolerance = again["benchmark"].get("replay_tolerance")
    return Terms(
        is_same_engine=_engine(base) == _engine(again) and _engine(again) is not None,
        tolerance=DEFAULT_TOLERANCE if tolerance is None else tolerance,
        low=first.get("ci_low"),
        high=first.get("ci_high"),
    )


def _engine(record: dict[str, Any]) -> tuple[Any, ...] | None:
    """What decides the last bits; None where that is not known, or not float32."""
    execution, environment = record.get("execution", {}), record.get("environment", {})
    source = execution.get("engine", {}).get("source_sha256")
    if source is None or execution.get("dtype") != "float32":
        return None
    versions = tuple(environment.get(name) for name in SAME_PACKAGES)
    return (source, execution.get("device"), execution.get("device_name"), versions)


def replays_of(run: Run) -> list[Run]:
    """The finished second measurements of `run`, newest first; who sees the run sees them."""
    again = Run.objects.with_names().filter(replay_of=run, state=RunState.FINISHED)
    return list(again.order_by("-finished_at")[:SHOWN])


def summaries(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """What a record's document says of its replays; each has its own signed record."""
    kept = (
        "verdict", "rule", "reason", "n", "n_changed", "share_changed", "max_difference",
        "difference", "low", "high", "is_same_worker", "is_same_person",
    )  # fmt: skip
    return [
        {
            "record_id": str(run.pk),
            "record_digest": run.record_digest,
            "created": (run.record or {}).get("created"),
            **{name: facts[name] for name in kept if name in facts},
        }
        for run in runs
        if (facts := (run.record or {}).get("replay"))
    ]
