"""C11, C12, C31: folders, paths, history."""

from __future__ import annotations

import hashlib
import re
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from hub.models import Repo, RepoBlob, XetFile
from hub.site import git_of
from tests.hub.hfapi.conftest import HubApi
from tests.support.cast import Cast
from tests.support.factories import commit, commit_large, store_blob

FORM = "application/x-www-form-urlencoded"
DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


@pytest.fixture
def repo(cast: Cast) -> Repo:
    return cast.public_repo()


def next_of(answer: Any) -> str | None:
    match = re.fullmatch(r'<http://testserver(/.+)>; rel="next"', answer.headers.get("Link", ""))
    return match[1] if match else None


def all_pages(api: HubApi, address: str | None) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    while address:
        answer = api.get(address)
        assert answer.status_code == 200
        rows += answer.json()
        address = next_of(answer)
    return rows


def git_sha1(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def test_tree_lists_one_folder_with_true_git_ids(repo: Repo, owner_api: HubApi) -> None:
    commit(repo, {"a.txt": b"hello", "sub/b.txt": b"", "sub/deep/c": b"c"})
    rows = {row["path"]: row for row in owner_api.get(f"{repo.api_path}/tree/main").json()}
    assert set(rows) == {".gitattributes", "a.txt", "sub"}
    assert rows["a.txt"] == {
        "type": "file", "path": "a.txt", "oid": git_sha1(b"hello"), "size": 5,
    }  # fmt: skip
    assert rows["sub"]["type"] == "directory"


@pytest.mark.parametrize("path", ["sub", "sub/", "sub/deep", "sub%2Fdeep", "sub%2Fdeep%2F"])
def test_tree_of_a_folder_quoted_or_not(repo: Repo, owner_api: HubApi, path: str) -> None:
    commit(repo, {"sub/deep/c": b"c"})
    rows = owner_api.get(f"{repo.api_path}/tree/main/{path}").json()
    assert [row["path"] for row in rows] == (["sub/deep/c"] if "deep" in path else ["sub/deep"])


def test_recursive_tree_includes_folders(repo: Repo, owner_api: HubApi) -> None:
    commit(repo, {"sub/deep/c": b"c"})
    rows = owner_api.get(f"{repo.api_path}/tree/main?recursive=True").json()
    assert [(row["path"], row["type"]) for row in rows] == [
        (".gitattributes", "file"),
        ("sub", "directory"),
        ("sub/deep", "directory"),
        ("sub/deep/c", "file"),
    ]


@pytest.mark.parametrize(
    "path",
    ["nope", ".gitattributes", "..", "../..", "%2Fetc%2Fpasswd", ".git", "a%00b", "%FF", "a%0Ab",
     quote("/".join("d" * 300), safe=""), "x" * 3000],
)  # fmt: skip
def test_missing_folder_is_an_entry_error(repo: Repo, owner_api: HubApi, path: str) -> None:
    answer = owner_api.get(f"{repo.api_path}/tree/main/{path}")
    assert (answer.status_code, answer["X-Error-Code"]) == (404, "EntryNotFound")


def test_large_files_show_their_pointer_and_xet_hash(repo: Repo, owner_api: HubApi) -> None:
    content = b"\0" * 1000
    commit_large(repo, {"plain.bin": content, "xet.bin": b"\1" * 2000})
    oid = hashlib.sha256(b"\1" * 2000).hexdigest()
    recipe = XetFile.objects.create(file_hash="ab" * 32, sha256=oid, size_bytes=2000, terms=b"")
    RepoBlob.objects.filter(repo=repo, blob__sha256=oid).update(xet_file=recipe)
    rows = {row["path"]: row for row in owner_api.get(f"{repo.api_path}/tree/main").json()}
    plain, xet = rows["plain.bin"], rows["xet.bin"]
    assert plain["size"] == plain["lfs"]["size"] == 1000
    assert plain["lfs"]["oid"] == hashlib.sha256(content).hexdigest()
    assert plain["lfs"]["pointerSize"] == len(git_of(repo).read(repo_head(repo), "plain.bin"))
    assert "xetHash" not in plain
    assert xet["xetHash"] == "ab" * 32


def repo_head(repo: Repo) -> str:
    return git_of(repo).resolve("main")


def test_xet_hash_of_another_repo_is_not_told(repo: Repo, cast: Cast, owner_api: HubApi) -> None:
    content = b"\1" * 2000
    commit_large(repo, {"m.bin": content})
    other = cast.private_repo()
    blob = store_blob(other, content)
    recipe = XetFile.objects.create(
        file_hash="cd" * 32, sha256=blob.sha256, size_bytes=2000, terms=b""
    )
    RepoBlob.objects.filter(repo=other).update(xet_file=recipe)
    rows = owner_api.get(f"{repo.api_path}/tree/main").json()
    assert not any("xetHash" in row for row in rows)


def test_pages_of_a_tree_hold_every_entry_once(repo: Repo, owner_api: HubApi) -> None:
    names = [f"{folder}/f{n:02}" for folder in ("a", "a-b", "a.c", "b") for n in range(9)]
    commit(repo, dict.fromkeys([*names, "a0", "z"], b"x"))
    rows = all_pages(owner_api, f"{repo.api_path}/tree/main?recursive=true&limit=7")
    paths = [row["path"] for row in rows]
    assert len(paths) == len(set(paths))
    assert set(names) <= set(paths)
    assert len(paths) == len(names) + 2 + 4 + 1


def test_pages_of_a_tree_stay_at_the_commit_they_started_from(
    repo: Repo, owner_api: HubApi
) -> None:
    commit(repo, dict.fromkeys(["b", "c", "d", "e"], b"x"))
    first = owner_api.get(f"{repo.api_path}/tree/main?limit=2")
    address = next_of(first)
    commit(repo, {"a-new": b"x", "zz-new": b"x"})
    rows = first.json() + all_pages(owner_api, address)
    assert [row["path"] for row in rows] == [".gitattributes", "b", "c", "d", "e"]


def test_expand_adds_the_last_commit_of_each_path(repo: Repo, owner_api: HubApi) -> None:
    first = commit(repo, {"a": b"1", "sub/b": b"1"}, message="First")
    second = commit(repo, {"sub/c": b"2"}, message="Second")
    rows = {
        row["path"]: row for row in owner_api.get(f"{repo.api_path}/tree/main?expand=true").json()
    }
    assert rows["a"]["lastCommit"]["id"] == first
    assert rows["sub"]["lastCommit"]["id"] == second
    assert rows["sub"]["lastCommit"]["title"] == "Second"
    assert DATE.fullmatch(rows["a"]["lastCommit"]["date"])


def test_tree_needs_few_queries(
    repo: Repo, owner_api: HubApi, django_assert_max_num_queries: Any
) -> None:
    commit_large(repo, {f"f{n}.bin": b"%d" % n for n in range(40)})
    owner_api.get(repo.api_path)
    with django_assert_max_num_queries(5):
        assert len(owner_api.get(f"{repo.api_path}/tree/main").json()) == 41


@pytest.mark.parametrize("cursor", ["%25%25", "_w", "YQ", "Li4vLi4"])
def test_foreign_cursor_does_no_harm(repo: Repo, owner_api: HubApi, cursor: str) -> None:
    answer = owner_api.get(f"{repo.api_path}/tree/main?cursor={cursor}")
    assert answer.status_code in {200, 400}


def paths_info(api: HubApi, repo: Repo, form: dict[str, Any], revision: str = "main") -> Any:
    path = f"{repo.api_path}/paths-info/{revision}"
    return api.client.post(path, urlencode(form, doseq=True), content_type=FORM, RAW_URI=path)


def test_paths_info_leaves_unknown_paths_out(repo: Repo, owner_api: HubApi) -> None:
    commit(repo, {"a": b"1", "sub/b": b"22"})
    wanted = ["sub/b", "nope", "sub", "a", "../a", "", "/", "sub/", "a/b", "\0"]
    answer = paths_info(owner_api, repo, {"paths": wanted, "expand": "True"})
    assert answer.status_code == 200
    rows = {row["path"]: row for row in answer.json()}
    assert set(rows) == {"sub/b", "sub", "a"}
    assert rows["sub/b"]["size"] == 2
    assert rows["sub/b"]["lastCommit"]["title"] == "Add files"


def test_paths_info_takes_json_as_well(repo: Repo, owner_api: HubApi) -> None:
    address = f"{repo.api_path}/paths-info/main"
    answer = owner_api.post(address, {"paths": [".gitattributes"]})
    assert [row["path"] for row in answer.json()] == [".gitattributes"]
    assert owner_api.post(address, {"paths": [7]}).status_code == 400
    assert owner_api.post(address, {"paths": ["x"] * 20_001}).status_code == 413


def test_paths_info_form_with_too_many_fields_is_refused(repo: Repo, owner_api: HubApi) -> None:
    answer = paths_info(owner_api, repo, {"paths": ["x"] * 20_100})
    assert answer.status_code == 400


def test_commits_are_newest_first_and_paged(repo: Repo, owner_api: HubApi) -> None:
    for number in range(5):
        commit(repo, {"a": b"%d" % number}, message=f"Commit {number}\n\nBecause <b>.")
    rows = all_pages(owner_api, f"{repo.api_path}/commits/main?limit=2&expand[]=formatted")
    assert [row["title"] for row in rows] == [
        *(f"Commit {n}" for n in range(4, -1, -1)), "initial commit",
    ]  # fmt: skip
    newest = rows[0]
    assert newest["id"] == repo_head(repo)
    assert newest["message"] == "Because <b>."
    assert newest["formatted"]["message"] == "Because &lt;b&gt;."
    assert newest["authors"] == [{"user": "olive"}]
    assert DATE.fullmatch(newest["date"])
