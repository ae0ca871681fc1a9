"""C37 to C45 over HTTP: what clients read, who may do what, and what is refused."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import pytest
from django.urls import get_resolver

from contributions.actions.discussions import (
    add_comment,
    change_status,
    edit_comment,
    open_discussion,
)
from contributions.actions.pull_requests import open_pull_request
from contributions.models import CommentVersion, Discussion, DiscussionEvent
from hub.actions.repos import delete_repo, move_repo
from hub.models import AuditEntry, Repo, TokenScope
from hub.site import git_of
from tests.hub.hfapi.conftest import HubApi, file_line, header
from tests.support.cast import ROLES, Cast
from tests.support.factories import commit, make_repo, make_user

DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
READERS = {"owner", "member", "reader", "admin"}
WRITERS = {"owner", "member", "admin"}


@pytest.fixture
def stranger_api(cast: Cast) -> HubApi:
    return HubApi(cast.token("stranger"))


@dataclass
class Scene:
    """A repository with discussion 1 and pull request 2, both by `author`, whose comment each is
    commented on by the owner."""

    repo: Repo
    talk: Discussion
    pull: Discussion
    comment: DiscussionEvent

    @property
    def path(self) -> str:
        return f"{self.repo.api_path}/discussions"


def scene_of(cast: Cast, author: str, *, is_private: bool) -> Scene:
    repo = make_repo(
        cast.organization, "thing", creator=cast.owner, is_private=is_private,
        files={"a.txt": "one\n"},
    )  # fmt: skip
    user = cast.user(author)
    assert user is not None
    talk = open_discussion(repo=repo, title="secret talk", description="d", acting_user=user)
    pull = open_pull_request(repo=repo, title="secret pull", description="", acting_user=user)
    commit(repo, {"b.txt": "new\n"}, ref=pull.head_ref, user=user)
    change_status(discussion=pull, status="open", acting_user=user)
    comment = add_comment(discussion=talk, text="secret words", acting_user=user)
    return Scene(repo, talk, pull, comment)


def state_of(scene: Scene) -> Any:
    """All that a refusal must leave alone."""
    refs = [(ref.full_name, ref.commit_sha) for ref in git_of(scene.repo).refs()]
    rows = list(Discussion.objects.order_by("pk").values_list("num", "title", "status"))
    events = list(DiscussionEvent.objects.order_by("pk").values_list("text", "is_hidden"))
    trail = AuditEntry.objects.exclude(verb__startswith="token").count()
    return refs, rows, events, CommentVersion.objects.count(), trail


# Who may do what. `{c}` is the id of the author's comment.
CALLS: dict[str, tuple[str, str, Any]] = {
    "hf_discussions GET": ("GET", "", None),
    "hf_discussions POST": ("POST", "", {"title": "New", "description": "d"}),
    "hf_discussions POST pull": ("POST", "", {"title": "New", "pullRequest": True}),
    "hf_discussion": ("GET", "/2?diff=1", None),
    "hf_discussion_comment": ("POST", "/1/comment", {"comment": "Hello"}),
    "hf_discussion_status": ("POST", "/1/status", {"status": "closed"}),
    "hf_discussion_title": ("POST", "/1/title", {"title": "Better"}),
    "hf_discussion_merge": ("POST", "/2/merge", None),
    "hf_comment_edit": ("POST", "/1/comment/{c}/edit", {"content": "Edited"}),
    "hf_comment_hide": ("POST", "/1/comment/{c}/hide", None),
}
NEEDS = {
    "hf_discussions GET": "read",
    "hf_discussion": "read",
    "hf_discussions POST": "join",
    "hf_discussions POST pull": "join",
    "hf_discussion_comment": "join",
    "hf_discussion_status": "change",
    "hf_discussion_title": "change",
    "hf_comment_hide": "change",
    "hf_comment_edit": "author",
    "hf_discussion_merge": "write",
}


def call(api: HubApi, scene: Scene, name: str) -> Any:
    method, tail, body = CALLS[name]
    path = scene.path + tail.replace("{c}", scene.comment.public_id)
    return api.get(path) if method == "GET" else api.send(method, path, body)


def expected(need: str, role: str, author: str, *, is_private: bool) -> int:
    reads = role in READERS or not is_private
    if not reads:
        return 401 if role == "anonymous" else 404
    allowed = {
        "read": True,
        "join": role != "anonymous",
        "change": role in WRITERS | {author},
        "author": role == author,
        "write": role in WRITERS,
    }[need]
    if allowed:
        return 200
    return 401 if role == "anonymous" else 403


def test_every_route_is_called() -> None:
    assert get_resolver().url_patterns  # registers the converters
    from contributions.hfapi import urls

    elsewhere = {"hf_uploads"}  # of no repository: test_attachments.py
    called = {name.partition(" ")[0] for name in CALLS} | elsewhere
    assert called == {pattern.name for pattern in urls.urlpatterns}
    assert NEEDS.keys() == CALLS.keys()


@pytest.mark.parametrize("is_private", [False, True], ids=["public", "private"])
@pytest.mark.parametrize("role", ROLES)
def test_each_role_gets_its_answer(cast: Cast, role: str, is_private: bool) -> None:
    author = "reader"
    scene = scene_of(cast, author, is_private=is_private)
    api = HubApi(cast.token(role))
    order = sorted(CALLS, key=lambda name: name == "hf_comment_hide")  # hidden is for good
    for name in order:
        before = state_of(scene)
        answer = call(api, scene, name)
        wanted = expected(NEEDS[name], role, author, is_private=is_private)
        assert answer.status_code == wanted, (name, answer.content)
        if wanted >= 400:
            assert answer["X-Error-Code"], name
            assert state_of(scene) == before, name
            assert b"secret" not in answer.content, name


@pytest.mark.parametrize("name", [name for name in CALLS if NEEDS[name] != "read"])
def test_read_only_token_and_session_change_nothing(cast: Cast, name: str) -> None:
    scene = scene_of(cast, "owner", is_private=False)
    before = state_of(scene)
    answer = call(HubApi(cast.token("owner", TokenScope.READ)), scene, name)
    assert (answer.status_code, answer["X-Error-Code"]) == (403, "PermissionDenied")
    by_cookie = HubApi(None)
    by_cookie.client = cast.web_client("owner")
    assert call(by_cookie, scene, name).status_code == 401
    assert state_of(scene) == before


def test_private_repo_and_missing_repo_look_the_same(cast: Cast) -> None:
    scene = scene_of(cast, "owner", is_private=True)
    for role in ("stranger", "anonymous"):
        api = HubApi(cast.token(role))
        there = {name: call(api, scene, name) for name in CALLS}
        gone = {}
        for name, (method, tail, body) in CALLS.items():
            path = "/api/models/guild/gone/discussions" + tail.replace("{c}", "ab" * 16)
            gone[name] = api.get(path) if method == "GET" else api.send(method, path, body)
        for name in CALLS:
            assert there[name].status_code == gone[name].status_code
            text = there[name].content.replace(b"guild/thing", b"guild/gone")
            assert text == gone[name].content, name


# What clients read.


def test_details_have_the_form_that_clients_parse(cast: Cast) -> None:
    scene = scene_of(cast, "stranger", is_private=False)
    answer = HubApi(None).get(f"{scene.path}/2?diff=1").json()
    assert DATE.fullmatch(answer["createdAt"])
    facts = {key: answer[key] for key in ("num", "title", "status", "isPullRequest", "repo")}
    assert facts == {
        "num": 2, "title": "secret pull", "status": "open", "isPullRequest": True,
        "repo": {"name": "guild/thing", "type": "model"},
    }  # fmt: skip
    assert answer["author"]["name"] == "sten"
    assert answer["changes"] == {"base": "refs/heads/main"}
    assert answer["filesWithConflicts"] == []
    assert "+new\n" in answer["diff"]
    assert [event["type"] for event in answer["events"]] == ["comment", "commit", "status-change"]
    for event in answer["events"]:
        assert DATE.fullmatch(event["createdAt"])
        assert re.fullmatch("[0-9a-f]+", event["id"])
    assert answer["events"][1]["data"]["oid"] == git_of(scene.repo).ref("refs/pr/2")
    assert "diff" not in HubApi(None).get(f"{scene.path}/2").json()
    assert "changes" not in HubApi(None).get(f"{scene.path}/1").json()


def test_author_is_left_out_when_the_account_is_gone(cast: Cast) -> None:
    repo = cast.public_repo()
    gone = make_user("gone")
    talk = open_discussion(repo=repo, title="T", description="d", acting_user=gone)
    gone.namespace.delete()
    gone.delete()
    answer = HubApi(None).get(f"{repo.api_path}/discussions/{talk.num}").json()
    assert "author" not in answer
    assert "author" not in answer["events"][0]
    assert "author" not in answer["events"][0]["data"]["latest"]
    assert "author" not in HubApi(None).get(f"{repo.api_path}/discussions").json()["discussions"][0]


def test_comment_is_sanitised_and_kept_as_written(cast: Cast, stranger_api: HubApi) -> None:
    repo = cast.public_repo()
    text = "**hi** <script>alert(1)</script> [x](javascript:alert(1)) ![](http://evil.example/x)"
    path = f"{repo.api_path}/discussions"
    stranger_api.post(path, {"title": "T", "description": text})
    latest = stranger_api.get(f"{path}/1").json()["events"][0]["data"]["latest"]
    assert latest["raw"] == text
    assert "<strong>hi</strong>" in latest["html"]
    assert "<script" not in latest["html"]
    assert 'href="javascript' not in latest["html"]
    assert "<img" not in latest["html"]


def test_edits_are_kept_and_a_hidden_comment_is_gone(cast: Cast, stranger_api: HubApi) -> None:
    scene = scene_of(cast, "stranger", is_private=False)
    path = f"{scene.path}/1/comment/{scene.comment.public_id}"
    for text in ("second", "second", "third"):
        edited = stranger_api.post(f"{path}/edit", {"content": text}).json()["updatedComment"]
    assert edited["data"]["latest"]["raw"] == "third"
    assert [old["raw"] for old in edited["data"]["history"]] == ["secret words", "second"]
    assert edited["data"]["edited"]
    upper = f"{scene.path}/1/comment/{scene.comment.public_id.upper()}"
    data = stranger_api.post(f"{upper}/hide").json()["updatedComment"]["data"]
    assert data["hidden"]
    assert data["history"] == []
    assert "third" not in str(data)
    scene.comment.refresh_from_db()
    assert scene.comment.text == ""
    again = stranger_api.post(f"{path}/edit", {"content": "back"})
    assert (again.status_code, again["X-Error-Code"]) == (409, "Conflict")


def test_lists_are_filtered_and_paged(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    repo, api = cast.public_repo(), HubApi(None)
    for number in range(5):
        user = cast.owner if number % 2 else cast.stranger
        talk = open_discussion(repo=repo, title=f"T{number}", description="", acting_user=user)
        if number == 0:
            change_status(discussion=talk, status="closed", acting_user=user)
    open_pull_request(repo=repo, title="P", description="", acting_user=cast.owner)

    def nums(query: str) -> list[int]:
        rows = api.get(f"{repo.api_path}/discussions{query}").json()["discussions"]
        return [row["num"] for row in rows]

    assert nums("") == [6, 5, 4, 3, 2, 1]
    assert nums("?type=pull_request") == [6]
    assert nums("?type=discussion&status=closed") == [1]
    assert nums("?status=open") == [6, 5, 4, 3, 2]
    assert nums("?author=STEN&type=all") == [5, 3, 1]
    monkeypatch.setattr("contributions.hfapi.views.PAGE_ROWS", 4)
    page = api.get(f"{repo.api_path}/discussions?p=1").json()
    assert [row["num"] for row in page["discussions"]] == [2, 1]
    assert (page["start"], page["count"]) == (4, 6)
    assert nums("?p=99") == []


def test_long_discussion_takes_few_queries(cast: Cast, django_assert_max_num_queries: Any) -> None:
    scene = scene_of(cast, "owner", is_private=False)
    for number in range(15):
        comment = add_comment(discussion=scene.pull, text=f"c{number}", acting_user=cast.stranger)
        edit_comment(event=comment, text=f"d{number}", acting_user=cast.stranger)
        open_discussion(repo=scene.repo, title="T", description="", acting_user=cast.reader)
    HubApi(None).get(f"{scene.path}/2")  # keeps the HTML, as the end of a transaction would have
    with django_assert_max_num_queries(6):
        assert len(HubApi(None).get(f"{scene.path}/2?diff=1").json()["events"]) == 18
    with django_assert_max_num_queries(4):
        assert len(HubApi(None).get(scene.path).json()["discussions"]) == 17


# What is refused.


@pytest.mark.parametrize(
    "query",
    ["?p=x", "?p=-1", "?p=1.5", "?p=" + "9" * 30, "?p=%C2%B2", "?type=issue", "?status=merged",
     "?author=%00"],
)  # fmt: skip
def test_bad_filters_are_named(cast: Cast, query: str) -> None:
    repo = cast.public_repo()
    answer = HubApi(None).get(f"{repo.api_path}/discussions{query}")
    assert (answer.status_code, answer["X-Error-Code"]) == (400, "InvalidInput")
    assert repr(query[1:5])[1:-1].split("=")[0] in answer.json()["error"] or "author" in query


@pytest.mark.parametrize("num", ["0", "7", "-1", "x", "1x", "%C2%B2", "9" * 12, "9" * 5000, "1%00"])
def test_number_that_names_nothing_is_not_found(cast: Cast, num: str) -> None:
    scene = scene_of(cast, "owner", is_private=False)
    api = HubApi(cast.token("owner"))
    for answer in (
        api.get(f"{scene.path}/{num}"),
        api.post(f"{scene.path}/{num}/comment", {"comment": "x"}),
        api.post(f"{scene.path}/{num}/merge"),
    ):
        assert (answer.status_code, answer["X-Error-Code"]) == (404, "NotFound")


@pytest.mark.parametrize(
    ("tail", "body", "status"),
    [
        ("", {}, 400),
        ("", {"title": ""}, 400),
        ("", {"title": " \n "}, 400),
        ("", {"title": "x" * 201}, 400),
        ("", {"title": 7}, 400),
        ("", {"title": "nul\0"}, 400),
        ("", {"title": "T", "description": "nul\0"}, 400),
        ("", {"title": "T", "description": "x" * 2**20}, 413),
        ("", {"title": "T", "description": "\ud800"}, 400),
        ("", {"title": "T", "pullRequest": True, "description": ["x"]}, 400),
        ("", b"{not json", 400),
        ("", b"[]", 400),
        ("/1/comment", {}, 400),
        ("/1/comment", {"comment": "  "}, 400),
        ("/1/comment", {"comment": "x" * 2**20}, 413),
        ("/1/comment", {"comment": "\0"}, 400),
        ("/1/comment", {"comment": "x" * 17 * 2**20}, 413),
        ("/1/status", {}, 400),
        ("/1/status", {"status": "merged"}, 400),
        ("/1/status", {"status": "draft"}, 400),
        ("/1/status", {"status": "open"}, 409),
        ("/1/status", {"status": "closed", "comment": "\0"}, 400),
        ("/1/title", {"title": "secret talk"}, 400),
        ("/1/title", {"title": "x" * 300}, 400),
        ("/1/merge", None, 404),
        ("/2/merge", {"comment": "x" * 2**20}, 413),
        ("/2/merge", {"comment": 5}, 400),
        ("/1/comment/{c}/edit", {"content": ""}, 400),
        ("/1/comment/{c}/edit", {"content": "x" * 2**20}, 413),
        ("/2/comment/{c}/edit", {"content": "other discussion"}, 404),
        ("/1/comment/nothex/edit", {"content": "x"}, 404),
        ("/1/comment/{c}/hide", {}, 200),
    ],
)  # fmt: skip
def test_bad_bodies_change_nothing(cast: Cast, tail: str, body: Any, status: int) -> None:
    scene = scene_of(cast, "owner", is_private=False)
    before = state_of(scene)
    path = scene.path + tail.replace("{c}", scene.comment.public_id)
    answer = HubApi(cast.token("owner")).post(path, body)
    assert answer.status_code == status, answer.content[:300]
    if status >= 400:
        assert answer["X-Error-Message"]
        assert state_of(scene) == before


def test_event_that_is_no_comment_is_not_edited(cast: Cast) -> None:
    scene = scene_of(cast, "owner", is_private=False)
    event = scene.pull.events.get(kind="commit")
    api = HubApi(cast.token("owner"))
    for tail in ("edit", "hide"):
        answer = api.post(f"{scene.path}/2/comment/{event.public_id}/{tail}", {"content": "x"})
        assert (answer.status_code, answer["X-Error-Code"]) == (400, "InvalidInput")


# The ref, through every route.


def test_files_of_a_pull_request_are_read_by_its_ref(cast: Cast) -> None:
    scene = scene_of(cast, "stranger", is_private=False)
    repo, api, rev = scene.repo, HubApi(cast.token("stranger")), "refs%2Fpr%2F2"
    tree = api.get(f"{repo.api_path}/tree/{rev}").json()
    assert [row["path"] for row in tree] == [".gitattributes", "a.txt", "b.txt"]
    file = api.get(f"{repo.url_path}/resolve/{rev}/b.txt")
    assert file.content == b"new\n"
    assert file["X-Repo-Commit"] == git_of(repo).ref("refs/pr/2")
    paths = api.post(f"{repo.api_path}/paths-info/{rev}", {"paths": ["b.txt"]}).json()
    assert [row["path"] for row in paths] == ["b.txt"]
    for tail in (f"revision/{rev}", f"commits/{rev}", f"xet-read-token/{rev}"):
        assert api.get(f"{repo.api_path}/{tail}").status_code == 200, tail
    answer = api.post(f"{repo.api_path}/preupload/{rev}", {"files": []})
    assert answer.status_code == 200
    refs = api.get(f"{repo.api_path}/refs?include_prs=1").json()
    assert [row["ref"] for row in refs["pullRequests"]] == ["refs/pr/2"]
    assert "pullRequests" not in api.get(f"{repo.api_path}/refs").json()


@pytest.mark.parametrize("role", ROLES)
def test_commits_to_the_ref_are_for_its_author_and_writers(cast: Cast, role: str) -> None:
    scene = scene_of(cast, "stranger", is_private=False)
    api, repo = HubApi(cast.token(role)), scene.repo
    before = state_of(scene)
    lines = [header("More"), file_line("c.txt", b"c")]
    answer = api.commit(f"{repo.api_path}/commit/refs%2Fpr%2F2", lines)
    if role in WRITERS | {"stranger"}:
        assert answer.status_code == 200, answer.content
        told = scene.pull.events.filter(kind="commit").order_by("pk")
        assert [event.data["subject"] for event in told] == ["Add files", "More"]
        squash = api.post(f"{repo.api_path}/super-squash/refs%2Fpr%2F2", {"message": "One"})
        assert squash.status_code == 200
        assert git_of(repo).count_commits(git_of(repo).ref("refs/pr/2")) == 1
    else:
        assert answer.status_code == (401 if role == "anonymous" else 403)
        assert state_of(scene) == before


def test_finished_pull_request_takes_no_commits_and_says_so(cast: Cast) -> None:
    scene = scene_of(cast, "stranger", is_private=False)
    api, repo = HubApi(cast.token("stranger")), scene.repo
    change_status(discussion=scene.pull, status="closed", acting_user=cast.stranger)
    before = state_of(scene)
    lines = [header("More"), file_line("c.txt", b"c")]
    for answer in (
        api.commit(f"{repo.api_path}/commit/refs%2Fpr%2F2", lines),
        api.post(f"{repo.api_path}/preupload/refs%2Fpr%2F2", {"files": []}),
        api.get(f"{repo.api_path}/xet-write-token/refs%2Fpr%2F2"),
        api.post(f"{repo.api_path}/super-squash/refs%2Fpr%2F2", {}),
    ):
        assert (answer.status_code, answer["X-Error-Code"]) == (409, "Conflict")
        assert "closed" in answer["X-Error-Message"]
    for name in ("refs%2Fpr%2F9", "refs%2Fpr%2F0", "refs%2Fpr%2F1", "refs%2Fpr%2Fx"):
        answer = api.commit(f"{repo.api_path}/commit/{name}", lines)
        assert (answer.status_code, answer["X-Error-Code"]) == (404, "RevisionNotFound"), name
    assert state_of(scene) == before


# The life of a repository.


def test_discussions_move_and_go_with_their_repository(cast: Cast) -> None:
    scene = scene_of(cast, "owner", is_private=False)
    path = scene.path
    move_repo(
        repo=scene.repo, namespace=cast.organization.namespace, name="other", acting_user=cast.owner
    )
    answer = HubApi(None).get(f"{path}/2?diff=1")
    assert answer.status_code == 307
    assert answer["Location"] == "/api/models/guild/other/discussions/2?diff=1"
    assert HubApi(None).get(answer["Location"]).json()["num"] == 2
    delete_repo(repo=scene.repo, acting_user=cast.owner)
    assert not Discussion.objects.exists()
    assert HubApi(None).get(f"{path}/2").status_code == 401


@pytest.mark.parametrize("is_private", [False, True], ids=["public", "private"])
@pytest.mark.parametrize("role", ROLES)
def test_whoever_reads_may_propose(cast: Cast, role: str, is_private: bool) -> None:
    scene = scene_of(cast, "owner", is_private=is_private)
    before = state_of(scene)
    path = f"{scene.repo.api_path}/commit/main?create_pr=1"
    answer = HubApi(cast.token(role)).commit(path, [header(), file_line("p.txt", b"p")])
    wanted = expected("join", role, "owner", is_private=is_private)
    assert answer.status_code == wanted, answer.content
    if wanted == 200:
        pull = Discussion.objects.get(num=3)
        assert (pull.author, pull.status) == (cast.user(role), "open")
        assert git_of(scene.repo).ref("refs/pr/3") == answer.json()["commitOid"]
    else:
        assert state_of(scene) == before
