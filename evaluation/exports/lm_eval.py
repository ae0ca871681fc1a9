"""The results file of lm-evaluation-harness, as its own table printer and loaders read it.

Source: lm_eval 0.4.13 `evaluator.py` and `loggers/evaluation_tracker.py`. Filters are called `none`
there, and so is ours.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from evaluation.exports.metric_names import lm_eval_name
from evaluation.exports.told import Told


def write(told: Told) -> str:
    return json.dumps(results(told), ensure_ascii=False, indent=2, allow_nan=False) + "\n"


def results(told: Told) -> dict[str, Any]:
    record, task = told.record, told.task_id
    few_shot = record["protocol"].get("few_shot") or {}
    n = record["benchmark"]["n"]
    n_answered = record["results"]["metrics"][0]["n"]
    return {
        "results": {task: _scores(told)},
        "group_subtasks": {task: []},
        "configs": {task: _config(told)},
        "versions": {task: record["benchmark"]["version"]},
        "n-shot": {task: len(few_shot.get("ids", []))},
        "higher_is_better": {
            task: {lm_eval_name(m["name"]): m["direction"] == "higher" for m in told.metrics}
        },
        "n-samples": {task: {"original": n, "effective": n_answered}},
        "config": _engine(told),
        "git_hash": None,
        "date": datetime.fromisoformat(record["created"]).timestamp(),
        "transformers_version": record["environment"].get("transformers"),
        "lm_eval_version": record["environment"].get("lm_eval"),
        "task_hashes": {task: record["benchmark"]["items_sha256"]},
        "model_source": "hf",
        "model_name": told.model["repo"],
        "modelguild": {"record": told.record_url, "digest": told.digest, "key_id": told.key_id},
    }


def _scores(told: Told) -> dict[str, Any]:
    found: dict[str, Any] = {"alias": told.task_id}
    for metric in told.metrics:
        name = lm_eval_name(metric["name"])
        found[f"{name},none"] = metric["value"]
        found[f"{name}_stderr,none"] = "N/A" if metric["se"] is None else metric["se"]
    return found


def _config(told: Told) -> dict[str, Any]:
    benchmark = told.record["benchmark"]
    return {
        "task": told.task_id,
        "dataset_path": told.dataset["repo"],
        "dataset_name": benchmark["config"],
        "dataset_kwargs": {"revision": told.dataset["commit"]},
        "test_split": benchmark["split"],
        "metric_list": [
            {"metric": lm_eval_name(m["name"]), "higher_is_better": m["direction"] == "higher"}
            for m in told.metrics
        ],
        "metadata": {"version": benchmark["version"], "spec_sha256": benchmark["spec_digest"]},
    }


def _engine(told: Told) -> dict[str, Any]:
    execution, model = told.record["execution"], told.model
    seeds = execution.get("seeds", {})
    return {
        "model": "modelguild",
        "model_args": f"pretrained={model['repo']},revision={model['commit']}",
        "model_num_parameters": model.get("parameters"),
        "model_dtype": execution.get("dtype"),
        "model_revision": model["commit"],
        "model_sha": model["commit"],
        "batch_size": execution.get("batch_rows"),
        "device": execution.get("device"),
        "limit": None,
        "bootstrap_iters": None,
        "random_seed": seeds.get("python"),
        "numpy_seed": seeds.get("numpy"),
        "torch_seed": seeds.get("torch"),
        "fewshot_seed": seeds.get("few_shot"),
    }
