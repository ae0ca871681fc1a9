"""Conditions over columns: parsed into values of ours, never handed to a database.

    "age" > 30 AND ("name" = 'Simone' OR "children" IS NULL)

Columns stand in double quotes (or bare, where they are plain words), texts in single quotes; a
quote inside is doubled. Operators: = <> != < <= > >=, [NOT] LIKE, [NOT] ILIKE, [NOT] IN (…),
IS [NOT] NULL, AND, OR, NOT. Source: the form of `where` of the Hub's data set viewer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from hub.viewer.reader.errors import ReadError

MAX_CHARS = 5_000
MAX_DEPTH = 40
MAX_LIST = 500
MAX_COMPARISONS = 100
OPERATORS = ("=", "<>", "<", "<=", ">", ">=", "LIKE", "ILIKE", "IN")

Literal = str | int | float | bool


@dataclass(frozen=True)
class Compare:
    """`values` has one member, but for IN."""

    column: str
    operator: str
    values: tuple[Literal, ...]


@dataclass(frozen=True)
class IsNull:
    column: str


@dataclass(frozen=True)
class Not:
    term: Condition


@dataclass(frozen=True)
class Both:
    left: Condition
    right: Condition


@dataclass(frozen=True)
class Either:
    left: Condition
    right: Condition


Condition = Compare | IsNull | Not | Both | Either


@dataclass(frozen=True)
class Order:
    column: str
    is_descending: bool = False


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    at: int


_TOKEN = re.compile(
    r"""\s*(?:
      (?P<name>"(?:[^"]|"")*")
    | (?P<text>'(?:[^']|'')*')
    | (?P<number>[-+]?(?:\d{1,18}(?:\.\d{0,30})?|\.\d{1,30})(?:[eE][-+]?\d{1,3})?(?![\w.]))
    | (?P<word>[^\W\d]\w*)
    | (?P<mark><>|!=|<=|>=|=|<|>|\(|\)|,)
    )""",
    re.VERBOSE,
)
_WORDS = frozenset("AND OR NOT LIKE ILIKE IN IS NULL TRUE FALSE ASC DESC".split())


def parse_where(text: str) -> Condition | None:
    """The condition in `text`; None for an empty one.

    Raises:
        ReadError: `BadFilter`, with the place of the mistake.
    """
    if not text.strip():
        return None
    parser = _Parser(text)
    condition = parser.any_of(0)
    parser.expect_end()
    return condition


def parse_order(text: str) -> Order | None:
    """`"column" [ASC|DESC]`; None for an empty one. Raises `ReadError`: `BadFilter`."""
    if not text.strip():
        return None
    parser = _Parser(text)
    column = parser.column()
    order = Order(column, is_descending=parser.take_word("DESC"))
    if not order.is_descending:
        parser.take_word("ASC")
    parser.expect_end()
    return order


def columns_of(condition: Condition | None) -> list[str]:
    """The columns that a condition looks at, each once."""
    return list(dict.fromkeys(_columns(condition)))


def _columns(condition: Condition | None) -> Iterator[str]:
    if isinstance(condition, Compare | IsNull):
        yield condition.column
    elif isinstance(condition, Not):
        yield from _columns(condition.term)
    elif condition is not None:
        yield from _columns(condition.left)
        yield from _columns(condition.right)


def quote_column(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def quote_value(value: Literal) -> str:
    """The value as it stands in a condition."""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else repr(value)


class _Parser:
    def __init__(self, text: str) -> None:
        if len(text) > MAX_CHARS:
            raise ReadError("BadFilter", f"A condition may have at most {MAX_CHARS:,} characters.")
        self._tokens = list(_tokens(text))
        self._at = self._n_comparisons = 0

    def any_of(self, depth: int) -> Condition:
        left = self.all_of(depth)
        while self.take_word("OR"):
            left = Either(left, self.all_of(depth))
        return left

    def all_of(self, depth: int) -> Condition:
        left = self.term(depth)
        while self.take_word("AND"):
            left = Both(left, self.term(depth))
        return left

    def term(self, depth: int) -> Condition:
        if depth > MAX_DEPTH:
            raise ReadError("BadFilter", "The condition is nested too deeply.")
        if self.take_word("NOT"):
            return Not(self.term(depth + 1))
        if self.take_mark("("):
            inner = self.any_of(depth + 1)
            self.need_mark(")")
            return inner
        return self.comparison()

    def comparison(self) -> Condition:
        self._n_comparisons += 1
        if self._n_comparisons > MAX_COMPARISONS:
            text = f"A condition may have at most {MAX_COMPARISONS} comparisons."
            raise ReadError("BadFilter", text)
        column = self.column()
        if self.take_word("IS"):
            is_not = self.take_word("NOT")
            self.need_word("NULL")
            return Not(IsNull(column)) if is_not else IsNull(column)
        is_not = self.take_word("NOT")
        found = self._operation(column, only_words=is_not)
        return Not(found) if is_not else found

    def _operation(self, column: str, *, only_words: bool) -> Compare:
        for word in ("LIKE", "ILIKE"):
            if self.take_word(word):
                return Compare(column, word, (self.pattern(),))
        if self.take_word("IN"):
            return Compare(column, "IN", self.values())
        token = self._next()
        if only_words or token.text not in {"=", "<>", "!=", "<", "<=", ">", ">="}:
            raise self._unexpected(token, "a comparison such as =, <, LIKE or IS NULL")
        return Compare(column, token.text.replace("!=", "<>"), (self.value(),))

    def column(self) -> str:
        token = self._next()
        if token.kind == "name":
            return token.text[1:-1].replace('""', '"')
        if token.kind == "word" and token.text.upper() not in _WORDS:
            return token.text
        raise self._unexpected(token, "the name of a column")

    def pattern(self) -> str:
        value = self.value()
        if not isinstance(value, str):
            raise ReadError("BadFilter", "LIKE wants a text in single quotes.")
        return value

    def values(self) -> tuple[Literal, ...]:
        self.need_mark("(")
        found = [self.value()]
        while self.take_mark(","):
            found.append(self.value())
        self.need_mark(")")
        if len(found) > MAX_LIST:
            raise ReadError("BadFilter", f"A list may have at most {MAX_LIST} values.")
        return tuple(found)

    def value(self) -> Literal:
        token = self._next()
        if token.kind == "text":
            return token.text[1:-1].replace("''", "'")
        if token.kind == "number":
            return float(token.text) if re.search(r"[.eE]", token.text) else int(token.text)
        if token.kind == "word" and token.text.upper() in {"TRUE", "FALSE"}:
            return token.text.upper() == "TRUE"
        raise self._unexpected(token, "a number, or a text in single quotes")

    def take_word(self, word: str) -> bool:
        token = self._peek()
        return self._take(token is not None and token.kind == "word" and token.text.upper() == word)

    def take_mark(self, mark: str) -> bool:
        token = self._peek()
        return self._take(token is not None and token.kind == "mark" and token.text == mark)

    def need_word(self, word: str) -> None:
        if not self.take_word(word):
            raise self._unexpected(self._next(), word)

    def need_mark(self, mark: str) -> None:
        if not self.take_mark(mark):
            raise self._unexpected(self._next(), mark)

    def expect_end(self) -> None:
        token = self._peek()
        if token is not None:
            raise self._unexpected(token, "AND, OR or the end")

    def _take(self, is_wanted: bool) -> bool:
        self._at += is_wanted
        return is_wanted

    def _peek(self) -> _Token | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def _next(self) -> _Token:
        token = self._peek()
        if token is None:
            raise ReadError("BadFilter", "The condition ends too early.")
        self._at += 1
        return token

    def _unexpected(self, token: _Token, wanted: str) -> ReadError:
        text = f"At character {token.at + 1} of the condition: {token.text[:60]} where {wanted} "
        return ReadError("BadFilter", text + "was expected.", at=token.at)


def _tokens(text: str) -> Iterator[_Token]:
    at, end = 0, len(text.rstrip())
    while at < end:
        match = _TOKEN.match(text, at)
        if match is None:
            rest = text[at : at + 20].strip()
            raise ReadError("BadFilter", f"At character {at + 1}: {rest} is not understood.", at=at)
        kind = str(match.lastgroup)
        yield _Token(kind, match.group(kind), match.start(kind))
        at = match.end()


def describe(value: Any) -> str:
    """What a literal is, for messages."""
    if isinstance(value, bool):
        return "true or false"
    return "a text" if isinstance(value, str) else "a number"
