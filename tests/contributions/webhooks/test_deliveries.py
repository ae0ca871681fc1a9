"""Sending: who hears, tries and pauses, what a killed worker leaves, switching off, keeping."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from contributions.actions import deliveries
from contributions.actions.deliveries import (
    MAX_ATTEMPTS,
    MAX_FAILURES_IN_A_ROW,
    RETRY_AFTER,
    deliver_webhook,
    prune_deliveries,
    send_again,
    send_test,
    sweep_deliveries,
)
from contributions.actions.webhooks import disable_webhook, enable_webhook, update_webhook
from contributions.models import Webhook, WebhookDelivery
from contributions.webhooks import tasks
from hub.actions.organizations import remove_member, set_member
from hub.actions.repos import delete_repo, move_repo, update_repo_settings
from hub.errors import Conflict, NotFound, RateLimited
from hub.models import AuditEntry, Role
from tests.contributions.webhooks.conftest import SECRET, Hearing, make_webhook
from tests.support.cast import ROLES, Cast
from tests.support.factories import commit, make_repo
from tests.support.receiver import Receiver

pytestmark = pytest.mark.django_db
MakeHearing = Callable[..., Hearing]


@pytest.fixture
def rung(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Webhooks for which a worker was rung."""
    calls: list[int] = []
    monkeypatch.setattr(
        tasks.deliver_webhook, "apply_async", lambda args, **_: calls.append(args[0])
    )
    return calls


def make_due(webhook: Webhook) -> None:
    """As if the pause before the next try were over."""
    webhook.deliveries.filter(state="waiting").update(next_attempt_at=timezone.now())


@pytest.mark.parametrize("role", [role for role in ROLES if role != "anonymous"])
def test_of_a_private_repository_only_those_hear_who_may_read_it(
    cast: Cast, hearing: MakeHearing, role: str
):
    user = cast.user(role)
    assert user is not None
    heard = hearing(user, "org:guild")
    public, private = cast.public_repo(), cast.private_repo()
    may_read = role != "stranger"
    assert len(heard.of(lambda: commit(public, {"a": "a"}))) == 1
    calls = heard.of(lambda: commit(private, {"a": "a"}))
    assert bool(calls) == may_read
    calls = heard.of(lambda: delete_repo(repo=private, acting_user=cast.owner))
    assert bool(calls) == may_read
    assert heard.webhook.deliveries.count() == (3 if may_read else 1)


def test_who_may_no_longer_read_hears_no_more_and_sees_no_trace(
    cast: Cast, hearing: MakeHearing, receiver: Receiver
):
    repo = cast.private_repo()
    heard = hearing(cast.reader, "model:guild/secret-model")
    assert heard.of(lambda: commit(repo, {"a": "a"}))
    receiver.answers(503)
    assert heard.of(lambda: commit(repo, {"b": "b"}))
    remove_member(organization=cast.organization, user=cast.reader, acting_user=cast.owner)
    make_due(heard.webhook)
    assert heard.of(lambda: commit(repo, {"c": "c"})) == []
    assert heard.of(lambda: move_repo_to_hidden_name(cast, repo)) == []
    assert heard.webhook.deliveries.count() == 1
    assert heard.webhook.watched.get().name == "guild/secret-model"
    with pytest.raises(NotFound):
        send_again(delivery=heard.last())
    set_member(
        organization=cast.organization, user=cast.reader, role=Role.READ, acting_user=cast.owner
    )
    assert heard.of(lambda: commit(repo, {"d": "d"}))


def move_repo_to_hidden_name(cast: Cast, repo: Any) -> None:
    namespace = cast.organization.namespace
    move_repo(repo=repo, namespace=namespace, name="merger-plans", acting_user=cast.owner)


def test_what_waits_is_withheld_once_the_repository_is_private(
    cast: Cast, hearing: MakeHearing, django_capture_on_commit_callbacks: Any
):
    repo = cast.public_repo()
    heard = hearing(cast.stranger, "model:guild/open-model")
    with django_capture_on_commit_callbacks(execute=True):
        commit(repo, {"a": "a"})
    assert heard.webhook.deliveries.filter(state="waiting").count() == 1
    calls = heard.of(
        lambda: update_repo_settings(repo=repo, is_private=True, acting_user=cast.owner)
    )
    assert calls == []
    assert not heard.webhook.deliveries.exists()


