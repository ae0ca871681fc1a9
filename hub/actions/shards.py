"""Registering the files of shards."""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterable, Iterator

import numpy as np
from django.conf import settings
from django.db import transaction

from hub.actions.blobs import lock_contents
from hub.actions.scrub import is_whole
from hub.actions.xorb_links import link_xorbs
from hub.actions.xorbs import ByteSource, hold_xorb, invalid_input
from hub.batches import in_batches
from hub.errors import InvalidInput, TooLarge
from hub.models import Blob, Repo, RepoBlob, XetFile, Xorb, XorbChunk
from hub.quotas import require_room, require_room_locked
from hub.usage import linked_oids
from hub.vanished import not_found_if_deleted
from hub.xet.checking import CheckedFile, Progress, ShardCheck
from hub.xet.chunk_ranges import used_chunks
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


def register_shard(
    *, repo: Repo, data: bytes, grants_right: bool = True
) -> Generator[Progress, None, bool]:
    """Register the files of a shard for `repo`: all of them, once every claim has proved true.

    A generator, since a check may take minutes: it yields how far it has come, and returns whether
    anything new was registered. With `grants_right` off, only files are registered that `repo`
    holds by then: one that was deleted for good meanwhile does not come back.

    Raises:
        InvalidInput: the shard breaks the format, claims what is not true, or names xorbs that
            this site does not have. Nothing was changed.
        RepoNotFound: the repository was deleted meanwhile.
        QuotaExceeded: the owner of the repository may not hold that much.
    """
    try:
        shard = parse_shard(data)
        require_room(repo.namespace, _new_bytes(repo, shard))
        xorb_ids = _ids_of_xorbs(shard)
        check = _check_of(shard, index_lookup(xorb_ids))
        yield from check.run()
    except FormatError as error:
        raise invalid_input(error) from error
    return _record(repo, shard, check.files, xorb_ids, grants_right=grants_right)


def _new_bytes(repo: Repo, shard: Shard) -> int:
    """What the shard claims to add to the repository; false claims are refused later."""
    sizes = {file.sha256: file.terms.size_bytes for file in shard.files}
    known = linked_oids(repo, [name for name in sizes if name is not None])
    return sum(size for name, size in sizes.items() if name not in known)


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
    shard: Shard,
    files: list[CheckedFile],
    xorb_ids: dict[bytes, int],
    *,
    grants_right: bool,
) -> bool:
    """Write the rows of checked files, in one transaction; whether any is new for `repo`."""
    with not_found_if_deleted(repo), transaction.atomic():
        _lock_xorbs(xorb_ids)
        if not grants_right:
            files = _still_held(repo, files)
        if not files:
            return False
        is_news = _link_files(repo, files)
        used = used_chunks(_stored_recipes(files))
        xorb_ids |= find_xorbs([raw for raw in used if raw not in xorb_ids])
        link_xorbs(repo, {xorb_ids[raw]: ranges for raw, ranges in used.items()})
        _index_chunks(shard, files, xorb_ids, used.keys())
    return is_news


def _stored_recipes(files: list[CheckedFile]) -> Iterator[bytes | memoryview]:
    """The recipes by which these files are kept: where one was known before, that one stays, and
    the xorbs that came with it now are used by nothing."""
    for some in in_batches([format_hash(file.file_hash) for file in files], _ROWS_PER_QUERY):
        yield from XetFile.objects.filter(file_hash__in=some).values_list("terms", flat=True)


def _lock_xorbs(xorb_ids: dict[bytes, int]) -> None:
    """Keep the xorbs from being collected; they may have gone just now.

    Collection deletes a row only while it is marked, and marks anew what a recipe names only
    after a look at all recipes.
    """
    found = 0
    for some in in_batches(sorted(xorb_ids.values()), _ROWS_PER_QUERY):
        rows = Xorb.objects.select_for_update().filter(pk__in=some).order_by("pk")
        found += sum(map(hold_xorb, rows))
    if found < len(xorb_ids):
        raise InvalidInput("A xorb was deleted while the shard was checked. Please upload again.")


def _still_held(repo: Repo, files: list[CheckedFile]) -> list[CheckedFile]:
    """Those files that `repo` has a right to, which it keeps until the transaction ends."""
    names = [file.sha256 for file in files]
    held: set[str] = set()
    for some in in_batches(names, _ROWS_PER_QUERY):
        # First the contents, then the rights: the order in which uploads lock them.
        blobs = Blob.objects.select_for_update().filter(sha256__in=some).order_by("pk")
        sha256_of = dict(blobs.values_list("pk", "sha256"))
        links = RepoBlob.objects.select_for_update().filter(repo=repo, blob_id__in=sha256_of)
        held.update(sha256_of[pk] for pk in links.values_list("blob_id", flat=True))
    return [file for file in files if file.sha256 in held]


def _link_files(repo: Repo, files: list[CheckedFile]) -> bool:
    """The rows that make files known, and known to `repo`; whether any of that is news."""
    is_news = False
    for at in range(0, len(files), _ROWS_PER_QUERY):
        is_news |= _link_batch(repo, files[at : at + _ROWS_PER_QUERY])
    return is_news


def _link_batch(repo: Repo, files: list[CheckedFile]) -> bool:
    names = {format_hash(file.file_hash): file for file in files}
    blob_ids = lock_contents({file.sha256: file.size_bytes for file in files})
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
    _mend_recipes(names)
    links = RepoBlob.objects.filter(repo=repo, blob_id__in=blob_ids.values())
    known = dict(links.values_list("blob_id", "xet_file_id"))
    links.exclude(condemned_at=None).update(condemned_at=None)
    sizes = {blob_ids[file.sha256]: file.size_bytes for file in files}
    require_room_locked(repo, sum(size for pk, size in sizes.items() if pk not in known))
    file_ids = dict(XetFile.objects.filter(file_hash__in=names).values_list("sha256", "id"))
    RepoBlob.objects.bulk_create(
        [
            RepoBlob(repo=repo, blob_id=blob_ids[sha256], xet_file_id=file_id)
            for sha256, file_id in file_ids.items()
            if blob_ids[sha256] not in known
        ],
        ignore_conflicts=True,
    )
    for sha256, file_id in file_ids.items():
        # Sent before as one piece, or cut otherwise and damaged since.
        current = known.get(blob_ids[sha256], file_id)
        if current != file_id and _needs_recipe(current):
            links.filter(blob_id=blob_ids[sha256]).update(xet_file_id=file_id)
    return len(known) < len(blob_ids) or None in known.values()


def _mend_recipes(files: dict[str, CheckedFile]) -> None:
    """Recipes whose xorbs are damaged or gone get the terms that were checked just now.

    The same chunks may come in other xorbs: nobody would send those again that a recipe names.
    """
    for row in XetFile.objects.select_for_update().filter(file_hash__in=files).order_by("pk"):
        terms = files[row.file_hash].terms.to_bytes()
        if bytes(row.terms) != terms and not is_whole(row):
            row.terms = terms
            row.save(update_fields=["terms"])


def _needs_recipe(xet_file_id: int | None) -> bool:
    return xet_file_id is None or not is_whole(XetFile.objects.get(pk=xet_file_id))


def _index_chunks(
    shard: Shard, files: list[CheckedFile], xorb_ids: dict[bytes, int], used: Collection[bytes]
) -> None:
    """Make the chunks that clients ask for answer deduplication queries."""
    rows = {file.first_chunk: None for file in files if file.first_chunk[1] in used}
    for xorb in shard.xorbs:
        if xorb.xorb_hash in used:
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
