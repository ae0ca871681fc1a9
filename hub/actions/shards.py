"""Registering the files of shards."""

from __future__ import annotations

from collections.abc import Generator, Iterable

import numpy as np
from django.conf import settings
from django.db import transaction

from hub.actions.xorbs import ByteSource, invalid_input
from hub.auth import Actor
from hub.errors import InvalidInput, TooLarge
from hub.models import Blob, Repo, RepoBlob, RepoXorb, XetFile, Xorb, XorbChunk
from hub.xet.checking import CheckedFile, Progress, ShardCheck
from hub.xet.content import XetReader, find_xorbs, index_lookup
from hub.xet.errors import FormatError
from hub.xet.hashing import HASH_BYTES, format_hash
from hub.xet.shard import MAX_SHARD_BYTES, Shard, ShardXorb, parse_shard
from hub.xet.terms import IndexLookup, TermList

_READ_BYTES = 1 << 20
_ROWS_PER_QUERY = 500
_FLAGGED_CHUNKS_INDEXED = 16
_NAMED_XORBS = 5
_GLOBAL_DEDUP_MODULUS = 1024
_FLAG_DEDUP = 1 << 31


def read_shard_body(body: ByteSource) -> bytes:
    """A shard from a request body. Raises `TooLarge`."""
    parts, received = [], 0
    while block := body.read(_READ_BYTES):
        received += len(block)
        if received > MAX_SHARD_BYTES:
            raise TooLarge(f"A shard has at most {MAX_SHARD_BYTES} bytes.")
        parts.append(block)
    return b"".join(parts)


def register_shard(*, repo: Repo, actor: Actor, data: bytes) -> Generator[Progress, None, bool]:
    """Register the files of a shard for `repo`: all of them, once every claim has proved true.

    A generator, since a check may take minutes: it yields how far it has come, and returns whether
    anything new was registered.

    Raises:
        InvalidInput: the shard breaks the format, claims what is not true, or names xorbs that
            this site does not have. Nothing was changed.
    """
    try:
        shard = parse_shard(data)
        xorb_ids = _ids_of_xorbs(shard)
        check = _check_of(shard, index_lookup(xorb_ids))
        yield from check.run()
    except FormatError as error:
        raise invalid_input(error) from error
    return _record(repo, actor, shard, check.files, xorb_ids)


def _check_of(shard: Shard, index_of: IndexLookup) -> ShardCheck:
    def read(terms: TermList) -> Iterable[bytes]:
        # The chunk hashes were checked when the xorbs arrived; the SHA-256 covers the whole.
        return XetReader(terms, index_of, check_hashes=False).stream()

    return ShardCheck(
        shard=shard,
        index_of=index_of,
        read=read,
        known_sha256=_known_digests(shard),
        max_bytes=settings.MAX_LFS_FILE_BYTES,
    )


def _ids_of_xorbs(shard: Shard) -> dict[bytes, int]:
    """Row ids of all xorbs that a shard names."""
    named = dict.fromkeys(xorb.xorb_hash for xorb in shard.xorbs)
    for file in shard.files:
        named.update(dict.fromkeys(file.terms.xorb_hashes()))
    ids = find_xorbs(named)
    missing = [format_hash(raw) for raw in named if raw not in ids]
    if missing:
        raise InvalidInput(
            f"This site does not have {len(missing)} of the xorbs that your client believes to be "
            f"here: {', '.join(missing[:_NAMED_XORBS])}"
            f"{', …' if len(missing) > _NAMED_XORBS else ''}. Delete the client's Xet cache (the "
            "folder “xet” in HF_HOME, usually ~/.cache/huggingface/xet, or HF_XET_CACHE) and "
            "upload again.",
            reason="unknown_xorbs",
            xorbs=missing[:100],
        )
    return ids


def _known_digests(shard: Shard) -> dict[bytes, str]:
    hashes = {format_hash(file.file_hash): file.file_hash for file in shard.files}
    wanted, known = list(hashes), {}
    for at in range(0, len(wanted), _ROWS_PER_QUERY):
        rows = XetFile.objects.filter(file_hash__in=wanted[at : at + _ROWS_PER_QUERY])
        known.update({hashes[text]: sha for text, sha in rows.values_list("file_hash", "sha256")})
    return known


def _record(
    repo: Repo,
    actor: Actor,
    shard: Shard,
    files: list[CheckedFile],
    xorb_ids: dict[bytes, int],
) -> bool:
    """Write the rows of checked files, in one transaction; whether any is new for `repo`."""
    with transaction.atomic():
        _lock_xorbs(xorb_ids)
        is_news = _link_files(repo, files)
        linked = _link_xorbs(repo, actor, shard, files, xorb_ids)
        _index_chunks(shard, files, xorb_ids, linked)
    return is_news


def _lock_xorbs(xorb_ids: dict[bytes, int]) -> None:
    """Keep the xorbs from being collected until we are done; they may have gone just now."""
    ids = sorted(xorb_ids.values())
    found = 0
    for at in range(0, len(ids), _ROWS_PER_QUERY):
        rows = Xorb.objects.select_for_update().filter(pk__in=ids[at : at + _ROWS_PER_QUERY])
        found += len(rows.order_by("pk").values_list("pk"))
    if found < len(ids):
        raise InvalidInput("A xorb was deleted while the shard was checked. Please upload again.")


