"""How many discussions, pull requests and comments one may write, through every door."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client
from huggingface_hub.utils import parse_ratelimit_headers

from contributions.actions.discussions import open_discussion
from contributions.models import Discussion, DiscussionEvent
from hub.models import Repo
from hub.site import git_of
from tests.hub.hfapi.conftest import file_line, header
from tests.support.cast import Cast
from tests.support.factories import make_repo

pytestmark = pytest.mark.django_db
API = "/api/models/guild/open"


@pytest.fixture
def repo(cast: Cast) -> Repo:
    return make_repo(cast.organization, "open", creator=cast.owner)


@pytest.fixture
def limits(settings: Any) -> None:
    cache.clear()
    settings.RATE_LIMITS = {"discussion": (1, 3600), "comment": (1, 3600)}


def post(client: Client, path: str, body: Any) -> Any:
    return client.post(path, body, content_type="application/json")


def is_refused(answer: Any, limit: str) -> bool:
    told = parse_ratelimit_headers(answer.headers)
    assert told is not None, answer.content
    assert (told.resource_type, told.remaining, told.limit) == (limit, 0, 1)
    assert answer["X-Error-Code"] == "RateLimited"
    return answer.status_code == 429 and answer["Retry-After"] == str(told.reset_in_seconds)


def test_discussions_and_pull_requests_count_together(cast: Cast, repo: Repo, limits: None) -> None:
    api, page = cast.api_client("stranger"), cast.web_client("stranger")
    words = {"title": "One", "description": "text"}
    assert post(api, f"{API}/discussions", words).status_code == 200
    refs = [ref.full_name for ref in git_of(repo).pull_refs()]
    lines = "\n".join(json.dumps(line) for line in (header(), file_line("a.txt", b"a")))
    for answer in (
        post(api, f"{API}/discussions", words),
        post(api, f"{API}/discussions", words | {"pullRequest": True}),
        api.post(f"{API}/commit/main?create_pr=1", lines, content_type="application/x-ndjson"),
        page.post("/guild/open/discussions/new", words),
        page.post("/guild/open/discussions/new-pull-request", words | {"base": "main"}),
    ):
        assert is_refused(answer, "discussion")
    assert Discussion.objects.count() == 1
    assert [ref.full_name for ref in git_of(repo).pull_refs()] == refs
    other = cast.api_client("member")
    assert post(other, f"{API}/discussions", words).status_code == 200
    admin = cast.api_client("admin")
    for _ in range(3):
        assert post(admin, f"{API}/discussions", words).status_code == 200


def test_comments_are_counted_however_they_are_written(
    cast: Cast, repo: Repo, limits: None
) -> None:
    talk = open_discussion(repo=repo, title="T", description="d", acting_user=cast.stranger)
    api, page = cast.api_client("stranger"), cast.web_client("stranger")
    one = f"{API}/discussions/{talk.num}"
    assert post(api, f"{one}/comment", {"comment": "first"}).status_code == 200
    event = DiscussionEvent.objects.get(text="first")
    for answer in (
        post(api, f"{one}/comment", {"comment": "second"}),
        post(api, f"{one}/comment/{event.public_id}/edit", {"content": "other"}),
        post(api, f"{one}/status", {"status": "closed"}),
        page.post(f"/guild/open/discussions/{talk.num}/comment", {"comment": "second"}),
    ):
        assert is_refused(answer, "comment")
    event.refresh_from_db()
    talk.refresh_from_db()
    assert (event.text, talk.status) == ("first", "open")
    assert DiscussionEvent.objects.count() == 2
