# ruff: noqa: S608  (all text of these statements is ours; what people typed is a parameter)
"""Lists on SQLite, in one statement: FTS5 finds what meets a condition, SQLite sorts it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.db import connection

from hub.models import Repo
from hub.search.asking import Ask, Hit, ordered, raw_condition
from hub.search.syntax import fts5_query
from hub.search.terms import Condition

_MATCHES = '"hub_repo"."id" IN (SELECT rowid FROM hub_repo_fts WHERE hub_repo_fts MATCH %s)'


def find(ask: Ask) -> list[Hit]:
    """The hits of one page, in order."""
    parts, params = [], []
    for tier, condition in ask.tiers:
        text, own = _tier(ask, tier, condition)
        parts.append(f"SELECT {tier} AS tier, key, id FROM ({text})")
        params += own
    every = " UNION ALL ".join(parts)
    with connection.cursor() as cursor:
        cursor.execute(f"{every} ORDER BY 1, 2 DESC, 3 DESC LIMIT {ask.limit}", params)
        return [Hit(tier, _key(key), repo_id) for tier, key, repo_id in cursor.fetchall()]


def _tier(ask: Ask, tier: int, condition: Condition) -> tuple[str, list[Any]]:
    repos = Repo.objects.filter(ask.visible, ask.rows)
    if condition.clauses:
        repos = repos.filter(raw_condition(_MATCHES, [fts5_query(condition)]))
    text, params = ordered(repos, ask, tier)[: ask.limit].query.sql_with_params()
    return text, list(params)


def _key(value: int | datetime) -> int | datetime:
    """What is sorted by; SQLite keeps dates in UTC without saying so."""
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) else value
