"""Which columns a predictions file has, by form, with an example. Standard library alone: the
platform's pages show them."""

from dataclasses import dataclass

from ml_core.answers import SUBMITTED_FORMS


@dataclass(frozen=True)
class Columns:
    """Besides `item_id`. `example` is a line of JSON."""

    required: tuple[str, ...]
    optional: tuple[str, ...]
    example: str


COLUMNS = {
    "labels": Columns(
        ("prediction",),
        ("probabilities",),
        '{"item_id": "17", "prediction": "positive", "probabilities": '
        '{"negative": 0.2, "positive": 0.8}}',
    ),
    "tags": Columns(("prediction",), (), '{"item_id": "17", "prediction": ["O", "B-PER"]}'),
    "texts": Columns(("prediction",), (), '{"item_id": "17", "prediction": "a text"}'),
    "numbers": Columns(("prediction",), (), '{"item_id": "17", "prediction": 0.25}'),
    "choices": Columns(
        ("log_likelihoods",), (), '{"item_id": "17", "log_likelihoods": [-1.5, -0.3]}'
    ),
    "boxes": Columns(
        ("prediction",),
        (),
        '{"item_id": "17", "prediction": '
        '[{"bbox": [10, 20, 30, 40], "category": "cat", "score": 0.9}]}',
    ),
}
"""By the names of `ml_core.answers.SUBMITTED_FORMS`; a box is x, y, width, height in pixels."""


def columns_for(answer: str) -> list[str]:
    """The columns of a file for an answer kind; optional ones end in a question mark."""
    found = COLUMNS[SUBMITTED_FORMS[answer]]
    return ["item_id", *found.required, *(f"{name}?" for name in found.optional)]


def example_for(answer: str) -> str:
    """A line of such a file."""
    return COLUMNS[SUBMITTED_FORMS[answer]].example
