"""What a run is asked to do, frozen when it starts: every revision is a commit by then."""

from __future__ import annotations

from typing import Any

from django.conf import settings

from evaluation.models import BenchmarkVersion
from hub.models import Repo

SPEC_VERSION = 1
SEED = 0


def build_spec(
    *,
    model_repo: Repo,
    model_commit: str,
    version: BenchmarkVersion,
    label_map: dict[str, str | None] | None = None,
) -> dict[str, Any]:
    """The spec of an evaluation, as JSON values.

    Shape: `version`, `model{repo, commit}`, `benchmark{id, version, spec_digest}`,
    `dataset{repo, commit}`, `task` (see `evalfile.TaskSpec`), `label_map`, `engine{dtype, device,
    seed}`, `limits{wall_s, memory_bytes}`.
    """
    benchmark = version.benchmark
    return {
        "version": SPEC_VERSION,
        "model": {"repo": model_repo.full_name, "commit": model_commit},
        "benchmark": {
            "id": benchmark.full_id,
            "version": version.number,
            "spec_digest": version.spec_digest,
        },
        "dataset": {"repo": benchmark.dataset.full_name, "commit": version.commit_sha},
        "task": version.spec,
        "label_map": label_map,
        "engine": {"dtype": version.spec.get("dtype", "float32"), "device": "auto", "seed": SEED},
        "limits": {
            "wall_s": settings.RUN_WALL_LIMIT_S,
            "memory_bytes": settings.RUN_MEMORY_LIMIT_BYTES,
        },
    }
