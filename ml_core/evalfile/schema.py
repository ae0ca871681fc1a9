"""The JSON Schema of `eval.yaml`, as data, out of the same tables that the reader asks.

What a schema cannot say (that ids differ, that a prompt has a place for its input) only the reader
refuses; whatever the reader takes, the schema takes.
"""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from datetime import date
from typing import Any, get_args, get_origin, get_type_hints

from ml_core.asking import AskingSpec
from ml_core.evalfile.checker import (
    MAX_BASELINES,
    MAX_LABELS,
    MAX_TASKS,
    MAX_TEMPLATES,
    OUR_FRAMEWORK,
)
from ml_core.evalfile.spec import Problem
from ml_core.evalfile.submissions import COMPUTED, MAX_COUNT, MAX_PHASES, MAX_SALT
from ml_core.evaluate.tasks import TASKS, Task
from ml_core.generation import ComparisonSpec, GenerationSpec
from ml_core.specs import Dtype

DIALECT = "https://json-schema.org/draft/2020-12/schema"
NULL = {"type": "null"}

Schema = dict[str, Any]


def eval_schema(address: str = "") -> Schema:
    """The schema; `address` is where it can be fetched."""
    found: Schema = {
        "$schema": DIALECT,
        "title": "eval.yaml",
        "description": "A benchmark: tasks on the splits of a data set, and what may be handed in.",
        **_mapping(
            {
                "name": _text(150),
                "description": _text(5000),
                "evaluation_framework": {"const": OUR_FRAMEWORK},
                "tasks": {
                    "type": "array",
                    "minItems": 1,
                    "maxItems": MAX_TASKS,
                    "items": _task(),
                },
            },
            required=("tasks",),
        ),
    }
    return {"$id": address, **found} if address else found


def first_misfit(data: Any) -> Problem | None:
    """Where `data`, as YAML gives it, does not fit the schema; None where it does."""
    from jsonschema import Draft202012Validator  # only readers of files spend that time

    found = min(
        Draft202012Validator(eval_schema()).iter_errors(_plain(data)), default=None, key=str
    )
    if found is None:
        return None
    return Problem(found.json_path.removeprefix("$."), "not_by_schema", {"problem": found.message})


def _plain(data: Any) -> Any:
    """`data` as JSON has it: dates as text."""
    if isinstance(data, dict):
        return {str(key): _plain(value) for key, value in data.items()}
    if isinstance(data, list):
        return [_plain(value) for value in data]
    return data.isoformat() if isinstance(data, date) else data


def _task() -> Schema:
    name = {"type": "string", "pattern": r"^\w[\w.-]{0,99}$", "not": {"pattern": r"\.\."}}
    of_all = {
        "id": {
            "type": "string",
            "pattern": r"^[A-Za-z0-9]([A-Za-z0-9._-]{0,62}[A-Za-z0-9])?$",
            "not": {"pattern": r"\.\."},
        },
        "name": _text(150),
        "description": _text(5000),
        "type": {"enum": list(TASKS)},
        "config": name,
        "split": name,
        "columns": {"type": "object"},
        "labels": {
            "type": "array",
            "minItems": 2,
            "maxItems": MAX_LABELS,
            "uniqueItems": True,
            "items": {"type": "string", "minLength": 1, "maxLength": 200},
        },
        "templates": {
            "type": "array",
            "minItems": 1,
            "maxItems": MAX_TEMPLATES,
            "items": {"type": "string", "maxLength": 200, "pattern": r"\{\}"},
        },
        "metrics": {"type": "array", "minItems": 1},
        "chance": {"type": "number"},
        "baselines": {"type": "array", "maxItems": MAX_BASELINES},
        "generation": _of_record(GenerationSpec),
        "comparison": _of_record(ComparisonSpec),
        "asking": _of_record(AskingSpec),
        "dtype": {"enum": list(get_args(Dtype))},
        "replay_tolerance": {"type": "number", "minimum": 0, "maximum": 1},
        "submissions": _submissions(),
        "halves": _mapping(
            {
                "public": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
                "salt": _text(MAX_SALT),
            },
            required=("public",),
        ),
    }
    found = _mapping(of_all, required=("id", "type", "split"))
    return {**found, "allOf": [_of_family(task) for task in TASKS.values()]}


def _of_family(task: Task) -> Schema:
    """What holds where `type` is this family."""
    roles = (*task.required_columns, *task.optional_columns)
    column = {"type": "string", "minLength": 1, "maxLength": 200}
    metrics = list(task.known_metrics)
    then: Schema = {
        "columns": _nullable(_mapping(dict.fromkeys(roles, column), nullable=False)),
        "metrics": _nullable({"type": "array", "items": {"enum": metrics}}),
        "baselines": _nullable({"type": "array", "items": _baseline(metrics)}),
    }
    absent = {
        "labels": task.has_labels,
        "templates": task.has_templates,
        "generation": task.is_generated,
        "comparison": task.is_generated,
        "asking": task.answer == "choice",
    }
    then |= {name: NULL for name, is_there in absent.items() if not is_there}
    return {
        "if": {"properties": {"type": {"const": task.name}}, "required": ["type"]},
        "then": {"properties": then},
    }


def _baseline(metrics: list[str]) -> Schema:
    values = {
        "name": {"type": "string", "minLength": 1, "maxLength": 150},
        "url": {"type": "string", "pattern": "^(https?://.*)?$", "maxLength": 500},
        "run": {"type": "string", "pattern": "^[0-9a-f-]{36}$"},
        "computed": {"enum": list(COMPUTED)},
        **{metric: {"type": "number"} for metric in metrics},
    }
    return {**_mapping(values, required=("name",)), "minProperties": 2}


def _submissions() -> Schema:
    count = {"type": "integer", "minimum": 1, "maximum": MAX_COUNT}
    moment = {"type": "string", "description": "A date or a time of ISO 8601; UTC without a zone."}
    phase = _mapping(
        {
            "name": {"type": "string", "minLength": 1, "maxLength": 100},
            "opens": moment,
            "closes": moment,
            "per_day": count,
            "total": count,
        },
        required=("name",),
    )
    return _mapping(
        {
            "predictions": {"type": "boolean"},
            "per_day": count,
            "total": count,
            "phases": {"type": "array", "minItems": 1, "maxItems": MAX_PHASES, "items": phase},
        }
    )


def _of_record(kind: type) -> Schema:
    """The fields of one of the library's own specs, by name; nested ones too."""
    hints = get_type_hints(kind)
    found: Schema = {}
    for field in fields(kind):
        nested = next((hint for hint in _parts(hints[field.name]) if is_dataclass(hint)), None)
        is_list = get_origin(hints[field.name]) is tuple
        found[field.name] = {} if nested is None or is_list else _of_record(nested)  # type: ignore[arg-type]  # a class
    return _mapping(found)


def _parts(hint: Any) -> tuple[Any, ...]:
    return (hint, *get_args(hint))


def _mapping(values: Schema, *, required: tuple[str, ...] = (), nullable: bool = True) -> Schema:
    """An object of these fields and no others; what is not required may be null."""
    kept = {
        name: value if name in required or not nullable else _nullable(value)
        for name, value in values.items()
    }
    found: Schema = {"type": "object", "properties": kept, "additionalProperties": False}
    return {**found, "required": list(required)} if required else found


def _nullable(value: Schema) -> Schema:
    return value if not value or value is NULL else {"anyOf": [value, NULL]}


def _text(limit: int) -> Schema:
    return {"type": "string", "maxLength": limit}
