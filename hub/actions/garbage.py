"""Deleting stored bytes that nothing names any more: marked first, deleted a grace later.

Three layers, each freed by the one above: the right of a repository to a content (`RepoBlob`), the
content (`Blob`, with its plain copy and its recipes), the xorbs that recipes use.

Bytes are deleted while the row is locked, and the row goes in the same transaction: whoever takes
the content up again waits for that lock, and finds either both or neither. A run that is killed
between the two leaves a marked row without bytes, which the next run removes; those who revive a
marked row look whether its bytes are there.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Exists, Model, OuterRef, QuerySet
from django.utils import timezone

from hub.actions.xorb_links import relink_xorbs
from hub.batches import in_batches
from hub.fate import Fate, fate_of
from hub.lfs.pointer import is_lfs_oid
from hub.models import Blob, Repo, RepoBlob, XetFile, Xorb
from hub.site import git_of, store
from hub.storage.values import StoredObject
from hub.usage import files_of, xorbs_used_by
from hub.vcs.errors import RepositoryBusy, VcsError
from hub.xet.content import xorb_key
from hub.xet.hashing import parse_hash

BLOBS_PREFIX, XORBS_PREFIX, QUARANTINE_PREFIX = "lfs", "xet/xorbs", "quarantine"

_ROWS_AT_ONCE = 500

logger = logging.getLogger(__name__)


@dataclass
class Tally:
    """How many things of a kind met each fate, and their sizes."""

    counts: Counter[Fate] = field(default_factory=Counter)
    sizes_bytes: Counter[Fate] = field(default_factory=Counter)

    def add(self, fate: Fate, size_bytes: int) -> None:
        self.counts[fate] += 1
        self.sizes_bytes[fate] += size_bytes


@dataclass(frozen=True)
class Collected:
    """What a run has done, or would do."""

    rights: Tally = field(default_factory=Tally)
    contents: Tally = field(default_factory=Tally)
    xorbs: Tally = field(default_factory=Tally)
    orphans: Tally = field(default_factory=Tally)


@dataclass(frozen=True, slots=True)
class _Run:
    now: datetime
    grace: timedelta
    is_applied: bool

    @property
    def cutoff(self) -> datetime:
        """What was marked, or made, before this has had its grace."""
        return self.now - self.grace

    def fate(self, row: Xorb | Blob | RepoBlob, *, is_needed: bool) -> Fate:
        return fate_of(
            is_needed=is_needed,
            created_at=row.created_at,
            condemned_at=row.condemned_at,
            now=self.now,
            grace=self.grace,
        )

    def write(self, model: type[Model], rows: dict[Fate, list[int]]) -> None:
        """Sets and clears marks, unless somebody was faster."""
        if not self.is_applied:
            return
        for ids in in_batches(rows[Fate.MARK], _ROWS_AT_ONCE):
            marked = model._default_manager.filter(pk__in=ids, condemned_at=None)
            marked.update(condemned_at=self.now)
        for ids in in_batches(rows[Fate.CLEAR], _ROWS_AT_ONCE):
            model._default_manager.filter(pk__in=ids).update(condemned_at=None)


def collect_garbage(*, is_applied: bool, now: datetime | None = None) -> Collected:
    """One run: marks what has become unneeded, deletes what has been so for the grace.

    Args:
        is_applied: change something; else only tell what would be done.

    Raises:
        StorageUnavailable: the store went away; what was done until then is whole.
    """
    grace = timedelta(days=settings.COLLECTION_GRACE_DAYS)
    run, done = _Run(now or timezone.now(), grace, is_applied), Collected()
    _collect_rights(run, done.rights)
    _collect_contents(run, done.contents)
    _collect_xorbs(run, done.xorbs)
    _collect_orphans(run, done.orphans)
    return done


# --- Rights of repositories -------------------------------------------------------------------


def _collect_rights(run: _Run, tally: Tally) -> None:
    old = RepoBlob.objects.filter(created_at__lt=run.cutoff)
    for repo_id in old.order_by("repo_id").values_list("repo_id", flat=True).distinct():
        repo = Repo.objects.filter(pk=repo_id).first()
        if repo is None:
            continue
        try:
            _collect_rights_of(repo, run, tally)
        except RepositoryBusy:
            logger.info("repository %s is busy; its turn comes with the next run", repo_id)
        except VcsError:
            logger.exception("the history of repository %s cannot be read; all is kept", repo_id)


def _collect_rights_of(repo: Repo, run: _Run, tally: Tally) -> None:
    named = git_of(repo).large_oids()
    rows: dict[Fate, list[int]] = {fate: [] for fate in Fate}
    links = RepoBlob.objects.filter(repo=repo, created_at__lt=run.cutoff).select_related("blob")
    for link in links.iterator(chunk_size=_ROWS_AT_ONCE):
        fate = run.fate(link, is_needed=link.blob.sha256 in named)
        tally.add(fate, link.blob.size_bytes)
        rows[fate].append(link.pk)
    run.write(RepoBlob, rows)
    if rows[Fate.DELETE] and run.is_applied:
        _drop_rights(repo, rows[Fate.DELETE], run)


def _drop_rights(repo: Repo, ids: list[int], run: _Run) -> None:
    """Under the lock of the repository, so that no ref moves between the look and the deletion.

    All in one transaction: rights to chunks go with the rights to the files that use them.
    """
    git = git_of(repo)
    with git.lock(), transaction.atomic():
        named = git.large_oids()
        for some in in_batches(ids, _ROWS_AT_ONCE):
            _drop_due(RepoBlob.objects.filter(pk__in=some, condemned_at__lt=run.cutoff), named)
        relink_xorbs(repo)


def _drop_due(due: QuerySet[RepoBlob], named: set[str]) -> None:
    """Locked first: a mark that an upload takes off just now is seen."""
    free = due.select_for_update(of=("self",)).exclude(blob__sha256__in=named)
    RepoBlob.objects.filter(pk__in=list(free.values_list("pk", flat=True))).delete()


# --- Contents ---------------------------------------------------------------------------------


def _collect_contents(run: _Run, tally: Tally) -> None:
    links = RepoBlob.objects.filter(blob=OuterRef("pk"))
    blobs = Blob.objects.annotate(
        has_links=Exists(links), is_needed=Exists(links.filter(condemned_at=None))
    )
    rows: dict[Fate, list[int]] = {fate: [] for fate in Fate}
    for blob in blobs.exclude(is_needed=True, condemned_at=None).iterator(chunk_size=_ROWS_AT_ONCE):
        fate = run.fate(blob, is_needed=blob.is_needed)
        if fate is Fate.DELETE and blob.has_links:
            fate = Fate.WAIT
        tally.add(fate, blob.size_bytes)
        rows[fate].append(blob.pk)
    run.write(Blob, rows)
    if run.is_applied:
        for pk in rows[Fate.DELETE]:
            _delete_content(pk, run)


def _delete_content(pk: int, run: _Run) -> None:
    with transaction.atomic():
        locked = Blob.objects.select_for_update().filter(pk=pk, condemned_at__lt=run.cutoff)
        blob = locked.first()
        if blob is None or blob.repo_links.exists():
            return
        store().delete(blob.store_key)
        XetFile.objects.filter(sha256=blob.sha256).delete()
        blob.delete()


# --- Xorbs ------------------------------------------------------------------------------------


def _collect_xorbs(run: _Run, tally: Tally) -> None:
    needed = xorbs_used_by(files_of(Blob.objects.filter(condemned_at=None)))
    rows: dict[Fate, list[int]] = {fate: [] for fate in Fate}
    due: list[Xorb] = []
    for xorb in Xorb.objects.iterator(chunk_size=_ROWS_AT_ONCE):
        fate = run.fate(xorb, is_needed=xorb.hash in needed)
        if fate is Fate.DELETE:
            due.append(xorb)
            continue
        tally.add(fate, xorb.size_bytes)
        if fate is not Fate.KEEP:
            rows[fate].append(xorb.pk)
    run.write(Xorb, rows)
    # A recipe may outlast its mark by a run; until it is gone its xorbs stay.
    named = xorbs_used_by(XetFile.objects.all()) if due else set()
    for xorb in due:
        is_free = xorb.hash not in named
        tally.add(Fate.DELETE if is_free else Fate.WAIT, xorb.size_bytes)
        if is_free and run.is_applied:
            _delete_xorb(xorb.pk, run)


def _delete_xorb(pk: int, run: _Run) -> None:
    with transaction.atomic():
        locked = Xorb.objects.select_for_update().filter(pk=pk, condemned_at__lt=run.cutoff)
        xorb = locked.first()
        if xorb is None:
            return
        store().delete(xorb_key(parse_hash(xorb.hash)))
        xorb.delete()


# --- Objects without a row --------------------------------------------------------------------


def _collect_orphans(run: _Run, tally: Tally) -> None:
    """What uploads left that were killed before their row was written, and what lies aside."""
    kinds: list[tuple[str, Callable[[list[str]], set[str]], Callable[[str, str], bool]]] = [
        (XORBS_PREFIX, _known_xorbs, _delete_orphan_xorb),
        (BLOBS_PREFIX, _known_blobs, _delete_orphan_blob),
        (QUARANTINE_PREFIX, lambda names: set(), _delete_aside),
    ]
    if run.is_applied:
        store().drop_unfinished(run.cutoff)
    for prefix, known_among, delete in kinds:
        for item in _strangers(prefix, known_among, run):
            name = item.key.rsplit("/", 1)[-1]
            if not run.is_applied or delete(item.key, name):
                tally.add(Fate.DELETE, item.size_bytes)


def _strangers(
    prefix: str, known_among: Callable[[list[str]], set[str]], run: _Run
) -> Iterator[StoredObject]:
    old = (
        item
        for item in store().list(prefix)
        if item.last_modified < run.cutoff and is_lfs_oid(item.key.rsplit("/", 1)[-1])
    )
    for items in in_batches(old, _ROWS_AT_ONCE):
        known = known_among([item.key.rsplit("/", 1)[-1] for item in items])
        yield from (item for item in items if item.key.rsplit("/", 1)[-1] not in known)


def _known_xorbs(names: list[str]) -> set[str]:
    return set(Xorb.objects.filter(hash__in=names).values_list("hash", flat=True))


def _known_blobs(names: Iterable[str]) -> set[str]:
    plain = Blob.objects.filter(sha256__in=list(names), is_plain=True)
    return set(plain.values_list("sha256", flat=True))


def _delete_orphan_xorb(key: str, name: str) -> bool:
    """Under a row of its own, which an upload of the same xorb has to wait for."""
    try:
        with transaction.atomic():
            row = Xorb.objects.create(hash=name, size_bytes=0, unpacked_bytes=0, chunk_count=0)
            store().delete(key)
            row.delete()
    except IntegrityError:
        return False
    return True


def _delete_orphan_blob(key: str, name: str) -> bool:
    try:
        with transaction.atomic():
            blob = Blob.objects.select_for_update().filter(sha256=name).first()
            if blob is not None and blob.is_plain:
                return False
            row = None if blob else Blob.objects.create(sha256=name, size_bytes=0)
            store().delete(key)
            if row is not None:
                row.delete()
    except IntegrityError:
        return False
    return True


def _delete_aside(key: str, name: str) -> bool:
    store().delete(key)
    return True
