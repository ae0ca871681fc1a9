"""Access tokens."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from hub.actions.audit import record
from hub.auth import digest_of
from hub.errors import InvalidInput
from hub.models import (
    AccessToken,
    DeviceLogin,
    DeviceToken,
    Repo,
    TokenGrant,
    TokenScope,
    User,
)
from hub.rates import take

TOKEN_PREFIX = "mg_"


@dataclass(frozen=True)
class NewToken:
    """A token just made; `text` exists nowhere else."""

    token: AccessToken
    text: str


@dataclass(frozen=True)
class Grant:
    repo: Repo
    can_write: bool = False


def create_token(
    *,
    user: User,
    name: str,
    scope: str,
    grants: Iterable[Grant] = (),
    expires_at: datetime | None = None,
    is_internal: bool = False,
    is_counted: bool = True,
) -> NewToken:
    """A new token of `user`.

    Args:
        scope: one of `TokenScope`.
        grants: repositories of a fine-grained token.
        is_counted: it is the user who asks for it now.

    Raises:
        InvalidInput: unknown scope, empty name, or grants that do not fit the scope.
        RateLimited: the user has made too many.
    """
    grants = list(grants)
    check_token(name, scope, grants)
    if is_counted and not is_internal:
        take("token", user)
    text = TOKEN_PREFIX + secrets.token_urlsafe(32)
    with transaction.atomic():
        token = AccessToken.objects.create(
            user=user,
            name=name.strip(),
            scope=scope,
            digest=digest_of(text),
            prefix=text[: len(TOKEN_PREFIX) + 4],
            expires_at=expires_at,
            is_internal=is_internal,
        )
        TokenGrant.objects.bulk_create(
            TokenGrant(token=token, repo=grant.repo, can_write=grant.can_write) for grant in grants
        )
        if not is_internal:
            record(verb="token.created", actor=user, target=token.name, scope=scope)
    return NewToken(token=token, text=text)


def revoke_token(*, token: AccessToken, acting_user: User | None) -> None:
    """Deletes `token`; what uses it is refused from now on.

    With the token of a machine that logged in, the machine can fetch no other one.
    """
    with transaction.atomic():
        if not token.is_internal:
            record(verb="token.revoked", actor=acting_user, target=token.name)
        device = DeviceToken.objects.select_related("login").filter(access_token=token).first()
        if device is not None:
            revoke_login(device.login)
        else:
            token.delete()


def revoke_login(login: DeviceLogin) -> None:
    """Ends a login with all its tokens; part of the caller's transaction."""
    AccessToken.objects.filter(device__login=login).delete()
    login.delete()


def check_token(name: str, scope: str, grants: list[Grant]) -> None:
    """Raises `InvalidInput` for what no token can have."""
    if not name.strip() or len(name) > 80:
        raise InvalidInput("Give the token a name of 1 to 80 characters.")
    if scope not in TokenScope.values:
        raise InvalidInput(f"Scope must be one of {', '.join(TokenScope.values)}.")
    if bool(grants) != (scope == TokenScope.FINE_GRAINED):
        raise InvalidInput("Choose repositories for a fine-grained token, and only for one.")
