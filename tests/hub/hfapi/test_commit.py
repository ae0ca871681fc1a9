"""C16: commits, what they refuse, and what a refusal leaves behind."""

from __future__ import annotations

import errno
import hashlib
import tempfile
import threading
from typing import Any

import pytest
from django.db import connections

from hub import events
from hub.lfs.pointer import format_pointer
from hub.models import AuditEntry, Repo, RepoBlob
from hub.site import git_of
from tests.hub.hfapi.conftest import HubApi, file_line, header, large_line
from tests.support.cast import Cast
from tests.support.factories import commit, store_blob

LARGE = b"\0large content" * 100
LARGE_OID = hashlib.sha256(LARGE).hexdigest()


@pytest.fixture
def repo(cast: Cast) -> Repo:
    return cast.public_repo()


def url(repo: Repo, revision: str = "main") -> str:
    return f"{repo.api_path}/commit/{revision}"


def paths_at(repo: Repo, revision: str = "main") -> list[str]:
    git = git_of(repo)
    entries = git.tree(git.resolve(revision), recursive=True)
    return [entry.path for entry in entries if entry.kind == "file"]


def state_of(repo: Repo) -> Any:
    """All that a refused commit must leave alone."""
    repo.refresh_from_db()
    refs = [(ref.name, ref.commit_sha) for ref in repo.refs.order_by("name")]
    git_refs = [(ref.full_name, ref.commit_sha) for ref in git_of(repo).refs()]
    return repo.head_sha, refs, git_refs, AuditEntry.objects.count()


def test_commit_adds_files_and_answers_with_its_address(repo: Repo, owner_api: HubApi) -> None:
    answer = owner_api.commit(
        url(repo), [header("Add two", description="Why"), file_line("a.txt", b"A"),
                    file_line("deep/b.txt", b"B")]
    )  # fmt: skip
    assert answer.status_code == 200
    sha = answer.json()["commitOid"]
    assert answer.json()["commitUrl"] == f"http://testserver/guild/open-model/commit/{sha}"
    git = git_of(repo)
    assert git.resolve("main") == sha
    assert git.read(sha, "deep/b.txt") == b"B"
    assert git.commit_info(sha).title == "Add two"
    assert git.commit_info(sha).message.strip() == "Why"


def test_commit_updates_the_copy_and_tells_the_news(
    repo: Repo, owner_api: HubApi, cast: Cast, django_capture_on_commit_callbacks: Any
) -> None:
    heard: list[events.RefUpdated] = []
    events.receives(events.RefUpdated)(heard.append)
    try:
        before = repo.head_sha
        with django_capture_on_commit_callbacks(execute=True):
            answer = owner_api.commit(url(repo), [header(), file_line("a.txt", b"12345")])
    finally:
        events._receivers[events.RefUpdated].remove(heard.append)
    sha = answer.json()["commitOid"]
    repo.refresh_from_db()
    assert repo.head_sha == sha
    assert repo.refs.get(name="refs/heads/main").commit_sha == sha
    assert repo.size_bytes == len(git_of(repo).read(sha, ".gitattributes")) + 5
    expected = events.RefUpdated(repo.pk, "refs/heads/main", before, sha, cast.owner.pk)
    assert heard == [expected]
    assert AuditEntry.objects.filter(repo=repo, verb="ref.updated", details__new=sha).exists()


def test_commit_deletes_files_and_folders(repo: Repo, owner_api: HubApi) -> None:
    owner_api.commit(
        url(repo), [header(), *(file_line(p, b"x") for p in ("a", "d/b", "d/c", "e/f", "g/h"))]
    )
    answer = owner_api.commit(
        url(repo),
        [
            header(),
            {"key": "deletedFile", "value": {"path": "a"}},
            {"key": "deletedFolder", "value": {"path": "d/"}},
            {"key": "deletedFolder", "value": {"path": "e"}},
            {"key": "deletedFile", "value": {"path": "g"}},
        ],
    )
    assert answer.status_code == 200
    assert paths_at(repo) == [".gitattributes"]


