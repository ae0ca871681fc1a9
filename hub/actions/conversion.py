"""Plain large files into chunks, in the background, so that later versions share what is the same.

The encoder's output goes the way of an upload: xorbs are verified as they are stored, the recipe is
a shard whose every claim is checked, the SHA-256 by decoding the file. What is left of a
conversion that was killed is a staging folder, which is swept, and xorbs that no recipe names,
which the next attempt finds or collection frees.
"""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from django.conf import settings
from django.db import IntegrityError
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.utils import timezone

from hub.actions.plain_copies import drop_plain_copies
from hub.actions.shards import register_shard
from hub.actions.xorbs import store_xorb
from hub.claims import claim
from hub.errors import InvalidInput, StorageFull
from hub.models import Blob, Repo, RepoBlob, RepoXorb
from hub.site import store
from hub.storage import KeyMissing
from hub.storage.folder import no_space_as_storage_full
from hub.xet.content import index_lookup, read_index
from hub.xet.errors import FormatError
from hub.xet.hashing import HASH_BYTES, format_hash, parse_hash
from hub.xet.index import XorbIndex
from hub.xet.repacking import Place, Repacker, read_encoded
from hub.xet.shard import ShardFile, build_shard, dedup_xorb

MAX_FAILURES = 3
GIVEN_UP_FOR = timedelta(days=30)
"""Later the encoder, or what was wrong with this machine, may have been mended."""

_MAX_BYTES = 64 * 1024**3
"""The chunk list of a larger file does not fit into one shard."""
_XORBS_LOOKED_AT = 128
_ENCODER_LIMIT_S = 3 * 3600
_FILES_PER_SWEEP = 20
_SPARE_BYTES = 256 * 1024**2

logger = logging.getLogger(__name__)


def convert_repo(*, repo_id: int) -> int:
    """Convert what a repository was sent plain; how many files.

    A file that the disk has no room for waits; the others do not.

    Raises:
        StorageUnavailable: nothing of the rest has changed; a later sweep tries again.
    """
    blobs = _candidates().filter(repo_links__repo_id=repo_id).order_by("size_bytes", "pk")
    return sum(map(_convert_or_wait, list(blobs.values_list("pk", flat=True))))


def sweep_conversions() -> int:
    """Drop plain copies that have served out, and convert what was forgotten; how many files.

    One sweep runs at a time. A file that the disk has no room for waits; the others do not.
    """
    with claim("sweep-conversions") as is_ours:
        if not is_ours:
            return 0
        if settings.DROP_PLAIN_COPIES:
            drop_plain_copies()
        due = _candidates().filter(size_bytes__lte=_most_bytes()).order_by("pk")
        ids = list(due.values_list("pk", flat=True)[:_FILES_PER_SWEEP])
        return sum(map(_convert_or_wait, ids))


def _convert_or_wait(blob_id: int) -> bool:
    try:
        return convert_blob(blob_id=blob_id)
    except (StorageFull, IntegrityError):
        logger.exception("the file with id %s waits for another sweep", blob_id)
        return False


def convert_blob(*, blob_id: int) -> bool:
    """Make chunks from the plain copy of a content, for all repositories that hold it.

    Returns:
        Whether it was done now.

    Raises:
        StorageFull, StorageUnavailable: nothing has changed; a later sweep tries again.
    """
    blob = _candidates().filter(pk=blob_id).first()
    if blob is None:
        return False
    with claim(f"convert:{blob_id}") as is_ours:
        return is_ours and _convert_claimed(blob)


def _convert_claimed(blob: Blob) -> bool:
    try:
        _require_space(blob)
        _convert(blob)
    except (FormatError, InvalidInput, KeyMissing, subprocess.SubprocessError):
        logger.exception("the file %s could not be converted", blob.sha256)
        Blob.objects.filter(pk=blob.pk).update(
            conversion_failures=F("conversion_failures") + 1, conversion_failed_at=timezone.now()
        )
        return False
    return True