def test_an_owner_who_was_shut_out_hears_nothing(cast: Cast, hearing: MakeHearing):
    repo = cast.public_repo()
    heard = hearing(cast.stranger, "model:guild/open-model")
    cast.stranger.is_active = False
    cast.stranger.save(update_fields=["is_active"])
    assert heard.of(lambda: commit(repo, {"a": "a"})) == []


def test_only_what_is_watched_is_heard(cast: Cast, hearing: MakeHearing):
    other = make_repo(cast.owner, "other")
    twin = cast.public_repo("open-model", "dataset")
    cast.public_repo()
    heard = hearing(cast.stranger, "model:guild/open-model")
    assert heard.of(lambda: commit(other, {"a": "a"})) == []
    assert heard.of(lambda: commit(twin, {"a": "a"})) == []


def test_a_failed_delivery_is_tried_again_with_longer_pauses_and_then_given_up(
    cast: Cast, hearing: MakeHearing, receiver: Receiver
):
    repo = cast.public_repo()
    heard = hearing(cast.owner, "model:guild/open-model", secret=SECRET)
    receiver.answers(500, b"not today")
    heard.of(lambda: commit(repo, {"a": "a"}))
    for attempt, pause in enumerate(RETRY_AFTER, 1):
        delivery = heard.last()
        assert (delivery.state, delivery.attempts, delivery.error) == ("waiting", attempt, "status")
        assert (delivery.status_code, delivery.response) == (500, "not today")
        assert delivery.attempted_at is not None
        waits = delivery.next_attempt_at - delivery.attempted_at
        assert abs(waits - pause) < timedelta(seconds=30)
        assert deliver_webhook(webhook_id=heard.webhook.pk) == 0
        make_due(heard.webhook)
        assert deliver_webhook(webhook_id=heard.webhook.pk) == 1
    delivery = heard.last()
    assert (delivery.state, delivery.attempts) == ("failed", MAX_ATTEMPTS)
    assert delivery.next_attempt_at is None
    assert len(receiver.calls) == MAX_ATTEMPTS
    assert len({(call.body, call.headers["webhook-id"]) for call in receiver.calls}) == 1
    heard.webhook.refresh_from_db()
    assert heard.webhook.failures_in_a_row == 1


def test_a_later_try_that_arrives_forgets_the_failures(
    cast: Cast, hearing: MakeHearing, receiver: Receiver
):
    repo = cast.public_repo()
    heard = hearing(cast.owner, "model:guild/open-model")
    Webhook.objects.filter(pk=heard.webhook.pk).update(failures_in_a_row=3)
    receiver.answers(500)
    heard.of(lambda: commit(repo, {"a": "a"}))
    receiver.answers(204)
    make_due(heard.webhook)
    deliver_webhook(webhook_id=heard.webhook.pk)
    delivery = heard.last()
    assert (delivery.state, delivery.attempts, delivery.error) == ("delivered", 2, "")
    heard.webhook.refresh_from_db()
    assert heard.webhook.failures_in_a_row == 0


def test_a_failure_holds_up_nothing_that_comes_after_it(
    cast: Cast, hearing: MakeHearing, receiver: Receiver
):
    repo = cast.public_repo()
    heard = hearing(cast.owner, "model:guild/open-model")
    receiver.answers(500)
    heard.of(lambda: commit(repo, {"a": "a"}))
    receiver.answers(200)
    assert len(heard.of(lambda: commit(repo, {"b": "b"}))) == 1
    states = list(heard.webhook.deliveries.order_by("pk").values_list("state", flat=True))
    assert states == ["waiting", "delivered"]


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("http://127.0.0.2:9999/", "private"),
        ("http://2130706434/", "private"),
        ("http://[::ffff:127.0.0.2]/", "private"),
        ("http://user@127.0.0.1/", "address"),
    ],
)
def test_an_address_that_is_no_longer_allowed_is_not_sent_to(
    cast: Cast, hearing: MakeHearing, receiver: Receiver, url: str, error: str
):
    repo = cast.public_repo()
    heard = hearing(cast.owner, "model:guild/open-model")
    Webhook.objects.filter(pk=heard.webhook.pk).update(url=url)
    heard.of(lambda: commit(repo, {"a": "a"}))
    delivery = heard.last()
    assert (delivery.state, delivery.error, delivery.attempts) == ("failed", error, 1)


