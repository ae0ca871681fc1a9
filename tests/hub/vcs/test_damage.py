"""What a repository says of itself when objects are lost: never that it names nothing."""

import subprocess
from pathlib import Path

import pytest

from hub.vcs import AddFile, AddPointer, Repository
from hub.vcs.errors import RepositoryDamaged

from .conftest import git

OID = "ab" * 32


@pytest.fixture
def filled(repository, commit):
    commit(AddPointer("big.bin", OID, 5_000_000))
    return commit(AddFile("a/b", b"1"))


def loose(repository: Repository, oid: str) -> Path:
    return repository.path / "objects" / oid[:2] / oid[2:]


def lose(repository: Repository, revision: str) -> None:
    loose(repository, git(repository, "rev-parse", revision).strip()).unlink()


def spoil(repository: Repository, revision: str) -> None:
    path = loose(repository, git(repository, "rev-parse", revision).strip())
    path.chmod(0o644)
    path.write_bytes(b"not zlib")


@pytest.mark.parametrize("harm", [lose, spoil])
@pytest.mark.parametrize("what", ["main", "main~1", "main^{tree}", "main:a"])
def test_large_files_of_what_cannot_be_read_are_not_none(repository, filled, harm, what):
    harm(repository, what)
    damaged = Repository(repository.path)
    with pytest.raises(RepositoryDamaged):
        damaged.large_oids()
    with pytest.raises(RepositoryDamaged):
        damaged.drop_large_files([OID])


@pytest.mark.parametrize("harm", [lose, spoil])
def test_heads_are_looked_at(repository, filled, harm):
    repository.check_heads()
    harm(repository, "main")
    with pytest.raises(RepositoryDamaged):
        Repository(repository.path).check_heads()


def test_a_ref_that_a_full_disk_left_empty_is_damage(repository, filled):
    (repository.path / "refs/heads/main").write_bytes(b"")
    with pytest.raises(RepositoryDamaged):
        Repository(repository.path).large_oids()


def test_a_tag_of_a_file_leads_to_no_commit_and_is_no_damage(repository, filled):
    blob = git(repository, "rev-parse", "main:a/b").strip()
    git(repository, "update-ref", "refs/tags/file", blob)
    subprocess.run(
        ["git", "-C", repository.path, "-c", "user.name=a", "-c", "user.email=a@b.c",
         "tag", "-a", "-m", "x", "noted", blob],
        check=True,
    )  # fmt: skip
    assert repository.large_oids() == {OID}
    assert repository.drop_large_files([OID]) == ["refs/heads/main"]