def _candidates() -> QuerySet[Blob]:
    blobs = Blob.objects.filter(
        is_plain=True,
        converted_at=None,
        condemned_at=None,
        size_bytes__range=(settings.CONVERT_MIN_BYTES, _MAX_BYTES),
    )
    if not settings.CONVERT_LFS:
        return blobs.none()
    given_up = Q(
        conversion_failures__gte=MAX_FAILURES,
        conversion_failed_at__gte=timezone.now() - GIVEN_UP_FOR,
    )
    return blobs.exclude(given_up).filter(Exists(RepoBlob.objects.filter(blob=OuterRef("pk"))))


def _convert(blob: Blob) -> None:
    repos = list(Repo.objects.filter(blob_links__blob=blob))
    with no_space_as_storage_full(), _folder() as folder:
        encoded = read_encoded(_encoded(blob, folder))
        known = _known_chunks(repos)
        repacker = Repacker(known, _store, folder)
        file = repacker.repack(encoded, blob.sha256)
    _register(repos, file, repacker.new_xorbs)
    done = {"converted_at": timezone.now(), "conversion_failures": 0, "conversion_failed_at": None}
    Blob.objects.filter(pk=blob.pk).update(**done)


def _require_space(blob: Blob) -> None:
    """For want of space the encoder would only seem to fail."""
    if blob.size_bytes > _most_bytes():
        raise StorageFull


def _most_bytes() -> int:
    """The largest file that there is room for now: the encoder needs up to twice the file."""
    return (shutil.disk_usage(settings.STAGING_DIR).free - _SPARE_BYTES) // 2


@contextmanager
def _folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="recv-convert-", dir=settings.STAGING_DIR))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _encoded(blob: Blob, folder: Path) -> Path:
    """The folder into which a child has encoded the content."""
    source, out = store().local_path(blob.store_key), folder / "encoded"
    if source is None:
        source = folder / "source"
        with source.open("wb") as file:
            for piece in store().stream(blob.store_key):
                file.write(piece)
    out.mkdir()
    names = ("PATH", "LANG", "VIRTUAL_ENV")
    env = {name: os.environ[name] for name in names if name in os.environ}
    env |= {"HOME": str(folder), "HF_HOME": str(folder / "home"), "TMPDIR": str(folder)}
    subprocess.run(
        [sys.executable, "-m", "hub.xet.encode", str(source), str(out)],
        cwd=settings.BASE_DIR,
        env=env,
        check=True,
        capture_output=True,
        timeout=_ENCODER_LIMIT_S,
    )
    return out


def _known_chunks(repos: list[Repo]) -> dict[bytes, Place]:
    """Chunks of the xorbs that came last to repositories with the content."""
    links = RepoXorb.objects.filter(repo__in=repos, xorb__quarantined_at=None).order_by("-pk")
    rows = links.values_list("xorb__hash", "xorb_id")[:_XORBS_LOOKED_AT]
    ids = {parse_hash(text): ident for text, ident in rows}
    index_of, known = index_lookup(ids), {}
    for raw in ids:
        hashes = index_of(raw).chunk_hashes
        for chunk in range(len(hashes) // HASH_BYTES):
            known[hashes[chunk * HASH_BYTES : (chunk + 1) * HASH_BYTES]] = Place(raw, chunk)
    return known


def _store(xorb_hash: bytes, path: Path) -> XorbIndex:
    with path.open("rb") as body:
        store_xorb(xorb_hash=format_hash(xorb_hash), body=body)
    return read_index(store(), xorb_hash)


def _register(repos: list[Repo], file: ShardFile, xorbs: list[XorbIndex]) -> None:
    """The recipe for each repository that still holds the file, checked as if a client sent it."""
    data = build_shard([file], [dedup_xorb(index) for index in xorbs])
    for repo in repos:
        for _ in register_shard(repo=repo, data=data, grants_right=False):
            pass
