"""Pages of discussions and pull requests, by role and as a whole."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from contributions.actions.discussions import add_comment, open_discussion
from contributions.actions.pull_requests import open_pull_request
from contributions.models import Discussion, DiscussionStatus
from hub.models import Repo
from tests.support.cast import ROLES, Cast
from tests.support.factories import commit, commit_large, make_repo

pytestmark = pytest.mark.django_db
MAY_READ = {"owner", "member", "reader", "admin"}
MAY_WRITE = {"owner", "member", "admin"}
SIGNED_IN = set(ROLES) - {"anonymous"}


@pytest.fixture(params=["model", "dataset", "space"])
def repo_type(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def repo(cast: Cast) -> Repo:
    files = {"README.md": "# Kind\n", "config.json": '{"lr": 3}\n'}
    return make_repo(cast.organization, "open", files=files, creator=cast.owner)


@pytest.fixture
def secret(cast: Cast) -> Repo:
    return make_repo(
        cast.organization, "hidden", is_private=True, files={"a.txt": "a\n"}, creator=cast.owner
    )


def discuss(
    repo: Repo, user: Any, title: str = "Which tokenizer?", text: str = "I ask."
) -> Discussion:
    return open_discussion(repo=repo, title=title, description=text, acting_user=user)


def propose(
    repo: Repo, user: Any, files: dict[str, str] | None = None, *, is_open: bool = True
) -> Discussion:
    """A pull request of `user` with one commit."""
    from contributions.actions.discussions import change_status

    pull = open_pull_request(repo=repo, title="Better rate", description="", acting_user=user)
    commit(repo, files or {"config.json": '{"lr": 4}\n'}, ref=pull.head_ref, user=user)
    if is_open:
        change_status(discussion=pull, status="open", acting_user=user)
    pull.refresh_from_db()
    return pull


def page_of(client: Client, path: str, status: int = 200) -> str:
    answer = client.get(path)
    assert answer.status_code == status, answer.content[:500]
    return answer.content.decode()


PAGES = ["", "/1", "/2", "/2/commits", "/2/files"]


@pytest.mark.parametrize("role", ROLES)
def test_who_reads_the_repository_reads_its_discussions(
    cast: Cast, repo: Repo, secret: Repo, role: str
) -> None:
    client = cast.web_client(role)
    for each in (repo, secret):
        discuss(each, cast.owner)
        propose(each, cast.owner, {"a.txt": "b\n"})
        for page in PAGES:
            answer = client.get(f"{each.url_path}/discussions{page}")
            if each is repo or role in MAY_READ:
                assert answer.status_code == 200, page
            else:
                assert answer.status_code == (401 if role == "anonymous" else 404), page
                assert b"Which tokenizer" not in answer.content


FORMS = {
    "/new": {"title": "Mine", "description": "x"},
    "/new-pull-request": {"title": "Mine", "description": "x", "base": "main"},
    "/1/comment": {"comment": "I was here"},
    "/1/status": {"status": "closed"},
    "/1/title": {"title": "Stolen"},
    "/2/merge": {"expected_head": "0" * 40},
    "/preview": {"comment": "# x"},
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("role", ["stranger", "anonymous"])
def test_forms_of_a_private_repository_tell_strangers_nothing(
    cast: Cast, secret: Repo, role: str, form: str
) -> None:
    discuss(secret, cast.owner)
    propose(secret, cast.owner, {"a.txt": "b\n"})
    before = _state(secret)
    answer = cast.web_client(role).post(f"{secret.url_path}/discussions{form}", FORMS[form])
    assert answer.status_code == (302 if role == "anonymous" else 404)
    assert "Location" not in answer or answer["Location"].startswith("/accounts/login/")
    assert _state(secret) == before


def _state(repo: Repo) -> Any:
    rows = repo.discussions.order_by("num")
    return list(rows.values_list("num", "title", "status", "comment_count"))


@pytest.mark.parametrize("role", ROLES)
def test_every_reader_with_an_account_may_comment(cast: Cast, repo: Repo, role: str) -> None:
    found = discuss(repo, cast.owner)
    answer = cast.web_client(role).post(f"{found.url_path}/comment", {"comment": "I *say*"})
    found.refresh_from_db()
    assert answer.status_code == 302
    if role in SIGNED_IN:
        event = found.events.last()
        assert (event.text, event.author) == ("I *say*", cast.user(role))
        assert answer["Location"] == f"{found.url_path}#event-{event.public_id}"
    else:
        assert answer["Location"].startswith("/accounts/login/")
        assert found.comment_count == 1


@pytest.mark.parametrize("role", ROLES)
def test_author_and_writers_may_rename_and_close(cast: Cast, repo: Repo, role: str) -> None:
    found = discuss(repo, cast.stranger)
    client = cast.web_client(role)
    page = page_of(client, found.url_path)
    renamed = client.post(f"{found.url_path}/title", {"title": "New words"})
    closed = client.post(f"{found.url_path}/status", {"status": "closed", "comment": "Done."})
    found.refresh_from_db()
    if role in MAY_WRITE | {"stranger"}:
        assert (renamed.status_code, closed.status_code) == (302, 302)
        assert (found.title, found.status) == ("New words", DiscussionStatus.CLOSED)
        assert found.events.filter(text="Done.").exists()
        assert f"{found.url_path}/title" in page
    else:
        assert {renamed.status_code, closed.status_code} <= {302, 403}
        assert (found.title, found.status) == ("Which tokenizer?", DiscussionStatus.OPEN)
        assert f"{found.url_path}/title" not in page


@pytest.mark.parametrize("role", ROLES)
def test_only_writers_merge_and_see_the_button(cast: Cast, repo: Repo, role: str) -> None:
    pull = propose(repo, cast.stranger)
    client = cast.web_client(role)
    page = page_of(client, pull.url_path)
    answer = client.post(f"{pull.url_path}/merge", {"expected_head": pull.head_sha})
    pull.refresh_from_db()
    repo.refresh_from_db()
    if role in MAY_WRITE:
        assert f"{pull.url_path}/merge" in page
        assert answer.status_code == 302
        assert pull.status == DiscussionStatus.MERGED
        assert repo.head_sha == pull.merge_commit_sha
        assert "merged this pull request" in page_of(client, pull.url_path)
    else:
        assert f"{pull.url_path}/merge" not in page
        assert answer.status_code == (302 if role == "anonymous" else 403)
        assert pull.status == DiscussionStatus.OPEN


@pytest.mark.parametrize("role", ROLES)
def test_comments_are_edited_by_their_author_and_hidden_by_writers_too(
    cast: Cast, repo: Repo, role: str
) -> None:
    found = discuss(repo, cast.owner)
    event = add_comment(discussion=found, text="first words", acting_user=cast.stranger)
    client = cast.web_client(role)
    path = f"{found.url_path}/comments/{event.public_id}"
    page = page_of(client, found.url_path)
    form = client.get(f"{path}/edit")
    edited = client.post(f"{path}/edit", {"comment": "second words"})
    event.refresh_from_db()
    may_edit, may_hide = role == "stranger", role in MAY_WRITE | {"stranger"}
    assert (f"{path}/edit" in page, f"{path}/hide" in page) == (may_edit, may_hide)
    assert event.text == ("second words" if may_edit else "first words")
    if may_edit:
        assert (form.status_code, edited.status_code) == (200, 302)
        assert "edited" in page_of(client, found.url_path)
    else:
        assert {form.status_code, edited.status_code} <= {302, 403}
    hidden = client.post(f"{path}/hide")
    event.refresh_from_db()
    assert event.is_hidden == may_hide
    assert hidden.status_code == (302 if may_hide or role == "anonymous" else 403)
    assert ("words" in page_of(client, found.url_path)) == (not may_hide)


def test_forms_need_their_csrf_token(cast: Cast, repo: Repo) -> None:
    found = propose(repo, cast.owner)
    client = Client(enforce_csrf_checks=True)
    client.force_login(cast.owner, backend="django.contrib.auth.backends.ModelBackend")
    for form in ("comment", "status", "title", "merge"):
        data = {"comment": "x", "status": "closed", "title": "x", "expected_head": found.head_sha}
        assert client.post(f"{found.url_path}/{form}", data).status_code == 403
    found.refresh_from_db()
    assert (found.status, found.comment_count) == (DiscussionStatus.OPEN, 1)


def test_list_filters_by_status_kind_and_author(cast: Cast, repo: Repo) -> None:
    from contributions.actions.discussions import change_status

    discuss(repo, cast.stranger, "A question")
    propose(repo, cast.owner)
    closed = discuss(repo, cast.owner, "An old story")
    change_status(discussion=closed, status="closed", acting_user=cast.owner)
    client = cast.web_client("anonymous")

    def shown(query: str) -> set[str]:
        page = page_of(client, f"{repo.url_path}/discussions{query}")
        return {t for t in ("A question", "Better rate", "An old story") if t in page}

    assert shown("") == {"A question", "Better rate"}
    assert shown("?status=closed") == {"An old story"}
    assert shown("?status=all") == {"A question", "Better rate", "An old story"}
    assert shown("?type=pull_request") == {"Better rate"}
    assert shown("?type=discussion&status=all") == {"A question", "An old story"}
    assert shown("?author=STEN") == {"A question"}
    assert shown("?status=nonsense&type=%00&page=99") == {"A question", "Better rate"}
    assert shown("?author=nobody") == set()


def test_list_comes_in_pages_with_few_queries(
    cast: Cast, repo: Repo, django_assert_max_num_queries: Any
) -> None:
    for number in range(31):
        discuss(repo, cast.owner, f"Question {number:02d}")
    client = cast.web_client("anonymous")
    with django_assert_max_num_queries(12):
        first = page_of(client, f"{repo.url_path}/discussions")
    second = page_of(client, f"{repo.url_path}/discussions?page=2")
    assert ("Question 30" in first, "Question 00" in first) == (True, False)
    assert ("Question 30" in second, "Question 00" in second) == (False, True)


def test_empty_list_says_how_to_begin(cast: Cast, repo: Repo) -> None:
    page = page_of(cast.web_client("anonymous"), f"{repo.url_path}/discussions")
    assert "Nothing here yet" in page
    assert "hf upload guild/open ./my-folder --create-pr" in page


def test_tab_counts_what_is_open_on_models_and_data_sets(cast: Cast, repo_type: str) -> None:
    repo = make_repo(cast.organization, "both", repo_type=repo_type, creator=cast.owner)
    client = cast.web_client("anonymous")
    assert f'href="{repo.url_path}/discussions"' in page_of(client, repo.url_path)
    discuss(repo, cast.owner)
    pull = open_pull_request(repo=repo, title="x", description="", acting_user=cast.owner)
    assert '<span class="count">2</span>' in page_of(client, repo.url_path)
    assert pull.url_path == f"{repo.url_path}/discussions/2"
    option = {"model": "open", "dataset": "--repo-type dataset", "space": "--repo-type space"}
    assert option[repo_type] in page_of(client, pull.url_path)


def test_comments_are_rendered_and_sanitised(cast: Cast, repo: Repo) -> None:
    text = (
        "**bold** <script>alert(1)</script> [x](javascript:alert(2)) <img src=x onerror=alert(3)>"
    )
    found = discuss(repo, cast.stranger, "<script>alert(4)</script>", text)
    page = page_of(cast.web_client("anonymous"), found.url_path)
    assert "<strong>bold</strong>" in page
    for number in (1, 4):
        assert f"<script>alert({number})" not in page
    assert 'href="javascript' not in page
    assert "onerror=alert(3)>" not in page
    preview = cast.web_client("stranger").post(
        f"{repo.url_path}/discussions/preview", {"comment": text}
    )
    assert b"<strong>bold</strong>" in preview.content
    assert b"<script>" not in preview.content


def test_new_discussion_and_draft_are_opened_in_the_browser(cast: Cast, repo: Repo) -> None:
    client = cast.web_client("stranger")
    base = f"{repo.url_path}/discussions"
    answer = client.post(f"{base}/new", {"title": " A  question ", "description": "Why?"})
    assert answer["Location"] == f"{base}/1"
    answer = client.post(f"{base}/new-pull-request", {"title": "Mine", "base": "main"})
    assert answer["Location"] == f"{base}/2"
    pull = repo.discussions.get(num=2)
    assert (pull.is_pull_request, pull.status) == (True, DiscussionStatus.DRAFT)
    page = page_of(client, f"{base}/2")
    assert "This is a draft" in page
    assert "--revision refs/pr/2" in page
    assert "Nothing changed yet" in page_of(client, f"{base}/2/files")
    assert "No commits yet" in page_of(client, f"{base}/2/commits")


@pytest.mark.parametrize(
    ("form", "data"),
    [
        ("/new", {"title": "", "description": "kept words"}),
        ("/new", {"title": "x" * 201, "description": "kept words"}),
        ("/new-pull-request", {"title": "x", "description": "kept words", "base": "nowhere"}),
        ("/1/comment", {"comment": "   "}),
        ("/1/title", {"title": ""}),
    ],
)
def test_a_refused_form_comes_back_with_its_mistake(
    cast: Cast, repo: Repo, form: str, data: dict[str, str]
) -> None:
    discuss(repo, cast.owner)
    before = _state(repo)
    answer = cast.web_client("owner").post(f"{repo.url_path}/discussions{form}", data)
    assert answer.status_code == 422
    assert b'aria-invalid="true"' in answer.content
    assert ("description" in data) == (b"kept words" in answer.content)
    assert _state(repo) == before


def test_draft_is_published_and_what_blocks_a_merge_is_said(cast: Cast, repo: Repo) -> None:
    pull = propose(repo, cast.owner, is_open=False)
    client = cast.web_client("owner")
    refused = client.post(f"{pull.url_path}/merge", {"expected_head": pull.head_sha}, follow=True)
    assert "It cannot be merged as it is now" in refused.content.decode()
    client.post(f"{pull.url_path}/status", {"status": "open"})
    assert "This can be merged" in page_of(client, pull.url_path)
    commit(repo, {"config.json": '{"lr": 9}\n'})
    page = page_of(client, pull.url_path)
    assert "This cannot be merged now" in page
    assert '<li class="font-monospace break-anywhere">config.json</li>' in page
    pull.refresh_from_db()
    assert pull.status == DiscussionStatus.OPEN


def test_merge_is_refused_when_other_commits_came_meanwhile(cast: Cast, repo: Repo) -> None:
    pull = propose(repo, cast.owner)
    looked_at = pull.head_sha
    commit(repo, {"more.txt": "x\n"}, ref=pull.head_ref, user=cast.owner)
    answer = cast.web_client("owner").post(
        f"{pull.url_path}/merge", {"expected_head": looked_at}, follow=True
    )
    assert "New commits came" in answer.content.decode()
    pull.refresh_from_db()
    assert pull.status == DiscussionStatus.OPEN


def test_pull_request_shows_its_own_changes_only_before_and_after_the_merge(
    cast: Cast, repo: Repo
) -> None:
    pull = propose(repo, cast.owner)
    commit(repo, {"other.txt": "on main\n"})
    commit_large(repo, {"weights.bin": b"x" * 5000}, ref=pull.head_ref, user=cast.owner)
    client = cast.web_client("owner")
    for _ in range(2):
        page = page_of(client, f"{pull.url_path}/files")
        assert "<del>3</del>" in page
        assert "weights.bin" in page
        assert "other.txt" not in page
        commits = page_of(client, f"{pull.url_path}/commits")
        assert commits.count('class="commit-row"') == 2
        head = repo.discussions.get().head_sha
        client.post(f"{pull.url_path}/merge", {"expected_head": head})
    assert repo.discussions.get().status == DiscussionStatus.MERGED


def test_a_discussion_has_no_files_and_unknown_numbers_are_not_found(
    cast: Cast, repo: Repo
) -> None:
    found = discuss(repo, cast.owner)
    client = cast.web_client("owner")
    for path in ("/files", "/commits"):
        assert client.get(found.url_path + path).status_code == 404
    for number in ("7", "99999999999999999999999"):
        assert client.get(f"{repo.url_path}/discussions/{number}").status_code == 404
    other = make_repo(cast.organization, "other", creator=cast.owner)
    foreign = discuss(other, cast.owner).events.get()
    path = f"{found.url_path}/comments/{foreign.public_id}/hide"
    assert client.post(path).status_code == 404


def test_conversation_takes_few_queries_however_long(
    cast: Cast, repo: Repo, django_assert_max_num_queries: Any
) -> None:
    found = discuss(repo, cast.owner)
    for number in range(30):
        add_comment(discussion=found, text=f"words {number}", acting_user=cast.member)
    client = cast.web_client("reader")
    with django_assert_max_num_queries(20):
        page = page_of(client, found.url_path)
    assert page.count('class="comment"') == 31


def test_a_deleted_account_leaves_its_words(cast: Cast, repo: Repo) -> None:
    found = discuss(repo, cast.stranger)
    cast.stranger.delete()
    for path in ("", f"/{found.num}"):
        page = page_of(cast.web_client("anonymous"), f"{repo.url_path}/discussions{path}")
        assert "a deleted account" in page


def test_contribute_page_leads_to_open_pull_requests_that_one_may_see(
    cast: Cast, repo: Repo, secret: Repo
) -> None:
    shown = propose(repo, cast.stranger)
    hidden = propose(secret, cast.owner, {"a.txt": "b\n"})
    draft = propose(repo, cast.owner, {"b.txt": "b\n"}, is_open=False)
    for role, sees_hidden in (("anonymous", False), ("stranger", False), ("reader", True)):
        page = page_of(cast.web_client(role), "/contribute")
        links = [f'href="{pull.url_path}"' in page for pull in (shown, hidden, draft)]
        assert links == [True, sees_hidden, False]
        assert shown.head_sha not in page  # told once, not again among the changes of branches
