"""Tags of a repository, derived from its card as the Hub derives them.

A model's language is a bare tag (`en`), a data set's a pair (`language:en`): clients filter so.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from hub.cards.checks import texts
from hub.cards.vocabulary import BASE_MODEL_RELATIONS

MAX_TAGS = 300
MAX_TAG_LENGTH = 128
ARXIV = re.compile(
    r"(?:arxiv\.org/(?:abs|pdf|html)/|arxiv:\s*|huggingface\.co/papers/)(\d{4}\.\d{4,5})",
    re.IGNORECASE,
)
RESERVED = "benchmark:"
"""How tags begin that a data set's card cannot give itself."""
DATASET_FIELDS = (
    "task_categories", "task_ids", "annotations_creators", "language_creators", "multilinguality",
    "source_datasets", "language", "license", "size_categories",
)  # fmt: skip


def model_tags(
    data: dict[str, Any],
    body: str,
    *,
    library: str = "",
    pipeline_tag: str = "",
    relation: str = "",
    extra: Iterable[str] = (),
) -> list[str]:
    """Tags of a model, without repeats, in a stable order.

    Args:
        relation: how it came from its base models, where the card does not say.
        library, pipeline_tag: of the card, or guessed.
        extra: formats and architectures seen in the files ("safetensors", "bert").
    """
    return _unique(
        [
            library,
            *extra,
            pipeline_tag,
            *texts(data, "tags"),
            *texts(data, "language"),
            *_pairs("dataset", texts(data, "datasets")),
            *_base_models(data, relation),
            *_pairs("arxiv", arxiv_ids(body)),
            *_pairs("license", texts(data, "license")),
            "model-index" if data.get("model-index") else "",
        ]
    )


def dataset_tags(data: dict[str, Any], body: str, *, extra: Iterable[str] = ()) -> list[str]:
    """Tags of a data set, without repeats, in a stable order.

    Args:
        extra: formats seen in the files, and what this site says of it (`hub.told_tags`).
    """
    pairs = [tag for key in DATASET_FIELDS for tag in _pairs(key, texts(data, key))]
    own = [tag for tag in texts(data, "tags") if not tag.strip().lower().startswith(RESERVED)]
    return _unique([*pairs, *extra, *_pairs("arxiv", arxiv_ids(body)), *own])


def space_tags(data: dict[str, Any], body: str) -> list[str]:
    """Tags of a Space: its SDK, what it is made from, and its own."""
    return _unique(
        [
            *texts(data, "sdk"),
            *texts(data, "tags"),
            *_pairs("model", texts(data, "models")),
            *_pairs("dataset", texts(data, "datasets")),
            *_pairs("arxiv", arxiv_ids(body)),
            *_pairs("license", texts(data, "license")),
        ]
    )


def arxiv_ids(body: str) -> list[str]:
    """Papers the text links to, in order of appearance."""
    return list(dict.fromkeys(ARXIV.findall(body)))[:50]


def base_relation(data: dict[str, Any], guess: str) -> str:
    """How the model came from its base models: what the card says, else `guess`."""
    relation = data.get("base_model_relation")
    return relation if relation in BASE_MODEL_RELATIONS else guess


def _base_models(data: dict[str, Any], guess: str) -> Iterator[str]:
    relation = base_relation(data, guess)
    for base_model in texts(data, "base_model"):
        yield f"base_model:{base_model}"
        if relation:
            yield f"base_model:{relation}:{base_model}"


def _pairs(key: str, values: Iterable[str]) -> list[str]:
    return [f"{key}:{value}" for value in values]


def _unique(tags: Iterable[str]) -> list[str]:
    kept = (tag.strip() for tag in tags if tag and len(tag) <= MAX_TAG_LENGTH)
    return list(dict.fromkeys(tag for tag in kept if tag))[:MAX_TAGS]
