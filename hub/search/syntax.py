"""Conditions as each database writes them. Terms hold no sign of either syntax but stay quoted."""

from __future__ import annotations

from collections.abc import Sequence

from hub.search.terms import Condition, Term

Clauses = Sequence[tuple[Term, ...]]


def tsquery(condition: Condition) -> str:
    """The text of a `tsquery`. Source: PostgreSQL manual, section 8.11.2."""
    wanted = _all_of(condition.clauses, _lexeme, " & ", " | ")
    if not condition.none_of:
        return wanted
    unwanted = _all_of(condition.none_of, _lexeme, " & ", " | ")
    return f"{wanted} & !({unwanted})" if wanted else f"!({unwanted})"


def fts5_query(condition: Condition) -> str:
    """The text of a `MATCH`. Source: SQLite FTS5, section 3."""
    wanted = _all_of(condition.clauses, _string, " AND ", " OR ")
    if not condition.none_of:
        return wanted
    return f"({wanted}) NOT ({_all_of(condition.none_of, _string, ' AND ', ' OR ')})"


def _all_of(clauses: Clauses, write: object, conjunction: str, disjunction: str) -> str:
    assert callable(write)
    return conjunction.join(
        f"({disjunction.join(write(term) for term in clause)})" for clause in clauses
    )


def _lexeme(term: Term) -> str:
    text = term.text.replace("\\", "\\\\").replace("'", "''")
    return f"'{text}':*" if term.is_prefix else f"'{text}'"


def _string(term: Term) -> str:
    text = '"' + term.text.replace('"', '""') + '"'
    return f"{text}*" if term.is_prefix else text
