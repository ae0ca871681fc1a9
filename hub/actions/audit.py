"""Writing the audit trail."""

from __future__ import annotations

from typing import Any

from hub.models import AuditEntry, Repo, User


def record(
    *,
    verb: str,
    actor: User | None,
    target: str,
    repo: Repo | None = None,
    **details: Any,
) -> AuditEntry:
    """Writes down who did what; part of the caller's transaction. Never pass a secret."""
    return AuditEntry.objects.create(
        verb=verb, actor=actor, target=target, repo=repo, details=details
    )
