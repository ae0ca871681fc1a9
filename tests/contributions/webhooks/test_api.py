"""The calls of the Hub protocol for webhooks (S32 to S38), and our own for deliveries."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection

from contributions.actions.deliveries import deliver_webhook, send_test
from contributions.actions.webhooks import MAX_WEBHOOKS
from contributions.models import Webhook
from contributions.webhooks.secrets import unseal
from hub.actions.repos import move_repo, update_repo_settings
from hub.actions.tokens import Grant
from hub.models import AuditEntry, TokenScope
from tests.contributions.webhooks.conftest import SECRET, make_webhook
from tests.hub.hfapi.conftest import HubApi
from tests.support.cast import ROLES, Cast
from tests.support.factories import make_token
from tests.support.receiver import Receiver

pytestmark = pytest.mark.django_db
PATH = "/api/settings/webhooks"
URL = "https://hooks.example/in?key=k3y"


def body(**more: Any) -> dict[str, Any]:
    watched = [{"type": "org", "name": "guild"}]
    return {"url": URL, "watched": watched, "domains": ["repo", "discussion"], **more}


@pytest.fixture
def api(cast: Cast) -> HubApi:
    return HubApi(cast.token("owner"))


def test_a_webhook_is_made_read_changed_switched_and_deleted(cast: Cast, api: HubApi):
    cast.public_repo()
    made = api.post(PATH, body(secret=SECRET)).json()["webhook"]
    assert made.pop("secret") == SECRET
    assert made == {
        "id": made["id"],
        "url": URL,
        "watched": [{"type": "org", "name": "guild"}],
        "domains": ["repo", "discussion"],
        "disabled": False,
    }
    one = f"{PATH}/{made['id']}"
    assert api.get(PATH).json() == [made]
    assert api.get(one).json() == {"webhook": made}
    changed = api.post(
        one,
        {"url": "https://other.example/", "domains": ["repo"],
         "watched": [{"type": "model", "name": "GUILD/open-MODEL"}]},
    ).json()["webhook"]  # fmt: skip
    assert changed == {
        **made,
        "url": "https://other.example/",
        "domains": ["repo"],
        "watched": [{"type": "model", "name": "guild/open-model"}],
    }
    assert unseal(Webhook.objects.get().sealed_secret) == SECRET
    assert api.post(f"{one}/disable").json()["webhook"]["disabled"] is True
    assert Webhook.objects.get().disabled_reason == "owner"
    assert api.post(f"{one}/enable").json()["webhook"] == changed
    assert api.send("DELETE", one).status_code == 200
    assert api.get(one).status_code == 404
    assert api.get(PATH).json() == []
    verbs = AuditEntry.objects.filter(verb__startswith="webhook.").order_by("pk")
    assert [entry.verb.partition(".")[2] for entry in verbs] == [
        "created", "updated", "disabled", "enabled", "deleted"
    ]  # fmt: skip
    told = " ".join(f"{entry.target} {entry.details}" for entry in verbs)
    assert "hooks.example" in told
    assert SECRET not in told
    assert "k3y" not in told


def test_what_clients_leave_out_stays(cast: Cast, api: HubApi):
    """The older client sends null, and an empty list for no list."""
    made = api.post(PATH, body(domains=None, secret=None)).json()["webhook"]
    assert made["domains"] == ["repo", "discussion"]
    one = f"{PATH}/{made['id']}"
    for sent in (
        {},
        {"watched": []},
        {"watched": [], "url": None, "domains": None, "secret": None},
    ):
        assert api.post(one, sent).json()["webhook"] == made
    assert api.post(one, {"secret": SECRET}).json()["webhook"]["secret"] == SECRET
    assert "secret" not in api.post(one, {"secret": ""}).json()["webhook"]
    assert Webhook.objects.get().sealed_secret == ""


def test_the_secret_is_in_the_database_only_sealed(cast: Cast, api: HubApi):
    api.post(PATH, body(secret=SECRET))
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM contributions_webhook")
        row = str(cursor.fetchall())
    assert SECRET not in row
    assert unseal(Webhook.objects.get().sealed_secret) == SECRET


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"url": "ftp://x.example/"}, 400, "InvalidInput"),
        ({"url": "http://127.0.0.2/"}, 400, "InvalidInput"),
        ({"url": "http://169.254.169.254/latest/meta-data"}, 400, "InvalidInput"),
        ({"url": "http://2130706434/"}, 400, "InvalidInput"),
        ({"url": "http://[::1]:8000/"}, 400, "InvalidInput"),
        ({"url": "http://a:b@x.example/"}, 400, "InvalidInput"),
        ({"url": "http://x.example:25/"}, 400, "InvalidInput"),
        ({"url": None}, 400, "InvalidInput"),
        ({"url": 7}, 400, "InvalidInput"),
        ({"url": "https://x.example/\u0000"}, 400, "InvalidInput"),
        ({"watched": None}, 400, "InvalidInput"),
        ({"watched": []}, 400, "InvalidInput"),
        ({"watched": "guild"}, 400, "InvalidInput"),
        ({"watched": ["guild"]}, 400, "InvalidInput"),
        ({"watched": [{"type": "org"}]}, 400, "InvalidInput"),
        ({"watched": [{"type": "bucket", "name": "guild/b"}]}, 400, "InvalidInput"),
        ({"watched": [{"type": "model", "name": "guild"}]}, 400, "InvalidInput"),
        ({"watched": [{"type": "model", "name": "guild/none"}]}, 404, "RepoNotFound"),
        ({"watched": [{"type": "user", "name": "guild"}]}, 404, "NotFound"),
        ({"watched": [{"type": "org", "name": "olive"}]}, 404, "NotFound"),
        ({"watched": [{"type": "user", "name": "nobody"}]}, 404, "NotFound"),
        ({"watched": [{"type": "org", "name": "guild"}] * 51}, 400, "InvalidInput"),
        ({"domains": []}, 400, "InvalidInput"),
        ({"domains": ["repo", "billing"]}, 400, "InvalidInput"),
        ({"domains": "repo"}, 400, "InvalidInput"),
        ({"domains": [["repo"]]}, 400, "InvalidInput"),
        ({"secret": "two\nlines"}, 400, "InvalidInput"),
        ({"secret": "schlüssel"}, 400, "InvalidInput"),
        ({"secret": "s" * 257}, 400, "InvalidInput"),
        ({"secret": 5}, 400, "InvalidInput"),
        ({"url": None, "jobSourceId": "abc"}, 501, "NotImplemented"),
    ],
)
def test_bad_input_says_what_is_wrong_and_changes_nothing(
    cast: Cast, api: HubApi, change: dict[str, Any], status: int, code: str
):
    answer = api.post(PATH, body(**change))
    assert (answer.status_code, answer["X-Error-Code"]) == (status, code), answer.content
    assert answer.json()["error"]
    assert not Webhook.objects.exists()
    present = make_webhook(cast.owner, "user:mira", secret=SECRET)
    before = Webhook.objects.values().get()
    changed = api.post(f"{PATH}/{present.public_id}", change)
    says_nothing = change in [{"watched": []}, *({key: None} for key in change)]
    assert changed.status_code == (200 if says_nothing else status), changed.content
    assert Webhook.objects.values().get() == before
    assert present.watched.get().name == "mira"


def test_a_private_repository_can_be_watched_by_its_readers_and_looks_missing_to_others(
    cast: Cast,
):
    cast.private_repo()
    answers = {}
    for role in ROLES:
        api = HubApi(cast.token(role))
        for name in ("secret-model", "no-such-model"):
            watched = [{"type": "model", "name": f"guild/{name}"}]
            answer = api.post(PATH, body(watched=watched))
            text = answer.content.decode().replace(name, "NAME")
            answers[role, name] = (answer.status_code, text)
    for role in ("owner", "member", "reader", "admin"):
        assert answers[role, "secret-model"][0] == 200, role
        assert answers[role, "no-such-model"][0] == 404, role
    for role in ("stranger", "anonymous"):
        assert answers[role, "secret-model"] == answers[role, "no-such-model"], role


def test_a_name_of_old_leads_to_the_repository_of_today(cast: Cast, api: HubApi):
    repo = cast.public_repo()
    move_repo(repo=repo, namespace=repo.namespace, name="renamed", acting_user=cast.owner)
    watched = [{"type": "model", "name": "guild/open-model"}]
    made = api.post(PATH, body(watched=watched)).json()["webhook"]
    assert made["watched"] == [{"type": "model", "name": "guild/renamed"}]


def test_what_is_watched_may_stay_when_it_can_no_longer_be_read(cast: Cast):
    repo = cast.public_repo()
    api = HubApi(cast.token("stranger"))
    watched = [{"type": "model", "name": "guild/open-model"}]
    one = f"{PATH}/{api.post(PATH, body(watched=watched)).json()['webhook']['id']}"
    update_repo_settings(repo=repo, is_private=True, acting_user=cast.owner)
    more = [*watched, {"type": "user", "name": "mira"}]
    assert api.post(one, {"watched": more}).json()["webhook"]["watched"] == more
    assert api.post(one, {"watched": more[1:]}).json()["webhook"]["watched"] == more[1:]
    assert api.post(one, {"watched": more}).status_code == 404


def test_one_may_have_so_many_and_no_more(cast: Cast, api: HubApi):
    Webhook.objects.bulk_create(Webhook(owner=cast.owner, url=URL) for _ in range(MAX_WEBHOOKS))
    assert api.post(PATH, body()).status_code == 409


@pytest.mark.parametrize("role", ROLES)
def test_a_webhook_is_its_owners_alone(cast: Cast, role: str):
    webhook = make_webhook(cast.owner, "user:mira")
    delivery = send_test(webhook=webhook)
    one, ours = f"{PATH}/{webhook.public_id}", f"/api/v1/webhooks/{webhook.public_id}"
    api = HubApi(cast.token(role))
    calls = [
        ("GET", one), ("POST", one), ("POST", f"{one}/disable"), ("POST", f"{one}/enable"),
        ("GET", f"{ours}/deliveries"), ("POST", f"{ours}/test"),
        ("POST", f"{ours}/deliveries/{delivery.public_id}/send-again"), ("DELETE", one),
    ]  # fmt: skip
    expected = {"owner": {200, 202}, "anonymous": {401}}.get(role, {404})
    for method, path in calls:
        answer = api.get(path) if method == "GET" else api.send(method, path)
        assert answer.status_code in expected, (method, path, answer.content)
    listed = api.get(PATH)
    assert listed.status_code == (401 if role == "anonymous" else 200)
    assert role == "anonymous" or listed.json() == []
    assert Webhook.objects.exists() == (role != "owner")


def test_tokens_that_reach_less_than_their_user(cast: Cast):
    repo = cast.private_repo()
    webhook = make_webhook(cast.owner, "user:mira")
    one = f"{PATH}/{webhook.public_id}"
    reading = HubApi(cast.token("owner", TokenScope.READ))
    chosen = HubApi(
        make_token(cast.owner, scope=TokenScope.FINE_GRAINED, grants=(Grant(repo, True),))
    )
    assert reading.get(PATH).status_code == reading.get(one).status_code == 200
    assert chosen.get(PATH).status_code == chosen.get(one).status_code == 403
    test = f"/api/v1/webhooks/{webhook.public_id}/test"
    changes = [("POST", path) for path in (PATH, one, f"{one}/disable", test)]
    for api in (reading, chosen):
        for method, path in [*changes, ("DELETE", one)]:
            assert api.send(method, path, body()).status_code == 403, (method, path)
    assert Webhook.objects.get().url == webhook.url


def test_a_session_changes_nothing_here(cast: Cast):
    """No other site can make a browser do this."""
    answer = cast.web_client("owner").post(PATH, body(), content_type="application/json")
    assert answer.status_code == 401
    assert not Webhook.objects.exists()


def test_deliveries_are_listed_in_pages_and_sent_again(cast: Cast, api: HubApi, receiver: Receiver):
    webhook = make_webhook(cast.owner, "user:mira", url=receiver.url, secret=SECRET)
    for _ in range(51):
        send_test(webhook=webhook)
    deliver_webhook(webhook_id=webhook.pk)
    path = f"/api/v1/webhooks/{webhook.public_id}/deliveries"
    first = api.get(path).json()
    assert len(first["items"]) == 50
    rest = api.get(f"{path}?cursor={first['next_cursor']}").json()
    assert (len(rest["items"]), rest["next_cursor"]) == (1, None)
    item = first["items"][0]
    assert (item["state"], item["status_code"], item["response"]) == ("delivered", 200, "thanks")
    assert '"scope": "test"' in item["payload"]
    assert SECRET not in str(first)
    again = api.post(f"{path}/{item['id']}/send-again")
    assert (again.status_code, again.json()["event_id"]) == (202, item["event_id"])
    deliver_webhook(webhook_id=webhook.pk)
    assert receiver.calls[-1].body == item["payload"].encode()
    assert api.get(f"{path}?cursor=nothing").status_code == 404
    api.post(f"{PATH}/{webhook.public_id}/disable")
    refused = api.post(f"{path}/{item['id']}/send-again")
    assert (refused.status_code, refused["X-Error-Code"]) == (409, "Conflict")
