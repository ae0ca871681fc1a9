"""What a list asks of a database, and the order of the answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple, cast

from django.db import connection
from django.db.models import BooleanField, F, Field, Q, QuerySet
from django.db.models.expressions import RawSQL

from hub.models import Repo
from hub.search.terms import Condition


class Hit(NamedTuple):
    """A repository in a list: the condition it meets (the first is the best), and its place."""

    tier: int
    key: datetime | int
    repo_id: int


@dataclass(frozen=True)
class Ask:
    """A page of a list.

    Args:
        conditions: in the order of the answer; a repository meets at most one.
        public, hidden: public repositories, and the private ones that the reader may see.
        rows: further conditions on `Repo`.
        order: field of `Repo`, most or newest first; ties by id, the newest first.
        after: the last hit of the page before.
    """

    repo_type: str
    conditions: Sequence[Condition]
    public: Q
    hidden: Q | None
    order: str
    limit: int
    rows: Q = field(default_factory=Q)
    after: Hit | None = None

    @property
    def visible(self) -> Q:
        return self.public if self.hidden is None else self.public | self.hidden

    def after_in(self, tier: int) -> Hit | None:
        """What the rows of this tier must come after."""
        return self.after if self.after is not None and self.after.tier == tier else None

    @property
    def tiers(self) -> list[tuple[int, Condition]]:
        """The conditions that this page and later ones may show."""
        start = self.after.tier if self.after else 0
        return [(tier, each) for tier, each in enumerate(self.conditions) if tier >= start]


def ordered(repos: QuerySet[Repo], ask: Ask, tier: int) -> QuerySet[Repo, Any]:
    """`id` and `key` of `repos` in order, from where the page begins."""
    repos = repos.filter(repo_type=ask.repo_type)
    if after := ask.after_in(tier):
        # As one comparison of rows, which an index answers at any depth.
        place = f'("hub_repo"."{ask.order}", "hub_repo"."id") < (%s, %s)'
        field = cast("Field[Any, Any]", Repo._meta.get_field(ask.order))
        key = field.get_db_prep_value(after.key, connection)
        repos = repos.filter(raw_condition(place, [key, after.repo_id]))
    return repos.order_by(f"-{ask.order}", "-id").values("id", key=F(ask.order))


def raw_condition(sql: str, params: Sequence[Any]) -> RawSQL:
    return RawSQL(sql, params, output_field=BooleanField())  # noqa: S611  (fixed text)
