"""The score of trending repositories: by hand, and kept by the periodic task."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from hub.actions.likes import like_repo, unlike_repo
from hub.actions.trending import refresh_trending
from hub.models import DownloadDay, Like, Repo
from hub.trending import DayOfDownloads, trending_score
from tests.support.factories import make_repo, make_user


@pytest.mark.parametrize(
    ("likes", "downloads", "age_days", "expected"),
    [
        ([], [], 0, 0),
        ([0], [], 0, 800),  # 100 · 4 · 2
        ([0], [], 30, 600),  # 100 · 4 · 1.5
        ([7], [], 30, 300),  # half a like
        ([30, 31], [], 30, 0),  # outside the window
        ([], [(0, 15)], 1e9, 400),  # log2(16)
        ([], [(7, 30)], 1e9, 400),  # 15 after a week
        ([0, 7], [(0, 3), (30, 1000)], 30, 1200),  # 100 · (6 + 2) · 1.5
    ],
)
def test_score_by_hand(likes, downloads, age_days, expected):
    days = [DayOfDownloads(*day) for day in downloads]
    score = trending_score(like_ages_days=likes, downloads=days, age_days=age_days)
    assert score == expected


def score_of(repo):
    repo.refresh_from_db()
    return repo.trending_score


def test_scores_come_and_go(cast):
    liked, fetched, quiet = (cast.public_repo(name) for name in ("liked", "fetched", "quiet"))
    like_repo(repo=liked, acting_user=cast.stranger)
    DownloadDay.objects.create(repo=fetched, day=timezone.now().date(), count=15)
    assert refresh_trending() == 2
    assert score_of(liked) == pytest.approx(800, abs=2)
    assert score_of(fetched) == pytest.approx(800, abs=2)
    assert score_of(quiet) == 0
    unlike_repo(repo=liked, acting_user=cast.stranger)
    DownloadDay.objects.update(day=timezone.now().date() - timedelta(days=31))
    assert refresh_trending() == 2
    assert (score_of(liked), score_of(fetched)) == (0, 0)
    assert refresh_trending() == 0


def test_only_rows_that_changed_are_written_in_batches(cast, monkeypatch):
    from hub.actions import trending

    monkeypatch.setattr(trending, "BATCH", 2)
    for number in range(5):
        repo = make_repo(cast.owner, f"m{number}")
        Like.objects.create(repo=repo, user=make_user())
    assert refresh_trending() == 5
    Repo.objects.filter(name="m3").update(trending_score=1)
    with CaptureQueriesContext(connection) as queries:
        assert refresh_trending() == 1
    writes = [query["sql"] for query in queries if query["sql"].startswith("UPDATE")]
    assert len(writes) == 1