def test_deleting_what_is_not_there_is_an_entry_error(repo: Repo, owner_api: HubApi) -> None:
    before = state_of(repo)
    lines = [header(), {"key": "deletedFile", "value": {"path": "ghost.txt"}}]
    answer = owner_api.commit(url(repo), lines)
    assert (answer.status_code, answer["X-Error-Code"]) == (404, "EntryNotFound")
    assert state_of(repo) == before


def test_large_file_becomes_a_pointer(repo: Repo, owner_api: HubApi) -> None:
    store_blob(repo, LARGE)
    answer = owner_api.commit(url(repo), [header(), large_line("m.bin", LARGE_OID, len(LARGE))])
    assert answer.status_code == 200
    sha = answer.json()["commitOid"]
    assert git_of(repo).read(sha, "m.bin") == format_pointer(LARGE_OID, len(LARGE))


def test_copy_of_a_large_file_needs_no_size(repo: Repo, owner_api: HubApi) -> None:
    store_blob(repo, LARGE)
    owner_api.commit(url(repo), [header(), large_line("m.bin", LARGE_OID, len(LARGE))])
    answer = owner_api.commit(url(repo), [header(), large_line("copy.bin", LARGE_OID)])
    assert answer.status_code == 200
    entry = git_of(repo).entry(answer.json()["commitOid"], "copy.bin")
    assert entry.size_bytes == len(LARGE)


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param([large_line("m.bin", LARGE_OID, len(LARGE))], id="lfs file"),
        pytest.param([large_line("m.bin", LARGE_OID)], id="lfs copy"),
        pytest.param(
            [file_line("m.bin", format_pointer(LARGE_OID, len(LARGE)))], id="pointer as a file"
        ),
    ],
)
def test_content_known_from_elsewhere_cannot_be_committed(
    repo: Repo, cast: Cast, owner_api: HubApi, lines: list[Any]
) -> None:
    store_blob(cast.private_repo(), LARGE)
    before = state_of(repo)
    answer = owner_api.commit(url(repo), [header(), *lines])
    assert answer.status_code == 400
    assert LARGE_OID in answer.json()["error"]
    assert state_of(repo) == before
    assert not RepoBlob.objects.filter(repo=repo).exists()


def test_pointer_with_another_size_is_refused(repo: Repo, owner_api: HubApi) -> None:
    store_blob(repo, LARGE)
    before = state_of(repo)
    answer = owner_api.commit(url(repo), [header(), large_line("m.bin", LARGE_OID, 7)])
    assert answer.status_code == 400
    assert f"{len(LARGE)} bytes, not 7" in answer.json()["error"]
    assert state_of(repo) == before


def test_stale_parent_is_412_and_the_newest_is_accepted(repo: Repo, owner_api: HubApi) -> None:
    old = git_of(repo).resolve("main")
    first = owner_api.commit(url(repo), [header(parentCommit=old), file_line("a", b"1")])
    assert first.status_code == 200
    before = state_of(repo)
    stale = owner_api.commit(url(repo), [header(parentCommit=old), file_line("a", b"2")])
    assert (stale.status_code, stale["X-Error-Code"]) == (412, "ParentMoved")
    assert state_of(repo) == before
    short = first.json()["commitOid"][:7]
    again = owner_api.commit(url(repo), [header(parentCommit=short), file_line("a", b"2")])
    assert again.status_code == 200


HOSTILE_PATHS = [
    "../up.txt",
    "a/../../up.txt",
    "/etc/passwd",
    ".git/config",
    "sub/.git/hooks/post-update",
    ".GIT/config",
    "git~1/config",
    ".g\u200cit/config",
    "a\\b.txt",
    "..\\up.txt",
    "a//b",
    "./a",
    "",
    "a\nb",
    "nul\0byte",
    "surrogate\ud800",
    "x" * 256,
    "/".join("d" * 300),
    ".gitmodules",
]


