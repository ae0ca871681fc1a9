"""Writing down how often repositories were downloaded."""

from __future__ import annotations

from datetime import date, timedelta

from django.db import transaction
from django.db.models import F, OuterRef, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce
from django.utils import timezone

from hub.downloads import take_noted
from hub.models import DownloadDay, Repo

WINDOW = timedelta(days=30)


def record_downloads() -> int:
    """Add what was noted since the last call to the counts of days and repositories.

    Returns:
        How many downloads were written down; those of deleted repositories are left out.
    """
    counts = take_noted()
    known = set(Repo.objects.filter(pk__in={pk for pk, _ in counts}).values_list("pk", flat=True))
    total = 0
    for (repo_id, day), count in counts.items():
        if repo_id in known:
            _add(repo_id=repo_id, day=day, count=count)
            total += count
    _refresh_window(Repo.objects.filter(pk__in=known))
    return total


def refresh_download_windows() -> None:
    """Let days that are over 30 days ago fall out of the recent counts."""
    _refresh_window(Repo.objects.filter(downloads__gt=0))


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
    repos.update(downloads=Coalesce(Subquery(recent), 0))
