"""The access token for views of the REST framework."""

from __future__ import annotations

from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from hub.auth import token_actor_of
from hub.models import AccessToken, User


class TokenAuthentication(BaseAuthentication):
    """The rule of `hub.auth`: sets `request.user`, and `request.auth` to the token."""

    def authenticate(self, request: Request) -> tuple[User, AccessToken] | None:
        actor = token_actor_of(request)
        if actor.user is None or actor.token is None:
            return None
        return actor.user, actor.token

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"
