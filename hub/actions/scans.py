"""Scanning commits as they arrive."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import monotonic
from typing import BinaryIO, Self, cast

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from hub import tasks
from hub.blob_stream import open_file
from hub.doorbell import ring
from hub.errors import HubError
from hub.models import CommitScan, FileScan, Ref, Repo, ScanState
from hub.scans import content_id, file_name, stored_scans, summarize_done
from hub.site import git_of
from hub.storable import storable
from hub.storage.errors import StorageError
from hub.vcs import Repository, TreeEntry
from hub.vcs.errors import VcsError
from hub.xet.errors import XetError
from ml_core.scan import SCANNER_SET, ScanLimits, ScanReport, scan_file

logger = logging.getLogger(__name__)

SLICE_S = 300.0
"""A large commit is scanned in slices of this length, so that others get their turn."""
LEASE = timedelta(minutes=15)
RETRY_AFTER = timedelta(minutes=10)
RETRY_FOR = timedelta(days=1)
LOST_AFTER = timedelta(minutes=2)
SWEEP_LIMIT = 200
MAX_SOURCE_ERRORS = 3
BATCH_ROWS = 100
BATCH_S = 2.0
VERDICTS = {"unsafe": "dangerous", "suspicious": "suspicious", "error": "failed", "clean": "clean"}


class SourceError(Exception):
    """The bytes of a file could not be read: our fault, and to be tried again."""


class WatchedStream(io.RawIOBase):
    """A stream that remembers when its source failed: that says nothing of the file."""

    def __init__(self, source: BinaryIO) -> None:
        super().__init__()
        self._source = source
        self._error: Exception | None = None

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._source.seek(offset, whence)

    def tell(self) -> int:
        return self._source.tell()

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # typeshed: Buffer
        try:
            data = self._source.read(len(buffer))
        except (StorageError, XetError, OSError) as error:
            self._error = error
            raise
        buffer[: len(data)] = data
        return len(data)

    def raise_if_broken(self) -> None:
        if self._error is not None:
            raise self._error


def queue_scan(*, repo_id: int, commit_sha: str) -> None:
    """Notes that a commit waits for the scanner, and rings for it; twice does no harm."""
    try:
        with transaction.atomic():
            CommitScan.objects.get_or_create(repo_id=repo_id, commit_sha=commit_sha)
            ring(tasks.scan_commit, repo_id, commit_sha)
    except IntegrityError:
        logger.info("repository %s is gone, %s is not scanned", repo_id, commit_sha)


def scan_commit(*, repo_id: int, commit_sha: str) -> CommitScan | None:
    """Scans those files of a commit that no current scanner has seen, for as long as a slice lasts.

    Reports are stored every other second, so an interruption loses little work.
    What is left after the slice waits in the queue again. None where there was nothing to claim.
    """
    if not _claim(repo_id, commit_sha):
        return None
    rows = CommitScan.objects.select_related("repo__namespace")
    scan = rows.filter(repo_id=repo_id, commit_sha=commit_sha).first()
    if scan is None:
        return None
    try:
        is_finished = _scan_files(scan)
    except (SourceError, HubError, VcsError) as error:
        logger.warning("scan of %s@%s failed", scan.repo, commit_sha, exc_info=True)
        return _finish(scan, ScanState.FAILED, error=str(error)[:500])
    if is_finished:
        return _finish(scan, ScanState.DONE)
    return _requeue(scan)


def sweep_scans() -> int:
    """Rings for commits whose doorbell, or whose worker, was lost; gives their number.

    Heads of refs without any row are queued first: their news never arrived.
    """
    for repo_id, commit_sha in _unseen_heads():
        queue_scan(repo_id=repo_id, commit_sha=commit_sha)
    now = timezone.now()
    lost = CommitScan.objects.filter(
        Q(state=ScanState.QUEUED, queued_at__lt=now - LOST_AFTER)
        | Q(state=ScanState.SCANNING, started_at__lt=now - LEASE)
        | Q(
            state=ScanState.FAILED,
            finished_at__lt=now - RETRY_AFTER,
            queued_at__gt=now - RETRY_FOR,
        )
    ).order_by("queued_at")
    waiting = list(lost.values_list("repo_id", "commit_sha")[:SWEEP_LIMIT])
    for repo_id, commit_sha in waiting:
        ring(tasks.scan_commit, repo_id, commit_sha)
    return len(waiting)


def _unseen_heads() -> Sequence[tuple[int, str]]:
    seen = CommitScan.objects.filter(repo=OuterRef("repo"), commit_sha=OuterRef("commit_sha"))
    heads = Ref.objects.filter(~Exists(seen)).values_list("repo_id", "commit_sha").distinct()
    return list(heads[:SWEEP_LIMIT])


def _claim(repo_id: int, commit_sha: str) -> bool:
    now = timezone.now()
    open_to_claim = (
        Q(state=ScanState.QUEUED)
        | Q(state=ScanState.SCANNING, started_at__lt=now - LEASE)
        | Q(state=ScanState.FAILED)
    )
    rows = CommitScan.objects.filter(open_to_claim, repo_id=repo_id, commit_sha=commit_sha)
    return bool(rows.update(state=ScanState.SCANNING, started_at=now, error=""))


def _scan_files(scan: CommitScan) -> bool:
    """Whether all files are done within the slice.

    Raises:
        SourceError: after all the others, if a file could not be read; at once if many cannot.
    """
    deadline = monotonic() + SLICE_S
    git = git_of(scan.repo)
    errors: list[SourceError] = []
    with _Batch() as batch:
        for waiting in _unscanned(git, scan.commit_sha):
            if monotonic() > deadline:
                return False
            try:
                batch.add(waiting, _reports(scan.repo, git, waiting.entry))
            except SourceError as error:
                errors.append(error)
            if len(errors) >= MAX_SOURCE_ERRORS:
                break
    if errors:
        raise errors[0]
    return True


@dataclass(frozen=True)
class _Waiting:
    """A file to scan, and the rows of earlier scanners that its reports replace."""

    entry: TreeEntry
    stale_ids: tuple[int, ...]


def _unscanned(git: Repository, commit_sha: str) -> Iterator[_Waiting]:
    """Files without reports of the present set of scanners, each content and name once."""
    entries = [e for e in git.tree(commit_sha, recursive=True) if e.kind == "file"]
    rows = stored_scans(entries)
    seen: set[tuple[str, str]] = set()
    for entry in entries:
        key = (content_id(entry), file_name(entry.path))
        known = rows.get(key, [])
        if key not in seen and not any(r.scanner_version.endswith(_suffix()) for r in known):
            seen.add(key)
            yield _Waiting(entry, tuple(row.pk for row in known))


def _suffix() -> str:
    return f"+{SCANNER_SET}"


def _reports(repo: Repo, git: Repository, entry: TreeEntry) -> list[ScanReport]:
    try:
        with closing(open_file(repo, entry, git=git)) as stream:
            watched = WatchedStream(stream)
            name = file_name(entry.path)
            stream_of_file = cast(BinaryIO, watched)
            reports = scan_file(stream_of_file, name, entry.size_bytes, limits=_limits())
            watched.raise_if_broken()
            return reports
    except (HubError, StorageError, XetError, OSError) as error:
        raise SourceError(f"{entry.path} could not be read: {error}") from error


def _limits() -> ScanLimits:
    standard = ScanLimits()
    return ScanLimits(max_read_bytes=min(standard.max_read_bytes, settings.MAX_SCAN_FILE_BYTES))


class _Batch:
    """Reports stored a few dozen files at a time: one transaction a file would be the slowest part.

    Leaving the block stores the rest, also when it is left by an error.
    """

    def __init__(self) -> None:
        self._rows: list[FileScan] = []
        self._stale_ids: list[int] = []
        self._stored_at = monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._store()

    def add(self, waiting: _Waiting, reports: Sequence[ScanReport]) -> None:
        self._stale_ids += waiting.stale_ids
        self._rows += [_row(waiting.entry, report) for report in reports]
        if len(self._rows) >= BATCH_ROWS or monotonic() - self._stored_at > BATCH_S:
            self._store()

    def _store(self) -> None:
        with transaction.atomic():
            FileScan.objects.filter(pk__in=self._stale_ids).delete()
            # Of two workers on the same file both are right; the first to store wins.
            FileScan.objects.bulk_create(self._rows, ignore_conflicts=True)
        self._rows, self._stale_ids, self._stored_at = [], [], monotonic()


def _row(entry: TreeEntry, report: ScanReport) -> FileScan:
    return FileScan(
        content_id=content_id(entry),
        file_name=file_name(entry.path),
        scanner=report.scanner,
        scanner_version=(report.version + _suffix())[-40:],
        verdict=report.verdict.value,
        findings=storable([finding.to_json() for finding in report.findings]),
    )


def _finish(scan: CommitScan, state: ScanState, *, error: str = "") -> CommitScan:
    scan.state, scan.error, scan.finished_at = state, error, timezone.now()
    if state == ScanState.DONE:
        scan.verdict = VERDICTS.get(summarize_done(scan).state, "")
    _save(scan, ["state", "error", "finished_at", "verdict"])
    return scan


def _requeue(scan: CommitScan) -> CommitScan:
    scan.state = ScanState.QUEUED
    with transaction.atomic():
        _save(scan, ["state"])
        ring(tasks.scan_commit, scan.repo_id, scan.commit_sha)
    return scan


def _save(scan: CommitScan, fields: list[str]) -> None:
    """Writes only over our own claim; the repository may be gone, the lease may have passed on."""
    values: dict[str, str | datetime | None] = {name: getattr(scan, name) for name in fields}
    CommitScan.objects.filter(
        pk=scan.pk, state=ScanState.SCANNING, started_at=scan.started_at
    ).update(**values)
