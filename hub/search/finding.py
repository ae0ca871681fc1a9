"""The one question that lists put to either database."""

from __future__ import annotations

from django.db import connection

from hub.search import postgres, sqlite
from hub.search.asking import Ask, Hit


def find(ask: Ask) -> list[Hit]:
    """The hits of one page, in order."""
    if not ask.conditions:
        return []
    return postgres.find(ask) if connection.vendor == "postgresql" else sqlite.find(ask)
