"""Writing down how often repositories were downloaded."""

from __future__ import annotations

from datetime import date, timedelta

from django.db import transaction
from django.db.models import F, OuterRef, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce
from django.http import HttpRequest
from django.utils import timezone

from hub.auth import Actor
from hub.downloads import is_waiting_here, note_download, take_noted
from hub.models import DownloadDay, Repo

WINDOW = timedelta(days=30)
BATCH = 500


def count_download(request: HttpRequest, repo: Repo, actor: Actor) -> None:
    """Notes a download; where no worker can read the note, writes down the ones before it."""
    if is_waiting_here():
        record_downloads()
    note_download(request, repo, actor)


def record_downloads() -> int:
    """Add what was noted since the last call to the counts of days and repositories.

    Returns:
        How many downloads were written down; those of deleted repositories are left out.
    """
    counts = take_noted()
    known = _known({pk for pk, _ in counts})
    total = 0
    for (repo_id, day), count in counts.items():
        if repo_id in known:
            _add(repo_id=repo_id, day=day, count=count)
            total += count
    changed = sorted(known)
    for start in range(0, len(changed), BATCH):
        _refresh_window(Repo.objects.filter(pk__in=changed[start : start + BATCH]))
    return total


def refresh_download_windows() -> None:
    """Let days that are over 30 days ago fall out of the recent counts, in short transactions."""
    counted = Repo.objects.filter(downloads__gt=0).order_by("pk").values_list("pk", flat=True)
    last = 0
    while batch := list(counted.filter(pk__gt=last)[:BATCH]):
        _refresh_window(Repo.objects.filter(pk__in=batch))
        last = batch[-1]


def _known(ids: set[int]) -> set[int]:
    found: set[int] = set()
    wanted = sorted(ids)
    for start in range(0, len(wanted), BATCH):
        some = wanted[start : start + BATCH]
        found.update(Repo.objects.filter(pk__in=some).values_list("pk", flat=True))
    return found


def _add(*, repo_id: int, day: date, count: int) -> None:
    with transaction.atomic():
        row, is_new = DownloadDay.objects.get_or_create(
            repo_id=repo_id, day=day, defaults={"count": count}
        )
        if not is_new:
            DownloadDay.objects.filter(pk=row.pk).update(count=F("count") + count)
        Repo.objects.filter(pk=repo_id).update(downloads_all_time=F("downloads_all_time") + count)


def _refresh_window(repos: QuerySet[Repo]) -> None:
    since = timezone.now().date() - WINDOW
    days = DownloadDay.objects.filter(repo=OuterRef("pk"), day__gt=since)
    recent = days.order_by().values("repo").annotate(total=Sum("count")).values("total")
    total = Coalesce(Subquery(recent), 0)
    repos.exclude(downloads=total).update(downloads=total)
