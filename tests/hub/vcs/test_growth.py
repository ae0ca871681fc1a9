"""How large the files of a commit are, told from what changed."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from hub.vcs import AddFile, AddPointer, DeleteFile, Operation, Repository, Signature

AUTHOR = Signature("A", "a@example.org", datetime(2026, 1, 1, tzinfo=UTC))
MAIN = "refs/heads/main"
PATHS = st.sampled_from(["a", "b", "d/a", "d/b", "d/e/f", "g/h"])


def commit(git: Repository, *operations: Operation) -> str:
    return git.commit(MAIN, operations, message="x", author=AUTHOR).sha


def counted(git: Repository, sha: str) -> int:
    return sum(entry.size_bytes for entry in git.tree(sha, recursive=True))


def test_growth_counts_true_sizes(tmp_path: Path) -> None:
    git = Repository.init(tmp_path / "x.git")
    first = commit(git, AddFile("a", b"12345"), AddPointer("m.bin", "0" * 64, 10**9))
    second = commit(git, AddFile("a", b"1"), AddFile("d/e", b"22"))
    third = commit(git, DeleteFile("m.bin"))
    assert git.content_bytes(first) == 10**9 + 5
    assert git.content_growth(first, second) == -4 + 2
    assert git.content_growth(second, third) == -(10**9)
    assert git.content_growth(third, third) == 0
    assert git.content_bytes(third) == 3


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(PATHS, st.binary(max_size=300)), min_size=1, max_size=12))
def test_growth_adds_up_to_a_count_of_all_files(steps: list[tuple[str, bytes]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        git = Repository.init(Path(folder) / "x.git")
        old, size_bytes = None, 0
        for path, content in steps:
            new = commit(git, AddFile(path, content))
            size_bytes += git.content_growth(old, new)
            assert size_bytes == counted(git, new) == git.content_bytes(new)
            old = new