@pytest.mark.parametrize("path", HOSTILE_PATHS)
@pytest.mark.parametrize("kind", ["file", "lfsFile", "deletedFile", "deletedFolder"])
def test_hostile_path_is_refused_and_nothing_changes(
    repo: Repo, owner_api: HubApi, path: str, kind: str
) -> None:
    store_blob(repo, LARGE)
    value = {
        "file": file_line(path, b"x")["value"],
        "lfsFile": large_line(path, LARGE_OID)["value"],
        "deletedFile": {"path": path},
        "deletedFolder": {"path": path},
    }[kind]
    before = state_of(repo)
    answer = owner_api.commit(url(repo), [header(), {"key": kind, "value": value}])
    assert (answer.status_code, answer["X-Error-Code"]) == (422, "InvalidPath")
    assert state_of(repo) == before


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        pytest.param([], 400, id="nothing"),
        pytest.param([b"not json"], 400, id="no JSON"),
        pytest.param([b"\xff\xfe{}"], 400, id="not UTF-8"),
        pytest.param([b"[" * 100_000], 400, id="nested too deep"),
        pytest.param([b"[]"], 400, id="an array"),
        pytest.param([b"null"], 400, id="null"),
        pytest.param([{"key": "header"}], 400, id="no value"),
        pytest.param([{"key": ["header"], "value": {}}], 400, id="key is no string"),
        pytest.param([{"key": "header", "value": "x"}], 400, id="value is no object"),
        pytest.param([file_line("a", b"x")], 400, id="no header"),
        pytest.param([file_line("a", b"x"), header()], 400, id="header comes last"),
        pytest.param([header(), header()], 400, id="two headers"),
        pytest.param([header(summary=7)], 400, id="summary is a number"),
        pytest.param([header(summary="x" * 70_000)], 400, id="message too long"),
        pytest.param([header(parentCommit="HEAD")], 400, id="parent is no commit"),
        pytest.param([header(parentCommit="abc")], 400, id="parent too short"),
        pytest.param([header(), {"key": "rename", "value": {}}], 400, id="unknown kind"),
        pytest.param([header(), {"key": "file", "value": {}}], 400, id="no path"),
        pytest.param(
            [header(), {"key": "file", "value": {"path": "a"}}], 400, id="file without content"
        ),
        pytest.param(
            [header(), {"key": "file", "value": {"path": "a", "content": "§§"}}],
            400,
            id="not base64",
        ),
        pytest.param(
            [header(), {"key": "file", "value": {"path": "a", "content": "QQ"}}],
            400,
            id="base64 cut short",
        ),
        pytest.param(
            [header(), {"key": "file", "value": {"path": "a", "content": "", "encoding": "hex"}}],
            400,
            id="unknown encoding",
        ),
        pytest.param([header(), large_line("a", "abc")], 400, id="oid too short"),
        pytest.param([header(), large_line("a", LARGE_OID.upper())], 400, id="oid in capitals"),
        pytest.param([header(), large_line("a", LARGE_OID, -1)], 400, id="negative size"),
        pytest.param(
            [header(), {"key": "lfsFile", "value": {"path": "a", "oid": LARGE_OID, "size": "9"}}],
            400,
            id="size is a string",
        ),
        pytest.param(
            [
                header(),
                {"key": "lfsFile", "value": {"path": "a", "oid": LARGE_OID, "algo": "md5"}},
            ],
            400,
            id="another digest",
        ),
        pytest.param([header(), file_line("a", b"x"), file_line("a/b", b"x")], 422, id="conflict"),
        pytest.param([header(), {"key": "deletedFolder", "value": {"path": "no"}}], 404, id="gone"),
    ],
)
def test_malformed_commit_is_refused_whole(
    repo: Repo, owner_api: HubApi, lines: list[Any], status: int
) -> None:
    before = state_of(repo)
    answer = owner_api.commit(url(repo), lines)
    assert answer.status_code == status
    assert answer["X-Error-Code"]
    assert answer["X-Error-Message"]
    assert answer.json()["error"]
    assert state_of(repo) == before


