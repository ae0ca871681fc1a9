"""Answers to "do you have this chunk?", within what the asker may read.

An answer lists all chunks of the xorb that holds the one asked for, and of the xorbs sent around
it to the same repository: a client asks for the first chunk of a file and for about one in 1024
others, so that with a single xorb most of a large file would be sent again.

Source: Xet protocol specification 1.1, "global deduplication".
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from django.db.models import Q, QuerySet
from django.utils.crypto import salted_hmac

from hub.auth import Actor
from hub.models import Repo, RepoXorb, TokenScope, XorbChunk
from hub.xet.content import index_lookup
from hub.xet.hashing import parse_hash
from hub.xet.shard import ShardFooter, build_shard, dedup_xorb

ANSWER_LIFETIME_S = 7 * 24 * 3600
"""Shorter than the three weeks for which clients keep what they know of uploads of their own."""

_XORBS_AFTER, _XORBS_BEFORE = 24, 8


def answer_query(chunk_hash: str, *, actor: Actor) -> bytes | None:
    """A shard with the xorbs that hold this chunk; None if the actor can read no such xorb."""
    links = RepoXorb.objects.filter(repo__in=_readable(actor))
    found = (
        links.filter(xorb__in=XorbChunk.objects.filter(chunk_hash=chunk_hash).values("xorb_id"))
        .order_by("-xorb_id")
        .values_list("repo_id", "xorb_id")
        .first()
    )
    if found is None:
        return None
    ids = {parse_hash(text): ident for text, ident in _neighbours(*found)}
    index_of = index_lookup(ids)
    now = int(time.time())
    footer = ShardFooter(_hmac_key(now), now, now + ANSWER_LIFETIME_S)
    return build_shard([], [dedup_xorb(index_of(raw), footer.hmac_key) for raw in ids], footer)


def _readable(actor: Actor) -> QuerySet[Repo]:
    """What the actor may read: the user's right, narrowed by the token."""
    repos = Repo.objects.visible_to(actor.user)
    if actor.token is not None and actor.token.scope == TokenScope.FINE_GRAINED:
        granted = actor.token.grants.values("repo_id")
        return repos.filter(Q(is_private=False) | Q(pk__in=granted))
    return repos


def _neighbours(repo_id: int, xorb_id: int) -> Iterator[tuple[str, int]]:
    """Hash and row id of a xorb and of those that came to the repository around it."""
    links = RepoXorb.objects.filter(repo_id=repo_id).order_by("xorb_id")
    columns = "xorb__hash", "xorb_id"
    after = links.filter(xorb_id__gte=xorb_id)[: _XORBS_AFTER + 1]
    before = links.filter(xorb_id__lt=xorb_id).reverse()[:_XORBS_BEFORE]
    yield from after.values_list(*columns)
    yield from before.values_list(*columns)


def _hmac_key(now: int) -> bytes:
    """The key under which hashes are hidden; another one each week."""
    week = now // ANSWER_LIFETIME_S
    return salted_hmac("hub.xet.dedup", str(week), algorithm="sha256").digest()
