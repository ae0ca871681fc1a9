"""`model-index`, the block of results in a model card's front matter.

Source: the Hub's model card specification; `huggingface_hub.EvalResult`.
"""

from __future__ import annotations

from typing import Any

import yaml
from huggingface_hub import EvalResult
from huggingface_hub.repocard_data import eval_results_to_model_index

from evaluation.exports.told import Told
from evaluation.metrics import info_of


def write(told: Told) -> str:
    return yaml.safe_dump(
        {"model-index": index(told)}, sort_keys=False, allow_unicode=True, width=100
    )


def index(told: Told) -> list[dict[str, Any]]:
    """All metrics that have a value."""
    benchmark = told.record["benchmark"]
    results = [
        EvalResult(
            task_type=told.task,
            dataset_type=told.dataset["repo"],
            dataset_name=told.benchmark_name,
            dataset_config=benchmark["config"],
            dataset_split=benchmark["split"],
            dataset_revision=told.dataset["commit"],
            metric_type=metric["name"],
            metric_name=str(info_of(metric["name"]).title),
            metric_value=metric["value"],
            metric_args=_arguments(metric, told),
            source_name="run and signed record",
            source_url=told.url,
        )
        for metric in told.metrics
    ]
    name = told.model["repo"].partition("/")[2]
    return list(eval_results_to_model_index(name, results)) if results else []


def _arguments(metric: dict[str, Any], told: Told) -> dict[str, Any]:
    found = {name: metric[name] for name in ("se", "ci_low", "ci_high", "n", "n_missing")}
    return {**found, "model_commit": told.model["commit"], "record_digest": told.digest}