def test_too_much_is_413(repo: Repo, owner_api: HubApi, settings: Any, data_dir: Any) -> None:
    settings.MAX_REGULAR_FILE_BYTES = 1000
    settings.MAX_COMMIT_BYTES = 50_000
    before = state_of(repo)
    for lines in (
        [header(), file_line("a", b"x" * 1001)],
        [header(), file_line("a", b"x" * 40_000)],
        [header(), *(file_line(f"f{n}", b"x" * 900) for n in range(60))],
    ):
        answer = owner_api.commit(url(repo), lines)
        assert (answer.status_code, answer["X-Error-Code"]) == (413, "TooLarge")
    assert state_of(repo) == before
    assert list((data_dir / "tmp").iterdir()) == []


def test_full_disk_is_said_and_leaves_nothing(
    repo: Repo, owner_api: HubApi, monkeypatch: pytest.MonkeyPatch, data_dir: Any
) -> None:
    """The spool reaches the disk at its ninth MiB, and finds it full."""

    def rollover(self: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tempfile.SpooledTemporaryFile, "rollover", rollover)
    before = state_of(repo)
    lines = [header(), *(file_line(f"f{n}", bytes(3 * 1024**2)) for n in range(4))]
    answer = owner_api.commit(url(repo), lines)
    assert (answer.status_code, answer["X-Error-Code"]) == (507, "StorageFull")
    assert state_of(repo) == before
    assert list((data_dir / "tmp").iterdir()) == []
    monkeypatch.undo()
    assert owner_api.commit(url(repo), lines).status_code == 200


@pytest.mark.parametrize("revision", ["nowhere", "v1", "refs%2Fpr%2F9", "refs%2Ftags%2Fv1"])
def test_commit_onto_what_is_no_branch_is_a_revision_error(
    repo: Repo, owner_api: HubApi, revision: str
) -> None:
    owner_api.post(f"{repo.api_path}/tag/main", {"tag": "v1"})
    before = state_of(repo)
    answer = owner_api.commit(url(repo, revision), [header(), file_line("a", b"x")])
    assert (answer.status_code, answer["X-Error-Code"]) == (404, "RevisionNotFound")
    assert state_of(repo) == before


def test_commit_to_a_branch_with_a_slash_leaves_main_alone(repo: Repo, owner_api: HubApi) -> None:
    owner_api.post(f"{repo.api_path}/branch/feature%2Fone")
    answer = owner_api.commit(url(repo, "feature%2Fone"), [header(), file_line("a", b"x")])
    assert answer.status_code == 200
    assert paths_at(repo, "feature/one") == [".gitattributes", "a"]
    assert paths_at(repo, "main") == [".gitattributes"]


def test_commit_without_changes_is_a_commit(repo: Repo, owner_api: HubApi) -> None:
    before = git_of(repo).resolve("main")
    answer = owner_api.commit(url(repo), [header("Nothing")])
    assert answer.status_code == 200
    assert git_of(repo).commit_info(answer.json()["commitOid"]).parents == (before,)


def test_commit_by_a_stranger_opens_a_pull_request(repo: Repo, stranger_api: HubApi) -> None:
    before = git_of(repo).ref("refs/heads/main")
    path = f"{repo.api_path}/preupload/main?create_pr=1"
    files = [{"path": "a", "size": 1, "sample": ""}]
    assert stranger_api.post(path, {"files": files}).json()["files"][0]["uploadMode"] == "regular"
    lines = [header("Propose a"), file_line("a", b"x")]
    answer = stranger_api.commit(url(repo) + "?create_pr=1", lines)
    assert answer.status_code == 200, answer.content
    body, git = answer.json(), git_of(repo)
    assert body["pullRequestUrl"] == f"http://testserver/{repo.full_name}/discussions/1"
    assert git.ref("refs/pr/1") == body["commitOid"]
    assert git.commit_info(body["commitOid"]).parents == (before,)
    assert git.ref("refs/heads/main") == before


