"""Doorbells of contributions. Each calls the action of its name, and may ring twice."""

from __future__ import annotations

from celery import shared_task

COLLECTION_LIMIT_S = 3600


@shared_task(ignore_result=True, time_limit=COLLECTION_LIMIT_S)
def collect_attachments() -> None:
    """Deletes files that no comment shows."""
    from contributions.actions import attachments

    attachments.collect_attachments()
