"""A receiver on this machine, which the settings of these tests allow; and workers at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from huggingface_hub import WebhookPayload

from contributions.actions.deliveries import deliver_webhook
from contributions.actions.webhooks import create_webhook
from contributions.models import Webhook, WebhookDelivery
from contributions.webhooks.access import find_watched
from hub.auth import Actor
from hub.models import User
from tests.support.receiver import Call, Receiver, receiving

SECRET = "correct horse battery"


@pytest.fixture(autouse=True)
def allowed_hosts(settings: Any) -> None:
    settings.WEBHOOK_ALLOW_PRIVATE_HOSTS = ["127.0.0.1"]
    settings.PUBLIC_URL = "https://hub.example"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as started:
        yield started


def make_webhook(
    owner: User, *watched: str, url: str = "https://hooks.example/in", **more: Any
) -> Webhook:
    """A webhook of `owner` that watches `type:name`s."""
    found = [find_watched(Actor(user=owner), *one.split(":", 1)) for one in watched]
    return create_webhook(owner=owner, url=url, watched=found, **more)


class Hearing:
    """Runs something as a request does, and then sends what is due for one webhook."""

    def __init__(self, webhook: Webhook, receiver: Receiver, capture: Any) -> None:
        self.webhook = webhook
        self._receiver = receiver
        self._capture = capture

    def of(self, happen: Callable[[], Any]) -> list[Call]:
        """What the receiver was sent for what happens."""
        before = len(self._receiver.calls)
        with self._capture(execute=True):
            happen()
        with self._capture(execute=True):
            deliver_webhook(webhook_id=self.webhook.pk)
        calls = self._receiver.calls[before:]
        for call in calls:
            WebhookPayload.model_validate(call.json)  # as the official client reads it
        return calls

    def last(self) -> WebhookDelivery:
        delivery = self.webhook.deliveries.order_by("-pk").first()
        assert delivery is not None
        return delivery


@pytest.fixture
def hearing(receiver: Receiver, django_capture_on_commit_callbacks: Any) -> Callable[..., Hearing]:
    """Makes a webhook of `owner` whose receiver is `receiver`."""

    def make(owner: User, *watched: str, **more: Any) -> Hearing:
        webhook = make_webhook(owner, *watched, url=receiver.url, **more)
        return Hearing(webhook, receiver, django_capture_on_commit_callbacks)

    return make
