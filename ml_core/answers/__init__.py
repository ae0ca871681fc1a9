"""Kinds of answer: what a model answers an item with, whatever the inputs were.

One module a kind. It knows how the truth is read from the columns that are withheld, how a caged
job writes its predictions and how they are read back without trust, what the published row of an
item says, and how all of it becomes scores. Families of tasks name their kind in
`ml_core.evaluate.tasks`. Importing this package imports none of them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ml_core.answers.kind import AnswerKind

KINDS = {
    "label": "ml_core.answers.label",
    "tags": "ml_core.answers.tags",
    "likelihood": "ml_core.answers.likelihood",
    "choice": "ml_core.answers.choice",
    "span": "ml_core.answers.span",
    "similarity": "ml_core.answers.similarity",
    "boxes": "ml_core.answers.boxes",
    "mask": "ml_core.answers.mask",
    "named_label": "ml_core.answers.named_label",
    "text": "ml_core.answers.text",
    "scored_label": "ml_core.answers.scored_label",
    "number": "ml_core.answers.number",
}
"""Module of each kind; its `KIND` is the kind."""

SUBMITTED_FORMS = {
    "label": "labels",
    "named_label": "labels",
    "scored_label": "labels",
    "tags": "tags",
    "span": "texts",
    "text": "texts",
    "similarity": "numbers",
    "number": "numbers",
    "choice": "choices",
    "boxes": "boxes",
}
"""The kinds whose answers somebody may hand in as a file, and which of `ml_core.predictions.forms`
reads them. A likelihood that nobody computed here proves nothing; masks are too large."""


def load_kind(name: str) -> "AnswerKind[Any, Any, Any]":  # each kind has types of its own
    """The answer kind called `name`; this imports pyarrow, never torch. Raises KeyError."""
    kind: AnswerKind[Any, Any, Any] = import_module(KINDS[name]).KIND
    return kind
