"""The people every permission test is run over, and the organisation they meet in.

| role | who |
|---|---|
| owner | admin of the organisation, and creator of its repositories |
| member | may write in the organisation |
| reader | may read the organisation's private repositories |
| stranger | signed in, belongs to nothing |
| admin | the site's maintainer |
| anonymous | not signed in |
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from django.test import Client

from hub.auth import ANONYMOUS, Actor
from hub.models import Organization, Repo, Role, TokenScope, User
from tests.support.factories import make_organization, make_repo, make_token, make_user

ROLES = ("owner", "member", "reader", "stranger", "admin", "anonymous")


@dataclass(frozen=True)
class Cast:
    owner: User
    member: User
    reader: User
    stranger: User
    admin: User
    organization: Organization

    def user(self, role: str) -> User | None:
        """The user who plays `role`; None for "anonymous"."""
        if role not in ROLES:
            raise KeyError(role)
        return None if role == "anonymous" else getattr(self, role)

    def actor(self, role: str) -> Actor:
        """`role` as access functions see it, through a session."""
        user = self.user(role)
        return Actor(user=user) if user else ANONYMOUS

    def token(self, role: str, scope: TokenScope = TokenScope.WRITE) -> str | None:
        """The text of a new token of `role`; None for "anonymous"."""
        user = self.user(role)
        return make_token(user, scope=scope) if user else None

    def api_client(self, role: str, scope: TokenScope = TokenScope.WRITE) -> Client:
        """A test client that sends a token of `role`, as Hub clients do."""
        return client_with(self.token(role, scope))

    def web_client(self, role: str) -> Client:
        """A test client with a session of `role`, as a browser has."""
        client = Client()
        user = self.user(role)
        if user:
            client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
        return client

    def public_repo(self, name: str = "open-model", repo_type: str = "model") -> Repo:
        return make_repo(self.organization, name, repo_type=repo_type, creator=self.owner)

    def private_repo(self, name: str = "secret-model", repo_type: str = "model") -> Repo:
        return make_repo(
            self.organization, name, repo_type=repo_type, is_private=True, creator=self.owner
        )


def client_with(token: str | None) -> Client:
    """A test client that sends `token`, if there is one."""
    return Client(headers={"authorization": f"Bearer {token}"} if token else None)


@pytest.fixture
def cast(db: None) -> Cast:
    owner, member, reader = make_user("olive"), make_user("mira"), make_user("rene")
    organization = make_organization(
        "guild", admin=owner, members={member: Role.WRITE, reader: Role.READ}
    )
    return Cast(
        owner=owner,
        member=member,
        reader=reader,
        stranger=make_user("sten"),
        admin=make_user("ada", is_maintainer=True),
        organization=organization,
    )
