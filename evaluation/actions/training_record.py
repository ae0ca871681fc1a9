"""The record of a fine-tuning: what went in, how it was trained, what came out. Signed as scores
are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from evaluation.models import Run
from hub.site import base_url
from ml_core.train.results import FinetuneResult

SCHEMA = "modelguild.finetune-record/1"


@dataclass(frozen=True)
class Trained:
    """What a worker found, besides the spec."""

    result: FinetuneResult
    model_files: dict[str, str]
    data_files: dict[str, str]
    files: list[dict[str, Any]]
    job: dict[str, Any]
    worker: dict[str, Any]


def build_training_record(*, run: Run, trained: Trained, created: str) -> dict[str, Any]:
    """The record of `run`. Units: bytes and seconds, as the names say."""
    spec, said = run.spec, trained.result.to_json()
    kept = (
        "recipe", "labels", "main_metric", "direction", "before", "after", "comparison",
        "resumed_from",
    )  # fmt: skip
    return {
        "schema": SCHEMA,
        "record_id": str(run.pk),
        "created": created,
        "kind": "trained",
        "site": base_url(),
        "runner": {**trained.worker, "attempt": run.attempt},
        "base": {**spec["model"], "files": trained.model_files, **_object(said["base"])},
        "data": {
            **spec["dataset"],
            "config": spec["config"],
            "splits": spec["splits"],
            "columns": spec["columns"],
            "files": trained.data_files,
        },
        "protocol": {
            "recipe": spec["recipe"],
            "asked": {"training": spec["training"], "engine": spec["engine"]},
            "limits": spec["limits"],
        },
        "training": said["training"],
        "results": {name: said[name] for name in kept},
        "curve": said["curve"],
        "execution": {"job": trained.job},
        "environment": said["environment"],
        "output": trained.files,
    }


def _object(value: object) -> dict[str, Any]:
    return dict(value) if isinstance(value, dict) else {}
