"""How a question with its choices is put to a model: what a benchmark declares.

Frozen, JSON both ways (see `ml_core.records`). Standard library alone: the reader of `eval.yaml`
checks with these classes.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from string import ascii_uppercase
from typing import Literal

from ml_core.errors import Code, UserError

MAX_SHOTS = 64
MAX_TEXT_CHARS = 20_000
DELIMITER = " "
"""Between a question and its answer, as lm-evaluation-harness has it."""
_PLACE = re.compile(r"\{(question|choices)\}")
_REFUSAL = "The spec does not hold: "


def _require(condition: bool, problem: str) -> None:
    if not condition:
        raise UserError(Code.SPEC_INVALID, _REFUSAL + problem)


@dataclass(frozen=True)
class FewShotSpec:
    """Which rows of another split are shown with their answers before each question.

    `ids` names them in their order; else `n` are drawn by `seed`, or without one the first `n`.
    """

    split: str
    n: int = 0
    ids: tuple[str, ...] = ()
    seed: int | None = None

    def __post_init__(self) -> None:
        """Raises UserError `spec_invalid`."""
        _require(bool(self.split), "few_shot.split must name a split.")
        _require(bool(self.n) != bool(self.ids), "few_shot must have either n or ids.")
        n = self.n or len(self.ids)
        _require(0 < n <= MAX_SHOTS, f"few_shot may show 1 to {MAX_SHOTS} examples.")
        _require(len(set(self.ids)) == len(self.ids), "few_shot.ids holds an id twice.")
        _require(self.seed is None or not self.ids, "few_shot.seed goes with n, not with ids.")
        _require(self.seed is None or 0 <= self.seed < 2**32, "few_shot.seed is out of range.")


@dataclass(frozen=True)
class AskingSpec:
    """How a question is put.

    Args:
        template: what stands before the answer. {question} is the question, {choices} the choices
            one a line behind their letters ("A. ..."). Other braces stay as they are.
        answers: whether a model answers with the text of a choice or with its letter.
        introduction: stands once at the beginning.
        separator: stands behind the introduction and behind each example.
        few_shot: examples, None for none.
    """

    template: str = "{question}"
    answers: Literal["texts", "letters"] = "texts"
    introduction: str = ""
    separator: str = "\n\n"
    few_shot: FewShotSpec | None = None

    def __post_init__(self) -> None:
        """Raises UserError `spec_invalid`."""
        for name in ("template", "introduction", "separator"):
            fits = len(getattr(self, name)) <= MAX_TEXT_CHARS
            _require(fits, f"{name} may have at most {MAX_TEXT_CHARS:,} characters.")
        shown = set(_PLACE.findall(self.template))
        _require("question" in shown, "template must show the question: write {question}.")
        _require(
            self.answers == "texts" or "choices" in shown,
            "template must show what the letters stand for: write {choices}.",
        )


@dataclass(frozen=True)
class Example:
    """A question that is shown with its answer, `answer` being the number of its choice."""

    item_id: str
    question: str
    choices: tuple[str, ...]
    answer: int


def answers_to(asking: AskingSpec, choices: Sequence[str]) -> list[str]:
    """What may stand behind the question, by choice.

    Raises:
        UserError: `dataset_broken_row` where there are more choices than letters.
    """
    if asking.answers == "texts":
        return list(choices)
    return list(_letters(choices))


def put(
    asking: AskingSpec, question: str, choices: Sequence[str], examples: Sequence[Example] = ()
) -> str:
    """All that stands before the answer to a question."""
    parts = [asking.introduction] if asking.introduction else []
    for example in examples:
        answer = answers_to(asking, example.choices)[example.answer]
        parts.append(_fill(asking, example.question, example.choices) + DELIMITER + answer)
    return asking.separator.join([*parts, _fill(asking, question, choices)])


def _fill(asking: AskingSpec, question: str, choices: Sequence[str]) -> str:
    def value(place: re.Match[str]) -> str:
        if place[1] == "question":
            return question
        pairs = zip(_letters(choices), choices, strict=True)
        return "\n".join(f"{letter}. {choice}" for letter, choice in pairs)

    return _PLACE.sub(value, asking.template)


def _letters(choices: Sequence[str]) -> str:
    if len(choices) > len(ascii_uppercase):
        raise UserError(
            Code.BROKEN_ROW,
            f"A question has {len(choices)} choices, more than there are letters. Let the answers "
            "be texts.",
        )
    return ascii_uppercase[: len(choices)]