def test_a_name_that_comes_to_mean_this_machine_is_refused(
    cast: Cast, hearing: MakeHearing, receiver: Receiver, settings: Any, monkeypatch: Any
):
    from contributions.webhooks import requests as sending
    from contributions.webhooks.addresses import resolve

    def rebound(target: Any, rules: Any) -> Any:
        answer = [(2, 1, 6, "", ("127.0.0.1", target.port))]
        return resolve(target, rules, look_up=lambda *a, **k: answer)

    repo = cast.public_repo()
    heard = hearing(cast.owner, "model:guild/open-model")
    settings.WEBHOOK_ALLOW_PRIVATE_HOSTS = []
    Webhook.objects.update(url=f"http://innocent.example:{receiver.port}/")
    monkeypatch.setattr(sending, "resolve", rebound)
    assert heard.of(lambda: commit(repo, {"a": "a"})) == []
    assert heard.last().error == "private"


def test_a_redirect_inside_is_not_followed(cast: Cast, hearing: MakeHearing, receiver: Receiver):
    repo = cast.public_repo()
    heard = hearing(cast.owner, "model:guild/open-model")
    receiver.answers(302, Location=f"http://127.0.0.1:{receiver.port}/inside")
    assert len(heard.of(lambda: commit(repo, {"a": "a"}))) == 1
    delivery = heard.last()
    assert (delivery.state, delivery.error, delivery.status_code) == ("waiting", "redirect", 302)


def test_an_answer_of_any_bytes_is_kept_as_text(
    cast: Cast, hearing: MakeHearing, receiver: Receiver
):
    repo = cast.public_repo()
    heard = hearing(cast.owner, "model:guild/open-model")
    receiver.answers(200, b"\x00\xff<script>" + b"x" * 10_000)
    heard.of(lambda: commit(repo, {"a": "a"}))
    assert heard.last().response.startswith("\ufffd<script>x")
    assert len(heard.last().response) <= 4096


def test_a_webhook_is_one_workers_at_a_time(
    cast: Cast, hearing: MakeHearing, receiver: Receiver, rung: list[int]
):
    repo = cast.public_repo()
    heard = hearing(cast.owner, "model:guild/open-model")
    pk = heard.webhook.pk
    Webhook.objects.filter(pk=pk).update(busy_until=timezone.now() + timedelta(minutes=1))
    assert heard.of(lambda: commit(repo, {"a": "a"})) == []
    assert sweep_deliveries() == 0
    Webhook.objects.filter(pk=pk).update(busy_until=timezone.now() - timedelta(seconds=1))
    assert sweep_deliveries() == 1
    assert len(heard.of(lambda: None)) == 1
    assert Webhook.objects.get(pk=pk).busy_until is None


def test_one_owner_has_one_worker_at_a_time(
    cast: Cast, hearing: MakeHearing, rung: list[int], receiver: Receiver
):
    repo = cast.public_repo()
    slow = make_webhook(cast.owner, "user:mira", url=receiver.url)
    heard, other = hearing(cast.owner, "org:guild"), hearing(cast.member, "org:guild")
    Webhook.objects.filter(pk=slow.pk).update(busy_until=timezone.now() + timedelta(minutes=1))
    assert heard.of(lambda: commit(repo, {"a": "a"})) == []
    assert len(other.of(lambda: None)) == 1
    Webhook.objects.filter(pk=slow.pk).update(busy_until=None)
    rung.clear()
    send_test(webhook=slow)
    assert len(heard.of(lambda: None)) == 1
    assert rung == [slow.pk]


def test_what_comes_while_a_worker_is_at_it_is_rung_for_when_it_leaves(
    cast: Cast, hearing: MakeHearing, rung: list[int], monkeypatch: Any
):
    repo = cast.public_repo()
    heard = hearing(cast.owner, "model:guild/open-model")
    monkeypatch.setattr(deliveries, "SLICE_S", -1.0)
    assert heard.of(lambda: commit(repo, {"a": "a"})) == []
    assert rung == [heard.webhook.pk, heard.webhook.pk]


def test_a_worker_that_dies_in_the_middle_costs_one_try(
    cast: Cast, hearing: MakeHearing, receiver: Receiver, monkeypatch: Any
):
    repo = cast.public_repo()
    heard = hearing(cast.owner, "model:guild/open-model")

    def die(delivery: WebhookDelivery) -> Any:
        raise SystemExit

    with monkeypatch.context() as broken:
        broken.setattr(deliveries, "send", die)
        with pytest.raises(SystemExit):
            heard.of(lambda: commit(repo, {"a": "a"}))
    assert (heard.last().state, heard.last().attempts) == ("waiting", 1)
    assert deliver_webhook(webhook_id=heard.webhook.pk) == 0
    make_due(heard.webhook)
    assert deliver_webhook(webhook_id=heard.webhook.pk) == 1
    assert heard.last().state == "delivered"


