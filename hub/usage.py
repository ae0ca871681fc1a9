"""What repositories hold, and what the store spends on it.

Logical bytes of a repository are the sizes of the large contents that it has been sent (each
counted once, at any revision) and the size of its git repository on disk. Stored bytes are those
of the xorbs and of the plain copies, each once for the whole site.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from django.db.models import Count, Exists, F, OuterRef, QuerySet, Sum
from django.db.models.functions import Coalesce

from hub.batches import in_batches
from hub.models import Blob, Namespace, Repo, RepoBlob, XetFile, Xorb
from hub.models.repo import DUE_CLUTTER
from hub.other_stored import OtherStored, other_stored
from hub.site import store
from hub.xet.content import xorb_key
from hub.xet.hashing import HASH_BYTES, format_hash, parse_hash
from hub.xet.terms import TERM_DTYPE

_FILES_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Holder:
    """A repository or namespace, and how much it holds."""

    name: str
    logical_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageTotals:
    """Sizes in bytes; ratios are above 1 where something is saved, None where nothing is stored."""

    logical_large_bytes: int
    """Of large contents, counted again for each repository that was sent them."""
    logical_git_bytes: int
    scattered_count: int
    """Git repositories that are to be repacked."""
    plain_count: int
    plain_bytes: int
    xorb_count: int
    xorb_bytes: int
    xorb_unpacked_bytes: int
    condemned_bytes: int
    """Stored, and marked by collection."""
    quarantined_count: int
    """Contents and xorbs that are damaged."""

    @property
    def stored_bytes(self) -> int:
        return self.plain_bytes + self.xorb_bytes

    @property
    def saving_ratio(self) -> float | None:
        """Logical to stored bytes of large contents."""
        return _ratio(self.logical_large_bytes, self.stored_bytes)

    @property
    def compression_ratio(self) -> float | None:
        """Of chunks: before to after."""
        return _ratio(self.xorb_unpacked_bytes, self.xorb_bytes)


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageReport:
    """The totals, and what takes longer to find out."""

    totals: StorageTotals
    distinct_large_bytes: int
    """Of large contents, each counted once."""
    unreferenced_bytes: int
    """Of stored bytes: those that no repository needs any more, or not yet."""
    namespaces: tuple[Holder, ...]
    repos: tuple[Holder, ...]
    others: tuple[OtherStored, ...]
    """What is stored beside the contents of repositories."""


def storage_report(*, top: int = 10) -> StorageReport:
    """The figures of the whole site; reads the recipe of every file, but no stored byte."""
    return StorageReport(
        totals=storage_totals(),
        distinct_large_bytes=_total(linked_blobs(), "size_bytes"),
        unreferenced_bytes=_unreferenced_bytes(),
        namespaces=tuple(_top_namespaces(top)),
        repos=tuple(_top_repos(top)),
        others=tuple(other_stored()),
    )


def storage_totals() -> StorageTotals:
    """The figures that a few sums give."""
    plain = Blob.objects.filter(is_plain=True).aggregate(n=Count("pk"), size=_sum("size_bytes"))
    xorbs = Xorb.objects.aggregate(
        n=Count("pk"), size=_sum("size_bytes"), unpacked=_sum("unpacked_bytes")
    )
    return StorageTotals(
        logical_large_bytes=_total(RepoBlob.objects.all(), "blob__size_bytes"),
        logical_git_bytes=_total(Repo.objects.all(), "git_bytes"),
        scattered_count=scattered_repos().count(),
        plain_count=plain["n"],
        plain_bytes=plain["size"],
        xorb_count=xorbs["n"],
        xorb_bytes=xorbs["size"],
        xorb_unpacked_bytes=xorbs["unpacked"],
        condemned_bytes=condemned_bytes(),
        quarantined_count=quarantined_count(),
    )


def scattered_repos() -> QuerySet[Repo]:
    """Repositories whose objects lie in so many files that git is slow, the worst first."""
    return Repo.objects.filter(git_clutter__gte=DUE_CLUTTER).order_by("-git_clutter", "pk")


def linked_blobs() -> QuerySet[Blob]:
    """Contents that at least one repository has a right to."""
    return Blob.objects.filter(Exists(RepoBlob.objects.filter(blob=OuterRef("pk"))))


def condemned_bytes() -> int:
    """Stored bytes that collection has marked."""
    blobs = Blob.objects.filter(is_plain=True, condemned_at__isnull=False)
    xorbs = Xorb.objects.filter(condemned_at__isnull=False)
    return _total(blobs, "size_bytes") + _total(xorbs, "size_bytes")


def quarantined_count() -> int:
    """Contents and xorbs whose stored bytes are damaged."""
    damaged = {"quarantined_at__isnull": False}
    return Xorb.objects.filter(**damaged).count() + Blob.objects.filter(**damaged).count()


def damaged_contents() -> list[str]:
    """Names of the xorbs and contents whose stored bytes are damaged."""
    xorbs = Xorb.objects.exclude(quarantined_at=None).values_list("hash", flat=True)
    blobs = Blob.objects.exclude(quarantined_at=None).values_list("sha256", flat=True)
    return [*(f"xorb {name}" for name in xorbs), *(f"file {name}" for name in blobs)]


def missing_contents(*, limit: int) -> list[str]:
    """Names of those of the newest `limit` xorbs and plain contents that the store has lost.

    What collection has marked is left out: one that was killed may have deleted it.

    Raises:
        StorageUnavailable
    """
    here = {"condemned_at": None, "quarantined_at": None}
    xorbs = Xorb.objects.filter(**here).order_by("-pk").values_list("hash", flat=True)[:limit]
    blobs = Blob.objects.filter(is_plain=True, **here).order_by("-pk")[:limit]
    keys = {f"xorb {name}": xorb_key(parse_hash(name)) for name in xorbs}
    keys |= {f"file {blob.sha256}": blob.store_key for blob in blobs}
    return [name for name, key in keys.items() if not store().exists(key)]


def linked_oids(repo: Repo, oids: Iterable[str]) -> set[str]:
    """Those SHA-256 that `repo` is charged for."""
    found: set[str] = set()
    for some in in_batches(oids, _FILES_AT_ONCE):
        links = RepoBlob.objects.filter(repo=repo, blob__sha256__in=some)
        found.update(links.values_list("blob__sha256", flat=True))
    return found


def linked_file_sizes(repo: Repo, sizes: Iterable[int]) -> set[int]:
    """Those sizes of which `repo` has been sent a large file."""
    found: set[int] = set()
    for some in in_batches(sizes, _FILES_AT_ONCE):
        links = RepoBlob.objects.filter(repo=repo, blob__size_bytes__in=some)
        found.update(links.values_list("blob__size_bytes", flat=True))
    return found


def repo_logical_bytes(repo: Repo) -> int:
    """What one repository holds."""
    return _total(RepoBlob.objects.filter(repo=repo), "blob__size_bytes") + repo.git_bytes


def logical_bytes(namespace: Namespace) -> int:
    """What all repositories of a namespace hold together."""
    large = RepoBlob.objects.filter(repo__namespace=namespace)
    return _total(large, "blob__size_bytes") + _total(namespace.repos.all(), "git_bytes")


def xorbs_used_by(files: QuerySet[XetFile]) -> set[str]:
    """Hashes of the xorbs that recipes name. Its memory follows the number of xorbs."""
    used: set[bytes] = set()
    for terms in files.values_list("terms", flat=True).iterator(chunk_size=_FILES_AT_ONCE):
        rows = np.unique(np.frombuffer(terms, dtype=TERM_DTYPE)["xorb"], axis=0).tobytes()
        used.update(rows[at : at + HASH_BYTES] for at in range(0, len(rows), HASH_BYTES))
    return {format_hash(raw) for raw in used}


def files_of(blobs: QuerySet[Blob]) -> QuerySet[XetFile]:
    """The recipes of contents."""
    return XetFile.objects.filter(sha256__in=blobs.values("sha256"))


def _unreferenced_bytes() -> int:
    plain = Blob.objects.filter(is_plain=True).exclude(pk__in=linked_blobs().values("pk"))
    used = xorbs_used_by(files_of(linked_blobs()))
    rows = Xorb.objects.values_list("hash", "size_bytes").iterator(chunk_size=5000)
    idle = sum(size for name, size in rows if name not in used)
    return _total(plain, "size_bytes") + idle


def with_logical_bytes(repos: QuerySet[Repo]) -> QuerySet[Any]:  # Any: with one more field
    """The repositories with what each holds as `held_bytes`."""
    large = Coalesce(Sum("blob_links__blob__size_bytes"), 0)
    return repos.annotate(held_bytes=large + F("git_bytes"))


def _top_repos(count: int) -> Iterator[Holder]:
    repos = with_logical_bytes(Repo.objects.select_related("namespace"))
    for repo in repos.order_by("-held_bytes", "pk")[:count]:
        yield Holder(repo.url_path.removeprefix("/"), repo.held_bytes)


def _top_namespaces(count: int) -> Iterator[Holder]:
    large = RepoBlob.objects.values("repo__namespace__name").annotate(n=_sum("blob__size_bytes"))
    git = Repo.objects.values("namespace__name").annotate(n=_sum("git_bytes"))
    held = dict(git.values_list("namespace__name", "n"))
    for name, size in large.values_list("repo__namespace__name", "n"):
        held[name] = held.get(name, 0) + size
    for name, size in sorted(held.items(), key=lambda item: (-item[1], item[0]))[:count]:
        yield Holder(name, size)


def _sum(field: str) -> Coalesce:
    return Coalesce(Sum(field), 0)


def _total(rows: QuerySet, field: str) -> int:
    total: int = rows.aggregate(total=_sum(field))["total"]
    return total


def _ratio(before: int, after: int) -> float | None:
    return before / after if after else None
