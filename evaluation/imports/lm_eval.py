"""Results files of lm-evaluation-harness. Source: lm_eval 0.4.13, `evaluator.simple_evaluate`."""

from __future__ import annotations

from typing import Any

from evaluation.imports.told import (
    MAX_SCORES,
    MAX_TASKS,
    Logged,
    LoggedScore,
    LoggedTask,
    LogUnreadable,
    count,
    mapping,
    number,
    text,
)


def is_of_it(log: dict[str, Any]) -> bool:
    return isinstance(log.get("results"), dict) and ("configs" in log or "versions" in log)


def read(log: dict[str, Any]) -> Logged:
    """Raises LogUnreadable."""
    given = mapping(log.get("results"))
    if len(given) > MAX_TASKS:
        raise LogUnreadable(f"The log has more than {MAX_TASKS} tasks.")
    config = mapping(log.get("config"))
    return Logged(
        program="lm-eval",
        version=text(log.get("lm_eval_version")),
        model=text(log.get("model_name") or config.get("model_args")),
        created=text(log.get("date")),
        tasks=tuple(_task(text(name), mapping(scores), log) for name, scores in given.items()),
    )


def _task(name: str, given: dict[str, Any], log: dict[str, Any]) -> LoggedTask:
    """Scores are called `metric,filter`, their errors `metric_stderr,filter`."""
    config = mapping(mapping(log.get("configs")).get(name))
    n = mapping(mapping(log.get("n-samples")).get(name))
    scores = []
    for key, value in list(given.items())[: 2 * MAX_SCORES + 2]:
        metric, comma, chosen = str(key).partition(",")
        found = number(value)
        if not comma or metric.endswith("_stderr") or found is None:
            continue
        error = number(given.get(f"{metric}_stderr,{chosen}"))
        scores.append(LoggedScore(text(key), found, error if (error or 0) >= 0 else None))
    dataset = text(config.get("dataset_path"))
    return LoggedTask(name, dataset, count(n.get("effective")), tuple(scores[:MAX_SCORES]))