def test_a_last_try_that_was_lost_is_given_up(cast: Cast, hearing: MakeHearing):
    repo = cast.public_repo()
    heard = hearing(cast.owner, "model:guild/open-model")
    heard.of(lambda: commit(repo, {"a": "a"}))
    heard.webhook.deliveries.update(
        state="waiting", attempts=MAX_ATTEMPTS, next_attempt_at=timezone.now()
    )
    assert heard.of(lambda: None) == []
    assert (heard.last().state, heard.last().error) == ("failed", "lost")


def test_a_result_that_comes_too_late_changes_nothing(
    cast: Cast, hearing: MakeHearing, monkeypatch: Any
):
    repo = cast.public_repo()
    heard = hearing(cast.owner, "model:guild/open-model")
    real = deliveries.send

    def overtaken(delivery: WebhookDelivery) -> Any:
        WebhookDelivery.objects.filter(pk=delivery.pk).update(attempts=2, error="timeout")
        return real(delivery)

    monkeypatch.setattr(deliveries, "send", overtaken)
    heard.of(lambda: commit(repo, {"a": "a"}))
    assert (heard.last().state, heard.last().error) == ("waiting", "timeout")


def test_the_broker_may_be_away_when_it_happens(
    cast: Cast, hearing: MakeHearing, monkeypatch: Any, rung: list[int]
):
    from kombu.exceptions import OperationalError

    def away(*args: Any, **kwargs: Any) -> None:
        raise OperationalError("no broker")

    repo = cast.public_repo()
    heard = hearing(cast.owner, "model:guild/open-model")
    with monkeypatch.context() as broken:
        broken.setattr(tasks.deliver_webhook, "apply_async", away)
        assert len(heard.of(lambda: commit(repo, {"a": "a"}))) == 1


def test_after_many_failed_events_a_webhook_is_switched_off(
    cast: Cast, hearing: MakeHearing, receiver: Receiver
):
    repo = cast.public_repo()
    heard = hearing(cast.owner, "model:guild/open-model")
    before = MAX_FAILURES_IN_A_ROW - 1
    Webhook.objects.filter(pk=heard.webhook.pk).update(failures_in_a_row=before)
    receiver.answers(500)
    heard.of(lambda: commit(repo, {"a": "a"}))
    heard.of(lambda: commit(repo, {"b": "b"}))
    first = heard.webhook.deliveries.order_by("pk").first()
    assert first is not None
    WebhookDelivery.objects.filter(pk=first.pk).update(
        attempts=MAX_ATTEMPTS - 1, next_attempt_at=timezone.now()
    )
    heard.of(lambda: None)
    heard.webhook.refresh_from_db()
    assert heard.webhook.disabled_reason == "failing"
    assert heard.webhook.disabled_at is not None
    assert heard.last().error == "disabled"
    assert not heard.webhook.deliveries.filter(state="waiting").exists()
    entry = AuditEntry.objects.get(verb="webhook.disabled")
    assert (entry.actor, entry.details["reason"]) == (None, "failing")
    assert heard.of(lambda: commit(repo, {"c": "c"})) == []
    enable_webhook(webhook=heard.webhook, acting_user=cast.owner)
    receiver.answers(200)
    assert len(heard.of(lambda: commit(repo, {"d": "d"}))) == 1


def test_a_secret_that_cannot_be_read_switches_off_with_a_reason(
    cast: Cast, hearing: MakeHearing, settings: Any
):
    repo = cast.public_repo()
    heard = hearing(cast.owner, "model:guild/open-model", secret=SECRET)
    assert SECRET not in heard.webhook.sealed_secret
    settings.SECRET_KEY = "another"
    assert heard.of(lambda: commit(repo, {"a": "a"})) == []
    heard.webhook.refresh_from_db()
    assert (heard.last().error, heard.webhook.disabled_reason) == ("secret", "secret")


