"""Fresh repositories, an author, and git itself as the judge."""

import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hub.vcs import AddFile, Repository, Signature

MAIN = "refs/heads/main"


@pytest.fixture
def author() -> Signature:
    return Signature("Ada Lovelace", "ada@example.org", datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC))


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository.init(tmp_path / "ab" / "abcdef.git")


@pytest.fixture
def commit(repository, author):
    """Commit operations to a branch and give back the commit."""

    def make(*operations, ref=MAIN, message="a change", parent=None, when=None):
        signature = author if when is None else Signature(author.name, author.email, when)
        return repository.commit(
            ref, operations, message=message, author=signature, expected_parent=parent
        )

    return make


@pytest.fixture
def write(commit):
    """Commit text files given as path to content."""

    def make(files, **options):
        return commit(*(AddFile(path, data) for path, data in files.items()), **options)

    return make


def git(repository: Repository, *arguments: str, text: bool = True):
    return subprocess.run(
        ["git", "-C", str(repository.path), *arguments],
        capture_output=True,
        text=text,
        check=True,
        env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1"},
    ).stdout


def assert_sound(repository: Repository) -> None:
    """git's own checker finds nothing to say about the repository."""
    result = subprocess.run(
        ["git", "-C", str(repository.path), "fsck", "--full", "--strict", "--no-dangling"],
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1"},
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
