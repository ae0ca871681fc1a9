"""Two workers at once: each delivery is sent once, and in order."""

from __future__ import annotations

from typing import Any

import pytest

from contributions.actions.deliveries import deliver_webhook, send_test
from contributions.models import Webhook
from tests.contributions.test_races import at_once
from tests.contributions.webhooks.conftest import make_webhook
from tests.support.factories import make_user
from tests.support.receiver import Receiver

pytestmark = pytest.mark.django_db(transaction=True)


def test_of_two_workers_one_takes_the_webhook(receiver: Receiver) -> None:
    webhook = make_webhook(make_user("olive"), "user:olive", url=receiver.url)
    sent = [send_test(webhook=webhook).event_id for _ in range(3)]
    calls: list[Any] = [lambda: deliver_webhook(webhook_id=webhook.pk)] * 4
    tried = at_once(calls)
    while webhook.deliveries.filter(state="waiting").exists():
        tried.append(deliver_webhook(webhook_id=webhook.pk))
    assert sum(tried) == 3
    assert [call.headers["webhook-id"] for call in receiver.calls] == sent
    assert Webhook.objects.get().busy_until is None
