"""Answers to "do you have this chunk?", within what the asker may read.

An answer lists all chunks of the xorb that holds the one asked for, and of the xorbs sent around
it to the same repository: a client asks for the first chunk of a file and for about one in 1024
others, so that with a single xorb most of a large file would be sent again.

Source: Xet protocol specification 1.1, "global deduplication".
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from django.db.models import Case, Q, QuerySet, When
from django.utils.crypto import salted_hmac

from hub.auth import Actor
from hub.models import Repo, RepoXorb, TokenScope, XorbChunk
from hub.xet.content import index_lookup
from hub.xet.hashing import parse_hash
from hub.xet.shard import ShardFooter, build_shard, dedup_xorb

ANSWER_LIFETIME_S = 7 * 24 * 3600
"""Shorter than the three weeks for which clients keep what they know of uploads of their own."""

_XORBS_AFTER, _XORBS_BEFORE = 96, 16
_REPOS_PER_ANSWER = 3
_LINKS_LOOKED_AT = 32


def answer_query(chunk_hash: str, *, repo: Repo, actor: Actor) -> bytes | None:
    """A shard with the xorbs that hold this chunk; None if the actor can read no such xorb.

    Args:
        repo: what the client reads or writes; where the xorb was sent to several repositories,
            what came around it to this one is told first, then around its latest uploads.
    """
    ids: dict[bytes, int] = {}
    for link in _links_of(chunk_hash, repo, actor):
        ids.update((parse_hash(text), ident) for text, ident in _neighbours(link))
    if not ids:
        return None
    index_of = index_lookup(ids)
    now = int(time.time())
    footer = ShardFooter(_hmac_key(now), now, now + ANSWER_LIFETIME_S)
    return build_shard([], [dedup_xorb(index_of(raw), footer.hmac_key) for raw in ids], footer)


def _links_of(chunk_hash: str, repo: Repo, actor: Actor) -> list[RepoXorb]:
    """The links to xorbs with this chunk that promise most, at most one a repository."""
    here = {"xorb__quarantined_at": None, "xorb__condemned_at": None}
    chunks = XorbChunk.objects.filter(chunk_hash=chunk_hash, **here)
    holders = chunks.values("xorb_id")
    links = RepoXorb.objects.filter(xorb__in=holders, repo__in=_readable(actor))
    is_here = Case(When(repo=repo, then=1), default=0)
    latest: dict[int, RepoXorb] = {}
    for link in links.order_by(is_here.desc(), "-pk")[:_LINKS_LOOKED_AT]:
        latest.setdefault(link.repo_id, link)
    return list(latest.values())[:_REPOS_PER_ANSWER]


def _readable(actor: Actor) -> QuerySet[Repo]:
    """What the actor may read: the user's right, narrowed by the token."""
    repos = Repo.objects.visible_to(actor.user)
    if actor.token is not None and actor.token.scope == TokenScope.FINE_GRAINED:
        granted = actor.token.grants.values("repo_id")
        return repos.filter(Q(is_private=False) | Q(pk__in=granted))
    return repos


def _neighbours(link: RepoXorb) -> Iterator[tuple[str, int]]:
    """Hash and row id of a xorb and of those that came to the same repository around it."""
    here = {"xorb__quarantined_at": None, "xorb__condemned_at": None}
    links = RepoXorb.objects.filter(repo_id=link.repo_id, **here).order_by("pk")
    columns = "xorb__hash", "xorb_id"
    after = links.filter(pk__gte=link.pk)[: _XORBS_AFTER + 1]
    before = links.filter(pk__lt=link.pk).reverse()[:_XORBS_BEFORE]
    yield from after.values_list(*columns)
    yield from before.values_list(*columns)


def _hmac_key(now: int) -> bytes:
    """The key under which hashes are hidden; another one each week."""
    week = now // ANSWER_LIFETIME_S
    return salted_hmac("hub.xet.dedup", str(week), algorithm="sha256").digest()
