"""Who is calling: a user, through a session or an access token.

`Actor` keeps the two apart: rights are the user's, narrowed by the token's scope.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone

from hub.errors import AuthenticationRequired, InvalidToken
from hub.models import AccessToken, Repo, TokenScope, User

if TYPE_CHECKING:
    from rest_framework.request import Request

LAST_USE_RESOLUTION = timedelta(minutes=5)
"""How old `last_used_at` may get before a use is written down."""


@dataclass(frozen=True)
class Actor:
    """The caller. `user` is None for an anonymous one, `token` None for a session."""

    user: User | None = None
    token: AccessToken | None = None

    def visible_repos(self) -> QuerySet[Repo]:
        """All repositories that the caller may see, for lists, where no name is named."""
        repos = Repo.objects.visible_to(self.user)
        if self.token is None or self.token.scope != TokenScope.FINE_GRAINED:
            return repos
        return repos.filter(Q(is_private=False) | Q(pk__in=self.token.grants.values("repo_id")))

    def require_user(self) -> User:
        """The user; `AuthenticationRequired` for an anonymous caller."""
        if self.user is None:
            raise AuthenticationRequired
        return self.user


ANONYMOUS = Actor()


def actor_of(request: HttpRequest | Request) -> Actor:
    """The caller of any request: token if one is sent, else the session's user.

    Cross-site request forgery: a view that changes something and is exempt from Django's check
    must use `token_actor_of`, which looks at no session.
    """
    actor = token_actor_of(request)
    if actor.user is None and request.user.is_authenticated:
        return Actor(user=request.user)
    return actor


def token_actor_of(request: HttpRequest | Request) -> Actor:
    """The caller by `Authorization` header alone (Bearer, or Basic with the token as password).

    Raises:
        InvalidToken: the header is there and its token is unknown, expired or of a disabled user.
    """
    text = _token_text(request.headers.get("Authorization", ""))
    if text is None:
        return ANONYMOUS
    token = find_token(text)
    return Actor(user=token.user, token=token)


def find_token(text: str) -> AccessToken:
    """The live token with this text; notes its use. Raises `InvalidToken`."""
    token = AccessToken.objects.select_related("user").filter(digest=digest_of(text)).first()
    if token is None or token.is_expired or not token.user.is_active:
        raise InvalidToken
    now = timezone.now()
    if token.last_used_at is None or now - token.last_used_at > LAST_USE_RESOLUTION:
        AccessToken.objects.filter(pk=token.pk).update(last_used_at=now)
    return token


def digest_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _token_text(header: str) -> str | None:
    kind, _, value = header.partition(" ")
    value = value.strip()
    if kind.lower() == "bearer" and value:
        return value
    if kind.lower() == "basic" and value:
        return _basic_password(value)
    return None


def _basic_password(value: str) -> str:
    try:
        return base64.b64decode(value, validate=True).decode().partition(":")[2]
    except (binascii.Error, UnicodeDecodeError):
        raise InvalidToken("The Authorization header is not readable.") from None
