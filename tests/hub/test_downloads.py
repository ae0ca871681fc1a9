"""Counting downloads: per client and while, without a write for each request."""

from datetime import timedelta

import pytest
from django.conf import settings
from django.core.cache import cache
from django.utils import timezone

from hub.actions.downloads import record_downloads, refresh_download_windows
from hub.actions.repos import delete_repo
from hub.models import DownloadDay
from tests.support.factories import commit


@pytest.fixture(autouse=True)
def empty_cache():
    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def repo(cast):
    repo = cast.public_repo()
    commit(repo, {"a.txt": b"a", "b.txt": b"b"})
    return repo


def counts(repo):
    repo.refresh_from_db()
    return repo.downloads, repo.downloads_all_time


def fetch(client, repo, *, address="1.2.3.4", name="a.txt", method="get", **headers):
    call = getattr(client, method)
    url = f"{repo.url_path}/resolve/main/{name}"
    response = call(url, REMOTE_ADDR=address, headers=headers)
    assert response.status_code == 200
    if response.streaming:
        response.getvalue()


def test_all_files_of_one_visit_are_one_download(cast, repo):
    client = cast.api_client("anonymous")
    for name in ("a.txt", "b.txt", "a.txt"):
        fetch(client, repo, name=name, method="head", **{"x-hf-download-counter": "1"})
        fetch(client, repo, name=name)
    assert counts(repo) == (0, 0)
    assert record_downloads() == 1
    assert counts(repo) == (1, 1)
    assert record_downloads() == 0
    assert counts(repo) == (1, 1)


def test_each_client_counts(cast, repo):
    fetch(cast.api_client("anonymous"), repo, address="1.1.1.1")
    fetch(cast.api_client("anonymous"), repo, address="2.2.2.2")
    fetch(cast.api_client("member"), repo, address="2.2.2.2")
    assert record_downloads() == 3
    assert counts(repo) == (3, 3)


def test_looking_is_no_download(cast, repo):
    client = cast.api_client("anonymous")
    fetch(client, repo, method="head")
    fetch(client, repo, method="head", **{"x-hf-download-counter": "1"})
    client.get(f"{repo.url_path}/resolve/main/missing.txt")
    client.get(f"{repo.url_path}/raw/main/a.txt")
    assert record_downloads() == 0


def test_request_writes_nothing_to_the_database(cast, repo, django_assert_max_num_queries):
    client = cast.api_client("anonymous")
    with django_assert_max_num_queries(3) as queries:
        fetch(client, repo)
    assert all(query["sql"].startswith("SELECT") for query in queries.captured_queries)


def test_reading_by_xet_counts_with_its_token(cast, repo):
    client = cast.api_client("reader")
    assert client.get(f"{repo.api_path}/xet-read-token/main").status_code == 200
    fetch(client, repo)
    assert client.head(f"{repo.api_path}/xet-read-token/main").status_code == 200
    assert record_downloads() == 1


@pytest.mark.skipif(bool(settings.REDIS_URL), reason="with a shared cache the periodic task writes")
def test_a_process_without_shared_cache_writes_down_what_it_noted(cast, repo):
    for number in range(3):
        fetch(cast.api_client("anonymous"), repo, address=f"1.1.1.{number}")
    assert counts(repo) == (0, 0)
    cache.delete("downloads:rest")  # a minute later
    fetch(cast.api_client("anonymous"), repo, address="2.2.2.2")
    assert counts(repo) == (3, 3)


def test_a_place_filled_late_is_counted_the_next_time(repo):
    today = timezone.now().date()
    cache.set("downloads:head", 2)
    cache.set("downloads:at:2", (repo.pk, today))
    assert record_downloads() == 1
    cache.set("downloads:at:1", (repo.pk, today))
    assert record_downloads() == 1
    assert record_downloads() == 0
    assert counts(repo) == (2, 2)


def test_deleted_repository_spoils_nothing(cast, repo):
    other = cast.public_repo("other")
    commit(other, {"a.txt": b"a"})
    for each in (repo, other):
        fetch(cast.api_client("anonymous"), each)
    delete_repo(repo=repo, acting_user=cast.owner)
    assert record_downloads() == 1
    assert counts(other) == (1, 1)


def test_old_days_leave_the_recent_count_alone(repo):
    today = timezone.now().date()
    for age, count in ((0, 1), (29, 10), (30, 100), (400, 1000)):
        DownloadDay.objects.create(repo=repo, day=today - timedelta(days=age), count=count)
    type(repo).objects.filter(pk=repo.pk).update(downloads=1111)
    refresh_download_windows()
    assert counts(repo)[0] == 11
