"""Addresses that carry their own right: whoever holds one may move one object, for a while.

Clients send no credentials with the bytes, so the right is signed into the query. It is looked at
again when the address is used: a revoked token or a lost role ends it early.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlencode

from django.conf import settings
from django.core import signing
from django.utils.crypto import constant_time_compare

from hub.access import Level, level_of, may_propose, may_read_contents
from hub.auth import Actor
from hub.errors import PermissionDenied
from hub.models import AccessToken, Repo, User

Verb = Literal["download", "upload", "part", "complete", "verify"]

_SALT = "hub.lfs.transfer"
_FIELDS = ("repo", "size", "user", "token", "upload", "part_bytes", "expires")


@dataclass(frozen=True, slots=True)
class Transfer:
    """One object that may be moved, and by whom.

    `upload_id` and `part_bytes` (size of all parts but the last) are set for uploads in parts.
    """

    verb: Verb
    oid: str
    size_bytes: int
    repo: Repo
    actor: Actor
    upload_id: str = ""
    part_bytes: int = 0

    @property
    def part_count(self) -> int:
        return -(-self.size_bytes // self.part_bytes) if self.part_bytes else 0

    def size_of_part(self, number: int) -> int:
        """Size of part `number`, counted from 1."""
        return min(self.part_bytes, self.size_bytes - (number - 1) * self.part_bytes)


def signed_query(transfer: Transfer) -> str:
    """The query that gives the right to `transfer` until it expires."""
    fields = {
        "repo": str(transfer.repo.pk),
        "size": str(transfer.size_bytes),
        "user": str(transfer.actor.user.pk) if transfer.actor.user else "",
        "token": str(transfer.actor.token.pk) if transfer.actor.token else "",
        "upload": transfer.upload_id,
        "part_bytes": str(transfer.part_bytes),
        "expires": str(int(time.time()) + settings.UPLOAD_URL_LIFETIME_S),
    }
    return urlencode({**fields, "signature": _signature(transfer.verb, transfer.oid, fields)})


def open_transfer(verb: Verb, oid: str, query: Mapping[str, str]) -> Transfer:
    """The transfer that a query allows.

    Raises:
        PermissionDenied: forged, expired, or the right behind it is gone.
    """
    fields = {name: query.get(name, "") for name in _FIELDS}
    expected = _signature(verb, oid, fields)
    if not constant_time_compare(expected, query.get("signature", "")):
        raise PermissionDenied("The signature of this address is not valid.")
    if int(fields["expires"]) < time.time():
        raise PermissionDenied("This address has expired. Ask for a new one.")
    actor = _actor(fields["user"], fields["token"])
    repo = Repo.objects.select_related("namespace").filter(pk=int(fields["repo"])).first()
    if repo is None or not _may(verb, actor, repo):
        raise PermissionDenied("You no longer have the right to do this.")
    return Transfer(
        verb=verb,
        oid=oid,
        size_bytes=int(fields["size"]),
        repo=repo,
        actor=actor,
        upload_id=fields["upload"],
        part_bytes=int(fields["part_bytes"]),
    )


def _may(verb: Verb, actor: Actor, repo: Repo) -> bool:
    """Content may be sent by whoever may propose it."""
    if verb == "download":
        return level_of(actor, repo) >= Level.READ and may_read_contents(actor, repo)
    return may_propose(actor, repo)


def _actor(user_id: str, token_id: str) -> Actor:
    token = None
    if token_id:
        token = AccessToken.objects.select_related("user").filter(pk=int(token_id)).first()
        if token is None or token.is_expired:
            raise PermissionDenied("The access token behind this address is no longer valid.")
    user = User.objects.filter(pk=int(user_id)).first() if user_id else None
    if user_id and (user is None or not user.is_active):
        raise PermissionDenied("The account behind this address is no longer active.")
    return Actor(user=user, token=token)


def _signature(verb: str, oid: str, fields: Mapping[str, str]) -> str:
    signer = signing.Signer(salt=_SALT)
    return signer.signature("\n".join([verb, oid, *(fields[name] for name in _FIELDS)]))
