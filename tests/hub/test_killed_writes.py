"""A server killed at each step of a change to a repository: git and the database agree again, and
the same call made once more finds it done or does it, once."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from hub.models import AuditEntry, Repo, RepoRedirect
from hub.site import git_folder, git_of, git_path
from tests.hub.hfapi.conftest import HubApi, file_line, header
from tests.support.cast import Cast
from tests.support.deaths import assert_doctor_is_content, killed_at
from tests.support.factories import commit, make_repo
from tests.support.git import Git

pytestmark = pytest.mark.django_db(transaction=True)

MAIN = "refs/heads/main"
REFS = """
before hub.vcs.refs._raw_target
after hub.vcs.refs.compare_and_swap
before hub.actions.refs._write_rows
after hub.actions.refs._audit
"""


@dataclass
class Desk:
    """Somebody's repository, and the calls of their client."""

    cast: Cast
    repo: Repo
    folder: Path

    def __post_init__(self) -> None:
        self.api = HubApi(self.cast.token("owner"))
        self.path = self.repo.api_path

    def commit(self, count: int) -> Any:
        """Files with content of their own, where they are not there already."""
        names = [f"f{number}.txt" for number in range(count)]
        files = [{"path": name, "size": 9, "sample": ""} for name in names]
        asked = self.api.post(f"{self.path}/preupload/main", {"files": files}).json()
        if all("oid" in row for row in asked["files"]):
            return None
        lines = [header(), *(file_line(name, name.encode()) for name in names)]
        return self.api.commit(f"{self.path}/commit/main", lines)

    def push(self) -> Any:
        """What git sends: what the server lacks, or nothing where it has all."""
        old, new = git_of(self.repo).ref(MAIN), self.clone("rev-parse", "HEAD")
        if old == new:
            return None
        line = f"{old} {new} {MAIN}\0report-status".encode()
        body = b"%04x" % (len(line) + 4) + line + b"0000" + self.clone.pack(new, f"^{old}")
        answer = self.api.client.post(
            f"{self.repo.url_path}.git/git-receive-pack", body,
            content_type="application/x-git-receive-pack-request",
        )  # fmt: skip
        assert b"ok " + MAIN.encode() in answer.getvalue()
        return None

    @property
    def clone(self) -> Git:
        return Git(self.folder / "clone", self.folder / "home")

    def make_commits(self, count: int) -> None:
        if not (self.folder / "clone").exists():
            self.clone("clone", "--quiet", str(git_path(self.repo)), ".")
        self.clone.commit({f"p{number}.txt": f"{number}" for number in range(count)})

    def create(self, sdk: str) -> Any:
        body = {"name": "made", "type": "space", "sdk": sdk}
        return self.api.post("/api/repos/create", body)

    def rename(self) -> Any:
        repo_id = self.repo.full_name
        moved = {"fromRepo": repo_id, "toRepo": f"{repo_id}-renamed", "type": "model"}
        return self.api.post("/api/repos/move", moved)

    def remove(self) -> Any:
        namespace, name = self.repo.full_name.split("/")
        return self.api.send(
            "DELETE", "/api/repos/delete", {"organization": namespace, "name": name}
        )

    def duplicate(self) -> Any:
        target = f"{self.repo.full_name}-copy"
        return self.api.post(f"{self.path}/duplicate", {"repository": target})


@pytest.fixture
def desks(cast: Cast, tmp_path: Path) -> Callable[[str], list[tuple[str, Desk]]]:
    """For each line of a table of points, a desk of its own."""

    def rows(text: str) -> list[tuple[str, Desk]]:
        points = text.strip().splitlines()
        made = []
        for number, point in enumerate(points):
            repo = make_repo(cast.owner, files={"a.txt": "one\n"})
            (tmp_path / str(number)).mkdir()
            made.append((point, Desk(cast, repo, tmp_path / str(number))))
        return made

    return rows


def moves_of(repo: Repo, ref: str) -> list[Any]:
    """Ids that a ref has had, as far as they were written down."""
    rows = AuditEntry.objects.filter(verb="ref.updated", repo=repo).order_by("pk")
    return [row.details["new"] for row in rows if row.details["ref"] == ref]


COMMITS = {
    2: "before hub.vcs.pack._write_loose #2\n" + REFS.strip(),
    40: """
after hub.vcs.pack._write_pack_file
after hub.vcs.pack._write_index_file
before hub.vcs.pack.sync_folder
before hub.actions.metadata.index_repo
""",
}


