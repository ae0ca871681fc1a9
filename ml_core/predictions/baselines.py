"""Answers that need no model, as a file that somebody could have handed in.

They are made of what is right, so only the parent of a job calls this.
"""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ml_core.answers.kind import AnswerKind, Truth
from ml_core.answers.number import RightNumbers
from ml_core.answers.tags import TagTruth
from ml_core.data.labels import Truth as LabelTruth
from ml_core.errors import Code, UserError
from ml_core.seeding import item_generator

SEED = 0


def write_baseline(name: str, kind: AnswerKind[Any, Any, Any], truth: Truth, path: Path) -> None:
    """Writes the answers of the baseline `name` as JSON Lines.

    `majority`: the most frequent label for every item (of equals the first), for words the most
    frequent tag, for numbers their mean. `chance`: each label with the same likelihood, drawn from
    the item's id.

    Raises:
        UserError: `spec_invalid`: answers of this kind have no such baseline.
    """
    answers = _answers(name, truth)
    if answers is None:
        text = f"There is no baseline {name!r} for answers of the kind {kind.name!r}."
        raise UserError(Code.SPEC_INVALID, text)
    with path.open("w", encoding="utf-8") as stream:
        for item_id, answer in zip(truth.item_ids, answers, strict=True):
            row = {"item_id": item_id, "prediction": answer}
            stream.write(json.dumps(row, ensure_ascii=False) + "\n")


def _answers(name: str, truth: Truth) -> Iterator[Any] | None:
    is_chance = name == "chance"
    if isinstance(truth, LabelTruth):
        return _of_labels(truth, is_chance=is_chance)
    if isinstance(truth, TagTruth):
        return _of_tags(truth, is_chance=is_chance)
    if isinstance(truth, RightNumbers) and not is_chance:
        mean = float(np.mean(truth.numbers))
        return (mean for _ in truth.item_ids)
    return None


def _of_labels(truth: LabelTruth, *, is_chance: bool) -> Iterator[str]:
    counts = np.bincount(truth.label_index, minlength=len(truth.labels))
    most = truth.labels[int(counts.argmax())]
    for item_id in truth.item_ids:
        drawn = item_generator(SEED, item_id).integers(len(truth.labels)) if is_chance else 0
        yield truth.labels[int(drawn)] if is_chance else most


def _of_tags(truth: TagTruth, *, is_chance: bool) -> Iterator[list[str]]:
    counts: Counter[int] = Counter(int(tag) for tags in truth.tags for tag in tags)
    most = truth.labels[max(sorted(counts), key=lambda tag: counts[tag])] if counts else ""
    for item_id, tags in zip(truth.item_ids, truth.tags, strict=True):
        if not is_chance:
            yield [most] * len(tags)
            continue
        drawn = item_generator(SEED, item_id).integers(len(truth.labels), size=len(tags))
        yield [truth.labels[int(at)] for at in drawn]
