"""Making, changing and switching webhooks."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from contributions.models import (
    DeliveryState,
    DisabledReason,
    Webhook,
    WebhookDelivery,
    WebhookWatch,
)
from contributions.webhooks.access import Watched
from contributions.webhooks.addresses import (
    AddressRules,
    BadAddress,
    check_literal,
    parse_target,
)
from contributions.webhooks.secrets import MAX_SECRET_CHARS, seal
from contributions.webhooks.words import SECRET_WORDS, URL_WORDS
from hub.actions.audit import record
from hub.errors import Conflict, InvalidInput
from hub.models import User

DOMAINS = ("repo", "discussion")
MAX_WEBHOOKS = 50
MAX_WATCHED = 50


def create_webhook(
    *,
    owner: User,
    url: str,
    watched: Sequence[Watched],
    domains: Collection[str] = DOMAINS,
    secret: str = "",
) -> Webhook:
    """A new webhook of `owner`, in use at once.

    Raises:
        InvalidInput: the address, domains or secret cannot be used, or nothing is watched.
        Conflict: the owner has as many as one may have.
    """
    webhook = Webhook(owner=owner)
    _set_url(webhook, url)
    _set_domains(webhook, domains)
    _set_secret(webhook, secret)
    with transaction.atomic():
        if Webhook.objects.filter(owner=owner).count() >= MAX_WEBHOOKS:
            raise Conflict(f"You have {MAX_WEBHOOKS} webhooks. Delete one that is not needed.")
        webhook.save()
        _set_watched(webhook, watched)
        _record(webhook, "created", owner)
    return webhook


def update_webhook(
    *,
    webhook: Webhook,
    url: str | None = None,
    watched: Sequence[Watched] | None = None,
    domains: Collection[str] | None = None,
    secret: str | None = None,
    acting_user: User,
) -> Webhook:
    """Changes what is given; an empty `secret` takes it away. Raises as `create_webhook`."""
    if url is not None:
        _set_url(webhook, url)
    if domains is not None:
        _set_domains(webhook, domains)
    if secret is not None:
        _set_secret(webhook, secret)
    with transaction.atomic():
        webhook.save(update_fields=["url", "hears_repos", "hears_discussions", "sealed_secret"])
        if watched is not None:
            _set_watched(webhook, watched)
        _record(webhook, "updated", acting_user)
    return webhook


def enable_webhook(*, webhook: Webhook, acting_user: User) -> Webhook:
    """Lets it hear again; its failures are forgotten. Twice does no harm."""
    with transaction.atomic():
        if webhook.is_disabled:
            _record(webhook, "enabled", acting_user)
        webhook.disabled_reason, webhook.disabled_at = "", None
        webhook.failures_in_a_row = 0
        webhook.save(update_fields=["disabled_reason", "disabled_at", "failures_in_a_row"])
    return webhook


def disable_webhook(
    *,
    webhook: Webhook,
    reason: DisabledReason = DisabledReason.OWNER,
    acting_user: User | None,
) -> Webhook:
    """Lets it rest: it hears nothing, and what waits is given up. Twice does no harm.

    Args:
        acting_user: None where the platform does it, for `reason`.
    """
    with transaction.atomic():
        rows = Webhook.objects.filter(pk=webhook.pk, disabled_reason="")
        now = timezone.now()
        if rows.update(disabled_reason=reason, disabled_at=now):
            webhook.disabled_reason, webhook.disabled_at = reason, now
            waiting = WebhookDelivery.objects.filter(webhook=webhook, state=DeliveryState.WAITING)
            waiting.update(state=DeliveryState.FAILED, next_attempt_at=None, error="disabled")
            _record(webhook, "disabled", acting_user, reason=reason.value)
    return webhook


def delete_webhook(*, webhook: Webhook, acting_user: User) -> None:
    """Removes it with all that is kept of its deliveries."""
    with transaction.atomic():
        _record(webhook, "deleted", acting_user)
        webhook.delete()


def address_rules() -> AddressRules:
    """What the operator allows to be sent to."""
    return AddressRules.of(settings.WEBHOOK_ALLOW_PRIVATE_HOSTS)


def _set_url(webhook: Webhook, url: str) -> None:
    try:
        check_literal(parse_target(url), address_rules())
    except BadAddress as error:
        raise InvalidInput(URL_WORDS[error.code], field="url") from None
    webhook.url = url


def _set_domains(webhook: Webhook, domains: Collection[str]) -> None:
    if not domains or not set(domains) <= set(DOMAINS):
        raise InvalidInput("“domains” must name “repo”, “discussion” or both.")
    webhook.hears_repos, webhook.hears_discussions = "repo" in domains, "discussion" in domains


def _set_secret(webhook: Webhook, secret: str) -> None:
    is_fit_for_header = secret.isascii() and secret.isprintable() and secret == secret.strip()
    if not is_fit_for_header or len(secret) > MAX_SECRET_CHARS:
        raise InvalidInput(SECRET_WORDS, field="secret")
    webhook.sealed_secret = seal(secret)


def _set_watched(webhook: Webhook, watched: Sequence[Watched]) -> None:
    wanted = {(one.kind, one.target_id): one for one in watched}
    if not wanted or len(wanted) > MAX_WATCHED:
        raise InvalidInput(f"A webhook watches 1 to {MAX_WATCHED} users, organisations or repos.")
    webhook.watched.all().delete()
    WebhookWatch.objects.bulk_create(
        WebhookWatch(webhook=webhook, kind=one.kind, target_id=one.target_id, name=one.name)
        for one in wanted.values()
    )
    webhook.refresh_from_db(fields=["watched"])


def _record(webhook: Webhook, verb: str, user: User | None, **details: Any) -> None:
    """The audit row names the host alone: the rest of an address may hold a secret."""
    host = parse_target(webhook.url).host
    record(verb=f"webhook.{verb}", actor=user, target=webhook.public_id, host=host, **details)
