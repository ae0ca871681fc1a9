"""What a run is asked to do, frozen when it starts: every revision is a commit by then."""

from __future__ import annotations

from typing import Any

from django.conf import settings

from evaluation.bases import Base
from evaluation.models import BenchmarkVersion
from hub.models import Repo

SPEC_VERSION = 1
SEED = 0


def build_predictions_spec(
    *, version: BenchmarkVersion, system: str, file: dict[str, Any]
) -> dict[str, Any]:
    """The spec of a run that scores predictions: as `build_spec`, but for the model.

    `predictions` has `system`, and of a file `filename`, `ending`, `sha256` and `size_bytes`; of a
    baseline `computed`.
    """
    return {
        "version": SPEC_VERSION,
        "predictions": {"system": system, **file},
        **_measured(version),
        "label_map": None,
    }


def build_spec(
    *,
    model_repo: Repo,
    model_commit: str,
    version: BenchmarkVersion,
    label_map: dict[str, str | None] | None = None,
    base: Base | None = None,
) -> dict[str, Any]:
    """The spec of an evaluation, as JSON values.

    Shape: `version`, `model{repo, commit}`, for an adapter `base{repo, commit}`, `benchmark{id,
    version, spec_digest}`, `dataset{repo, commit}`, `task` (see `ml_core.evalfile`), `label_map`,
    `engine{dtype, device, seed}`, `limits{wall_s, memory_bytes}`.
    """
    return {
        "version": SPEC_VERSION,
        "model": {"repo": model_repo.full_name, "commit": model_commit},
        **({"base": base.to_json()} if base else {}),
        **_measured(version),
        "label_map": label_map,
    }


def _measured(version: BenchmarkVersion) -> dict[str, Any]:
    """What is measured, and how."""
    benchmark = version.benchmark
    return {
        "benchmark": {
            "id": benchmark.full_id,
            "version": version.number,
            "spec_digest": version.spec_digest,
        },
        "dataset": {"repo": benchmark.dataset.full_name, "commit": version.commit_sha},
        "task": version.spec,
        "engine": {"dtype": version.spec.get("dtype", "float32"), "device": "auto", "seed": SEED},
        "limits": {
            "wall_s": settings.RUN_WALL_LIMIT_S,
            "memory_bytes": settings.RUN_MEMORY_LIMIT_BYTES,
        },
    }
