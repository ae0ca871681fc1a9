"""How many repositories have a term, as PostgreSQL last estimated it (`ANALYZE`)."""

from __future__ import annotations

import time
from bisect import bisect_left
from dataclasses import dataclass, field

from django.db import connection

from hub.search.terms import Condition, Term

KEEP_S = 600.0


@dataclass(frozen=True)
class Frequencies:
    """Shares of all rows by term, for the most frequent ones; the terms are in order."""

    terms: list[str] = field(default_factory=list)
    shares: list[float] = field(default_factory=list)
    n_rows: int = 0

    def rows_meeting(self, condition: Condition) -> float | None:
        """An upper estimate: what the rarest clause lets through. None where nothing is known."""
        if not self.terms:
            return None
        shares = [sum(map(self._share, clause)) for clause in condition.clauses]
        return min([1.0, *shares]) * self.n_rows

    def _share(self, term: Term) -> float:
        at = bisect_left(self.terms, term.text)
        share = 0.0
        while at < len(self.terms) and self._is_meant(self.terms[at], term):
            share += self.shares[at]
            at += 1
        return share or min(self.shares)

    @staticmethod
    def _is_meant(text: str, term: Term) -> bool:
        return text.startswith(term.text) if term.is_prefix else text == term.text


class _Kept:
    """What this process read last, and when."""

    value = Frequencies()
    until = 0.0


def frequencies() -> Frequencies:
    """What is known now; read anew every ten minutes."""
    now = time.monotonic()
    if now > _Kept.until:
        _Kept.value, _Kept.until = _read(), now + KEEP_S
    return _Kept.value


def _read() -> Frequencies:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT most_common_elems::text::text[], most_common_elem_freqs,"
            " (SELECT reltuples::bigint FROM pg_class WHERE oid = 'hub_reposearch'::regclass)"
            " FROM pg_stats WHERE schemaname = current_schema() AND tablename = 'hub_reposearch'"
            " AND attname = 'terms' AND most_common_elems IS NOT NULL"
        )
        row = cursor.fetchone()
    if row is None:
        return Frequencies()
    pairs = sorted(zip(row[0], row[1], strict=False))  # two more shares follow: least and most
    return Frequencies([text for text, _ in pairs], [share for _, share in pairs], max(row[2], 0))