def _link_files(repo: Repo, files: list[CheckedFile]) -> bool:
    """The rows that make files known, and known to `repo`; whether any of that is news."""
    is_news = False
    for at in range(0, len(files), _ROWS_PER_QUERY):
        is_news |= _link_batch(repo, files[at : at + _ROWS_PER_QUERY])
    return is_news


def _link_batch(repo: Repo, files: list[CheckedFile]) -> bool:
    names = {format_hash(file.file_hash): file for file in files}
    XetFile.objects.bulk_create(
        [
            XetFile(
                file_hash=name,
                sha256=file.sha256,
                size_bytes=file.size_bytes,
                terms=file.terms.to_bytes(),
            )
            for name, file in names.items()
        ],
        ignore_conflicts=True,
    )
    sizes = {file.sha256: file.size_bytes for file in files}
    Blob.objects.bulk_create(
        [Blob(sha256=sha256, size_bytes=size) for sha256, size in sizes.items()],
        ignore_conflicts=True,
    )
    blob_ids = dict(Blob.objects.filter(sha256__in=sizes).values_list("sha256", "id"))
    file_ids = dict(XetFile.objects.filter(file_hash__in=names).values_list("sha256", "id"))
    links = RepoBlob.objects.filter(repo=repo, blob_id__in=blob_ids.values())
    known = dict(links.values_list("blob_id", "xet_file_id"))
    RepoBlob.objects.bulk_create(
        [
            RepoBlob(repo=repo, blob_id=blob_ids[sha256], xet_file_id=file_id)
            for sha256, file_id in file_ids.items()
            if blob_ids[sha256] not in known
        ],
        ignore_conflicts=True,
    )
    for sha256, file_id in file_ids.items():
        # Sent before as one piece: now it has a recipe, too.
        if known.get(blob_ids[sha256], 0) is None:
            links.filter(blob_id=blob_ids[sha256]).update(xet_file_id=file_id)
    return len(known) < len(blob_ids) or None in known.values()


def _link_xorbs(
    repo: Repo,
    actor: Actor,
    shard: Shard,
    files: list[CheckedFile],
    xorb_ids: dict[bytes, int],
) -> set[int]:
    """Let readers of `repo` learn of the xorbs that its files use; row ids of those newly linked.

    A file may use a few chunks of a xorb that belongs to repositories its uploader cannot read.
    Such a xorb is not linked, or a question for one chunk would tell of all the others: only a
    full list of its chunks, or a repository where they can be read, shows that nothing is given
    away.
    """
    used = {xorb_ids[raw] for file in files for raw in file.terms.xorb_hashes()}
    used -= set(_linked_among(used, repo__in=[repo.pk]))
    listed = {xorb_ids[xorb.xorb_hash] for xorb in shard.xorbs}
    readable = _linked_among(used - listed, repo__in=Repo.objects.visible_to(actor.user))
    allowed = (used & listed) | set(readable)
    rows = [RepoXorb(repo=repo, xorb_id=ident) for ident in sorted(allowed)]
    RepoXorb.objects.bulk_create(rows, ignore_conflicts=True, batch_size=_ROWS_PER_QUERY)
    return allowed


def _linked_among(xorb_ids: set[int], **condition: object) -> list[int]:
    ids = sorted(xorb_ids)
    linked: list[int] = []
    for at in range(0, len(ids), _ROWS_PER_QUERY):
        part = ids[at : at + _ROWS_PER_QUERY]
        links = RepoXorb.objects.filter(xorb_id__in=part, **condition)
        linked += links.values_list("xorb_id", flat=True).distinct()
    return linked


def _index_chunks(
    shard: Shard, files: list[CheckedFile], xorb_ids: dict[bytes, int], linked: set[int]
) -> None:
    """Make the chunks that clients ask for answer deduplication queries."""
    rows = {file.first_chunk: None for file in files}
    for xorb in shard.xorbs:
        if xorb_ids[xorb.xorb_hash] in linked:
            rows.update(dict.fromkeys((raw, xorb.xorb_hash) for raw in _eligible(xorb)))
    XorbChunk.objects.bulk_create(
        [XorbChunk(chunk_hash=format_hash(raw), xorb_id=xorb_ids[xorb]) for raw, xorb in rows],
        ignore_conflicts=True,
        batch_size=_ROWS_PER_QUERY,
    )


def _eligible(xorb: ShardXorb) -> list[bytes]:
    """Chunks whose hash is 0 mod 1024, and the first few that the uploader flagged."""
    words = np.frombuffer(xorb.chunk_hashes, dtype="<u8").reshape(-1, 4)
    chosen = words[:, 3] % _GLOBAL_DEDUP_MODULUS == 0
    if xorb.flags is not None:
        flagged = np.flatnonzero(xorb.flags & np.uint32(_FLAG_DEDUP))
        chosen[flagged[:_FLAGGED_CHUNKS_INDEXED]] = True
    return [
        xorb.chunk_hashes[at * HASH_BYTES : (at + 1) * HASH_BYTES]
        for at in np.flatnonzero(chosen).tolist()
    ]
