"""HTML of comments: made once, kept beside the text, never that of something else."""

from __future__ import annotations

from typing import Any

import pytest

from contributions import comments
from contributions.actions import discussions, rendering
from contributions.actions.discussions import (
    add_comment,
    change_status,
    edit_comment,
    hide_comment,
    open_discussion,
)
from contributions.actions.pull_requests import merge_pull_request, open_pull_request
from contributions.models import Discussion, DiscussionEvent
from contributions.portal import timeline
from hub.errors import Conflict
from hub.models import Repo
from tests.hub.hfapi.conftest import HubApi
from tests.support.cast import Cast
from tests.support.factories import commit, make_repo


@pytest.fixture
def repo(cast: Cast) -> Repo:
    return make_repo(cast.organization, "thing", creator=cast.owner, files={"a.txt": "one\n"})


@pytest.fixture
def talk(repo: Repo, cast: Cast) -> Discussion:
    return open_discussion(repo=repo, title="T", description="*One*", acting_user=cast.owner)


@pytest.fixture
def rendered(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts whose markup has been read."""
    texts: list[str] = []
    render = comments.render_markdown

    def counting(text: str, **place: str) -> str:
        texts.append(text)
        return render(text, **place)

    monkeypatch.setattr(comments, "render_markdown", counting)
    return texts


def told(repo: Repo, num: int = 1) -> list[dict[str, Any]]:
    answer = HubApi(None).get(f"{repo.api_path}/discussions/{num}").json()
    return [event["data"] for event in answer["events"] if event["type"] == "comment"]


def test_markup_is_read_when_somebody_writes_and_not_when_somebody_reads(
    talk: Discussion,
    cast: Cast,
    rendered: list[str],
    django_capture_on_commit_callbacks: Any,
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        event = add_comment(discussion=talk, text="*Two*", acting_user=cast.owner)
        rendering.with_html(talk.events.filter(text="*One*"), repo_path=talk.repo.url_path)
    with django_capture_on_commit_callbacks(execute=True):
        edit_comment(event=event, text="*Three*", acting_user=cast.owner)
    assert sorted(rendered) == ["*One*", "*Three*", "*Two*"]
    first, second = told(talk.repo)
    cast.web_client("anonymous").get(talk.url_path)
    assert len(rendered) == 3
    assert first["latest"]["html"].strip() == "<p><em>One</em></p>"
    assert second["latest"]["html"].strip() == "<p><em>Three</em></p>"
    assert [old["html"].strip() for old in second["history"]] == ["<p><em>Two</em></p>"]


@pytest.mark.parametrize("what", ["renderer", "address", "text"])
def test_html_of_something_else_is_made_anew_and_kept(
    talk: Discussion, monkeypatch: pytest.MonkeyPatch, rendered: list[str], what: str
) -> None:
    talk.events.update(text="[x](y.txt)")
    told(talk.repo)
    if what == "renderer":
        monkeypatch.setattr(comments, "RENDERER", "2")
    elif what == "address":
        Repo.objects.filter(pk=talk.repo_id).update(name="other")
        talk.repo.name = "other"
    else:
        talk.events.update(text="[x](z.txt)")
    html = told(talk.repo)[0]["latest"]["html"]
    assert f"/guild/{talk.repo.name}/blob/main/" in html
    assert ("z.txt" if what == "text" else "y.txt") in html
    told(talk.repo)
    assert len(rendered) == 2


def test_a_reader_makes_html_for_a_while_and_the_next_goes_on(
    talk: Discussion, cast: Cast, monkeypatch: pytest.MonkeyPatch, rendered: list[str]
) -> None:
    add_comment(discussion=talk, text="*<b>*", acting_user=cast.owner)
    with monkeypatch.context() as patch:
        patch.setattr(rendering, "READ_BUDGET_S", -1.0)
        assert told(talk.repo)[1]["latest"]["html"] == "<p>*&lt;b&gt;*</p>"
    assert rendered == []
    assert told(talk.repo)[1]["latest"]["html"].strip().startswith("<p>")
    assert len(rendered) == 2


def test_nothing_is_left_of_a_hidden_comment(talk: Discussion, cast: Cast) -> None:
    event = add_comment(discussion=talk, text="*secret*", acting_user=cast.owner)
    told(talk.repo)
    stale = DiscussionEvent.objects.get(pk=event.pk)
    assert "secret" in stale.html
    hide_comment(event=event, acting_user=cast.owner)
    rendering.keep_html(stale, repo_path=talk.repo.url_path)
    row = DiscussionEvent.objects.get(pk=event.pk)
    assert (row.text, row.html) == ("", "")


def test_a_full_discussion_says_so_and_stays_as_it_is(
    talk: Discussion, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discussions, "MAX_COMMENTS", 1)
    pull = open_pull_request(repo=talk.repo, title="P", description="", acting_user=cast.owner)
    commit(talk.repo, {"b.txt": "b"}, ref=pull.head_ref, user=cast.owner)
    change_status(discussion=pull, status="open", acting_user=cast.owner)
    pull = Discussion.objects.select_related("repo__namespace").get(pk=pull.pk)
    talk.refresh_from_db()
    attempts = [
        lambda: add_comment(discussion=talk, text="x", acting_user=cast.owner),
        lambda: change_status(
            discussion=talk, status="closed", comment="x", acting_user=cast.owner
        ),
        lambda: merge_pull_request(pull=pull, comment="x", acting_user=cast.owner),
    ]
    for attempt in attempts:
        with pytest.raises(Conflict, match="Open a new one"):
            attempt()
    assert set(talk.repo.discussions.values_list("status", "comment_count")) == {("open", 1)}
    assert merge_pull_request(pull=pull, acting_user=cast.owner).status == "merged"


def test_a_comment_is_changed_so_often_and_no_more(
    talk: Discussion, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discussions, "MAX_VERSIONS", 1)
    event = add_comment(discussion=talk, text="1", acting_user=cast.owner)
    edit_comment(event=event, text="2", acting_user=cast.owner)
    with pytest.raises(Conflict, match="Write another"):
        edit_comment(event=event, text="3", acting_user=cast.owner)
    assert told(talk.repo)[1]["latest"]["raw"] == "2"


def test_a_long_conversation_comes_in_pages_and_the_api_whole(
    talk: Discussion, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timeline, "EVENTS_PER_PAGE", 2)
    change_status(discussion=talk, status="closed", acting_user=cast.owner)
    change_status(discussion=talk, status="open", acting_user=cast.owner)
    middle = add_comment(discussion=talk, text="in the middle", acting_user=cast.owner)
    add_comment(discussion=talk, text="at the end", acting_user=cast.owner)
    client = cast.web_client("owner")
    newest = client.get(talk.url_path).content.decode()
    assert "at the end" in newest
    assert "<em>One</em>" in newest
    assert "in the middle" not in newest
    second = client.get(f"{talk.url_path}?page=2").content.decode()
    assert "in the middle" in second
    assert "reopened this" in second
    for odd in ("0", "99", "x"):
        assert client.get(f"{talk.url_path}?page={odd}").status_code == 200
    moved = client.post(f"{talk.url_path}/comments/{middle.public_id}/edit", {"comment": "mid"})
    assert moved["Location"] == f"{talk.url_path}?page=2#event-{middle.public_id}"
    moved = client.post(f"{talk.url_path}/comment", {"comment": "more"})
    assert moved["Location"].startswith(f"{talk.url_path}#event-")
    assert [data["latest"]["raw"] for data in told(talk.repo)] == [
        "*One*", "mid", "at the end", "more",
    ]  # fmt: skip
