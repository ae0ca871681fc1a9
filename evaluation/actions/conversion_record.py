"""The record of a conversion: what went in, what came out, how well they agree. Signed as scores
are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from evaluation.models import Run
from hub.site import base_url
from ml_core.convert.results import ConversionResult, Cost
from ml_core.records import to_json

SCHEMA = "modelguild.convert-record/1"


@dataclass(frozen=True)
class Converted:
    """What a worker found, besides the spec. `cost` was worked out by the worker itself."""

    result: ConversionResult
    cost: Cost | None
    model_files: dict[str, str]
    base_files: dict[str, str]
    data_files: dict[str, str]
    files: list[dict[str, Any]]
    job: dict[str, Any]
    worker: dict[str, Any]


def build_conversion_record(*, run: Run, converted: Converted, created: str) -> dict[str, Any]:
    """The record of `run`. Units: bytes and seconds, as the names say."""
    spec, result = run.spec, converted.result
    said = result.to_json()
    kept = ("architecture", "parameters", "dtype", "source_format", "adapter", "notes", "made")
    record: dict[str, Any] = {
        "schema": SCHEMA,
        "record_id": str(run.pk),
        "created": created,
        "kind": "converted",
        "site": base_url(),
        "runner": {**converted.worker, "attempt": run.attempt},
        "model": {**spec["model"], "files": converted.model_files},
        "base": {**spec["base"], "files": converted.base_files} if "base" in spec else None,
        "protocol": {
            "conversion": spec["conversion"],
            "asked": {name: spec[name] for name in ("file", "dtype", "engine")},
            "limits": spec["limits"],
        },
        "conversion": {name: said[name] for name in kept},
        "size": {"before_bytes": result.bytes_before, "after_bytes": result.bytes_after},
        "parity": {**to_json(result.parity), "holds": result.parity.holds},
        "cost": None,
        "execution": {"job": converted.job, "seconds": said["seconds"]},
        "environment": said["environment"],
        "output": converted.files,
    }
    if spec["conversion"] == "int8":
        record["cost"] = _cost(run, converted)
    return record


def _cost(run: Run, converted: Converted) -> dict[str, Any]:
    """The score that it costs, or that nobody measured it."""
    if converted.cost is None:
        return {"measured": False, "why": "No benchmark was named."}
    spec = run.spec
    cost = dict(to_json(converted.cost))
    for side in ("before", "after"):
        cost[side] = {"metrics": cost[side]["metrics"]}
    return {
        "measured": True,
        "benchmark": {
            **spec["benchmark"],
            "dataset": spec["dataset"],
            "config": spec["task"]["config"],
            "split": spec["task"]["split"],
            "files": converted.data_files,
        },
        **cost,
    }