@pytest.mark.parametrize("count", COMMITS)
def test_commit(desks: Any, count: int) -> None:
    for point, desk in desks(COMMITS[count]):
        killed_at(point, lambda desk=desk: desk.commit(count))
        answer = desk.commit(count)
        assert answer is None or answer.status_code == 200, point
        assert_doctor_is_content(desk.repo)
        git = git_of(desk.repo)
        head = git.ref(MAIN)
        assert git.count_commits(head) == 3, point
        assert len(list(git.tree(head))) == count + 2
        assert moves_of(desk.repo, MAIN).count(head) == 1, point
        info = desk.api.get(desk.path).json()
        assert (info["sha"], len(info["siblings"])) == (head, count + 2)


PUSHES = {
    2: """
after hub.vcs.quarantine.Quarantine.receive
after hub.actions.pushes._check_content
after pathlib.Path.replace
before hub.vcs.quarantine.sync_folder
after hub.vcs.refs.move_all
after hub.actions.pushes.copy_refs
before hub.actions.pushes.refresh_repo_metadata
""",
    40: """
after pathlib.Path.replace
before hub.vcs.quarantine.sync_folder
""",
}


@pytest.mark.parametrize("count", PUSHES)
def test_push(desks: Any, count: int) -> None:
    for point, desk in desks(PUSHES[count]):
        desk.make_commits(count)
        killed_at(point, desk.push)
        desk.push()
        assert_doctor_is_content(desk.repo)
        head = desk.clone("rev-parse", "HEAD")
        assert git_of(desk.repo).ref(MAIN) == head
        assert moves_of(desk.repo, MAIN).count(head) == 1, point
        desk.make_commits(1)
        desk.push()


REF_CALLS: dict[str, tuple[str, str, Any, str, bool]] = {
    "create a branch": ("POST", "branch/dev", {}, "refs/heads/dev", True),
    "delete a branch": ("DELETE", "branch/old", None, "refs/heads/old", False),
    "create a tag": ("POST", "tag/main", {"tag": "v1", "message": "m"}, "refs/tags/v1", True),
    "delete a tag": ("DELETE", "tag/v0", None, "refs/tags/v0", False),
}


@pytest.mark.parametrize("name", REF_CALLS)
@pytest.mark.parametrize("is_mended_first", [False, True])
def test_refs(desks: Any, name: str, is_mended_first: bool) -> None:
    method, path, body, ref, is_there = REF_CALLS[name]
    for point, desk in desks(REFS):
        git = git_of(desk.repo)
        desk.api.post(f"{desk.path}/branch/old")
        desk.api.post(f"{desk.path}/tag/main", {"tag": "v0"})
        killed_at(point, lambda desk=desk: desk.api.send(method, f"{desk.path}/{path}", body))
        if is_mended_first:
            assert_doctor_is_content()
        again = desk.api.send(method, f"{desk.path}/{path}", body)
        assert again.status_code in {200, 201, 404, 409}, (point, again.content)
        assert_doctor_is_content(desk.repo)
        assert (ref in git.raw_refs()) is is_there, point
        assert desk.repo.refs.filter(name=ref).exists() is is_there
        assert len(moves_of(desk.repo, ref)) == (1 if is_there else 2), point


def test_squash(desks: Any) -> None:
    for point, desk in desks(REFS):
        path = f"{desk.path}/super-squash/main"
        killed_at(point, lambda desk=desk, path=path: desk.api.post(path, {"message": "one"}))
        assert desk.api.post(path, {"message": "one"}).status_code == 200
        assert_doctor_is_content(desk.repo)
        git = git_of(desk.repo)
        assert git.count_commits(git.ref(MAIN)) == 1


CREATIONS = """
before hub.vcs.repository.Repository.commit
after hub.actions.repos._init_git
before hub.actions.repos.index_repo
after hub.actions.repos.record
before hub.actions.repos.refresh_repo_metadata
"""


def test_creation(desks: Any) -> None:
    for point, desk in desks(CREATIONS):
        killed_at(point, lambda desk=desk: desk.create("gradio"))
        assert desk.create("gradio").status_code in {200, 409}, point
        made = Repo.objects.get(name="made")
        assert_doctor_is_content(made)
        made.refresh_from_db()
        assert made.card_data["sdk"] == "gradio", point
        folders = {path.name for path in Path(settings.GIT_ROOT).glob("*/*.git")}
        assert folders == {git_path(repo).name for repo in Repo.objects.all()}, point
        HubApi(desk.cast.token("owner")).send(
            "DELETE", "/api/repos/delete", {"name": "made", "type": "space"}
        )


