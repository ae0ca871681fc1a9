"""Settings → Webhooks as its owner sees it, and as nobody else does."""

from __future__ import annotations

from html import unescape
from typing import Any

import pytest
from django.test import Client

from contributions.actions.deliveries import deliver_webhook, send_test
from contributions.actions.webhooks import disable_webhook
from contributions.models import DisabledReason, Webhook
from contributions.webhooks.secrets import unseal
from tests.contributions.webhooks.conftest import SECRET, make_webhook
from tests.support.cast import ROLES, Cast
from tests.support.receiver import Receiver

pytestmark = pytest.mark.django_db
PATH = "/settings/webhooks"


def text_of(answer: Any) -> str:
    return unescape(answer.content.decode())


def fields(**more: Any) -> dict[str, Any]:
    return {"url": "https://hooks.example/in", "watched": "guild", "hears_repos": "on", **more}


@pytest.fixture
def owner(cast: Cast) -> Client:
    return cast.web_client("owner")


def test_an_empty_list_says_what_belongs_here_and_how_to_begin(owner: Client):
    text = text_of(owner.get(PATH))
    assert f'href="{PATH}/new"' in text
    assert "hf webhooks create --watch user:olive" in text
    assert f'href="{PATH}" aria-current="page"' in text


def test_a_webhook_is_made_on_the_page(cast: Cast, owner: Client):
    cast.public_repo()
    cast.public_repo("data", "dataset")
    assert 'value="' not in text_of(owner.get(f"{PATH}/new")).partition('id="id_secret"')[2][:50]
    watched = "guild\r\n mira guild/open-model\ndatasets/guild/data"
    answer = owner.post(f"{PATH}/new", fields(watched=watched, secret=SECRET))
    webhook = Webhook.objects.get()
    assert (answer.status_code, answer["Location"]) == (302, f"{PATH}/{webhook.public_id}")
    assert [(one.kind, one.name) for one in webhook.watched.order_by("pk")] == [
        ("org", "guild"), ("user", "mira"), ("model", "guild/open-model"),
        ("dataset", "guild/data"),
    ]  # fmt: skip
    assert (webhook.domains, unseal(webhook.sealed_secret)) == (["repo"], SECRET)
    shown = text_of(owner.get(answer["Location"]))
    assert "hooks.example" in shown
    assert "datasets/guild/data" in shown
    assert "webhook-signature" in shown
    assert SECRET not in shown
    assert "hooks.example" in text_of(owner.get(PATH))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"url": "http://127.0.0.2:8000/"}, "private network"),
        ({"url": "ftp://x.example/"}, "https://"),
        ({"url": "http://me:pw@x.example/"}, "password"),
        ({"url": ""}, "required"),
        ({"watched": ""}, "required"),
        ({"watched": "guild guild/none nobody <b>x</b>"}, "guild/none, nobody, <b>x</b>"),
        ({"watched": "guild/secret-model"}, "guild/secret-model"),
        ({"watched": "a " * 51}, "50"),
        ({"hears_repos": ""}, "Choose what"),
        ({"secret": "schlüssel"}, "ASCII"),
        ({"secret": " padded "}, "ASCII"),
    ],
)
def test_a_refused_form_says_why_and_keeps_what_was_typed(
    cast: Cast, change: dict[str, str], said: str
):
    cast.private_repo()
    answer = cast.web_client("stranger").post(f"{PATH}/new", fields(**change))
    assert answer.status_code == 422
    assert said in text_of(answer)
    assert b"<b>x</b>" not in answer.content
    assert not Webhook.objects.exists()


def test_a_webhook_is_changed_and_its_secret_kept_or_taken_away(cast: Cast, owner: Client):
    webhook = make_webhook(cast.owner, "user:mira", secret=SECRET)
    path = f"{PATH}/{webhook.public_id}"
    form = text_of(owner.get(f"{path}/edit"))
    assert "https://hooks.example/in" in form
    assert SECRET not in form
    assert owner.post(f"{path}/edit", fields(url="https://new.example/")).status_code == 302
    webhook.refresh_from_db()
    assert (webhook.url, unseal(webhook.sealed_secret)) == ("https://new.example/", SECRET)
    refused = owner.post(f"{path}/edit", fields(url="http://10.0.0.1/", no_secret="on"))
    assert refused.status_code == 422
    webhook.refresh_from_db()
    assert (webhook.url, unseal(webhook.sealed_secret)) == ("https://new.example/", SECRET)
    owner.post(f"{path}/edit", fields(no_secret="on"))
    webhook.refresh_from_db()
    assert webhook.sealed_secret == ""


