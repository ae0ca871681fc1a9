"""A delivery as an HTTP request, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from time import monotonic, time

from django.conf import settings

from contributions.models import WebhookDelivery
from contributions.webhooks.addresses import (
    AddressRefused,
    AddressRules,
    BadAddress,
    NameUnknown,
    parse_target,
    resolve,
)
from contributions.webhooks.secrets import SecretLost, sign, unseal
from contributions.webhooks.sending import Answer, SendingFailed, post
from hub.storable import storable_text

USER_AGENT = "ModelGuild-Webhooks/1"


@dataclass(frozen=True)
class Outcome:
    """How a try went. `error` is a key of `words.ERROR_WORDS`, empty where it arrived.

    A permanent one is not worth another try.
    """

    error: str = ""
    status: int | None = None
    response: str = ""
    duration_ms: int | None = None
    is_permanent: bool = False


def send(delivery: WebhookDelivery) -> Outcome:
    """Sends the payload to the webhook's address of now."""
    try:
        headers = headers_of(delivery)
    except SecretLost:
        return Outcome(error="secret", is_permanent=True)
    started = monotonic()
    try:
        target = parse_target(delivery.webhook.url)
        addresses = resolve(target, AddressRules.of(settings.WEBHOOK_ALLOW_PRIVATE_HOSTS))
        answer = post(
            target,
            addresses,
            body=delivery.payload.encode(),
            headers=headers,
            limit_s=settings.WEBHOOK_TIMEOUT_S,
        )
    except AddressRefused:
        return Outcome(error="private", is_permanent=True)
    except BadAddress:
        return Outcome(error="address", is_permanent=True)
    except NameUnknown:
        return Outcome(error="name", duration_ms=_ms_since(started))
    except SendingFailed as failed:
        return Outcome(error=failed.code, duration_ms=_ms_since(started))
    return _outcome_of(answer, _ms_since(started))


def headers_of(delivery: WebhookDelivery) -> dict[str, str]:
    """What goes with the payload. Raises `SecretLost`.

    `X-Webhook-Secret` as the Hub sends it; `webhook-id`, `webhook-timestamp` and
    `webhook-signature` by the Standard Webhooks specification.
    """
    secret = unseal(delivery.webhook.sealed_secret)
    timestamp = int(time())
    headers = {
        "Content-Type": "application/json",
        "User-Agent": USER_AGENT,
        "Accept-Encoding": "identity",
        "Connection": "close",
        "webhook-id": delivery.event_id,
        "webhook-timestamp": str(timestamp),
    }
    if secret:
        headers["X-Webhook-Secret"] = secret
        headers["webhook-signature"] = sign(
            secret,
            message_id=delivery.event_id,
            timestamp=timestamp,
            body=delivery.payload.encode(),
        )
    return headers


def _outcome_of(answer: Answer, duration_ms: int) -> Outcome:
    error = "" if 200 <= answer.status < 300 else "status"
    if 300 <= answer.status < 400:
        error = "redirect"
    text = storable_text(answer.text)
    return Outcome(error=error, status=answer.status, response=text, duration_ms=duration_ms)


def _ms_since(started: float) -> int:
    return int((monotonic() - started) * 1000)
