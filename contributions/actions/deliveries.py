"""News for webhooks: queued when it happens, sent by workers, tried again, kept for a while.

The rows are the truth. A worker takes a webhook for itself with a conditional update under a lease,
so that news goes out in order, and no second one of the same owner, so that slow receivers of one
person leave workers to others; then it takes one due delivery after the other, and each is counted
as tried before it is sent. What a killed worker held
is due again after the pause that follows a failed try. So everything is sent at least once, and a
receiver knows a repeat by its `webhook-id`.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from time import monotonic

from django.conf import settings
from django.db import transaction
from django.db.models import Count, F, Q, QuerySet
from django.utils import timezone

from contributions.actions.webhooks import disable_webhook
from contributions.models import (
    DeliveryState,
    DisabledReason,
    Webhook,
    WebhookDelivery,
    WebhookWatch,
)
from contributions.webhooks import tasks
from contributions.webhooks.hearing import (
    TEST_SCOPE,
    News,
    RepoFacts,
    may_hear_of,
    may_hear_of_deleted,
    watching,
)
from contributions.webhooks.payloads import payload_text
from contributions.webhooks.requests import Outcome, send
from hub.doorbell import ring
from hub.errors import Conflict, NotFound, RateLimited
from hub.models import Repo

logger = logging.getLogger(__name__)

RETRY_AFTER = (
    timedelta(minutes=1),
    timedelta(minutes=10),
    timedelta(hours=1),
    timedelta(hours=5),
)
"""From each failed try to the next; the last one gives up."""
MAX_ATTEMPTS = len(RETRY_AFTER) + 1
MAX_FAILURES_IN_A_ROW = 10
"""Events given up one after the other before a webhook is switched off."""
SLICE_S = 20.0
LEASE = timedelta(minutes=5)
"""Longer than a slice, and the one look-up and the one try that may follow its end."""
DAY = timedelta(days=1)
SWEEP_LIMIT = 200


def queue_news(news: News) -> int:
    """Writes down what each webhook that hears it is to be told, and rings; gives their number."""
    webhooks = list(watching(news))
    if not webhooks:
        return 0
    repo = Repo.objects.select_related("namespace").filter(pk=news.repo.repo_id).first()
    used = _used_today([webhook.pk for webhook in webhooks])
    heard = [
        webhook
        for webhook in webhooks
        if used.get(webhook.pk, 0) < settings.WEBHOOK_DAILY_LIMIT
        and _may_hear(webhook, repo, news.repo)
    ]
    now = timezone.now()
    with transaction.atomic():
        WebhookDelivery.objects.bulk_create(
            WebhookDelivery(
                webhook=webhook,
                scope=news.scope,
                action=news.action,
                repo_id=news.repo.repo_id,
                comment_id=news.comment_id,
                facts=dict(news.facts),
                next_attempt_at=now,
            )
            for webhook in heard
        )
        if "movedTo" in news.facts:
            _follow_rename(heard, news)
        for webhook in heard:
            ring(tasks.deliver_webhook, webhook.pk)
    return len(heard)


def send_test(*, webhook: Webhook) -> WebhookDelivery:
    """Queues an example that names no repository. Raises as `send_again`."""
    _check_may_send(webhook)
    return _queue_by_hand(WebhookDelivery(webhook=webhook, scope=TEST_SCOPE, action="update"))


def send_again(*, delivery: WebhookDelivery) -> WebhookDelivery:
    """Queues what was sent once more, to the address and with the secret of today.

    Raises:
        Conflict: the webhook is switched off.
        RateLimited: it has had its share of today.
        NotFound: the owner may not read the repository any more, or it is gone.
    """
    _check_may_send(delivery.webhook)
    if not _may_be_sent(delivery, _repo_of(delivery)):
        raise NotFound("The repository is gone, or you may not read it any more.")
    copied = ("webhook", "event_id", "scope", "action", "repo_id", "comment_id", "facts", "payload")
    return _queue_by_hand(WebhookDelivery(**{name: getattr(delivery, name) for name in copied}))


def deliver_webhook(*, webhook_id: int) -> int:
    """Sends what is due for one webhook, for as long as a slice lasts; gives the number of tries.

    Nothing where a worker is at it, or at another one of its owner, or where the webhook rests.
    """
    lease = timezone.now() + LEASE
    if not _claim(webhook_id, lease):
        return 0
    tried, deadline = 0, monotonic() + SLICE_S
    try:
        while monotonic() < deadline and (delivery := _take_next(webhook_id)):
            _attempt(delivery)
            tried += 1
    finally:
        Webhook.objects.filter(pk=webhook_id, busy_until=lease).update(busy_until=None)
        _ring_next(webhook_id)
    return tried


def sweep_deliveries() -> int:
    """Rings for webhooks with a try that is due, also where a bell or a worker was lost."""
    free = Q(webhook__busy_until=None) | Q(webhook__busy_until__lt=timezone.now())
    waiting = _due().filter(free, webhook__disabled_reason="").order_by("webhook_id")
    webhook_ids = list(waiting.values_list("webhook_id", flat=True).distinct()[:SWEEP_LIMIT])
    for webhook_id in webhook_ids:
        ring(tasks.deliver_webhook, webhook_id)
    return len(webhook_ids)


def prune_deliveries() -> int:
    """Deletes what is older than `WEBHOOK_DELIVERY_DAYS`; gives the number of rows."""
    oldest = timezone.now() - timedelta(days=settings.WEBHOOK_DELIVERY_DAYS)
    deleted, _by_model = WebhookDelivery.objects.filter(created_at__lt=oldest).delete()
    return deleted


def used_today(webhook: Webhook) -> int:
    """Deliveries of the last 24 hours, which `WEBHOOK_DAILY_LIMIT` bounds."""
    return _used_today([webhook.pk]).get(webhook.pk, 0)


def _used_today(webhook_ids: list[int]) -> dict[int, int]:
    recent = WebhookDelivery.objects.filter(
        webhook_id__in=webhook_ids, created_at__gt=timezone.now() - DAY
    )
    return dict(recent.values("webhook_id").annotate(n=Count("pk")).values_list("webhook_id", "n"))


def _may_hear(webhook: Webhook, repo: Repo | None, facts: RepoFacts) -> bool:
    if repo is None:
        return may_hear_of_deleted(webhook.owner, facts)
    return may_hear_of(webhook.owner, repo)


def _follow_rename(webhooks: list[Webhook], news: News) -> None:
    """Those who may know the new name see it in their settings."""
    watches = WebhookWatch.objects.filter(
        webhook__in=webhooks, kind=news.repo.repo_type, target_id=news.repo.repo_id
    )
    watches.update(name=news.facts["movedTo"]["name"])


def _check_may_send(webhook: Webhook) -> None:
    if webhook.is_disabled:
        raise Conflict("This webhook is switched off. Switch it on first.")
    if used_today(webhook) >= settings.WEBHOOK_DAILY_LIMIT:
        raise RateLimited("This webhook has been sent as much as it may be within 24 hours.")


def _queue_by_hand(delivery: WebhookDelivery) -> WebhookDelivery:
    delivery.is_by_hand, delivery.next_attempt_at = True, timezone.now()
    with transaction.atomic():
        delivery.save(force_insert=True)
        ring(tasks.deliver_webhook, delivery.webhook_id)
    return delivery


def _claim(webhook_id: int, lease: datetime) -> bool:
    """Of two webhooks of one owner that are claimed in the same instant both may be taken."""
    now = timezone.now()
    free = Q(busy_until=None) | Q(busy_until__lt=now)
    busy_owners = Webhook.objects.filter(busy_until__gte=now).exclude(pk=webhook_id)
    rows = Webhook.objects.filter(free, pk=webhook_id, disabled_reason="")
    if rows.filter(owner__in=busy_owners.values("owner")).exists():
        return False
    return bool(rows.update(busy_until=lease))


def _ring_next(webhook_id: int) -> None:
    """What came after the last look, and what other webhooks of the owner have, rang in vain."""
    waiting = _due().filter(webhook__owner__webhooks=webhook_id, webhook__disabled_reason="")
    next_id = waiting.order_by("pk").values_list("webhook_id", flat=True).first()
    if next_id is not None:
        ring(tasks.deliver_webhook, next_id)


def _due() -> QuerySet[WebhookDelivery]:
    return WebhookDelivery.objects.filter(
        state=DeliveryState.WAITING, next_attempt_at__lte=timezone.now()
    )


def _take_next(webhook_id: int) -> WebhookDelivery | None:
    """The oldest delivery that is due, counted as tried. None where there is none, or the webhook
    has been switched off meanwhile."""
    rows = _due().filter(webhook_id=webhook_id, webhook__disabled_reason="").order_by("pk")
    delivery = rows.select_related("webhook__owner__namespace").first()
    if delivery is None:
        return None
    before = delivery.attempts
    delivery.attempts, delivery.attempted_at = before + 1, timezone.now()
    delivery.next_attempt_at = _next_attempt(delivery)
    taken = WebhookDelivery.objects.filter(
        pk=delivery.pk, attempts=before, state=DeliveryState.WAITING
    ).update(
        attempts=F("attempts") + 1,
        attempted_at=delivery.attempted_at,
        next_attempt_at=delivery.next_attempt_at,
    )
    return delivery if taken else None


def _next_attempt(delivery: WebhookDelivery) -> datetime:
    """When to try again if nothing is heard of the present try."""
    pause = RETRY_AFTER[min(delivery.attempts, len(RETRY_AFTER)) - 1]
    return timezone.now() + pause


def _attempt(delivery: WebhookDelivery) -> None:
    """One try. What the owner may not read, or what is gone, is not told and not kept."""
    if delivery.attempts > _max_attempts(delivery):
        _fail(delivery, Outcome(error="lost"))
        return
    repo = _repo_of(delivery)
    if not _may_be_sent(delivery, repo):
        delivery.delete()
        return
    if not delivery.payload:
        text = payload_text(delivery.webhook, delivery, repo)
        if text is None:
            delivery.delete()
            return
        delivery.payload = text
        WebhookDelivery.objects.filter(pk=delivery.pk).update(payload=text)
    outcome = send(delivery)
    if outcome.error:
        _fail(delivery, outcome)
    else:
        _succeed(delivery, outcome)


def _max_attempts(delivery: WebhookDelivery) -> int:
    return 1 if delivery.is_by_hand else MAX_ATTEMPTS


def _repo_of(delivery: WebhookDelivery) -> Repo | None:
    return Repo.objects.select_related("namespace").filter(pk=delivery.repo_id or 0).first()


def _may_be_sent(delivery: WebhookDelivery, repo: Repo | None) -> bool:
    """Whether the owner may read what it speaks of, now. Of what is gone only the end is told."""
    if delivery.scope == TEST_SCOPE:
        return delivery.webhook.owner.is_active
    if repo is not None:
        return may_hear_of(delivery.webhook.owner, repo)
    if delivery.action != "delete":
        return False
    part = delivery.facts["repo"]
    facts = RepoFacts(
        delivery.repo_id or 0, part["type"], int(part["owner"]["id"]), part["private"]
    )
    return may_hear_of_deleted(delivery.webhook.owner, facts)


def _succeed(delivery: WebhookDelivery, outcome: Outcome) -> None:
    _finish(delivery, outcome, DeliveryState.DELIVERED)
    Webhook.objects.filter(pk=delivery.webhook_id).update(failures_in_a_row=0)


def _fail(delivery: WebhookDelivery, outcome: Outcome) -> None:
    is_over = outcome.is_permanent or delivery.attempts >= _max_attempts(delivery)
    _finish(delivery, outcome, DeliveryState.FAILED if is_over else DeliveryState.WAITING)
    if outcome.error == "secret":
        disable_webhook(webhook=delivery.webhook, reason=DisabledReason.SECRET, acting_user=None)
    elif is_over and not delivery.is_by_hand:
        _count_failure(delivery.webhook)


def _count_failure(webhook: Webhook) -> None:
    rows = Webhook.objects.filter(pk=webhook.pk)
    rows.update(failures_in_a_row=F("failures_in_a_row") + 1)
    if rows.filter(failures_in_a_row__gte=MAX_FAILURES_IN_A_ROW).exists():
        logger.info("webhook %s is switched off: it failed too often", webhook.public_id)
        disable_webhook(webhook=webhook, reason=DisabledReason.FAILING, acting_user=None)


def _finish(delivery: WebhookDelivery, outcome: Outcome, state: DeliveryState) -> None:
    """Writes down how the try went, unless another worker has made one since."""
    ours = WebhookDelivery.objects.filter(
        pk=delivery.pk, attempts=delivery.attempts, state=DeliveryState.WAITING
    )
    is_over = state != DeliveryState.WAITING
    ours.update(
        state=state,
        next_attempt_at=None if is_over else delivery.next_attempt_at,
        duration_ms=outcome.duration_ms,
        status_code=outcome.status,
        response=outcome.response,
        error=outcome.error,
    )
