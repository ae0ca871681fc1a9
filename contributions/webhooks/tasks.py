"""Doorbells of webhooks. Each carries ids and calls its action; it may ring twice.

Every process knows them, for the receivers of the hub's news ring them.
"""

from __future__ import annotations

from celery import shared_task

DELIVERY_LIMIT_S = 240
"""Below the lease of a webhook, above a slice and one try."""


@shared_task(ignore_result=True, time_limit=DELIVERY_LIMIT_S)
def deliver_webhook(webhook_id: int) -> None:
    """Something is to be sent to a webhook's receiver."""
    from contributions.actions import deliveries

    deliveries.deliver_webhook(webhook_id=webhook_id)


@shared_task(ignore_result=True)
def sweep_deliveries() -> None:
    """Tries again what is due, and finds what was lost."""
    from contributions.actions import deliveries

    deliveries.sweep_deliveries()


@shared_task(ignore_result=True)
def prune_deliveries() -> None:
    """Deletes old deliveries."""
    from contributions.actions import deliveries

    deliveries.prune_deliveries()
