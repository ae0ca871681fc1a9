"""Groups of a record that are worked out from what a worker found. Pure but for the installation.

`None` stands for what was not measured or does not apply, never 0.
"""

from __future__ import annotations

import hashlib
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from django.conf import settings

import ml_core
from ml_core.metrics.catalogue import METRICS_OF
from ml_core.metrics.registry import Metric
from ml_core.statistics.aggregate import TaskScore
from ml_core.statistics.intervals import CONFIDENCE
from ml_core.verify.signing import digest_of

LIBRARIES = (
    "modelguild", "lm_eval", "sacrebleu", "rouge-score", "faster-coco-eval", "scikit-learn",
    "huggingface-hub", "datasets", "cryptography",
)  # fmt: skip
"""Recorded beside what the job itself says of its libraries."""
_LIBRARY_OF = {
    "bleu": "sacrebleu", "chrf": "sacrebleu", "rouge1": "rouge-score", "rouge2": "rouge-score",
    "rougeL": "rouge-score", "rougeLsum": "rouge-score",
}  # fmt: skip
_TOKENIZER_FILES = (
    "tokenizer", "vocab", "merges", "spiece", "sentencepiece", "special_tokens_map", "added_tokens",
    "chat_template",
)  # fmt: skip
NO_ENERGY = "not measured"


def model_facts(commit: str, files: dict[str, str]) -> dict[str, Any]:
    """What of the model is the same for all: its tokenizer, and what was never allowed."""
    tokenizer = {
        path: digest
        for path, digest in files.items()
        if "/" not in path and path.startswith(_TOKENIZER_FILES)
    }
    return {
        "format": "safetensors",
        "remote_code": False,
        "loading_report": [],
        "adapter": None,
        "quantisation": None,
        "tokenizer": {"revision": commit, "sha256": digest_of(tokenizer), "files": tokenizer}
        if tokenizer
        else None,
    }


def protocol_facts(
    task: dict[str, Any], metrics: list[dict[str, Any]], examples: list[str]
) -> dict[str, Any]:
    """How questions were put and answers scored."""
    generation, asking = task.get("generation"), task.get("asking")
    few_shot = (asking or {}).get("few_shot")
    template = {"generation": (generation or {}).get("prompt"), "asking": asking}
    is_asked = asking is not None or generation is not None
    return {
        "task": task["type"],
        "columns": task["columns"],
        "metrics": task["metrics"],
        "metric_definitions": [_definition(value) for value in metrics],
        "template_sha256": digest_of(template) if is_asked else None,
        "templates": task.get("templates", []),
        "few_shot": {
            "split": few_shot["split"],
            "seed": few_shot.get("seed"),
            "ids": examples,
        }
        if few_shot
        else None,
        "chat_template": bool((generation or {}).get("chat_template")),
        "image_backend": "PIL" if "image" in task["columns"] else None,
        **{name: task[name] for name in ("generation", "comparison", "asking") if name in task},
    }


def _definition(value: dict[str, Any]) -> dict[str, Any]:
    library = _LIBRARY_OF.get(value["name"], "modelguild")
    return {
        "name": value["name"],
        "direction": value["direction"],
        "library": library,
        "version": _version(library),
        "signature": value["method"],
    }


def with_baseline(results: dict[str, Any], task: dict[str, Any]) -> dict[str, Any]:
    """`results` with the chance baseline of the main metric, and its value between that and the
    best."""
    metrics = []
    for at, value in enumerate(results["metrics"]):
        chance = task["chance"] if at == 0 else None
        normalised = _normalised(value, chance)
        extra = {"confidence": CONFIDENCE, "chance": chance, "normalised": normalised}
        metrics.append({**value, **extra})
    return {**results, "metrics": metrics}


def _normalised(value: dict[str, Any], chance: float | None) -> float | None:
    metric = _metric(value["name"])
    if chance is None or metric is None or metric.high is None or metric.direction != "higher":
        return None
    if metric.high == chance:
        return None
    score = TaskScore(value["name"], value["value"], value["se"], chance, metric.high)
    return score.normalised


def _metric(name: str) -> Metric | None:
    return next((known[name] for known in METRICS_OF.values() if name in known), None)


def execution_facts(
    execution: dict[str, Any], task: dict[str, Any], attempt: int
) -> dict[str, Any]:
    """`execution` with seeds by what they seed, and the engine that computed."""
    seed = execution.get("seed")
    few_shot = (task.get("asking") or {}).get("few_shot") or {}
    return {
        **execution,
        "seeds": {"python": seed, "numpy": seed, "torch": seed, "few_shot": few_shot.get("seed")},
        "deterministic": execution.get("arithmetic", {}),
        "engine": {
            "name": "ml_core",
            "version": _version("modelguild"),
            "source_sha256": engine_digest(),
        },
        "retries": max(0, attempt - 1),
    }


def cost_facts(execution: dict[str, Any]) -> dict[str, Any]:
    """What it took. A token is one that an item has, not one that padding added."""
    job = execution.get("job", {})
    texts = execution.get("generation") or {}
    is_of_rows = execution.get("batch_rows") is not None
    tokens_in = texts.get("prompt_tokens", None if is_of_rows else execution.get("useful_slots"))
    return {
        "wall_s": job.get("wall_s"),
        "cpu_s": job.get("cpu_s"),
        "device_s": execution.get("seconds", {}).get("running"),
        "tokens_in": tokens_in,
        "tokens_out": texts.get("generated_tokens"),
        "peak_memory_bytes": job.get("peak_memory_bytes"),
        "peak_device_memory_bytes": execution.get("peak_device_memory_bytes"),
        "energy_kwh": None,
        "energy_method": NO_ENERGY,
    }


def installation_facts() -> dict[str, str | None]:
    """What the job cannot say of itself: lock file, image, and libraries of its parent."""
    return {
        "lock_sha256": _lock_digest(),
        "image_digest": settings.IMAGE_DIGEST or None,
        **{name: _version(name) for name in LIBRARIES},
    }


@cache
def engine_digest() -> str:
    """SHA-256 over the sources of `ml_core`: equal ones compute the same."""
    root = Path(ml_core.__file__).parent
    hasher = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        name = path.relative_to(root).as_posix()
        hasher.update(f"{name}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return hasher.hexdigest()


@cache
def _lock_digest() -> str | None:
    path = Path(settings.BASE_DIR) / "constraints.txt"
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None


@cache
def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "absent"
