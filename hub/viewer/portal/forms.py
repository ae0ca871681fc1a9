"""What the viewer's address says: which rows, found how, in what order."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlencode

from django.http import QueryDict

from hub.errors import InvalidInput
from hub.viewer.reader.filters import MAX_CHARS, Literal, quote_column, quote_value

PAGE_ROWS = 100
COLUMNS_SHOWN = 40
OPERATORS = ("=", "<>", "<", "<=", ">", ">=", "ILIKE", "IS NULL", "IS NOT NULL")


@dataclass(frozen=True)
class Wish:
    """`page` and `column_page` count from 0."""

    query: str = ""
    where: str = ""
    order_by: str = ""
    page: int = 0
    column_page: int = 0
    revision: str = "main"

    @classmethod
    def of(cls, values: QueryDict) -> Wish:
        """The wish in a query string; a condition from the form's fields joins the one there."""
        where = values.get("where", "").strip()
        added = condition_of(
            values.get("column", ""), values.get("op", "="), values.get("value", "")
        )
        joined = f"({where}) AND {added}" if where and added else where or added
        return cls(
            query=values.get("q", "").strip()[:500],
            where=joined[: MAX_CHARS + 1],
            order_by=values.get("orderby", "").strip()[:1200],
            page=_number(values.get("p", "")),
            column_page=_number(values.get("c", "")),
            revision=values.get("revision", "main")[:255],
        )

    def address(self, **changes: str | int) -> str:
        """The query string with changes; another question starts at its first page."""
        facts: dict[str, str | int] = {
            "q": self.query,
            "where": self.where,
            "orderby": self.order_by,
            "p": self.page if set(changes) <= {"p", "c"} else 0,
            "c": self.column_page,
            "revision": "" if self.revision == "main" else self.revision,
            **changes,
        }
        return "?" + urlencode({name: value for name, value in facts.items() if value})

    @property
    def is_plain(self) -> bool:
        return not (self.query or self.where or self.order_by)


def condition_of(column: str, operator: str, value: str) -> str:
    """A condition made of the form's three fields; "" where no column is chosen.

    Raises:
        InvalidInput: the operator is none of ours.
    """
    if not column:
        return ""
    if operator not in OPERATORS:
        raise InvalidInput(f"“{operator[:20]}” is no comparison that the viewer knows.")
    if operator.startswith("IS "):
        return f"{quote_column(column)} {operator}"
    if operator == "ILIKE":
        return f"{quote_column(column)} ILIKE {quote_value(f'%{_plain(value)}%')}"
    return f"{quote_column(column)} {operator} {quote_value(_typed(value))}"


def _plain(value: str) -> str:
    """The value with what LIKE takes for wild cards made plain."""
    return value.replace("\\", "\\\\").replace("%", r"\%").replace("_", r"\_")


def _typed(value: str) -> Literal:
    """A value that reads like a number or true/false is one; quotes around it make it text."""
    text = value.strip()
    if len(text) > 1 and text[0] == text[-1] == "'":
        return text[1:-1]
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for kind in (int, float):
        try:
            number = kind(text)
        except ValueError:
            continue
        if abs(number) < 10**17:
            return number
    return value


def _number(text: str) -> int:
    return min(int(text), 10**12) if text.isdecimal() and len(text) < 15 else 0
