"""Signed, expiring proofs: CAS tokens, and URLs that hand out ranges of one xorb.

A token names the repository, the user, the access token it was made with and the scope; rights are
looked up anew at each use, so that a revoked one ends at once. A data URL is proof by itself:
clients fetch it without a token.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass

from django.conf import settings
from django.core import signing
from django.utils.crypto import constant_time_compare

from hub.access import (
    Level,
    check_may_read_contents,
    is_open_to_all,
    level_of,
    may_contribute,
)
from hub.auth import Actor
from hub.errors import InvalidToken, PermissionDenied, RepoNotFound
from hub.models import AccessToken, Repo, User
from hub.xet.hashing import format_hash
from hub.xet.terms import FetchRange

DATA_URL_LIFETIME_S = 3600
CLOSED_URL_LIFETIME_S = 600
"""Of what not everybody may read: a right that was taken away ends with the address."""
DATA_URL_GRANULARITY_S = 300
"""Expiry is rounded up to this, so that equal plans get equal, cacheable URLs."""

_TOKEN_SALT = "hub.xet.token"
_URL_SALT = "hub.xet.data-url"
_READERS = {True: "all", False: "some"}
"""By whether everybody might read the files when the address was signed."""
_SIGNED_RANGES = re.compile(r"\d{1,10}-\d{1,10}(,\d{1,10}-\d{1,10})*")


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A CAS token and when it ends, in Unix seconds."""

    text: str
    expires_at: int


@dataclass(frozen=True, slots=True)
class CasGrant:
    """What the bearer of a CAS token may do: read from, or write to, one repository."""

    repo: Repo
    actor: Actor


def issue_token(*, repo: Repo, actor: Actor, can_write: bool) -> IssuedToken:
    """A token for `repo`, which ends with the access token behind it at the latest."""
    expires_at = int(time.time()) + settings.XET_TOKEN_LIFETIME_S
    if actor.token and actor.token.expires_at:
        expires_at = min(expires_at, int(actor.token.expires_at.timestamp()))
    claims = {
        "r": repo.pk,
        "u": actor.user.pk if actor.user else None,
        "t": actor.token.pk if actor.token else None,
        "s": "w" if can_write else "r",
        "e": expires_at,
    }
    return IssuedToken(signing.dumps(claims, salt=_TOKEN_SALT), expires_at)


@dataclass(frozen=True, slots=True)
class CasClaims:
    """What a token says, signed by this site and not expired; the rights behind it may be gone."""

    repo_id: int
    user_id: int | None
    token_id: int | None
    can_write: bool


def read_claims(text: str) -> CasClaims:
    """The claims of a token, without a look at the database.

    Raises:
        InvalidToken: forged or expired.
    """
    try:
        claims = signing.loads(text, salt=_TOKEN_SALT)
    except signing.BadSignature:
        raise InvalidToken("The CAS token is not valid.") from None
    if claims["e"] < time.time():
        raise InvalidToken("The CAS token has expired.")
    return CasClaims(claims["r"], claims["u"], claims["t"], claims["s"] == "w")


def read_token(text: str, *, needs_write: bool = False) -> CasGrant:
    """The grant behind a token, if it is valid now. Raises what the two steps raise."""
    return grant_of(read_claims(text), needs_write=needs_write)


def grant_of(claims: CasClaims, *, needs_write: bool = False) -> CasGrant:
    """The grant behind a token's claims, if it is valid now.

    Content may be sent by whoever may propose it; what a branch holds is for commits to decide.

    Raises:
        InvalidToken: made with an access token that was revoked.
        PermissionDenied: a read token where `needs_write`, or the right is gone.
        RepoNotFound: the repository is gone, or can no longer be read.
        GatedRepo: access to its files was withdrawn.
    """
    if needs_write and not claims.can_write:
        raise PermissionDenied("This needs a CAS token with the scope “write”.")
    actor = _actor(claims.user_id, claims.token_id)
    repo = Repo.objects.select_related("namespace").filter(pk=claims.repo_id).first()
    level = level_of(actor, repo) if repo else Level.NONE
    if repo is None or level < Level.READ:
        raise RepoNotFound
    check_may_read_contents(actor, repo)
    if needs_write and not may_contribute(actor, repo):
        raise PermissionDenied(f"You may no longer send anything to {repo.full_name}.")
    return CasGrant(repo, actor)


def _actor(user_id: int | None, token_id: int | None) -> Actor:
    user = token = None
    if token_id is not None:
        token = AccessToken.objects.select_related("user").filter(pk=token_id).first()
        user = token.user if token else None
    elif user_id is not None:
        user = User.objects.filter(pk=user_id).first()
    if user_id is not None and (user is None or not user.is_active):
        raise InvalidToken("The access token behind this CAS token was revoked.")
    return Actor(user=user, token=token)


def data_url_query(*, repo: Repo, xorb_hash: bytes, ranges: Sequence[FetchRange]) -> dict[str, str]:
    """Query parameters that allow GETs of any of `ranges` of a xorb.

    For an hour, and for as long as everybody may read the files of `repo`; where not everybody
    may, for ten minutes. Rounded up by `DATA_URL_GRANULARITY_S` at most.
    """
    is_open = is_open_to_all(repo)
    lifetime_s = DATA_URL_LIFETIME_S if is_open else CLOSED_URL_LIFETIME_S
    latest = int(time.time()) + lifetime_s + DATA_URL_GRANULARITY_S
    expires = str(latest - latest % DATA_URL_GRANULARITY_S)
    allowed = ",".join(f"{one.byte_start}-{one.byte_end - 1}" for one in ranges)
    readers = _READERS[is_open]
    signature = _url_signature(format_hash(xorb_hash), allowed, expires, str(repo.pk), readers)
    return {
        "repo": str(repo.pk), "for": readers, "ranges": allowed, "expires": expires,
        "signature": signature,
    }  # fmt: skip


def check_data_url(
    *, xorb_hash: str, repo: str, readers: str, ranges: str, expires: str, signature: str
) -> list[tuple[int, int]]:
    """The ranges [start, end) that a data URL allows.

    Raises:
        PermissionDenied: forged, expired, or signed for everybody while the repository has been
            closed or deleted since; clients then ask for a new one, with their token.
    """
    expected = _url_signature(xorb_hash, ranges, expires, repo, readers)
    if not constant_time_compare(expected, signature) or not _SIGNED_RANGES.fullmatch(ranges):
        raise PermissionDenied("The signature of this URL is not valid.")
    if int(expires) < time.time():
        raise PermissionDenied("This URL has expired.")
    found = Repo.objects.only("is_private", "gated").filter(pk=repo).first()
    if found is None:
        raise PermissionDenied("The repository of this URL was deleted.")
    if readers == _READERS[True] and not is_open_to_all(found):
        raise PermissionDenied("The repository of this URL is no longer open to all.")
    pairs = (part.split("-") for part in ranges.split(","))
    return [(int(first), int(last) + 1) for first, last in pairs]


def _url_signature(*parts: str) -> str:
    return signing.Signer(salt=_URL_SALT).signature("\n".join(parts))
