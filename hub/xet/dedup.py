"""Answers to "do you have this chunk?", within what the asker may read.

An answer lists the chunks of the xorb that holds the one asked for, and of the xorbs sent around
it to the same repository, as far as files of that repository use them: a client asks for the first
chunk of a file and for about one in 1024 others, so that with a single xorb most of a large file
would be sent again.

Source: Xet protocol specification 1.1, "global deduplication".
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from django.db.models import Case, When
from django.utils.crypto import salted_hmac

from hub.access import repos_open_to
from hub.auth import Actor
from hub.models import Repo, RepoXorb, XorbChunk
from hub.xet.chunk_ranges import unpack_ranges
from hub.xet.content import index_lookup
from hub.xet.hashing import parse_hash
from hub.xet.shard import ShardFooter, build_shard, dedup_xorb
from hub.xet.terms import merge_ranges

ANSWER_LIFETIME_S = 7 * 24 * 3600
"""Shorter than the three weeks for which clients keep what they know of uploads of their own."""

_XORBS_AFTER, _XORBS_BEFORE = 96, 16
_REPOS_PER_ANSWER = 3
_LINKS_LOOKED_AT = 32


def is_indexed(chunk_hash: str) -> bool:
    """Whether anybody's xorb answers for this chunk."""
    return XorbChunk.objects.filter(chunk_hash=chunk_hash).exists()


def answer_query(chunk_hash: str, *, repo: Repo, actor: Actor) -> bytes | None:
    """A shard with the xorbs that hold this chunk; None if the actor can read no such file.

    Of each xorb only those chunks are named that a file uses which the actor may read.

    Args:
        repo: what the client reads or writes; where the xorb was sent to several repositories,
            what came around it to this one is told first, then around its latest uploads.
    """
    shown: dict[bytes, list[tuple[int, int]]] = {}
    ids: dict[bytes, int] = {}
    for link in _links_of(chunk_hash, repo, actor):
        for text, ident, used in _neighbours(link):
            raw = parse_hash(text)
            ids[raw] = ident
            shown[raw] = merge_ranges([*shown.get(raw, ()), *unpack_ranges(used)])
    if not ids:
        return None
    index_of = index_lookup(ids)
    now = int(time.time())
    footer = ShardFooter(_hmac_key(now), now, now + ANSWER_LIFETIME_S)
    xorbs = [dedup_xorb(index_of(raw), footer.hmac_key, some) for raw, some in shown.items()]
    return build_shard([], xorbs, footer)


def _links_of(chunk_hash: str, repo: Repo, actor: Actor) -> list[RepoXorb]:
    """The links to xorbs with this chunk that promise most, at most one a repository."""
    here = {"xorb__quarantined_at": None, "xorb__condemned_at": None}
    holders = XorbChunk.objects.filter(chunk_hash=chunk_hash, **here).values("xorb_id")
    links = RepoXorb.objects.filter(xorb__in=holders, repo__in=repos_open_to(actor))
    is_here = Case(When(repo=repo, then=1), default=0)
    latest: dict[int, RepoXorb] = {}
    for link in links.select_related("xorb").order_by(is_here.desc(), "-pk")[:_LINKS_LOOKED_AT]:
        if link.repo_id not in latest and _uses(link, parse_hash(chunk_hash)):
            latest[link.repo_id] = link
        if len(latest) == _REPOS_PER_ANSWER:
            break
    return list(latest.values())


def _uses(link: RepoXorb, chunk: bytes) -> bool:
    """Whether a file of the repository has this very chunk: the xorb may hold it for others."""
    raw = parse_hash(link.xorb.hash)
    index = index_lookup({raw: link.xorb_id})(raw)
    spans = unpack_ranges(link.used)
    return any(index.hash_at(at) == chunk for start, end in spans for at in range(start, end))


def _neighbours(link: RepoXorb) -> Iterator[tuple[str, int, bytes]]:
    """Hash, row id and used chunks of a xorb and of those that came to the repository around it."""
    here = {"xorb__quarantined_at": None, "xorb__condemned_at": None}
    links = RepoXorb.objects.filter(repo_id=link.repo_id, **here).exclude(used=b"").order_by("pk")
    columns = "xorb__hash", "xorb_id", "used"
    after = links.filter(pk__gte=link.pk)[: _XORBS_AFTER + 1]
    before = links.filter(pk__lt=link.pk).reverse()[:_XORBS_BEFORE]
    yield from after.values_list(*columns)
    yield from before.values_list(*columns)


def _hmac_key(now: int) -> bytes:
    """The key under which hashes are hidden; another one each week."""
    week = now // ANSWER_LIFETIME_S
    return salted_hmac("hub.xet.dedup", str(week), algorithm="sha256").digest()