COPIES = """
after hub.vcs.repository.Repository.copy_to
after hub.actions.copies.link_contents
before hub.actions.copies.rebuild_copy
"""


def test_duplication(desks: Any) -> None:
    for point, desk in desks(COPIES):
        killed_at(point, desk.duplicate)
        assert desk.duplicate().status_code in {200, 201, 409}, point
        made = Repo.objects.get(name=f"{desk.repo.name}-copy")
        assert_doctor_is_content(made)
        assert git_of(made).ref(MAIN) == git_of(desk.repo).ref(MAIN)
        folders = {path.name for path in Path(settings.GIT_ROOT).glob("*/*.git")}
        assert folders == {git_path(repo).name for repo in Repo.objects.all()}, point


RENAMES = """
before hub.actions.repos.index_repo
after hub.actions.repos.record
"""


def test_rename(desks: Any) -> None:
    for point, desk in desks(RENAMES):
        killed_at(point, desk.rename)
        assert desk.rename().status_code in {200, 307}, point
        assert_doctor_is_content(desk.repo)
        assert Repo.objects.get(pk=desk.repo.pk).name == f"{desk.repo.name}-renamed"
        assert RepoRedirect.objects.get(repo=desk.repo).name == desk.repo.name
        assert desk.api.get(desk.path).status_code == 307


DELETIONS = """
before hub.actions.repos.record
before hub.actions.repos.events.emit
before hub.actions.repos.shutil.rmtree
"""


def test_deletion(desks: Any) -> None:
    for point, desk in desks(DELETIONS):
        storage_key = desk.repo.storage_key
        killed_at(point, desk.remove)
        assert desk.remove().status_code in {200, 404}, point
        assert_doctor_is_content()
        assert not Repo.objects.filter(pk=desk.repo.pk).exists()
        assert not git_folder(storage_key).exists(), point


def test_write_that_is_refused_leaves_no_note(desks: Any) -> None:
    [(_, desk)] = desks("once")
    for answer in (
        desk.api.commit(f"{desk.path}/commit/main", [header(parentCommit="0" * 40)]),
        desk.api.post(f"{desk.path}/branch/main"),
        desk.api.commit(f"{desk.path}/commit/main", [header(), file_line("../x", b"x")]),
    ):
        assert answer.status_code >= 400
    assert not list((Path(settings.GIT_ROOT) / "unfinished").iterdir())


def test_note_of_a_live_writer_is_left_alone(desks: Any) -> None:
    from hub.actions.unfinished import finish_writes
    from hub.unfinished import noted

    [(_, desk)] = desks("once")
    with noted(desk.repo):
        assert finish_writes().done == set()
    assert not list((Path(settings.GIT_ROOT) / "unfinished").iterdir())


def test_write_that_met_a_fault_of_ours_is_finished_later(
    desks: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    [(_, desk)] = desks("once")
    with monkeypatch.context() as patch:
        patch.setattr("hub.actions.commits.copy_refs", io.BytesIO)
        with pytest.raises(TypeError):
            commit(desk.repo, {"b.txt": "two"})
    head = git_of(desk.repo).ref(MAIN)
    desk.repo.refresh_from_db()
    assert desk.repo.head_sha != head
    assert_doctor_is_content(desk.repo)
    desk.repo.refresh_from_db()
    assert desk.repo.head_sha == head
    assert moves_of(desk.repo, MAIN)[-1] == head


def test_repository_that_cannot_be_read_is_told_and_holds_up_nobody(
    desks: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from config.doctor import Level, check_writes

    (_, lost), (_, fine) = desks("before hub.actions.commits.copy_refs\n" * 2)
    for desk in (lost, fine):
        killed_at("before hub.actions.commits.copy_refs", lambda desk=desk: desk.commit(1))
    aside = git_path(lost.repo).with_suffix(".aside")
    git_path(lost.repo).rename(aside)
    [finding] = check_writes()
    assert finding.level == Level.FAIL
    assert lost.repo.full_name in finding.text
    assert moves_of(fine.repo, MAIN)[-1] == git_of(fine.repo).ref(MAIN)
    aside.rename(git_path(lost.repo))
    assert_doctor_is_content(lost.repo, fine.repo)
