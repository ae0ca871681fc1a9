"""How often somebody may do something: the counts, what is answered, and whose address counts."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.cache import cache
from django.core.exceptions import ImproperlyConfigured
from django.test import Client, RequestFactory
from huggingface_hub.utils import parse_ratelimit_headers

from config.env import rate
from hub import rates
from hub.addresses import client_address, network_of
from hub.errors import RateLimited
from hub.models import User
from hub.rates import Address, take
from tests.support.factories import make_user


@pytest.fixture
def clock(settings: Any, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time that counts, 100 s into a window of ten minutes; two are allowed in it."""
    cache.clear()
    settings.RATE_LIMITS = {"thing": (2, 600), "other": (2, 600)}
    now = [600_000_100.0]
    monkeypatch.setattr(rates.time, "time", lambda: now[0])
    return now


def test_so_many_in_a_window_and_no_more(clock: list[float]) -> None:
    one, other = Address("203.0.113.7"), Address("203.0.113.8")
    take("thing", one)
    take("thing", one)
    for _ in range(2):
        with pytest.raises(RateLimited) as refused:
            take("thing", one)
    assert refused.value.details == {
        "limit": "thing", "amount": 2, "window_s": 600, "retry_after_s": 500
    }  # fmt: skip
    take("thing", other)
    take("other", one)
    clock[0] += 500
    take("thing", one)


def test_what_has_no_limit_is_not_counted(clock: list[float]) -> None:
    for _ in range(5):
        take("nothing", Address(None))


@pytest.mark.django_db
def test_users_are_counted_and_maintainers_are_not(clock: list[float]) -> None:
    person, admin = make_user("perla"), make_user("ada", is_maintainer=True)
    for _ in range(2):
        take("thing", person)
    with pytest.raises(RateLimited):
        take("thing", person)
    for _ in range(5):
        take("thing", admin)


def test_without_a_cache_nothing_is_limited(clock: list[float], settings: Any) -> None:
    backend = "django.core.cache.backends.redis.RedisCache"
    settings.CACHES = {"default": {"BACKEND": backend, "LOCATION": "redis://127.0.0.1:1/0"}}
    for _ in range(5):
        take("thing", Address("203.0.113.7"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("30/h", (30, 3600)),
        ("5/10m", (5, 600)),
        ("1/s", (1, 1)),
        ("7/2d", (7, 172_800)),
        ("0", None),
    ],
)
def test_limits_are_read(
    monkeypatch: pytest.MonkeyPatch, text: str, expected: tuple[int, int] | None
) -> None:
    monkeypatch.setenv("RATE_X", text)
    assert rate("RATE_X", default="1/h") == expected


@pytest.mark.parametrize("text", ["", "30", "30/x", "0/h", "-1/h", "1/0h", "30/h "])
def test_a_limit_that_is_none_stops_the_start(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("RATE_X", text)
    with pytest.raises(ImproperlyConfigured):
        rate("RATE_X", default="1/h")


@pytest.mark.django_db
def test_sign_up_is_limited_by_address_in_the_form_that_clients_read(settings: Any) -> None:
    cache.clear()
    settings.RATE_LIMITS = {"signup": (1, 3600)}
    client, other = Client(REMOTE_ADDR="203.0.113.7"), Client(REMOTE_ADDR="203.0.113.8")
    assert client.get("/accounts/signup/").status_code == 200
    assert client.post("/accounts/signup/", {"username": "x"}).status_code == 200
    data = {"username": "newcomer", "email": "n@example.org", "password1": "a-Long-secret-4"}
    refused = client.post("/accounts/signup/", data)
    assert refused.status_code == 429
    assert "You can go on in" in refused.content.decode()
    told = parse_ratelimit_headers(refused.headers)
    assert told is not None
    assert (told.resource_type, told.remaining, told.limit) == ("signup", 0, 1)
    assert told.window_seconds == 3600
    assert refused["Retry-After"] == str(told.reset_in_seconds)
    assert not User.objects.exists()
    assert client.get("/accounts/signup/").status_code == 200
    assert other.post("/accounts/signup/", data).status_code == 302
    assert User.objects.filter(username="newcomer").exists()


# --- Addresses -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("proxies", "forwarded", "expected"),
    [
        (0, "198.51.100.1", "10.0.0.1"),
        (1, "", "10.0.0.1"),
        (1, "198.51.100.1", "198.51.100.1"),
        (1, "6.6.6.6, 198.51.100.1", "198.51.100.1"),
        (2, "6.6.6.6, 198.51.100.1, 10.0.0.2", "198.51.100.1"),
        (2, "198.51.100.1", "198.51.100.1"),
        (1, "[2001:db8::1]:443", "2001:db8::1"),
        (1, "198.51.100.1:5000", "198.51.100.1"),
        (1, "::ffff:198.51.100.1", "198.51.100.1"),
        (1, "nonsense", None),
    ],
)
def test_only_our_own_proxies_are_believed(
    settings: Any, proxies: int, forwarded: str, expected: str | None
) -> None:
    settings.TRUSTED_PROXIES = proxies
    headers = {"x-forwarded-for": forwarded} if forwarded else {}
    request = RequestFactory().get("/", REMOTE_ADDR="10.0.0.1", headers=headers)
    assert client_address(request) == expected


def test_neighbours_of_one_ipv6_customer_count_as_one() -> None:
    assert network_of("2001:db8::1") == network_of("2001:db8::2:3:4")
    assert network_of("2001:db8::1") != network_of("2001:db8:0:1::1")
    assert network_of("198.51.100.1") != network_of("198.51.100.2")
    assert network_of(None) == "unknown"
