"""Logs of inspect-ai. Source: inspect_ai 0.3 `log/_log.py` (`EvalLog`), and its `.eval` archive,
whose `header.json` is the log without its samples."""

from __future__ import annotations

import io
import zipfile
from typing import Any

from evaluation.imports.told import (
    MAX_SCORES,
    Logged,
    LoggedScore,
    LoggedTask,
    LogUnreadable,
    count,
    mapping,
    number,
    text,
)

HEADER = "header.json"
MAX_HEADER_BYTES = 8 << 20
MAX_ENTRIES = 200_000
_ERRORS = ("stderr", "std_error", "standard_error")


def header_of(raw: bytes) -> bytes:
    """The header in an `.eval` archive. Raises LogUnreadable."""
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            if len(archive.infolist()) > MAX_ENTRIES:
                raise LogUnreadable("The archive has too many files.")
            with archive.open(HEADER) as stream:
                found = stream.read(MAX_HEADER_BYTES + 1)
    except KeyError as error:
        raise LogUnreadable("The archive has no header.json: it was cut off.") from error
    except NotImplementedError as error:
        words = "The archive is packed in a way this site does not read; convert the log to JSON."
        raise LogUnreadable(words) from error
    except LogUnreadable:
        raise
    except Exception as error:  # zipfile raises whatever a broken archive leads it to
        raise LogUnreadable("The archive is damaged.") from error
    if len(found) > MAX_HEADER_BYTES:
        raise LogUnreadable("The header of the log is too large.")
    return found


def is_of_it(log: dict[str, Any]) -> bool:
    return isinstance(log.get("eval"), dict) and "status" in log


def read(log: dict[str, Any]) -> Logged:
    """Raises LogUnreadable: also for an evaluation that did not end well."""
    spec, results = mapping(log.get("eval")), mapping(log.get("results"))
    if log.get("status") != "success":
        raise LogUnreadable(f"The evaluation is not complete: {text(log['status'])}.")
    given = results.get("scores")
    scores = [
        score
        for one in (given if isinstance(given, list) else [])[:MAX_SCORES]
        for score in _scores(mapping(one))
    ]
    dataset = mapping(spec.get("dataset"))
    task = LoggedTask(
        text(spec.get("task")),
        text(dataset.get("name")),
        count(results.get("completed_samples")),
        tuple(scores[:MAX_SCORES]),
    )
    return Logged(
        program="inspect-ai",
        version=text(mapping(spec.get("packages")).get("inspect_ai")),
        model=text(spec.get("model")),
        created=text(spec.get("created")),
        tasks=(task,),
    )


def _scores(given: dict[str, Any]) -> list[LoggedScore]:
    """The metrics of one scorer, called `scorer/metric`."""
    metrics = {
        text(name): number(mapping(one).get("value"))
        for name, one in list(mapping(given.get("metrics")).items())[:MAX_SCORES]
    }
    error = next((metrics[name] for name in _ERRORS if metrics.get(name) is not None), None)
    scorer = text(given.get("name"))
    return [
        LoggedScore(
            f"{scorer}/{name}" if scorer else name, value, error if _is_mean(name) else None
        )
        for name, value in metrics.items()
        if value is not None and name not in _ERRORS
    ]


def _is_mean(metric: str) -> bool:
    """Whether the scorer's standard error is that of this metric."""
    return metric in ("accuracy", "mean")
