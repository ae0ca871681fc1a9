"""Webhooks and deliveries as their pages show them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, NamedTuple

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from contributions.models import DeliveryState, Webhook, WebhookDelivery
from contributions.portal.webhook_forms import address_of
from contributions.webhooks.addresses import parse_target
from contributions.webhooks.words import ERROR_WORDS

TITLES = {
    ("repo", "create"): gettext_lazy("Repository made"),
    ("repo", "delete"): gettext_lazy("Repository deleted"),
    ("repo", "move"): gettext_lazy("Repository renamed"),
    ("repo.content", "update"): gettext_lazy("Content changed"),
    ("repo.config", "update"): gettext_lazy("Settings changed"),
    ("discussion", "create"): gettext_lazy("Discussion opened"),
    ("discussion", "update"): gettext_lazy("Discussion changed"),
    ("discussion.comment", "create"): gettext_lazy("New comment"),
    ("discussion.comment", "update"): gettext_lazy("Comment changed"),
    ("test", "update"): gettext_lazy("Test"),
}


class WatchRow(NamedTuple):
    name: str
    url: str


@dataclass(frozen=True)
class WebhookRow:
    webhook: Webhook
    host: str
    is_safe: bool
    watched: list[WatchRow]
    disabled_because: str

    @classmethod
    def of(cls, webhook: Webhook) -> WebhookRow:
        target = parse_target(webhook.url)
        return cls(
            webhook=webhook,
            host=target.host,
            is_safe=target.is_https,
            watched=[WatchRow(name, f"/{name}") for name in map(address_of, webhook.watched.all())],
            disabled_because=webhook.get_disabled_reason_display() if webhook.is_disabled else "",
        )


class DeliveryRow:
    """A delivery with its words."""

    def __init__(self, delivery: WebhookDelivery) -> None:
        self.delivery = delivery

    @property
    def title(self) -> str:
        kind = (self.delivery.scope, self.delivery.action)
        return str(TITLES.get(kind, self.delivery.scope))

    @property
    def subject(self) -> str:
        """Which repository and discussion, once it is clear that the owner may know."""
        payload = self._payload()
        name = payload.get("repo", {}).get("name", "")
        num = payload.get("discussion", {}).get("num")
        return f"{name} #{num}" if num else str(name)

    @property
    def reason(self) -> str:
        """Why the last try failed."""
        words = ERROR_WORDS.get(self.delivery.error)
        return _(words) if words else ""

    @property
    def state(self) -> str:
        """The state as its chip names it: one that has failed before is tried again."""
        return "retrying" if self.is_waiting and self.delivery.attempts else self.delivery.state

    @property
    def is_waiting(self) -> bool:
        return self.delivery.state == DeliveryState.WAITING

    @property
    def pretty_payload(self) -> str:
        payload = self._payload()
        return json.dumps(payload, indent=2, ensure_ascii=False) if payload else ""

    def _payload(self) -> dict[str, Any]:
        return json.loads(self.delivery.payload) if self.delivery.payload else {}
