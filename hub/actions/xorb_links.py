"""Which chunks of which xorbs the files of a repository use: what its readers may be told of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from django.db import transaction

from hub.batches import in_batches
from hub.models import Repo, RepoXorb, XetFile
from hub.xet.chunk_ranges import Ranges, pack_ranges, unpack_ranges, used_chunks
from hub.xet.hashing import format_hash

_ROWS_AT_ONCE = 500


def link_xorbs(repo: Repo, used: Mapping[int, Ranges]) -> None:
    """Adds what new files use, by row id of the xorb. Part of a transaction of the caller's."""
    for some in in_batches(sorted(used), _ROWS_AT_ONCE):
        rows = [RepoXorb(repo=repo, xorb_id=pk, used=pack_ranges(used[pk])) for pk in some]
        RepoXorb.objects.bulk_create(rows, ignore_conflicts=True)
        links = RepoXorb.objects.select_for_update().filter(repo=repo, xorb_id__in=some)
        found = list(links.order_by("xorb_id"))
        RepoXorb.objects.bulk_update([n for n in found if _grow(n, used[n.xorb_id])], ["used"])
        # A row that was there a moment ago and is not: `relink_xorbs` found it idle just then.
        lost = set(some) - {link.xorb_id for link in found}
        RepoXorb.objects.bulk_create([row for row in rows if row.xorb_id in lost])


def relink_xorbs(repo: Repo) -> None:
    """Forgets what no file of the repository uses any more, after rights to files have gone."""
    with transaction.atomic():
        found = repo.xorb_links.select_for_update(of=("self",)).select_related("xorb")
        links = list(found.order_by("xorb_id"))  # in the order of `link_xorbs`
        files = XetFile.objects.filter(repo_links__repo=repo).values_list("terms", flat=True)
        used = _by_text(files.iterator(chunk_size=_ROWS_AT_ONCE))
        idle = [link.pk for link in links if link.xorb.hash not in used]
        for some in in_batches(idle, _ROWS_AT_ONCE):
            RepoXorb.objects.filter(pk__in=some).delete()
        for link in links:
            link.used = pack_ranges(used.get(link.xorb.hash, ()))
        RepoXorb.objects.bulk_update(links, ["used"], batch_size=_ROWS_AT_ONCE)


def _by_text(recipes: Iterable[bytes | memoryview]) -> dict[str, Ranges]:
    return {format_hash(raw): ranges for raw, ranges in used_chunks(recipes).items()}


def _grow(link: RepoXorb, ranges: Ranges) -> bool:
    """Whether that was news."""
    before = bytes(link.used)
    link.used = pack_ranges([*unpack_ranges(before), *ranges])
    return bytes(link.used) != before
