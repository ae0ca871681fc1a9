"""Duplicates of repositories, and their large files listed, copied and deleted, by role."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from django.utils import timezone

from hub.models import (
    AuditEntry,
    Blob,
    Namespace,
    Repo,
    RepoBlob,
    RepoRedirect,
    RepoXorb,
    TokenScope,
)
from hub.site import git_of, git_path, store
from hub.vcs import references
from tests.hub.hfapi.conftest import HubApi
from tests.support.cast import ROLES, Cast
from tests.support.factories import commit, commit_large, make_repo

MAY_READ = {"owner", "member", "reader", "admin"}
HEAVY, LIGHT = b"heavy" * 5000, b"light" * 500
HEAVY_OID, LIGHT_OID = (hashlib.sha256(data).hexdigest() for data in (HEAVY, LIGHT))


def make_thing(cast: Cast, *, is_private: bool = False, repo_type: str = "model") -> Repo:
    repo = make_repo(
        cast.organization, "thing", repo_type=repo_type, is_private=is_private,
        creator=cast.owner, files={"README.md": "---\nlicense: mit\n---\n# Thing\n"},
    )  # fmt: skip
    commit_large(repo, {"deep/heavy.bin": HEAVY, "light.bin": LIGHT})
    git = git_of(repo)
    git.create_ref("refs/heads/side", git.resolve("main"))
    repo.refresh_from_db()
    return repo


def read(api: HubApi, path: str) -> bytes:
    answer = api.get(path)
    assert answer.status_code == 200, (path, answer.content)
    return b"".join(answer.streaming_content) if answer.streaming else answer.content


@pytest.mark.parametrize("is_private", [False, True], ids=["public", "private"])
@pytest.mark.parametrize("role", ROLES)
def test_who_may_read_duplicates_to_their_own_name(cast: Cast, role: str, is_private: bool) -> None:
    make_thing(cast, is_private=is_private)
    user = cast.user(role)
    name = user.username if user else "nobody"
    answer = HubApi(cast.token(role)).post(
        "/api/models/guild/thing/duplicate", {"repository": f"{name}/copy"}
    )
    if user and (role in MAY_READ or not is_private):
        assert answer.status_code == 200
        assert answer.json()["url"].endswith(f"/{name}/copy")
        copy = Repo.objects.get(namespace=user.namespace, name="copy")
        assert copy.is_private == is_private
        assert AuditEntry.objects.get(verb="repo.duplicated").repo == copy
    else:
        assert answer.status_code == (401 if user is None else 404)
        assert Repo.objects.count() == 1


@pytest.mark.parametrize("role", ROLES)
def test_only_who_may_create_there_duplicates_into_an_organisation(cast: Cast, role: str) -> None:
    make_thing(cast)
    body = {"repository": "guild/copy"}
    answer = HubApi(cast.token(role)).post("/api/models/guild/thing/duplicate", body)
    expected = 200 if role in {"owner", "member", "admin"} else 403
    assert answer.status_code == (401 if role == "anonymous" else expected)
    assert Repo.objects.filter(name="copy").exists() == (expected == 200)


@pytest.mark.parametrize("repo_type", ["model", "dataset", "space"])
def test_a_duplicate_holds_the_same_and_goes_its_own_way(cast: Cast, repo_type: str) -> None:
    source = make_thing(cast, repo_type=repo_type)
    keys = {item.key for item in store().list("")}
    api = HubApi(cast.token("stranger"))
    path = f"{source.api_path}/duplicate"
    assert api.post(path, {"repository": "sten/copy"}).status_code == 200
    copy = Repo.objects.get(name="copy")
    assert {item.key for item in store().list("")} == keys
    assert copy.head_sha == source.head_sha
    assert (copy.size_bytes, copy.license, copy.repo_type) == (source.size_bytes, "mit", repo_type)
    assert set(copy.refs.values_list("name", flat=True)) == {"refs/heads/main", "refs/heads/side"}
    assert read(api, f"{copy.url_path}/resolve/main/deep/heavy.bin") == HEAVY
    commit(copy, {"own.txt": "1"}, user=cast.stranger)
    assert git_of(source).resolve("main") == source.head_sha
    gone = {"type": repo_type, "organization": "guild", "name": "thing"}
    assert HubApi(cast.token("owner")).send("DELETE", "/api/repos/delete", gone).status_code == 200
    assert read(api, f"{copy.url_path}/resolve/main/light.bin") == LIGHT


def test_damaged_files_go_along_and_heal_together(cast: Cast, owner_api: HubApi) -> None:
    make_thing(cast)
    Blob.objects.filter(sha256=LIGHT_OID).update(quarantined_at=timezone.now())
    owner_api.post("/api/models/guild/thing/duplicate", {"repository": "olive/copy"})
    for address in ("/guild/thing", "/olive/copy"):
        answer = owner_api.get(f"{address}/resolve/main/light.bin")
        assert (answer.status_code, answer["X-Error-Code"]) == (410, "ContentDamaged")
    make_repo(cast.owner, "target")
    failed = copy_call(owner_api, LIGHT_OID).json()["failed"]
    assert [(row["sha256"], "damaged" in row["error"]) for row in failed] == [(LIGHT_OID, True)]
    Blob.objects.update(quarantined_at=None)
    assert read(owner_api, "/olive/copy/resolve/main/light.bin") == LIGHT


def test_visibility_is_the_callers_choice(cast: Cast) -> None:
    make_thing(cast)
    body = {"repository": "sten/copy", "visibility": "private"}
    api = HubApi(cast.token("stranger"))
    assert api.post("/api/models/guild/thing/duplicate", body).status_code == 200
    assert Repo.objects.get(name="copy").is_private


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400), ({"repository": "copy"}, 400), ({"repository": "olive/a..b"}, 400),
        ({"repository": "guild/thing"}, 409), ({"repository": "olive/c", "visibility": "x"}, 400),
        ({"repository": "olive/c", "hardware": "t4"}, 501), ({"repository": "nobody/c"}, 403),
    ],
)  # fmt: skip
def test_a_duplicate_that_cannot_be_leaves_nothing(
    cast: Cast, owner_api: HubApi, settings: Any, body: dict[str, str], status: int
) -> None:
    source = make_thing(cast)
    folders = set(settings.GIT_ROOT.rglob("*.git"))
    answer = owner_api.post("/api/models/guild/thing/duplicate", body)
    assert answer.status_code == status, answer.content
    if status == 409:
        assert answer.json()["url"].endswith("/guild/thing")
    assert set(settings.GIT_ROOT.rglob("*.git")) == folders == {git_path(source)}
    assert Repo.objects.count() == 1


def test_a_duplicate_that_fails_midway_leaves_nothing(
    cast: Cast, owner_api: HubApi, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = make_thing(cast)

    def fail(**_: Any) -> None:
        raise RuntimeError("the database went away")

    monkeypatch.setattr("hub.actions.copies.link_contents", fail)
    owner_api.client.raise_request_exception = False
    body = {"repository": "olive/copy"}
    assert owner_api.post("/api/models/guild/thing/duplicate", body).status_code == 500
    assert set(settings.GIT_ROOT.rglob("*.git")) == {git_path(source)}
    assert Repo.objects.count() == 1


def test_a_copy_that_does_not_fit_the_quota_leaves_nothing(
    cast: Cast, owner_api: HubApi, settings: Any
) -> None:
    source = make_thing(cast)
    target = make_repo(cast.owner, "target")
    Namespace.objects.filter(pk=target.namespace_id).update(quota_bytes=10_000)
    answer = owner_api.post("/api/models/guild/thing/duplicate", {"repository": "olive/copy"})
    assert answer["X-Error-Code"] == "QuotaExceeded"
    assert set(settings.GIT_ROOT.rglob("*.git")) == {git_path(source), git_path(target)}
    assert copy_call(owner_api)["X-Error-Code"] == "QuotaExceeded"
    assert copy_call(owner_api, LIGHT_OID).json() == {"failed": []}
    assert [link.blob.sha256 for link in target.blob_links.all()] == [LIGHT_OID]


def test_a_copy_under_an_old_address_takes_it(cast: Cast, owner_api: HubApi) -> None:
    make_thing(cast)
    move = {"fromRepo": "guild/thing", "toRepo": "guild/other", "type": "model"}
    assert owner_api.post("/api/repos/move", move).status_code == 200
    body = {"repository": "guild/thing"}
    assert owner_api.post("/api/models/guild/other/duplicate", body).status_code == 200
    assert not RepoRedirect.objects.exists()
    assert owner_api.get("/api/models/guild/thing").json()["id"] == "guild/thing"


def test_pages_of_large_files_share_one_walk_until_a_ref_moves(
    cast: Cast, owner_api: HubApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo = make_thing(cast)
    walks: list[int] = []
    walk = references.large_paths

    def counting(git: Any) -> dict[str, str]:
        walks.append(1)
        return walk(git)

    monkeypatch.setattr(references, "large_paths", counting)
    first = owner_api.get("/api/models/guild/thing/lfs-files?limit=1")
    second = owner_api.get(first["Link"].partition("testserver")[2].partition(">")[0])
    names = {row["filename"] for answer in (first, second) for row in answer.json()}
    assert names == {"deep/heavy.bin", "light.bin"}
    assert len(walks) == 1
    commit_large(repo, {"third.bin": b"third" * 500})
    rows = owner_api.get("/api/models/guild/thing/lfs-files").json()
    assert {row["filename"] for row in rows} == {*names, "third.bin"}
    assert len(walks) == 2


def test_large_files_of_all_refs_are_listed_also_those_of_history(
    cast: Cast, owner_api: HubApi
) -> None:
    repo = make_thing(cast)
    commit_large(repo, {"side.bin": b"side" * 999}, ref="refs/heads/side")
    rows = {row["oid"]: row for row in owner_api.get(f"{repo.api_path}/lfs-files").json()}
    assert rows[HEAVY_OID]["filename"] == "deep/heavy.bin"
    assert (rows[HEAVY_OID]["size"], rows[HEAVY_OID]["ref"]) == (len(HEAVY), "refs/heads/main")
    side = rows[hashlib.sha256(b"side" * 999).hexdigest()]
    assert (side["filename"], side["ref"]) == ("side.bin", "refs/heads/side")
    assert all(row["pushedAt"].endswith("Z") for row in rows.values())


def test_deleted_files_vanish_from_history_and_tree_and_nobody_gets_them(
    cast: Cast, owner_api: HubApi
) -> None:
    repo = make_thing(cast)
    old = repo.head_sha
    body = {"deletions": {"sha": [HEAVY_OID], "rewriteHistory": True}}
    path = f"{repo.api_path}/lfs-files/batch"
    assert owner_api.post(path, body).status_code == 200
    repo.refresh_from_db()
    assert repo.head_sha != old
    assert repo.head_sha == git_of(repo).resolve("main")
    for revision in ("main", "side"):
        rows = owner_api.get(f"{repo.api_path}/tree/{revision}?recursive=true").json()
        assert {row["path"] for row in rows} == {".gitattributes", "README.md", "light.bin"}
    assert repo.size_bytes == sum(row["size"] for row in rows)
    gone = owner_api.get(f"/guild/thing/resolve/{old}/deep/heavy.bin")
    assert (gone.status_code, gone["X-Error-Code"]) == (404, "EntryNotFound")
    assert read(owner_api, "/guild/thing/resolve/main/light.bin") == LIGHT
    entry = AuditEntry.objects.get(verb="repo.large_files_deleted")
    assert entry.details["oids"] == [HEAVY_OID]
    assert set(entry.details["moved"]) == {"refs/heads/main", "refs/heads/side"}
    assert owner_api.post(path, body).status_code == 400


def test_without_a_new_history_the_pointer_stays_and_the_bytes_go(
    cast: Cast, owner_api: HubApi
) -> None:
    repo = make_thing(cast)
    body = {"deletions": {"sha": [HEAVY_OID], "rewriteHistory": False}}
    assert owner_api.post(f"{repo.api_path}/lfs-files/batch", body).status_code == 200
    assert git_of(repo).resolve("main") == repo.head_sha
    answer = owner_api.get("/guild/thing/resolve/main/deep/heavy.bin")
    assert answer.status_code == 404
    assert not RepoBlob.objects.filter(repo=repo, blob__sha256=HEAVY_OID).exists()


def test_deletion_in_one_repository_keeps_the_file_of_another(
    cast: Cast, owner_api: HubApi
) -> None:
    repo = make_thing(cast)
    owner_api.post(f"{repo.api_path}/duplicate", {"repository": "olive/copy"})
    body = {"deletions": {"sha": [HEAVY_OID]}}
    assert owner_api.post(f"{repo.api_path}/lfs-files/batch", body).status_code == 200
    assert read(owner_api, "/olive/copy/resolve/main/deep/heavy.bin") == HEAVY


@pytest.mark.parametrize(
    "body",
    [{}, {"deletions": []}, {"deletions": {"sha": "x"}}, {"deletions": {"sha": ["x"]}},
     {"deletions": {"sha": [HEAVY_OID, "0" * 64]}}],
)  # fmt: skip
def test_deletion_of_nonsense_changes_nothing(
    cast: Cast, owner_api: HubApi, body: dict[str, Any]
) -> None:
    repo = make_thing(cast)
    answer = owner_api.post(f"{repo.api_path}/lfs-files/batch", body)
    assert (answer.status_code, answer["X-Error-Code"]) == (400, "InvalidInput")
    assert git_of(repo).resolve("main") == repo.head_sha
    assert repo.blob_links.count() == 2


def copy_call(role_api: HubApi, oid: str = HEAVY_OID, target: str = "olive/target") -> Any:
    body = {
        "target": {"type": "model", "name": target},
        "files": [{"sha256": oid, "xetHash": "", "filename": "x"}],
    }
    return role_api.post("/api/models/guild/thing/lfs-files/duplicate", body)


@pytest.mark.parametrize("role", ROLES)
def test_files_are_copied_by_who_reads_the_source_and_writes_the_target(
    cast: Cast, role: str
) -> None:
    make_thing(cast, is_private=True)
    user = cast.user(role)
    own = make_repo(user or cast.owner, "target")
    answer = copy_call(HubApi(cast.token(role)), target=str(own))
    if role in MAY_READ:
        assert (answer.status_code, answer.json()) == (200, {"failed": []})
        assert own.blob_links.get().blob.sha256 == HEAVY_OID
        foreign = make_repo(cast.stranger, "foreign", is_private=True)
        hidden = copy_call(HubApi(cast.token(role)), target=str(foreign)).status_code
        assert hidden == (200 if role == "admin" else 404)
    else:
        assert answer.status_code == (401 if role == "anonymous" else 404)
        assert not own.blob_links.exists()


def test_a_file_the_source_has_not_is_named_and_read_tokens_copy_nothing(cast: Cast) -> None:
    make_thing(cast)
    secret = make_repo(cast.stranger, "secret", is_private=True)
    commit_large(secret, {"s.bin": b"secret" * 999})
    own = make_repo(cast.owner, "target")
    oid = hashlib.sha256(b"secret" * 999).hexdigest()
    answer = copy_call(HubApi(cast.token("owner")), oid).json()
    assert [row["sha256"] for row in answer["failed"]] == [oid]
    assert copy_call(HubApi(cast.token("owner", TokenScope.READ))).status_code == 403
    assert not own.blob_links.exists()
    assert not RepoXorb.objects.filter(repo=own).exists()
    assert json.dumps(answer).count("secret") == 0
