"""A machine logs in through the browser: the codes, the page, the tokens and what ends them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from hub.actions import devices
from hub.auth import digest_of, find_token
from hub.devices import program_of, read_code
from hub.errors import InvalidToken
from hub.hfapi.views.oauth import DEVICE_CODE_GRANT
from hub.models import (
    AccessToken,
    AuditEntry,
    DeviceLogin,
    DeviceRequest,
    DeviceToken,
    TokenScope,
    User,
)
from tests.support.cast import ROLES, Cast
from tests.support.factories import make_token

HF = {"client_id": "26be6b09-91c5-47da-9861-d2d2bb7a7e36"}
AGENT = "python-httpx2/2.3.0"

pytestmark = pytest.mark.django_db


@pytest.fixture
def machine() -> Client:
    """Whoever asks: no session, no token, an address of its own."""
    return Client(REMOTE_ADDR="203.0.113.7", headers={"user-agent": AGENT})


def ask(machine: Client) -> dict[str, Any]:
    answer = machine.post("/oauth/device", HF)
    assert answer.status_code == 200, answer.content
    return answer.json()


def poll(machine: Client, asked: dict[str, Any], **changes: str) -> Any:
    data = {"grant_type": DEVICE_CODE_GRANT, "device_code": asked["device_code"], **HF}
    return machine.post("/oauth/token", data | changes)


def refresh(machine: Client, refresh_token: str, **changes: str) -> Any:
    data = {"grant_type": "refresh_token", "refresh_token": refresh_token, **HF}
    return machine.post("/oauth/token", data | changes)


def allow(client: Client, asked: dict[str, Any], **changes: str) -> Any:
    data = {"user_code": asked["user_code"], "answer": "allow", "scope": "write", "name": "laptop"}
    return client.post("/device", data | changes)


def error_of(answer: Any) -> str:
    assert answer.status_code == 400, answer.content
    assert answer.json()["error_description"]
    return answer.json()["error"]


def logged_in(machine: Client, client: Client) -> dict[str, Any]:
    asked = ask(machine)
    assert allow(client, asked).status_code == 200
    answer = poll(machine, asked)
    assert answer.status_code == 200, answer.content
    return answer.json()


def whoami(token: str) -> Any:
    return Client(headers={"authorization": f"Bearer {token}"}).get("/api/whoami-v2")


def test_a_machine_asks_its_user_allows_and_it_gets_an_ordinary_token(
    cast: Cast, machine: Client
) -> None:
    asked = ask(machine)
    assert asked["verification_uri"] == "http://testserver/device"
    assert asked["verification_uri_complete"].endswith(f"/device?user_code={asked['user_code']}")
    assert error_of(poll(machine, asked)) == "authorization_pending"
    browser = cast.web_client("stranger")
    page = browser.get(f"/device?user_code={asked['user_code']}").content.decode()
    for shown in (asked["user_code"], "203.0.113.7", f"huggingface_hub ({AGENT})"):
        assert shown in page
    done = allow(browser, asked, name="my laptop")
    assert "my laptop" in done.content.decode()
    answer = poll(machine, asked)
    assert answer["Cache-Control"] == "no-store"
    issued = answer.json()
    assert issued["token_type"] == "bearer"
    assert issued["expires_in"] == 30 * 24 * 3600
    who = whoami(issued["access_token"]).json()
    assert who["name"] == "sten"
    assert who["auth"]["accessToken"]["displayName"] == "my laptop"
    assert who["auth"]["accessToken"]["role"] == "write"
    token = find_token(issued["access_token"])
    assert token.expires_at is not None
    assert 29 < (token.expires_at - timezone.now()).days + 1 <= 30
    listed = browser.get("/settings/tokens").content.decode()
    assert "my laptop" in listed
    assert "203.0.113.7" in listed
    assert not DeviceRequest.objects.exists()


def test_codes_are_kept_as_digests_and_work_once(cast: Cast, machine: Client) -> None:
    asked = ask(machine)
    row = DeviceRequest.objects.get()
    assert row.device_digest == digest_of(asked["device_code"])
    assert asked["device_code"] not in str(row.__dict__)
    assert set(row.user_code) <= set(devices.ALPHABET)
    allow(cast.web_client("stranger"), asked)
    issued = poll(machine, asked).json()
    stored = DeviceToken.objects.get()
    assert stored.refresh_digest == digest_of(issued["refresh_token"])
    assert error_of(poll(machine, asked)) == "invalid_grant"
    assert AccessToken.objects.filter(user=cast.stranger).count() == 1


def test_a_code_is_read_as_people_type_it(cast: Cast, machine: Client) -> None:
    asked = ask(machine)
    typed = asked["user_code"].lower().replace("-", " ")
    page = cast.web_client("stranger").post("/device", {"user_code": typed})
    assert asked["user_code"] in page.content.decode()
    assert read_code(" bcdf–ghjk ") == "BCDFGHJK"
    assert program_of("another", "curl/8") == "curl/8"


def test_a_refusal_reaches_the_machine(cast: Cast, machine: Client) -> None:
    asked = ask(machine)
    client = cast.web_client("stranger")
    client.post("/device", {"user_code": asked["user_code"], "answer": "deny"})
    for _ in range(2):
        assert error_of(poll(machine, asked)) == "access_denied"
    assert allow(client, asked).status_code == 422, "what was answered stays answered"
    assert not AccessToken.objects.filter(user=cast.stranger).exists()


@pytest.mark.parametrize("state", ["waiting", "allowed"])
def test_an_old_code_is_worth_nothing(cast: Cast, machine: Client, state: str) -> None:
    asked = ask(machine)
    client = cast.web_client("stranger")
    if state == "allowed":
        allow(client, asked)
    DeviceRequest.objects.update(expires_at=timezone.now())
    assert error_of(poll(machine, asked)) == "expired_token"
    assert allow(client, asked).status_code == 422
    assert not AccessToken.objects.filter(user=cast.stranger).exists()
    DeviceRequest.objects.update(expires_at=timezone.now() - timedelta(days=2))
    devices.sweep_devices()
    assert error_of(poll(machine, asked)) == "invalid_grant"


def test_who_asks_too_often_is_told_to_slow_down(cast: Cast, machine: Client) -> None:
    asked = ask(machine)
    assert error_of(poll(machine, asked)) == "authorization_pending"
    assert error_of(poll(machine, asked)) == "slow_down"
    early = timezone.now() - timedelta(seconds=devices.INTERVAL_S - 0.5)
    DeviceRequest.objects.update(polled_at=early)
    assert error_of(poll(machine, asked)) == "authorization_pending", "networks are not even"
    allow(cast.web_client("stranger"), asked)
    assert poll(machine, asked).status_code == 200, "what is allowed is given at once"


@pytest.mark.parametrize(
    ("data", "error"),
    [
        ({}, "invalid_request"),
        (HF, "unsupported_grant_type"),
        ({"grant_type": "password", **HF}, "unsupported_grant_type"),
        ({"grant_type": DEVICE_CODE_GRANT, **HF}, "invalid_request"),
        ({"grant_type": DEVICE_CODE_GRANT, "device_code": "x"}, "invalid_request"),
        ({"grant_type": DEVICE_CODE_GRANT, "device_code": "x\x00é", **HF}, "invalid_grant"),
        ({"grant_type": "refresh_token", **HF}, "invalid_request"),
        ({"grant_type": "refresh_token", "refresh_token": "x", **HF}, "invalid_grant"),
    ],
)
def test_a_bad_question_is_answered_in_the_words_of_oauth(
    machine: Client, data: dict[str, str], error: str
) -> None:
    assert error_of(machine.post("/oauth/token", data)) == error


@pytest.mark.parametrize("client_id", ["", "x" * 101, "a\x00b"])
def test_a_client_must_name_itself(machine: Client, client_id: str) -> None:
    assert error_of(machine.post("/oauth/device", {"client_id": client_id})) == "invalid_request"
    assert not DeviceRequest.objects.exists()


def test_codes_belong_to_the_client_that_asked(cast: Cast, machine: Client) -> None:
    asked = ask(machine)
    allow(cast.web_client("stranger"), asked)
    assert error_of(poll(machine, asked, client_id="other")) == "invalid_grant"
    issued = poll(machine, asked).json()
    assert error_of(refresh(machine, issued["refresh_token"], client_id="other")) == "invalid_grant"
    assert refresh(machine, issued["refresh_token"]).status_code == 200


# --- The page --------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ROLES)
def test_everybody_answers_for_themselves(cast: Cast, machine: Client, role: str) -> None:
    asked = ask(machine)
    client = cast.web_client(role)
    page = client.get(f"/device?user_code={asked['user_code']}")
    answered = allow(client, asked)
    if role == "anonymous":
        assert page["Location"].startswith("/accounts/login/?next=/device%3Fuser_code%3D")
        assert answered.status_code == 302
        assert error_of(poll(machine, asked)) == "authorization_pending"
        return
    issued = poll(machine, asked).json()
    assert find_token(issued["access_token"]).user == cast.user(role)


def test_an_access_token_cannot_answer(cast: Cast, machine: Client) -> None:
    asked = ask(machine)
    assert allow(cast.api_client("stranger"), asked).status_code == 302
    assert error_of(poll(machine, asked)) == "authorization_pending"


def test_another_site_cannot_answer(cast: Cast, machine: Client) -> None:
    asked = ask(machine)
    client = Client(enforce_csrf_checks=True)
    client.force_login(cast.stranger, backend="django.contrib.auth.backends.ModelBackend")
    assert allow(client, asked).status_code == 403
    assert error_of(poll(machine, asked)) == "authorization_pending"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "x" * 81}, "name"),
        ({"name": "mine"}, "name"),
        ({"scope": "fine-grained"}, "scope"),
        ({"scope": ""}, "scope"),
    ],
)
def test_the_page_refuses_what_no_token_can_have(
    cast: Cast, machine: Client, changes: dict[str, str], field: str
) -> None:
    make_named(cast.stranger, "mine")
    asked = ask(machine)
    answer = allow(cast.web_client("stranger"), asked, **changes)
    assert answer.status_code == 422
    assert field in answer.context["form"].errors
    assert error_of(poll(machine, asked)) == "authorization_pending"


def make_named(user: User, name: str) -> None:
    make_token(user)
    AccessToken.objects.filter(user=user).update(name=name)


def test_the_name_that_is_offered_is_free(cast: Cast, machine: Client) -> None:
    make_named(cast.stranger, "Login from 203.0.113.7")
    asked = ask(machine)
    page = cast.web_client("stranger").get(f"/device?user_code={asked['user_code']}")
    assert page.context["form"].initial["name"] == "Login from 203.0.113.7 2"


def test_what_a_client_says_of_itself_is_text(cast: Cast) -> None:
    hostile = Client(headers={"user-agent": "<script>alert(1)</script>"})
    asked = ask(hostile)
    page = cast.web_client("stranger").get(f"/device?user_code={asked['user_code']}")
    assert b"<script>alert" not in page.content
    assert b"&lt;script&gt;" in page.content


def test_a_reading_machine_may_only_read(cast: Cast, machine: Client) -> None:
    asked = ask(machine)
    allow(cast.web_client("stranger"), asked, scope="read")
    issued = poll(machine, asked).json()
    assert issued["scope"] == TokenScope.READ
    assert find_token(issued["access_token"]).scope == TokenScope.READ


def test_a_disabled_user_lets_nobody_in(cast: Cast, machine: Client) -> None:
    asked = ask(machine)
    allow(cast.web_client("stranger"), asked)
    User.objects.filter(pk=cast.stranger.pk).update(is_active=False)
    assert error_of(poll(machine, asked)) == "access_denied"
    assert not AccessToken.objects.filter(user=cast.stranger).exists()


# --- The next tokens -------------------------------------------------------------------------


def test_a_machine_fetches_its_next_token(cast: Cast, machine: Client) -> None:
    browser = cast.web_client("stranger")
    first = logged_in(machine, browser)
    second = refresh(machine, first["refresh_token"]).json()
    assert second["access_token"] != first["access_token"]
    assert second["refresh_token"] != first["refresh_token"]
    assert whoami(second["access_token"]).json()["auth"]["accessToken"]["displayName"] == "laptop"
    old = find_token(first["access_token"])
    assert old.expires_at is not None
    assert old.expires_at <= timezone.now() + devices.OVERLAP
    shown = browser.get("/settings/tokens").context["tokens"]
    assert [token.pk for token in shown] == [find_token(second["access_token"]).pk]
    AccessToken.objects.filter(pk=old.pk).update(expires_at=timezone.now())
    devices.sweep_devices()
    assert not AccessToken.objects.filter(pk=old.pk).exists()
    assert whoami(second["access_token"]).status_code == 200


@pytest.mark.parametrize("is_swept", [False, True])
def test_a_copied_refresh_token_ends_the_login(cast: Cast, machine: Client, is_swept: bool) -> None:
    first = logged_in(machine, cast.web_client("stranger"))
    second = refresh(machine, first["refresh_token"]).json()
    other = make_token(cast.stranger)
    if is_swept:
        old = AccessToken.objects.filter(device__used_at__isnull=False)
        old.update(expires_at=timezone.now())
        devices.sweep_devices()
    assert error_of(refresh(machine, first["refresh_token"])) == "invalid_grant"
    assert whoami(second["access_token"]).status_code == 401
    assert whoami(first["access_token"]).status_code == 401
    assert error_of(refresh(machine, second["refresh_token"])) == "invalid_grant"
    assert not DeviceLogin.objects.exists()
    assert whoami(other).status_code == 200, "other tokens of the user go on"
    assert AuditEntry.objects.filter(verb="device.copied").count() == 1


def test_a_revoked_token_has_no_successor(cast: Cast, machine: Client) -> None:
    browser = cast.web_client("stranger")
    first = logged_in(machine, browser)
    second = refresh(machine, first["refresh_token"]).json()
    token_id = find_token(second["access_token"]).pk
    assert browser.post(f"/settings/tokens/{token_id}/revoke").status_code == 302
    assert error_of(refresh(machine, second["refresh_token"])) == "invalid_grant"
    for gone in (first, second):
        with pytest.raises(InvalidToken):
            find_token(gone["access_token"])
    assert not DeviceToken.objects.exists()


def test_a_machine_that_was_away_too_long_asks_again(cast: Cast, machine: Client) -> None:
    first = logged_in(machine, cast.web_client("stranger"))
    DeviceToken.objects.update(expires_at=timezone.now())
    assert error_of(refresh(machine, first["refresh_token"])) == "invalid_grant"
    assert whoami(first["access_token"]).status_code == 200, "until its own end"


def test_a_disabled_user_gets_no_next_token(cast: Cast, machine: Client) -> None:
    first = logged_in(machine, cast.web_client("stranger"))
    User.objects.filter(pk=cast.stranger.pk).update(is_active=False)
    assert error_of(refresh(machine, first["refresh_token"])) == "invalid_grant"
    assert AccessToken.objects.filter(user=cast.stranger).count() == 1


# --- How often -------------------------------------------------------------------------------


@pytest.fixture
def limits(settings: Any) -> dict[str, tuple[int, int]]:
    cache.clear()
    settings.RATE_LIMITS = {
        "login_code": (2, 3600), "login_poll": (2, 60), "login_try": (2, 3600), "token": (1, 3600),
    }  # fmt: skip
    return settings.RATE_LIMITS


def test_codes_are_not_given_without_end(machine: Client, limits: Any) -> None:
    ask(machine)
    ask(machine)
    refused = machine.post("/oauth/device", HF)
    assert refused.status_code == 429
    assert refused.json()["error"] == "slow_down"
    assert 0 < int(refused["Retry-After"]) <= 3600
    assert DeviceRequest.objects.count() == 2
    ask(Client(REMOTE_ADDR="203.0.113.8"))


def test_questions_are_counted_as_slow_down(machine: Client, limits: Any) -> None:
    asked = ask(machine)
    answers = [poll(machine, asked) for _ in range(3)]
    assert [answer.json()["error"] for answer in answers] == [
        "authorization_pending", "slow_down", "slow_down"
    ]  # fmt: skip
    assert [answer.status_code for answer in answers] == [400, 400, 429]


def test_codes_cannot_be_guessed_on_the_page(cast: Cast, machine: Client, limits: Any) -> None:
    client = cast.web_client("stranger")
    for _ in range(2):
        assert client.post("/device", {"user_code": "BBBB-BBBB"}).status_code == 422
    asked = ask(machine)
    refused = allow(client, asked)
    assert refused.status_code == 429
    assert "Retry-After" in refused
    assert error_of(poll(machine, asked)) == "authorization_pending"
    assert allow(cast.web_client("member"), asked).status_code == 200


def test_tokens_are_not_made_without_end(cast: Cast, machine: Client, limits: Any) -> None:
    client = cast.web_client("stranger")
    client.post("/settings/tokens", {"name": "one", "scope": "read", "lifetime": "30"})
    asked = ask(machine)
    assert allow(client, asked).status_code == 429
    assert error_of(poll(machine, asked)) == "authorization_pending"
    two = client.post("/settings/tokens", {"name": "two", "scope": "read", "lifetime": "30"})
    assert two.status_code == 429
    assert AccessToken.objects.filter(user=cast.stranger).count() == 1
