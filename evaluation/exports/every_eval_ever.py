"""One evaluation as Every Eval Ever keeps it. Source: schema 0.3.0 of that package."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from evaluation.exports.told import Told
from evaluation.metrics import info_of
from ml_core.metrics.catalogue import METRICS_OF

SCHEMA_VERSION = "0.3.0"


def write(told: Told) -> str:
    return json.dumps(document(told), ensure_ascii=False, indent=2, allow_nan=False) + "\n"


def document(told: Told) -> dict[str, Any]:
    record, model = told.record, told.model
    created = str(int(datetime.fromisoformat(record["created"]).timestamp()))
    return {
        "schema_version": SCHEMA_VERSION,
        "evaluation_id": f"{told.task_id}/{model['repo']}/{created}",
        "evaluation_timestamp": created,
        "retrieved_timestamp": created,
        "source_metadata": {
            "source_name": told.url,
            "source_type": "evaluation_run",
            "source_organization_name": told.site,
            "source_organization_url": told.site,
            "evaluator_relationship": "third_party",
            "additional_details": {
                "record_url": told.record_url,
                "record_digest": told.digest,
                "record_schema": record["schema"],
                "key_id": told.key_id,
                "samples_url": told.samples_url,
                "samples_sha256": record["samples"]["sha256"],
            },
        },
        "eval_library": {
            "name": "modelguild",
            "version": str(record["environment"].get("modelguild") or "unknown"),
            "additional_details": _versions(record),
        },
        "model_info": _model(told),
        "evaluation_results": [_result(told, metric) for metric in told.metrics],
    }


def _versions(record: dict[str, Any]) -> dict[str, str]:
    environment = record["environment"]
    return {name: str(value) for name, value in environment.items() if value is not None}


def _model(told: Told) -> dict[str, Any]:
    model, execution = told.model, told.record["execution"]
    details = {
        "deployment_type": "self_deployed",
        "model_availability": "open_weights" if told.is_public else "unknown",
        "commit": model["commit"],
        "architecture": model.get("architecture"),
        "parameters": model.get("parameters"),
        "dtype": execution.get("dtype"),
        "device": execution.get("device_name"),
    }
    return {
        "name": model["repo"],
        "id": model["repo"],
        "developer": model["repo"].partition("/")[0],
        "additional_details": {k: str(v) for k, v in details.items() if v is not None},
    }


def _result(told: Told, metric: dict[str, Any]) -> dict[str, Any]:
    benchmark = told.record["benchmark"]
    return {
        "evaluation_result_id": f"{told.record['record_id']}/{metric['name']}",
        "evaluation_name": told.benchmark_name,
        "source_data": {
            "dataset_name": told.benchmark_name,
            "source_type": "hf_dataset",
            "hf_repo": told.dataset["repo"],
            "hf_split": benchmark["split"],
            "samples_number": benchmark["n"],
            "additional_details": {
                "commit": told.dataset["commit"],
                "benchmark_version": str(benchmark["version"]),
                "spec_sha256": benchmark["spec_digest"],
            },
        },
        "metric_config": _metric(metric),
        "score_details": {
            "score": metric["value"],
            "uncertainty": _uncertainty(metric),
            "details": {"method": metric["method"], "n_missing": str(metric["n_missing"])},
        },
    }


def _metric(metric: dict[str, Any]) -> dict[str, Any]:
    known = next(each[metric["name"]] for each in METRICS_OF.values() if metric["name"] in each)
    low, high = known.low, known.high
    return {
        "metric_id": metric["name"],
        "metric_name": str(info_of(metric["name"]).title),
        "metric_unit": "proportion" if (low, high) == (0.0, 1.0) else "points",
        "lower_is_better": metric["direction"] == "lower",
        "score_type": "continuous",
        "min_score": "-Infinity" if low is None else low,
        "max_score": "Infinity" if high is None else high,
    }


def _uncertainty(metric: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {"num_samples": metric["n"]}
    if metric["se"] is not None:
        found["standard_error"] = {"value": metric["se"], "method": metric["method"]}
    if metric["ci_low"] is not None and metric["ci_high"] is not None:
        found["confidence_interval"] = {
            "lower": metric["ci_low"],
            "upper": metric["ci_high"],
            "confidence_level": metric.get("confidence", 0.95),
            "method": metric["method"],
        }
    return found
