"""Filters between what a model wrote and what is compared; see `ml_core.generation.TextFilter`."""

import unicodedata
from collections.abc import Callable, Sequence

import re2

from ml_core.errors import Code, UserError
from ml_core.generation import TextFilter
from ml_core.metrics.answers import normalised

Change = Callable[[str], str]
Extract = Callable[[str], str | None]

CHANGES: dict[str, Change] = {
    "strip": str.strip,
    "lower": str.lower,
    "spaces": lambda text: " ".join(text.split()),
    "nfkc": lambda text: unicodedata.normalize("NFKC", text),
    "squad": normalised,
}
"""Those that are applied to right answers as well."""


def compile_filters(filters: Sequence[TextFilter]) -> tuple[Extract, Change]:
    """What is done to an answer, and what to a right answer.

    Raises:
        UserError: `spec_invalid` for a pattern that RE2 does not take, or a group it lacks.
    """
    steps = [_step(one) for one in filters]
    changes = [CHANGES[one.name] for one in filters if one.name in CHANGES]

    def of_answer(text: str) -> str | None:
        found: str | None = text
        for step in steps:
            found = None if found is None else step(found)
        return found

    def of_right(text: str) -> str:
        for change in changes:
            text = change(text)
        return text

    return of_answer, of_right


def _step(given: TextFilter) -> Extract:
    if given.name in CHANGES:
        return CHANGES[given.name]
    if given.name == "first_line":
        return _first_line
    return _matcher(given)


def _first_line(text: str) -> str:
    """The first line that holds more than white space."""
    return next((line for line in text.splitlines() if line.strip()), "")


def _matcher(given: TextFilter) -> Extract:
    options = re2.Options()
    options.log_errors = False
    try:
        pattern = re2.compile(given.pattern, options)
    except re2.error as error:
        (cause,) = error.args
        raise UserError(
            Code.SPEC_INVALID,
            f"The pattern {given.pattern!r} is no RE2 expression: {cause.decode()}.",
        ) from error
    if given.group > pattern.groups:
        raise UserError(
            Code.SPEC_INVALID, f"The pattern {given.pattern!r} has no group {given.group}."
        )

    def find(text: str) -> str | None:
        last: str | None = None
        for match in pattern.finditer(text):
            last = match.group(given.group)
            if given.take == "first":
                break
        return last

    return find
