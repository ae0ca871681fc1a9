"""What changed between two commits, file by file, as commit and pull request pages show it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlencode

from django.http import HttpRequest

from hub.models import Repo
from hub.portal.tabs import repo_page_url
from hub.tensors import has_tensors, index_of
from hub.vcs import FileDiff, Repository, TreeEntry
from hub.vcs.hunks import Hunk, parse_patch

FILES_PER_PAGE = 50
MAX_FILE_LINES = 1_000
MAX_FILE_CHARS = 100_000
"""A file with more lines or characters to show than this is left to its own pages."""
MAX_PAGE_LINES = 3_000
MAX_PAGE_CHARS = 300_000

Form = Literal["text", "large", "binary", "too_long", "same", "nothing"]


@dataclass(frozen=True)
class Side:
    """One version of a file: at which commit, and how it is addressed."""

    commit_sha: str
    entry: TreeEntry

    @property
    def digest(self) -> str:
        return self.entry.lfs.oid if self.entry.lfs else self.entry.oid


@dataclass(frozen=True)
class FileChange:
    """One file that differs. `form` says what can be shown of it.

    `tensors_url` leads to the comparison of its tensors. `index_path` names the index of which
    the file is a shard, where that index changed too: its tensors are compared there.
    """

    diff: FileDiff
    anchor: str
    form: Form
    hunks: Sequence[Hunk]
    old: Side | None
    new: Side | None
    tensors_url: str = ""
    index_path: str = ""

    @property
    def is_large(self) -> bool:
        return any(side is not None and side.entry.lfs for side in (self.old, self.new))

    @property
    def size_change_bytes(self) -> int:
        old, new = (side.entry.size_bytes if side else 0 for side in (self.old, self.new))
        return new - old


@dataclass(frozen=True)
class Changes:
    """One page of the files that differ."""

    files: list[FileChange]
    n_files: int
    page_number: int

    @property
    def has_next(self) -> bool:
        return (self.page_number + 1) * FILES_PER_PAGE < self.n_files

    @property
    def n_pages(self) -> int:
        return -(-self.n_files // FILES_PER_PAGE)

    @property
    def additions(self) -> int:
        return sum(file.diff.additions or 0 for file in self.files if file.form == "text")

    @property
    def deletions(self) -> int:
        return sum(file.diff.deletions or 0 for file in self.files if file.form == "text")


def read_changes(
    repo: Repo, git: Repository, old_sha: str | None, new_sha: str, *, page_number: int = 0
) -> Changes:
    """The files that differ between two commits; `old_sha` None compares with nothing."""
    skip = page_number * FILES_PER_PAGE
    found = git.compare(
        old_sha, new_sha, skip=skip, max_files=FILES_PER_PAGE, max_patch_chars=MAX_FILE_CHARS
    )
    reader = _ChangeReader(repo, git, old_sha, new_sha, found.files)
    files = [reader.describe(at, diff) for at, diff in enumerate(found.files, start=skip)]
    return Changes(files, found.n_files, page_number)


def page_number_of(request: HttpRequest) -> int:
    """The number of the page asked for by `?p=`, from 0."""
    text = request.GET.get("p", "0")
    return min(int(text), 100_000) if text.isascii() and text.isdecimal() and len(text) < 9 else 0


class _ChangeReader:
    """Describes the files of one page, within one budget of lines and characters."""

    def __init__(
        self,
        repo: Repo,
        git: Repository,
        old_sha: str | None,
        new_sha: str,
        files: Sequence[FileDiff],
    ) -> None:
        self._repo = repo
        self._old_sha = old_sha
        self._new_sha = new_sha
        self._old = _entries(git, old_sha, (file.old_path or file.path for file in files))
        self._new = _entries(git, new_sha, (file.path for file in files))
        self._paths = {file.path for file in files}
        self._left_lines, self._left_chars = MAX_PAGE_LINES, MAX_PAGE_CHARS

    def describe(self, at: int, diff: FileDiff) -> FileChange:
        old = self._side(self._old_sha, self._old.get(diff.old_path or diff.path))
        new = self._side(self._new_sha, self._new.get(diff.path))
        form = self._form(diff, old, new)
        index = index_of(diff.path)
        index = index if index in self._paths else None
        return FileChange(
            diff=diff,
            anchor=f"file-{at + 1}",
            form=form,
            hunks=parse_patch(diff.patch) if form == "text" and diff.patch else (),
            old=old,
            new=new,
            tensors_url=self._tensors_url(diff) if has_tensors(diff.path) and not index else "",
            index_path=index or "",
        )

    def _side(self, commit_sha: str | None, entry: TreeEntry | None) -> Side | None:
        return Side(commit_sha, entry) if commit_sha and entry else None

    def _form(self, diff: FileDiff, old: Side | None, new: Side | None) -> Form:
        if any(side is not None and side.entry.lfs for side in (old, new)):
            return "large"
        if diff.is_binary:
            return "binary"
        if diff.too_large:
            return "too_long"
        if not diff.patch or "\n@@ " not in diff.patch:
            return "same" if old and new else "nothing"
        return "text" if self._fits(diff.patch) else "too_long"

    def _fits(self, patch: str) -> bool:
        """Whether the difference is short enough to show; takes it off the budget if it is."""
        n_lines, n_chars = patch.count("\n"), len(patch)
        if n_lines > min(MAX_FILE_LINES, self._left_lines):
            return False
        if n_chars > self._left_chars:
            return False
        self._left_lines -= n_lines
        self._left_chars -= n_chars
        return True

    def _tensors_url(self, diff: FileDiff) -> str:
        url = repo_page_url("tensors", self._repo, revision=self._new_sha, path=diff.path)
        query = {"old": self._old_sha or "", "old_path": diff.old_path or ""}
        given = {key: value for key, value in query.items() if value}
        return f"{url}?{urlencode(given)}" if given else url


def _entries(git: Repository, commit_sha: str | None, paths: Iterable[str]) -> dict[str, TreeEntry]:
    if commit_sha is None:
        return {}
    found = git.entries(commit_sha, paths)
    return {entry.path: entry for entry in found if entry.kind == "file"}