def test_send_again_sends_the_same_to_the_address_and_with_the_secret_of_today(
    cast: Cast, hearing: MakeHearing, receiver: Receiver
):
    repo = cast.public_repo()
    heard = hearing(cast.owner, "model:guild/open-model", secret="old")
    (first,) = heard.of(lambda: commit(repo, {"a": "a"}))
    update_webhook(
        webhook=heard.webhook, url=f"{receiver.url}/new", secret="new", acting_user=cast.owner
    )
    receiver.answers(500)
    (second,) = heard.of(lambda: send_again(delivery=heard.last()))
    assert (second.body, second.path) == (first.body, "/hook/new")
    assert second.headers["webhook-id"] == first.headers["webhook-id"]
    assert second.headers["x-webhook-secret"] == "new"
    assert (heard.last().state, heard.last().is_by_hand) == ("failed", True)
    heard.webhook.refresh_from_db()
    assert heard.webhook.failures_in_a_row == 0


def test_a_test_names_no_repository(cast: Cast, hearing: MakeHearing):
    heard = hearing(cast.reader, "org:guild")
    (call,) = heard.of(lambda: send_test(webhook=heard.webhook))
    assert call.json["event"] == {"action": "update", "scope": "test"}
    assert call.json["repo"]["name"] == "rene/example"


def test_a_webhook_that_is_off_sends_nothing_by_hand(cast: Cast, hearing: MakeHearing):
    repo = cast.public_repo()
    heard = hearing(cast.owner, "model:guild/open-model")
    heard.of(lambda: commit(repo, {"a": "a"}))
    disable_webhook(webhook=heard.webhook, acting_user=cast.owner)
    for send in (
        lambda: send_test(webhook=heard.webhook),
        lambda: send_again(delivery=heard.last()),
    ):
        with pytest.raises(Conflict):
            send()
    assert heard.webhook.deliveries.count() == 1


def test_a_day_has_its_limit(cast: Cast, hearing: MakeHearing, settings: Any):
    settings.WEBHOOK_DAILY_LIMIT = 2
    repo = cast.public_repo()
    heard = hearing(cast.owner, "model:guild/open-model")
    told = [len(heard.of(lambda name=name: commit(repo, {name: "x"}))) for name in "abc"]
    assert told == [1, 1, 0]
    with pytest.raises(RateLimited):
        send_test(webhook=heard.webhook)
    heard.webhook.deliveries.update(created_at=timezone.now() - timedelta(days=1, minutes=1))
    assert len(heard.of(lambda: commit(repo, {"d": "x"}))) == 1


def test_old_deliveries_are_deleted(cast: Cast, hearing: MakeHearing, settings: Any):
    settings.WEBHOOK_DELIVERY_DAYS = 7
    repo = cast.public_repo()
    heard = hearing(cast.owner, "model:guild/open-model")
    for name in "ab":
        heard.of(lambda name=name: commit(repo, {name: "x"}))
    oldest = heard.webhook.deliveries.order_by("pk")[:1].values("pk")
    WebhookDelivery.objects.filter(pk__in=list(oldest.values_list("pk", flat=True))).update(
        created_at=timezone.now() - timedelta(days=7, minutes=1)
    )
    assert prune_deliveries() == 1
    assert heard.webhook.deliveries.count() == 1


def test_a_user_who_goes_takes_their_webhooks_and_leaves_others_whole(
    cast: Cast, hearing: MakeHearing
):
    repo = make_repo(cast.stranger, "mine")
    watching = hearing(cast.owner, "user:sten", "model:sten/mine")
    make_webhook(cast.stranger, "org:guild")
    assert len(watching.of(lambda: delete_repo(repo=repo, acting_user=cast.stranger))) == 1
    cast.stranger.delete()
    assert [webhook.owner for webhook in Webhook.objects.all()] == [cast.owner]
    assert len(watching.of(lambda: commit(cast.public_repo(), {"a": "a"}))) == 0
    assert {watch.name for watch in watching.webhook.watched.all()} == {"sten", "sten/mine"}


def test_news_that_nobody_watches_costs_two_queries(cast: Cast, django_assert_max_num_queries: Any):
    from contributions.receivers import tell_of_refs
    from hub.events import RefsUpdated, RefUpdated

    repo = cast.public_repo()
    make_webhook(cast.stranger, "user:mira")
    change = RefUpdated(repo.pk, "refs/heads/main", None, "a" * 40, None)
    with django_assert_max_num_queries(2):
        tell_of_refs(RefsUpdated(repo.pk, (change,), None))