@pytest.mark.parametrize(
    ("revision", "lines", "status", "code"),
    [
        ("nowhere", [header(), file_line("a", b"x")], 404, "RevisionNotFound"),
        ("refs%2Fpr%2F1", [header(), file_line("a", b"x")], 404, "RevisionNotFound"),
        ("main", [header(parentCommit="ab" * 20), file_line("a", b"x")], 412, "ParentMoved"),
        ("main", [header(), large_line("a", "ab" * 32)], 400, "InvalidInput"),
        ("main", [header(), file_line("../a", b"x")], 422, "InvalidPath"),
        ("main", [file_line("a", b"x")], 400, "InvalidInput"),
        ("main", [header(), {"key": "deletedFile", "value": {"path": "no"}}], 404, "EntryNotFound"),
    ],
)  # fmt: skip
def test_refused_proposal_opens_nothing(
    repo: Repo, stranger_api: HubApi, revision: str, lines: list[Any], status: int, code: str
) -> None:
    before = state_of(repo)
    answer = stranger_api.commit(f"{repo.api_path}/commit/{revision}?create_pr=1", lines)
    assert (answer.status_code, answer["X-Error-Code"]) == (status, code)
    assert state_of(repo) == before
    assert not git_of(repo).pull_refs()


def test_proposal_may_build_on_an_older_commit(repo: Repo, stranger_api: HubApi) -> None:
    older = git_of(repo).ref("refs/heads/main")
    commit(repo, {"newer.txt": "x"})
    lines = [header(parentCommit=older[:8]), file_line("a", b"x")]
    answer = stranger_api.commit(url(repo) + "?create_pr=1", lines)
    assert answer.status_code == 200, answer.content
    assert git_of(repo).commit_info(answer.json()["commitOid"]).parents == (older,)


def test_ids_are_found_in_any_case(repo: Repo, owner_api: HubApi) -> None:
    path = "/api/models/GUILD/Open-Model/commit/main"
    answer = owner_api.commit(path, [header(), file_line("a", b"x")])
    assert answer.status_code == 200
    assert "/guild/open-model/commit/" in answer.json()["commitUrl"]


@pytest.mark.django_db(transaction=True)
def test_commits_at_once_all_arrive_in_one_line(repo: Repo, cast: Cast) -> None:
    token = cast.token("owner")
    statuses: list[int] = []

    def send(number: int) -> None:
        try:
            lines = [header(f"Commit {number}"), file_line(f"f{number}", b"x")]
            statuses.append(HubApi(token).commit(url(repo), lines).status_code)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=send, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 8
    assert paths_at(repo) == [".gitattributes", *(f"f{number}" for number in range(8))]
    git = git_of(repo)
    assert git.count_commits(git.resolve("main")) == 9
    repo.refresh_from_db()
    assert repo.head_sha == git.resolve("main")
    assert repo.refs.get().commit_sha == repo.head_sha


@pytest.mark.django_db(transaction=True)
def test_of_two_commits_on_one_parent_exactly_one_wins(repo: Repo, cast: Cast) -> None:
    token, parent = cast.token("owner"), git_of(repo).resolve("main")
    statuses: list[int] = []

    def send(number: int) -> None:
        try:
            lines = [header(parentCommit=parent), file_line(f"f{number}", b"x")]
            statuses.append(HubApi(token).commit(url(repo), lines).status_code)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=send, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [200, 412, 412, 412]
    assert len(paths_at(repo)) == 2
