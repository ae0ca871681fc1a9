"""What is wrong or doubtful in a card's metadata, in sentences that name the field."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from hub.cards.front_matter import CardError, parse_card
from hub.cards.vocabulary import (
    BASE_MODEL_RELATIONS,
    LICENSES,
    PIPELINE_TAGS,
    SIZE_CATEGORIES,
    SPACE_SDKS,
)

MAX_ITEMS = 1000
MAX_TEXT = 500
REPO_ID = re.compile(r"(?:[\w.-]{1,96}/)?[\w.-]{1,96}")
LANGUAGE = re.compile(r"[a-z]{2,3}(?:[-_][A-Za-z0-9]{2,8})*|multilingual|code")

TEXTS_OR_LISTS = (
    "language", "tags", "datasets", "models", "metrics", "base_model", "task_categories",
    "task_ids", "size_categories", "multilinguality", "annotations_creators", "language_creators",
    "source_datasets", "license",
)  # fmt: skip
TEXTS = (
    "library_name", "pipeline_tag", "license_name", "license_link", "pretty_name", "thumbnail",
    "base_model_relation", "new_version", "paperswithcode_id",
)  # fmt: skip
MAPPINGS = ("extra_gated_fields",)


@dataclass(frozen=True)
class CardReport:
    """Errors keep a card from being committed; warnings are advice."""

    errors: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def check_card(content: str, repo_type: str) -> CardReport:
    """What is wrong with the card `content` of a "model", "dataset" or "space" repository."""
    try:
        card = parse_card(content)
    except CardError as error:
        return CardReport(errors=(str(error),))
    if not card.data:
        return CardReport(warnings=("empty or missing yaml metadata in repo card",))
    data = card.data
    errors = tuple(_shape_errors(data)) or tuple(_errors(data, repo_type))
    return CardReport(errors, () if errors else tuple(_warnings(data, repo_type)))


def texts(data: dict[str, Any], key: str) -> list[str]:
    """The texts of a field that may be one text or a list; anything else is left out."""
    value = data.get(key)
    items = value if isinstance(value, list) else [value]
    return [item for item in items if isinstance(item, str) and item]


def _shape_errors(data: dict[str, Any]) -> Iterator[str]:
    for key in TEXTS_OR_LISTS:
        value = data.get(key)
        items = value if isinstance(value, list) else [value]
        if len(items) > MAX_ITEMS:
            yield f'"{key}" has more than {MAX_ITEMS} items'
        elif not all(item is None or isinstance(item, str) for item in items):
            yield f'"{key}" must be a string or a list of strings'
        elif any(item is not None and len(item) > MAX_TEXT for item in items):
            yield f'"{key}" has an item longer than {MAX_TEXT} characters'
    for key in TEXTS:
        value = data.get(key)
        if value is not None and (not isinstance(value, str) or len(value) > MAX_TEXT):
            yield f'"{key}" must be a string of at most {MAX_TEXT} characters'
    for key in MAPPINGS:
        if data.get(key) is not None and not isinstance(data[key], dict):
            yield f'"{key}" must be a mapping'
    yield from _model_index_errors(data.get("model-index"))


def _model_index_errors(index: Any) -> Iterator[str]:
    if index is None:
        return
    if not isinstance(index, list) or not all(isinstance(model, dict) for model in index):
        yield '"model-index" must be a list of mappings'
        return
    for position, model in enumerate(index):
        results = model.get("results")
        if results is None:
            continue
        name = f"model-index[{position}].results"
        if not isinstance(results, list) or not all(isinstance(r, dict) for r in results):
            yield f'"{name}" must be a list of mappings'
            continue
        for number, result in enumerate(results):
            metrics = result.get("metrics", [])
            if not isinstance(metrics, list) or not all(isinstance(m, dict) for m in metrics):
                yield f'"{name}[{number}].metrics" must be a list of mappings'


def _errors(data: dict[str, Any], repo_type: str) -> Iterator[str]:
    if repo_type == "space" and data.get("sdk") not in SPACE_SDKS:
        yield f'"sdk" must be one of [{", ".join(SPACE_SDKS)}]'
    for license_id in texts(data, "license"):
        if license_id not in LICENSES:
            yield (
                f'"license" must be one of [{", ".join(sorted(LICENSES))}], not “{license_id}”. '
                "For another licence write “other” and name it in license_name and license_link."
            )
    for base_model in texts(data, "base_model"):
        if not REPO_ID.fullmatch(base_model):
            yield f'"base_model" must be an id like “namespace/name”, not “{base_model[:100]}”'
    relation = data.get("base_model_relation")
    if relation is not None and relation not in BASE_MODEL_RELATIONS:
        yield f'"base_model_relation" must be one of [{", ".join(sorted(BASE_MODEL_RELATIONS))}]'


def _warnings(data: dict[str, Any], repo_type: str) -> Iterator[str]:
    if not texts(data, "license"):
        yield '"license" is missing: nobody knows what they may do with this repository'
    elif "other" in texts(data, "license") and not data.get("license_name"):
        yield '"license_name" is missing: “license: other” says nothing by itself'
    for language in texts(data, "language"):
        if not LANGUAGE.fullmatch(language):
            yield f'"language" should be an ISO 639 code such as “en”, not “{language[:50]}”'
    for dataset in texts(data, "datasets"):
        if not REPO_ID.fullmatch(dataset):
            yield f'"datasets" should hold ids like “namespace/name”, not “{dataset[:100]}”'
    tasks = texts(data, "pipeline_tag" if repo_type == "model" else "task_categories")
    for task in tasks:
        if task not in PIPELINE_TAGS:
            yield f"“{task[:100]}” is not a task we know; it will not be found by filters"
    for size in texts(data, "size_categories"):
        if size not in SIZE_CATEGORIES:
            yield f'"size_categories" should be one of [{", ".join(sorted(SIZE_CATEGORIES))}]'
