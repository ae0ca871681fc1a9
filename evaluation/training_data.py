"""What a data set offers for training: configs, splits, columns, how much text; by the viewer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hub.errors import InvalidInput
from hub.viewer.queries import Part, open_data_set
from hub.viewer.reader.jobs import Limits
from ml_core.data.roles import Role
from ml_core.train.recipes import RECIPES, Recipe

SAMPLE_ROWS = 50
_LIMITS = Limits(cell_chars=8_000, answer_bytes=3_000_000)
_NAMES: dict[str, tuple[str, ...]] = {
    "text": ("text", "sentence", "content", "question", "premise"),
    "text_pair": ("text_pair", "sentence2", "hypothesis"),
    "label": ("label", "labels", "category", "class"),
    "tokens": ("tokens", "words"),
    "tags": ("tags", "ner_tags", "pos_tags", "labels"),
    "image": ("image", "img", "picture"),
    "prompt": ("prompt", "instruction", "question"),
}
"""Names that columns of a role often have, the most usual first."""


@dataclass(frozen=True)
class SplitFacts:
    """What is known of a split without reading it whole.

    `n_rows` is None where nobody has counted. `chars` is the mean length of a cell by column, in
    bytes of UTF-8, out of the first rows.
    """

    name: str
    n_rows: int | None
    columns: dict[str, Any]
    chars: dict[str, float]


@dataclass(frozen=True)
class TrainingData:
    """A config of a data set, as a form needs it."""

    configs: list[str]
    config: str
    splits: list[str]
    first: SplitFacts
    parts: Mapping[str, Part]

    def facts(self, split: str) -> SplitFacts:
        """Raises `InvalidInput`: there is no such split; `DataError`, `ViewerBusy`."""
        if split == self.first.name:
            return self.first
        if split not in self.parts:
            raise InvalidInput(f"The data set has no split “{split[:80]}”.")
        return _facts(self.parts[split])

    def guess(self, role: Role) -> str:
        """The column that seems to be meant for a role; empty where none does."""
        fitting = [name for name, kind in self.first.columns.items() if _fits(role, kind)]
        known = [name for name in _NAMES.get(role.name, ()) if name in fitting]
        if not role.required:
            return known[0] if known and role.name == "text_pair" else ""
        labels = [name for name in fitting if _is_class(self.first.columns[name])]
        of_class = labels if role.kind == "label" else []
        return next(iter([*known, *of_class, *fitting]), "")

    def fitting(self, role: Role) -> list[str]:
        """Columns that may fill a role."""
        return [name for name, kind in self.first.columns.items() if _fits(role, kind)]

    @property
    def likely_recipe(self) -> Recipe:
        """The first recipe all of whose columns are there by name or kind."""
        for recipe in RECIPES.values():
            required = [r for r in (*recipe.inputs, *recipe.truth) if r.required]
            found = [self.guess(role) for role in required]
            if all(found) and len(set(found)) == len(found) and self._is_named(required, found):
                return recipe
        return RECIPES["text-classification"]

    def _is_named(self, roles: list[Role], found: list[str]) -> bool:
        """Whether a name or a kind speaks for each guess, and not only that a column is left."""
        return all(
            column in _NAMES.get(role.name, ())
            or _is_class(self.first.columns[column])
            or role.kind in ("image", "texts")
            for role, column in zip(roles, found, strict=True)
        )


def training_data(repo: Any, revision: str, config: str | None) -> TrainingData:
    """What the data set offers at a revision; the caller has checked access.

    Raises: NoData, ConfigNotFound, DataError, ViewerBusy, RevisionNotFound.
    """
    data = open_data_set(repo, revision)
    part = data.part(config, None)
    names = [split.name for split in part.config.splits]
    chosen = data.part(part.config.name, "train") if "train" in names else part
    parts = {name: data.part(part.config.name, name) for name in names}
    configs = [each.name for each in data.configs]
    return TrainingData(configs, part.config.name, names, _facts(chosen), parts)


def _facts(part: Part) -> SplitFacts:
    found = part.rows(length=SAMPLE_ROWS, limits=_LIMITS)
    columns = {each["name"]: each["type"] for each in found["features"]}
    rows = [row["row"] for row in found["rows"]]
    chars = {
        name: sum(_size(row.get(name)) for row in rows) / len(rows) if rows else 0.0
        for name in columns
    }
    return SplitFacts(part.split.name, found["num_rows_total"], columns, chars)


def _size(value: Any) -> int:
    if isinstance(value, list):
        return sum(map(_size, value)) + len(value)
    return len(value.encode("utf-8", "replace")) if isinstance(value, str) else 4


def _fits(role: Role, kind: Any) -> bool:
    name = kind.get("_type") if isinstance(kind, dict) else None
    dtype = kind.get("dtype") if isinstance(kind, dict) else None
    if role.kind == "image":
        return name == "Image"
    is_list = name in ("List", "LargeList", "Sequence")
    if role.kind == "texts" or role.name == "tags":
        return is_list
    if role.kind == "label":
        return name == "ClassLabel" or dtype in ("string", "large_string", "int64", "int32", "bool")
    return dtype in ("string", "large_string")


def _is_class(kind: Any) -> bool:
    return isinstance(kind, dict) and kind.get("_type") == "ClassLabel"