def test_a_test_is_sent_shown_and_sent_again(cast: Cast, owner: Client, receiver: Receiver):
    webhook = make_webhook(cast.owner, "user:mira", url=receiver.url)
    path = f"{PATH}/{webhook.public_id}"
    receiver.answers(500, b"<script>alert(1)</script>")
    sent = owner.post(f"{path}/test")
    waiting = owner.get(sent["Location"])
    assert 'hx-trigger="every 2s"' in text_of(waiting)
    deliver_webhook(webhook_id=webhook.pk)
    part = owner.get(sent["Location"], headers={"hx-request": "true"})
    assert b"hx-trigger" not in part.content
    assert b"<html" not in part.content
    text = text_of(part)
    assert '"scope": "test"' in text
    assert "did not answer with a status from 200 to 299" in text
    assert b"<script>alert(1)" not in owner.get(sent["Location"]).content
    assert "http://" in text_of(owner.get(path))
    again = owner.post(f"{sent['Location']}/send-again")
    assert again.status_code == 302
    assert again["Location"] != sent["Location"]
    assert webhook.deliveries.count() == 2


def test_a_webhook_is_switched_off_and_on_and_deleted_by_its_name(cast: Cast, owner: Client):
    webhook = make_webhook(cast.owner, "user:mira")
    path = f"{PATH}/{webhook.public_id}"
    owner.post(f"{path}/switch", {"to": "off"})
    shown = text_of(owner.get(path))
    assert "Switched off" in shown
    assert f"{path}/test" not in shown
    assert owner.post(f"{path}/test").status_code == 409
    owner.post(f"{path}/switch", {"to": "on"})
    assert "Active" in text_of(owner.get(path))
    owner.post(f"{path}/delete", {"confirm": "wrong"})
    assert Webhook.objects.exists()
    assert owner.post(f"{path}/delete", {"confirm": "hooks.example"})["Location"] == PATH
    assert not Webhook.objects.exists()


def test_why_it_was_switched_off_is_shown(cast: Cast, owner: Client):
    webhook = make_webhook(cast.owner, "user:mira")
    disable_webhook(webhook=webhook, reason=DisabledReason.FAILING, acting_user=None)
    for path in (PATH, f"{PATH}/{webhook.public_id}"):
        assert "failed too often" in text_of(owner.get(path))


@pytest.mark.parametrize("role", ROLES)
def test_the_pages_are_their_owners_alone(cast: Cast, role: str):
    webhook = make_webhook(cast.owner, "user:mira")
    delivery = send_test(webhook=webhook)
    path = f"{PATH}/{webhook.public_id}"
    one = f"{path}/deliveries/{delivery.public_id}"
    client = cast.web_client(role)
    for page in (path, f"{path}/edit", one):
        status = client.get(page).status_code
        assert status == {"owner": 200, "anonymous": 302}.get(role, 404), page
    if role != "owner":
        for action in ("edit", "switch", "test", "delete"):
            assert client.post(f"{path}/{action}").status_code in {302, 404}
        assert client.post(f"{one}/send-again").status_code in {302, 404}
        assert (Webhook.objects.count(), webhook.deliveries.count()) == (1, 1)


def test_a_long_list_of_deliveries_costs_few_queries(
    cast: Cast, owner: Client, django_assert_max_num_queries: Any
):
    webhook = make_webhook(cast.owner, "user:mira", "org:guild")
    for _ in range(30):
        send_test(webhook=webhook)
    with django_assert_max_num_queries(9):
        text = text_of(owner.get(f"{PATH}/{webhook.public_id}"))
    assert "?page=2" in text
