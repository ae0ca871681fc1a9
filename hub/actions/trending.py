"""Keeping the scores of trending repositories fresh."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime

from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from hub.models import DownloadDay, Like, Repo
from hub.trending import WINDOW, DayOfDownloads, trending_score

BATCH = 500


def refresh_trending() -> int:
    """Works out the scores of all repositories that have one or may get one.

    Each batch is a few reads and one write of the rows whose score has changed, so that no lock is
    held for long; repositories without recent interest are not touched.

    Returns:
        How many scores have changed.
    """
    now = timezone.now()
    return sum(_refresh(batch, now) for batch in _batches(now))


def _batches(now: datetime) -> Iterator[list[Repo]]:
    """Repositories with a score, or with a like or download in the window, by id."""
    since = now - WINDOW
    liked = Like.objects.filter(repo=OuterRef("pk"), created_at__gt=since)
    fetched = DownloadDay.objects.filter(repo=OuterRef("pk"), day__gt=since.date())
    warm = Repo.objects.filter(Q(trending_score__gt=0) | Exists(liked) | Exists(fetched))
    rows = warm.only("pk", "created_at", "trending_score").order_by("pk")
    last = 0
    while batch := list(rows.filter(pk__gt=last)[:BATCH]):
        yield batch
        last = batch[-1].pk


def _refresh(repos: list[Repo], now: datetime) -> int:
    ids = [repo.pk for repo in repos]
    likes, downloads = _likes(ids, now), _downloads(ids, now)
    changed = []
    for repo in repos:
        score = trending_score(
            like_ages_days=likes[repo.pk],
            downloads=downloads[repo.pk],
            age_days=_days(now, repo.created_at),
        )
        if score != repo.trending_score:
            repo.trending_score = score
            changed.append(repo)
    Repo.objects.bulk_update(changed, ["trending_score"])
    return len(changed)


def _likes(ids: list[int], now: datetime) -> dict[int, list[float]]:
    found = defaultdict(list)
    rows = Like.objects.filter(repo__in=ids, created_at__gt=now - WINDOW)
    for repo_id, created_at in rows.values_list("repo_id", "created_at"):
        found[repo_id].append(_days(now, created_at))
    return found


def _downloads(ids: list[int], now: datetime) -> dict[int, list[DayOfDownloads]]:
    found = defaultdict(list)
    rows = DownloadDay.objects.filter(repo__in=ids, day__gt=(now - WINDOW).date())
    for repo_id, day, count in rows.values_list("repo_id", "day", "count"):
        found[repo_id].append(DayOfDownloads((now.date() - day).days, count))
    return found


def _days(now: datetime, then: datetime) -> float:
    return (now - then).total_seconds() / 86_400
