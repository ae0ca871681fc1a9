# ruff: noqa: S608  (all text of these statements is ours; what people typed is a parameter)
"""Lists on PostgreSQL, in one statement whose cost does not hang on how common the words are.

Two ways lead to the first rows that meet a condition. To *walk* down the index of the order and
look at each row is quick where many rows meet it; to *gather* all that meet it by the text index
and sort them is quick where few do. Which is which is estimated from the frequencies of the terms,
but an estimate may be far out (two common tags may never meet): so a walk has an end, after which
the rows are gathered; then few rows meet the condition, or they lie far down.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from django.db import connection
from django.db.models import QuerySet

from hub.models import Repo
from hub.search.asking import Ask, Hit, ordered, raw_condition
from hub.search.frequencies import frequencies
from hub.search.syntax import tsquery
from hub.search.terms import Condition

WALK_ROWS = 1_000
"""Rows that a walk looks at where nothing is known of the terms."""
MOST_WALK_ROWS = 10_000
WALK_MARGIN = 2
"""How many times the rows are walked that should fill the page."""

_ORDER = "ORDER BY key DESC, id DESC"


@dataclass
class _Sql:
    """Text and its parameters, which stay in step."""

    text: str
    params: list[Any] = field(default_factory=list)

    @classmethod
    def of(cls, rows: QuerySet[Repo, Any]) -> _Sql:
        text, params = rows.query.sql_with_params()
        return cls(text, list(params))


def find(ask: Ask) -> list[Hit]:
    """The hits of one page, in order."""
    if not ask.conditions:
        return []
    statement = _statement(ask)
    with connection.cursor() as cursor:
        cursor.execute(statement.text, statement.params)
        return [Hit(*row) for row in cursor.fetchall()]


def _statement(ask: Ask) -> _Sql:
    steps: list[str] = []
    params: list[Any] = []
    earlier: list[int] = []
    for tier, condition in ask.tiers:
        for name, step in _tier_steps(ask, tier, condition, earlier):
            steps.append(f"{name} AS MATERIALIZED ({step.text})")
            params += step.params
        earlier.append(tier)
    every = " UNION ALL ".join(
        f"SELECT {tier} AS tier, key, id FROM page{tier}" for tier in earlier
    )
    text = f"WITH {', '.join(steps)} {every} ORDER BY tier, key DESC, id DESC LIMIT {ask.limit}"
    return _Sql(text, params)


def _tier_steps(
    ask: Ask, tier: int, condition: Condition, earlier: list[int]
) -> list[tuple[str, _Sql]]:
    """The steps to `page{tier}`; none is taken where the tiers before it fill the page."""
    gates = [f"{' + '.join(_count(f'page{n}') for n in earlier)} < {ask.limit}"] if earlier else []
    steps = []
    n_walked = _rows_to_walk(ask, condition)
    if n_walked == 0:
        names = [f"gathered{tier}"]
    else:
        steps.append((f"walked{tier}", _walk_and_look(ask, tier, condition, n_walked, gates)))
        names = [f"walked{tier}", f"gathered{tier}"]
        gates = [*gates, f"{_count(names[0])} < {ask.limit}"]
    if n_walked == 0 or condition.clauses or ask.rows:
        steps.append((f"gathered{tier}", _gather(ask, tier, condition, gates)))
    else:
        names = names[:1]
    union = " UNION ".join(f"SELECT key, id FROM {name}" for name in names)
    page = f"SELECT key, id FROM ({union}) AS found {_ORDER} LIMIT {ask.limit}"
    return [*steps, (f"page{tier}", _Sql(page))]


def _rows_to_walk(ask: Ask, condition: Condition) -> int:
    """How far to walk; 0 where to gather at once should cost less."""
    if condition.is_rare:
        return 0
    if not condition.clauses:
        return MOST_WALK_ROWS if ask.rows else ask.limit
    known = frequencies()
    n_meeting = known.rows_meeting(condition)
    if n_meeting is None:
        return WALK_ROWS
    n_expected = ask.limit * known.n_rows / max(n_meeting, 1)
    return 0 if n_meeting < n_expected else min(MOST_WALK_ROWS, int(WALK_MARGIN * n_expected))


def _walk_and_look(
    ask: Ask, tier: int, condition: Condition, n_walked: int, gates: list[str]
) -> _Sql:
    """Of the first rows of the list, those that meet the condition."""
    walk = _walk(ask, tier, n_walked)
    text, params = f"SELECT w.key, w.id FROM ({walk.text}) AS w", list(walk.params)
    wheres = list(gates)
    if condition.clauses:
        text += " JOIN hub_reposearch AS s ON s.repo_id = w.id"
        wheres.append("s.terms @@ %s::tsquery")
        params.append(tsquery(condition))
    if ask.rows:
        rows = _Sql.of(Repo.objects.filter(ask.rows).order_by().values("id"))
        wheres.append(f"w.id IN ({rows.text})")
        params += rows.params
    where = f" WHERE {' AND '.join(wheres)}" if wheres else ""
    return _Sql(f"{text}{where} ORDER BY w.key DESC, w.id DESC LIMIT {ask.limit}", params)


def _walk(ask: Ask, tier: int, n_rows: int) -> _Sql:
    """The first rows of the list: public and private ones each by their part of the index."""
    sources = [ask.public] if ask.hidden is None else [ask.public, ask.hidden]
    parts = [_Sql.of(ordered(Repo.objects.filter(each), ask, tier)[:n_rows]) for each in sources]
    union = " UNION ALL ".join(f"({part.text})" for part in parts)
    params = [param for part in parts for param in part.params]
    if len(parts) == 1:
        return _Sql(parts[0].text, params)
    return _Sql(f"SELECT id, key FROM ({union}) AS u {_ORDER} LIMIT {n_rows}", params)


def _gather(ask: Ask, tier: int, condition: Condition, gates: list[str]) -> _Sql:
    """All rows that meet the condition, sorted."""
    repos = Repo.objects.filter(ask.visible, ask.rows)
    if condition.clauses:
        ids = "SELECT repo_id FROM hub_reposearch WHERE terms @@ %s::tsquery"
        matches = raw_condition(f'"hub_repo"."id" = ANY(ARRAY({ids}))', [tsquery(condition)])
        repos = repos.filter(matches)
    rows = _Sql.of(ordered(repos, ask, tier)[: ask.limit])
    where = f" WHERE {' AND '.join(gates)}" if gates else ""
    return _Sql(f"SELECT key, id FROM ({rows.text}) AS found{where}", rows.params)


def _count(name: str) -> str:
    return f"(SELECT count(*) FROM {name})"
