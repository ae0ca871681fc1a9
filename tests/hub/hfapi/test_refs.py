"""C30, C32 to C36: branches, tags, squashing, and the database's copy of them."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.management import call_command

from hub.actions.refs import copy_refs, rebuild_copy
from hub.hfapi.serializers import ref_row
from hub.models import Ref, Repo
from hub.site import git_of
from tests.hub.hfapi.conftest import HubApi
from tests.support.cast import Cast
from tests.support.factories import commit


@pytest.fixture
def repo(cast: Cast) -> Repo:
    return cast.public_repo()


def copied(repo: Repo) -> dict[str, str]:
    return dict(repo.refs.values_list("name", "commit_sha"))


def in_git(repo: Repo) -> dict[str, str]:
    return {ref.full_name: ref.commit_sha for ref in git_of(repo).refs()}


def test_refs_lists_branches_and_tags(repo: Repo, owner_api: HubApi) -> None:
    owner_api.post(f"{repo.api_path}/branch/dev")
    owner_api.post(f"{repo.api_path}/tag/main", {"tag": "v1"})
    answer = owner_api.get(f"{repo.api_path}/refs?include_prs=1").json()
    head = git_of(repo).resolve("main")
    assert answer == {
        "branches": [
            {"name": "dev", "ref": "refs/heads/dev", "targetCommit": head},
            {"name": "main", "ref": "refs/heads/main", "targetCommit": head},
        ],
        "converts": [],
        "tags": [{"name": "v1", "ref": "refs/tags/v1", "targetCommit": head}],
        "pullRequests": [],
    }
    assert "pullRequests" not in owner_api.get(f"{repo.api_path}/refs").json()


def test_branch_starts_where_it_is_told(repo: Repo, owner_api: HubApi) -> None:
    first = git_of(repo).resolve("main")
    commit(repo, {"a": b"1"})
    owner_api.post(f"{repo.api_path}/tag/{first}", {"tag": "v0"})
    for name, start in (("one", first), ("two", "v0"), ("three", "one"), ("four%2Fx", "main")):
        answer = owner_api.post(f"{repo.api_path}/branch/{name}", {"startingPoint": start})
        assert answer.status_code == 201
    git = git_of(repo)
    assert [git.resolve(name) for name in ("one", "two", "three")] == [first] * 3
    assert git.resolve("four/x") == git.resolve("main")
    assert copied(repo) == in_git(repo)


def test_duplicate_branch_is_409_and_names_the_ref(repo: Repo, owner_api: HubApi) -> None:
    answer = owner_api.post(f"{repo.api_path}/branch/main")
    assert answer.status_code == 409
    assert "refs/heads/main" in answer["X-Error-Message"]


BAD_REF_NAMES = ["a..b", "a%20b", "a~b", "-a", "a.lock", "%2Fa", "a%2F%2Fb", "HEAD", "a%00b", "@",
                 "0" * 40, "x" * 300, "%FF", "a%5Cb", "..%2F..%2Fmain"]  # fmt: skip


@pytest.mark.parametrize("name", BAD_REF_NAMES)
def test_bad_branch_names_are_refused(repo: Repo, owner_api: HubApi, name: str) -> None:
    before = in_git(repo)
    answer = owner_api.post(f"{repo.api_path}/branch/{name}")
    if name == "%FF":
        assert answer.status_code in {201, 400}
        return
    assert (answer.status_code, answer["X-Error-Code"]) == (400, "InvalidInput")
    assert in_git(repo) == before == copied(repo)


@pytest.mark.parametrize("tag", ["", "a..b", "a b", None, 7, "refs/../x", "x\n", "\ud800"])
def test_bad_tag_names_are_refused(repo: Repo, owner_api: HubApi, tag: Any) -> None:
    answer = owner_api.post(f"{repo.api_path}/tag/main", {"tag": tag})
    assert answer.status_code == 400
    assert git_of(repo).tags() == []


def test_unknown_starting_points_are_revision_errors(repo: Repo, owner_api: HubApi) -> None:
    for answer in (
        owner_api.post(f"{repo.api_path}/branch/x", {"startingPoint": "gone"}),
        owner_api.post(f"{repo.api_path}/tag/gone", {"tag": "v1"}),
        owner_api.post(f"{repo.api_path}/super-squash/gone", {"message": "x"}),
        owner_api.send("DELETE", f"{repo.api_path}/branch/gone"),
        owner_api.send("DELETE", f"{repo.api_path}/tag/gone"),
    ):
        assert (answer.status_code, answer["X-Error-Code"]) == (404, "RevisionNotFound")
    assert set(in_git(repo)) == {"refs/heads/main"}


def test_deleting_keeps_branches_and_tags_apart(repo: Repo, owner_api: HubApi) -> None:
    owner_api.post(f"{repo.api_path}/branch/same")
    owner_api.post(f"{repo.api_path}/tag/main", {"tag": "same", "message": "A tag"})
    owner_api.post(f"{repo.api_path}/tag/main", {"tag": "only-tag"})
    assert owner_api.send("DELETE", f"{repo.api_path}/branch/only-tag").status_code == 404
    assert owner_api.send("DELETE", f"{repo.api_path}/tag/main").status_code == 404
    assert owner_api.send("DELETE", f"{repo.api_path}/branch/same").status_code == 200
    assert set(in_git(repo)) == {"refs/heads/main", "refs/tags/same", "refs/tags/only-tag"}
    assert owner_api.send("DELETE", f"{repo.api_path}/tag/same").status_code == 200
    assert copied(repo) == in_git(repo)


def test_default_branch_cannot_be_deleted(repo: Repo, owner_api: HubApi) -> None:
    answer = owner_api.send("DELETE", f"{repo.api_path}/branch/main")
    assert (answer.status_code, answer["X-Error-Code"]) == (403, "PermissionDenied")
    assert "refs/heads/main" in in_git(repo)


def test_annotated_tag_is_given_by_its_commit(repo: Repo, owner_api: HubApi) -> None:
    owner_api.post(f"{repo.api_path}/tag/main", {"tag": "v1", "message": "First release"})
    head = git_of(repo).resolve("main")
    assert ref_row(git_of(repo).tags()[0])["targetCommit"] == head
    assert copied(repo)["refs/tags/v1"] == head
    assert owner_api.get(f"{repo.api_path}/revision/v1").json()["sha"] == head
    again = owner_api.post(f"{repo.api_path}/tag/main", {"tag": "v1"})
    assert again.status_code == 409


def test_squash_leaves_one_commit_with_the_same_files(repo: Repo, owner_api: HubApi) -> None:
    for number in range(3):
        last = commit(repo, {f"f{number}": b"x"})
    owner_api.post(f"{repo.api_path}/branch/keep")
    answer = owner_api.post(f"{repo.api_path}/super-squash/main", {"message": "All in one"})
    assert answer.status_code == 200
    git = git_of(repo)
    head = git.resolve("main")
    assert [entry.title for entry in git.log(head)] == ["All in one"]
    assert len(list(git.tree(head))) == 4
    assert git.resolve("keep") == last
    repo.refresh_from_db()
    assert repo.head_sha == head
    assert copied(repo) == in_git(repo)


def test_copy_follows_git_whatever_happened_to_it(repo: Repo, cast: Cast) -> None:
    """As after a push, or a crash between git and the database."""
    git = git_of(repo)
    first = git.resolve("main")
    Ref.objects.create(repo=repo, name="refs/heads/ghost", commit_sha=first)
    git.create_ref("refs/tags/v1", first)
    Ref.objects.filter(repo=repo, name="refs/heads/main").update(commit_sha="0" * 40)
    Repo.objects.filter(pk=repo.pk).update(head_sha="", size_bytes=0)
    repo.refresh_from_db()
    changes = copy_refs(repo=repo, acting_user=cast.owner)
    assert {(change.ref, change.old_sha, change.new_sha) for change in changes} == {
        ("refs/heads/ghost", first, None),
        ("refs/heads/main", "0" * 40, first),
        ("refs/tags/v1", None, first),
    }
    repo.refresh_from_db()
    assert repo.head_sha == first
    assert repo.size_bytes == len(git.read(first, ".gitattributes"))
    assert copied(repo) == in_git(repo)
    assert copy_refs(repo=repo) == []


def test_rebuild_command_restores_refs_and_metadata(
    repo: Repo, cast: Cast, capsys: pytest.CaptureFixture[str]
) -> None:
    other = cast.public_repo("other")
    for each in (repo, other):
        commit(each, {"README.md": "---\nlicense: mit\ntags: [kept]\n---\n"})
        Ref.objects.filter(repo=each).delete()
        each.tag_rows.all().delete()
        Repo.objects.filter(pk=each.pk).update(head_sha="", tags=[], license="", card_data={})
    call_command("rebuild_copy", "guild/open-model")
    assert copied(repo) == in_git(repo)
    assert copied(other) == {}
    call_command("rebuild_copy")
    for each in (repo, other):
        each.refresh_from_db()
        assert each.license == "mit"
        assert each.tag_rows.filter(tag="kept").exists()
        assert copied(each) == in_git(each)
    rebuild_copy(repo=repo)
    assert "2 repositories" in capsys.readouterr().out
