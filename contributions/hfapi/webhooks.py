"""S32 to S38: a user's webhooks as Hub clients speak of them.

A secret is told to whoever sets it, in that answer only.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse

from contributions.actions.webhooks import (
    DOMAINS,
    MAX_WATCHED,
    create_webhook,
    delete_webhook,
    disable_webhook,
    enable_webhook,
    update_webhook,
)
from contributions.models import Webhook, WebhookWatch
from contributions.webhooks.access import (
    Watched,
    find_watched,
    get_owner,
    get_webhook,
    get_webhooks,
)
from hub.errors import InvalidInput, NotServed
from hub.hfapi.base import HubView, text_of


class Webhooks(HubView):
    def get(self, request: HttpRequest) -> HttpResponse:
        rows = [webhook_row(webhook) for webhook in get_webhooks(self.actor)]
        return JsonResponse(rows, safe=False)

    def post(self, request: HttpRequest) -> HttpResponse:
        owner = get_owner(self.actor, is_change=True)
        body = self.json_body()
        _refuse_jobs(body)
        secret, domains = text_of(body, "secret", default=""), _domains(body)
        made = create_webhook(
            owner=owner,
            url=text_of(body, "url"),
            watched=_watched(self, body),
            domains=DOMAINS if domains is None else domains,
            secret=secret,
        )
        return JsonResponse({"webhook": webhook_row(made, secret=secret)})


class OneWebhook(HubView):
    def get(self, request: HttpRequest, webhook_id: str) -> HttpResponse:
        webhook = get_webhook(self.actor, webhook_id, is_change=False)
        return JsonResponse({"webhook": webhook_row(webhook)})

    def post(self, request: HttpRequest, webhook_id: str) -> HttpResponse:
        """Clients send an empty list, and null, for what is to stay as it is."""
        webhook = get_webhook(self.actor, webhook_id)
        body = self.json_body()
        _refuse_jobs(body)
        secret = text_of(body, "secret") if body.get("secret") is not None else None
        changed = update_webhook(
            webhook=webhook,
            url=text_of(body, "url") if body.get("url") is not None else None,
            watched=_watched(self, body, webhook.watched.all()) if body.get("watched") else None,
            domains=_domains(body),
            secret=secret,
            acting_user=self.actor.require_user(),
        )
        return JsonResponse({"webhook": webhook_row(changed, secret=secret or "")})

    def delete(self, request: HttpRequest, webhook_id: str) -> HttpResponse:
        webhook = get_webhook(self.actor, webhook_id)
        delete_webhook(webhook=webhook, acting_user=self.actor.require_user())
        return JsonResponse({"success": True})


class EnableWebhook(HubView):
    def post(self, request: HttpRequest, webhook_id: str) -> HttpResponse:
        webhook = get_webhook(self.actor, webhook_id)
        enable_webhook(webhook=webhook, acting_user=self.actor.require_user())
        return JsonResponse({"webhook": webhook_row(webhook)})


class DisableWebhook(HubView):
    def post(self, request: HttpRequest, webhook_id: str) -> HttpResponse:
        webhook = get_webhook(self.actor, webhook_id)
        disable_webhook(webhook=webhook, acting_user=self.actor.require_user())
        return JsonResponse({"webhook": webhook_row(webhook)})


def webhook_row(webhook: Webhook, *, secret: str = "") -> dict[str, Any]:
    """One webhook; with the secret that was just set, if any."""
    row = {
        "id": webhook.public_id,
        "url": webhook.url,
        "watched": [{"type": one.kind, "name": one.name} for one in webhook.watched.all()],
        "domains": webhook.domains,
        "disabled": webhook.is_disabled,
    }
    return {**row, "secret": secret} if secret else row


def _refuse_jobs(body: dict[str, Any]) -> None:
    if body.get("jobSourceId") is not None:
        raise NotServed("This site runs no jobs, so a webhook cannot start one. Give a “url”.")


def _watched(
    view: HubView, body: dict[str, Any], present: Iterable[WebhookWatch] = ()
) -> list[Watched]:
    items = body.get("watched")
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise InvalidInput("“watched” must be a list of objects with “type” and “name”.")
    if len(items) > MAX_WATCHED:
        raise InvalidInput(f"A webhook watches up to {MAX_WATCHED} things.")
    return [
        find_watched(view.actor, text_of(item, "type"), text_of(item, "name"), present=present)
        for item in items
    ]


def _domains(body: dict[str, Any]) -> list[str] | None:
    domains = body.get("domains")
    if domains is None:
        return None
    if not isinstance(domains, list) or not all(isinstance(one, str) for one in domains):
        raise InvalidInput("“domains” must be a list of texts.")
    return domains
