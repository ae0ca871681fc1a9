"""A machine logs in: it asks for a code, its user allows it in a browser, it fetches its tokens.

Source: RFC 8628 (device authorisation), RFC 9700, section 4.14 (rotation of refresh tokens).

What decides and what refuses are kept apart: a refusal that changes something (a question that came
too early, a stolen refresh token) is raised after its transaction, not inside.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from hub import oauth
from hub.actions.audit import record
from hub.actions.tokens import check_token, create_token, revoke_login
from hub.auth import digest_of
from hub.errors import Conflict
from hub.models import (
    AccessToken,
    DeviceLogin,
    DeviceRequest,
    DeviceState,
    DeviceToken,
    User,
)
from hub.rates import Address, take
from hub.storable import storable_text

ALPHABET = "BCDFGHJKLMNPQRSTVWXZ"
"""Of user codes: no vowels, so no words; no digits, so nothing to mistake. Eight have 34 bits."""
CODE_CHARS = 8
INTERVAL_S = 5
"""How long a machine waits between two questions."""
OVERLAP = timedelta(days=1)
"""How long an access token works after its successor was fetched: work under way may hold it."""
_KEPT = timedelta(days=1)
_EARLY_S = 1.0
"""Networks are not even; a question may be that much early."""


@dataclass(frozen=True)
class NewDeviceCode:
    """A request just made; `device_code` exists nowhere else."""

    request: DeviceRequest
    device_code: str


@dataclass(frozen=True)
class IssuedTokens:
    """Texts that exist nowhere else."""

    access_token: str
    refresh_token: str
    expires_in_s: int
    scope: str


def ask_for_login(*, client_id: str, agent: str, address: str | None) -> NewDeviceCode:
    """A code for a machine that wants to log in.

    Raises:
        InvalidRequest: no client id, or one that cannot be stored.
        RateLimited: too many from this address.
    """
    if not client_id or len(client_id) > 100 or client_id != storable_text(client_id):
        raise oauth.InvalidRequest("“client_id” must be a text of 1 to 100 characters.")
    take("login_code", Address(address))
    device_code = secrets.token_urlsafe(32)
    request = DeviceRequest.objects.create(
        device_digest=digest_of(device_code),
        user_code=_free_user_code(),
        client_id=client_id,
        agent=storable_text(agent)[:300],
        address=address,
        expires_at=timezone.now() + timedelta(seconds=settings.DEVICE_CODE_LIFETIME_S),
    )
    return NewDeviceCode(request, device_code)


def _free_user_code() -> str:
    while True:
        code = "".join(secrets.choice(ALPHABET) for _ in range(CODE_CHARS))
        if not DeviceRequest.objects.filter(user_code=code).exists():
            return code


def allow_device(*, request: DeviceRequest, user: User, name: str, scope: str) -> None:
    """Lets the machine act for `user`, with a token called `name`; it fetches it by itself.

    Raises:
        InvalidInput: the name or the scope is none.
        RateLimited: the user has made too many tokens.
        Conflict: the request was answered, or has expired.
    """
    check_token(name, scope, [])
    take("token", user)
    _answer(request, user, state=DeviceState.ALLOWED, scope=scope, token_name=name.strip())


def deny_device(*, request: DeviceRequest, user: User) -> None:
    """Turns the machine away. Raises `Conflict` where the request was answered or has expired."""
    _answer(request, user, state=DeviceState.DENIED)


def _answer(
    request: DeviceRequest,
    user: User,
    *,
    state: DeviceState,
    scope: str = "",
    token_name: str = "",
) -> None:
    with transaction.atomic():
        open_ones = DeviceRequest.objects.filter(
            pk=request.pk, state=DeviceState.WAITING, expires_at__gt=timezone.now()
        )
        if not open_ones.update(state=state, user=user, scope=scope, token_name=token_name):
            raise Conflict("This code has been used already, or has expired. Start again.")
        record(verb=f"device.{state}", actor=user, target=request.address or "", scope=scope)


def redeem_device_code(*, device_code: str, client_id: str) -> IssuedTokens:
    """The tokens of a machine that its user has allowed; once.

    Raises:
        AuthorizationPending, SlowDown, ExpiredCode, AccessDenied, InvalidGrant
    """
    with transaction.atomic():
        rows = DeviceRequest.objects.select_for_update(of=("self",)).select_related("user")
        request = rows.filter(device_digest=digest_of(device_code), client_id=client_id).first()
        refusal = oauth.InvalidGrant() if request is None else _refusal(request)
        if request is not None and refusal is None:
            return _first_tokens(request)
    assert refusal is not None
    raise refusal


def _refusal(request: DeviceRequest) -> oauth.OAuthRefusal | None:
    """Why the machine gets nothing now; notes when it asked."""
    if request.state == DeviceState.DENIED:
        return oauth.AccessDenied()
    if request.is_expired:
        return oauth.ExpiredCode()
    if request.user is not None:
        return None if request.user.is_active else oauth.AccessDenied()
    now, last = timezone.now(), request.polled_at
    DeviceRequest.objects.filter(pk=request.pk).update(polled_at=now)
    if last is not None and (now - last).total_seconds() < INTERVAL_S - _EARLY_S:
        return oauth.SlowDown()
    return oauth.AuthorizationPending()


def _first_tokens(request: DeviceRequest) -> IssuedTokens:
    assert request.user is not None
    login = DeviceLogin.objects.create(
        user=request.user,
        client_id=request.client_id,
        agent=request.agent,
        address=request.address,
    )
    name, scope = request.token_name, request.scope
    request.delete()
    return _issue(login, name=name, scope=scope)


def refresh_tokens(*, refresh_token: str, client_id: str) -> IssuedTokens:
    """The next tokens of a machine.

    A refresh token that comes a second time has been copied: the whole login ends.

    Raises:
        InvalidGrant: unknown, used, revoked, expired, or of somebody who is no longer let in.
    """
    with transaction.atomic():
        rows = DeviceToken.objects.select_for_update(of=("self",)).select_related("login__user")
        found = rows.filter(
            refresh_digest=digest_of(refresh_token), login__client_id=client_id
        ).first()
        if found is not None and found.used_at is None and _may_go_on(found):
            return _next_tokens(found)
        if found is not None and found.used_at is not None:
            _end_copied(found.login)
    raise oauth.InvalidGrant


def _may_go_on(token: DeviceToken) -> bool:
    return token.expires_at > timezone.now() and token.login.user.is_active


def _next_tokens(token: DeviceToken) -> IssuedTokens:
    old, now = token.access_token, timezone.now()
    assert old is not None, "an access token takes its unused refresh token along"
    DeviceToken.objects.filter(pk=token.pk).update(used_at=now)
    assert old.expires_at is not None
    old.expires_at = min(old.expires_at, now + OVERLAP)
    old.save(update_fields=["expires_at"])
    return _issue(token.login, name=old.name, scope=old.scope)


def _issue(login: DeviceLogin, *, name: str, scope: str) -> IssuedTokens:
    now, lifetime = timezone.now(), timedelta(days=settings.DEVICE_TOKEN_DAYS)
    made = create_token(
        user=login.user, name=name, scope=scope, expires_at=now + lifetime, is_counted=False
    )
    refresh_token = secrets.token_urlsafe(32)
    DeviceToken.objects.create(
        login=login,
        access_token=made.token,
        refresh_digest=digest_of(refresh_token),
        expires_at=now + lifetime + timedelta(days=settings.DEVICE_LOGIN_DAYS),
    )
    return IssuedTokens(made.text, refresh_token, int(lifetime.total_seconds()), scope)


def _end_copied(login: DeviceLogin) -> None:
    record(verb="device.copied", actor=None, target=str(login), user=login.user.username)
    revoke_login(login)


def sweep_devices() -> None:
    """Removes requests that nobody asks for any more, and access tokens that were replaced."""
    now = timezone.now()
    DeviceRequest.objects.filter(expires_at__lt=now - _KEPT).delete()
    with transaction.atomic():
        old = DeviceToken.objects.filter(used_at__isnull=False, access_token__expires_at__lt=now)
        ids = list(old.values_list("access_token_id", flat=True))
        old.update(access_token=None)
        AccessToken.objects.filter(pk__in=ids).delete()


def free_name(user: User, wanted: str) -> str:
    """`wanted` as a name of a token, numbered where the user has one of that name."""
    taken = set(user.access_tokens.filter(is_internal=False).values_list("name", flat=True))
    names = (wanted[:70] if n == 1 else f"{wanted[:70]} {n}" for n in range(1, len(taken) + 2))
    return next(name for name in names if name not in taken)
