"""One bare git repository: path in, plain values out."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Unpack

import filelock
import pygit2
from pygit2.enums import ObjectType, RepositoryOpenFlag

from hub.vcs import diff, history, merging, rawtree, refs, trees
from hub.vcs.commit_text import message_bytes, signature_line
from hub.vcs.diff import Bounds
from hub.vcs.edits import TreeEditor
from hub.vcs.errors import (
    EntryNotFound,
    EntryTooLarge,
    ParentMoved,
    RefExists,
    RefNotFound,
    RepositoryBusy,
    RepositoryMissing,
)
from hub.vcs.large_files import LargeFiles
from hub.vcs.names import validate_full_ref_name
from hub.vcs.operations import Operation
from hub.vcs.pack import ObjectBatch, no_space_as_domain_error
from hub.vcs.pairs import CommitPairs
from hub.vcs.refs import RefMove
from hub.vcs.values import CommitInfo, Comparison, FileDiff, Ref, Signature, TreeEntry

LOCK_TIMEOUT_S = 30.0
LAST_COMMITS_CAP = 5_000
"""How many commits `last_commits` looks at before it leaves paths without an answer."""
LAST_COMMITS_BUDGET_S = 2.0


def tune_process(*, cache_bytes: int = 32 * 1024 * 1024, is_durable: bool = True) -> None:
    """Set what libgit2 keeps for the whole process: its cache, and fsync of the refs it writes."""
    pygit2.settings.cache_max_size(cache_bytes)
    pygit2.settings.enable_fsync_gitdir(is_durable)


class Repository(CommitPairs, LargeFiles):
    """A repository on disk. Cheap to open; use one object per thread."""

    def __init__(self, path: Path, *, lock_timeout_s: float = LOCK_TIMEOUT_S) -> None:
        self.path = Path(path)
        self._lock_timeout_s = lock_timeout_s
        self._lock = filelock.FileLock(self.path / "modelguild.lock", timeout=lock_timeout_s)
        flags = RepositoryOpenFlag.NO_SEARCH | RepositoryOpenFlag.BARE
        try:
            self._repo = pygit2.Repository(os.fspath(path), flags)
        except pygit2.GitError as error:
            raise RepositoryMissing(str(path)) from error

    @classmethod
    def init(cls, path: Path, default_branch: str = "main") -> "Repository":
        """Make an empty bare repository; it appears at the path whole or not at all.

        Raises:
            FileExistsError: something is at the path.
            RepositoryFull
        """
        path = Path(path)
        if path.exists():
            raise FileExistsError(path)
        with no_space_as_domain_error():
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary = Path(tempfile.mkdtemp(prefix=".new-", dir=path.parent))
            try:
                pygit2.init_repository(os.fspath(temporary), bare=True, initial_head=default_branch)
                temporary.chmod(0o755)
                temporary.rename(path)
            except BaseException:
                shutil.rmtree(temporary, ignore_errors=True)
                raise
        return cls(path)

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the right to write; may be nested within one object.

        A rewrite of history that was killed midway is finished first, so that nobody builds on a
        repository of which one half is old.

        Raises:
            RepositoryBusy: another writer held it until the time was up.
        """
        try:
            self._lock.acquire()
        except filelock.Timeout:
            raise RepositoryBusy(self._lock_timeout_s) from None
        try:
            if self._lock.lock_counter == 1:
                self._finish_rewrite()
            yield
        finally:
            self._lock.release()

    # Refs

    def resolve(self, revision: str) -> str:
        """The commit a user means by a branch, tag, commit id, full ref name or HEAD.

        Raises:
            RevisionNotFound
        """
        return refs.resolve(self._repo, revision)

    def refs(self) -> list[Ref]:
        """All refs by full name."""
        return refs.list_refs(self._repo, "refs/")

    def branches(self) -> list[Ref]:
        return refs.list_refs(self._repo, refs.BRANCHES)

    def tags(self) -> list[Ref]:
        return refs.list_refs(self._repo, refs.TAGS)

    def pull_refs(self) -> list[Ref]:
        return refs.list_refs(self._repo, refs.PULL_REQUESTS)

    def ref(self, full_name: str) -> str:
        """The commit a full ref name leads to.

        Raises:
            RefNotFound
        """
        commit_sha = refs.ref_commit(self._repo, full_name)
        if commit_sha is None:
            raise RefNotFound(full_name)
        return commit_sha

    def create_ref(self, full_name: str, commit_sha: str) -> Ref:
        """Make a ref at the commit.

        Raises:
            InvalidRefName, RefExists, RevisionNotFound
        """
        validate_full_ref_name(full_name)
        target = str(self._commit(commit_sha).id)
        with self.lock():
            self._create(full_name, target)
        return Ref(full_name.split("/", 2)[2], full_name, target)

    def create_tag(self, name: str, commit_sha: str, *, message: str, tagger: Signature) -> Ref:
        """Make an annotated tag.

        Raises:
            InvalidRefName, RefExists, RevisionNotFound
        """
        full_name = validate_full_ref_name(refs.TAGS + name)
        target = str(self._commit(commit_sha).id)
        text = f"object {target}\ntype commit\ntag {name}\ntagger {signature_line(tagger)}\n\n"
        with self.lock():
            batch = ObjectBatch(self._repo)
            tag = batch.add(ObjectType.TAG, text.encode() + message_bytes(message))
            batch.write()
            self._create(full_name, tag.hex())
        return Ref(name, full_name, target)

    def _create(self, full_name: str, target: str) -> None:
        try:
            refs.compare_and_swap(self._repo, full_name, target, None)
        except ParentMoved:
            raise RefExists(full_name) from None

    def update_ref(self, full_name: str, new: str, expected_old: str | None) -> None:
        """Move a ref to a commit, if it still is at `expected_old` (None: does not exist).

        Raises:
            ParentMoved, RevisionNotFound
        """
        target = str(self._commit(new).id)
        with self.lock():
            refs.compare_and_swap(self._repo, full_name, target, expected_old)

    def delete_ref(self, full_name: str) -> None:
        """Remove a ref; the objects it led to stay.

        Raises:
            RefNotFound
        """
        with self.lock():
            target = refs.raw_target(self._repo, full_name)
            refs.compare_and_swap(self._repo, full_name, None, target)

    def raw_refs(self) -> dict[str, str]:
        """What each branch, tag and pull request ref names: a commit, or a tag object."""
        return refs.raw_targets(self._repo)

    def move_refs(self, moves: Sequence[RefMove]) -> None:
        """Move several refs together or not at all.

        Raises:
            ParentMoved, RefExists, RepositoryFull
        """
        with self.lock():
            refs.move_all(self._repo, moves)

    # Reading

    def tree(
        self,
        commit_sha: str,
        path: str = "",
        *,
        recursive: bool = False,
        after: str | None = None,
    ) -> Iterator[TreeEntry]:
        """Entries of a folder in git's order, read as they are asked for.

        Args:
            after: go on behind this path, which an earlier listing of the same folder and commit
                ended with.

        Raises:
            EntryNotFound: at once, when the path is no folder.
        """
        path = path.strip("/")
        root = self._commit(commit_sha).tree_id.raw
        tree = rawtree.find_folder(self._repo, root, path)
        if tree is None:
            raise EntryNotFound(path, commit_sha)
        prefix = f"{path}/" if path else ""
        seen = (after or "").removeprefix(prefix).split("/") if after else []
        return trees.walk_tree(self._repo, tree, prefix, recursive=recursive, after=seen)

    def entry(self, commit_sha: str, path: str) -> TreeEntry:
        """The file or folder at the path.

        Raises:
            EntryNotFound
        """
        found = trees.describe(self._repo, self._row(commit_sha, path), path.strip("/"))
        if found is None:
            raise EntryNotFound(path, commit_sha)
        return found

    def entries(self, commit_sha: str, paths: Iterable[str]) -> list[TreeEntry]:
        """The entries of those paths that exist, in the order asked."""
        finder = rawtree.PathFinder(self._repo, self._commit(commit_sha).tree_id.raw)
        found: list[TreeEntry] = []
        for path in (path.strip("/") for path in paths):
            row = finder.find(path)
            entry = trees.describe(self._repo, row, path) if row is not None else None
            if entry is not None:
                found.append(entry)
        return found

    def read(self, commit_sha: str, path: str, *, max_bytes: int | None = None) -> bytes:
        """The blob at the path as git holds it: for an LFS file, the pointer.

        Raises:
            EntryNotFound, EntryTooLarge
        """
        row = self._row(commit_sha, path)
        if row.mode in (rawtree.FOLDER, rawtree.SUBMODULE):
            raise EntryNotFound(path, commit_sha)
        oid = pygit2.Oid(raw=row.oid)
        size_bytes = self._repo.odb.read_header(oid)[1]
        if max_bytes is not None and size_bytes > max_bytes:
            raise EntryTooLarge(path, size_bytes, max_bytes)
        return self._repo.odb.read(oid)[1]

    def read_blob(self, oid: str) -> bytes:
        """The content of a blob by its git id.

        Raises:
            EntryNotFound
        """
        try:
            kind, data = self._repo.odb.read(pygit2.Oid(hex=oid))
        except (KeyError, ValueError, pygit2.GitError):
            raise EntryNotFound(oid) from None
        if kind != ObjectType.BLOB:
            raise EntryNotFound(oid)
        return data

    def log(
        self, commit_sha: str, *, path: str | None = None, skip: int = 0, limit: int | None = None
    ) -> Iterator[CommitInfo]:
        """Commits newest first; with a path only those that changed it."""
        start = self._commit(commit_sha).id
        if path is None or not path.strip("/"):
            return history.log(self._repo, start, skip=skip, limit=limit)
        return history.log_path(self._repo, start, path.strip("/"), skip=skip, limit=limit)

    def commit_info(self, commit_sha: str) -> CommitInfo:
        """One commit.

        Raises:
            RevisionNotFound
        """
        return history.describe_commit(self._commit(commit_sha))

    def count_commits(self, commit_sha: str) -> int:
        """How many commits are reachable, the commit itself included."""
        return sum(1 for _ in self._repo.walk(self._commit(commit_sha).id))

    def last_commits(
        self,
        commit_sha: str,
        paths: Iterable[str],
        *,
        max_commits: int = LAST_COMMITS_CAP,
        budget_s: float = LAST_COMMITS_BUDGET_S,
    ) -> dict[str, CommitInfo]:
        """For each path the commit that last changed it; a path not settled in time is left out."""
        return history.last_commits(
            self._repo,
            self._commit(commit_sha).id,
            paths,
            max_commits=max_commits,
            budget_s=budget_s,
        )

    def diff(
        self, old_sha: str | None, new_sha: str, *, max_files: int | None = None
    ) -> list[FileDiff]:
        """What changed from one commit to another; None stands for an empty tree."""
        return list(self.compare(old_sha, new_sha, max_files=max_files).files)

    def compare(self, old_sha: str | None, new_sha: str, **bounds: Unpack[Bounds]) -> Comparison:
        """As `diff`, within `bounds`, with the number of all files."""
        old = self._commit(old_sha) if old_sha is not None else None
        return diff.compare_commits(self._repo, old, self._commit(new_sha), **bounds)

    def content_bytes(self, commit_sha: str) -> int:
        """How large the files of a commit are together, LFS files with their true size."""
        return self.content_growth(None, commit_sha)

    def content_growth(self, old_sha: str | None, new_sha: str) -> int:
        """How much larger the files of one commit are than those of another, in bytes.

        Its cost follows what changed, not what is there.
        """
        comparer = rawtree.TreeComparer(self._repo)
        old, new = (
            rawtree.Row(rawtree.FOLDER, b"", self._commit(sha).tree_id.raw) if sha else None
            for sha in (old_sha, new_sha)
        )
        return trees.size_change(comparer, self._repo, (old, new))

    def size_bytes(self) -> int:
        """How much the repository takes on disk."""
        return sum(item.stat().st_size for item in self.path.rglob("*") if item.is_file())

    # Writing

    def commit(
        self,
        ref_full_name: str,
        operations: Iterable[Operation],
        *,
        message: str,
        author: Signature,
        expected_parent: str | None = None,
    ) -> CommitInfo:
        """Put one commit with the operations, in their order, on top of the ref.

        A ref that does not exist is made with a first commit. Operations that change nothing make
        a commit with the parent's tree. Objects are written first and the ref moves last, so an
        interruption leaves the ref where it was.

        Args:
            expected_parent: where the ref must be, in full or by its first digits.

        Raises:
            ParentMoved, InvalidPath, InvalidContent, PathConflict, EntryNotFound, RepositoryFull,
            RepositoryBusy
        """
        validate_full_ref_name(ref_full_name)
        with self.lock():
            parent = refs.ref_commit(self._repo, ref_full_name)
            if expected_parent is not None and not (parent or "").startswith(expected_parent):
                raise ParentMoved(expected_parent, parent)
            commit = self.write_commit(parent, operations, message=message, author=author)
            refs.compare_and_swap(self._repo, ref_full_name, commit.sha, parent)
            return commit

    def write_commit(
        self,
        parent_sha: str | None,
        operations: Iterable[Operation],
        *,
        message: str,
        author: Signature,
    ) -> CommitInfo:
        """A commit with the operations on top of another, to which no ref leads yet.

        Raises:
            InvalidPath, InvalidContent, PathConflict, EntryNotFound, RepositoryFull
        """
        batch = ObjectBatch(self._repo)
        old_tree = self._commit(parent_sha).tree_id.raw if parent_sha else None
        editor = TreeEditor(self._repo, batch, old_tree)
        for operation in operations:
            editor.apply(operation)
        parents = [parent_sha] if parent_sha else []
        return self._write_commit(batch, editor.write(), parents, message, author)

    def write_merge(
        self,
        ours_sha: str,
        theirs_sha: str,
        *,
        message: str,
        author: Signature,
        origin_sha: str | None = None,
    ) -> CommitInfo:
        """A commit that joins both sides, to which no ref leads yet.

        Args:
            origin_sha: where they once parted, should their histories not say so any more.

        Raises:
            MergeConflict: with the paths. Nothing was written.
        """
        sides = self._sides(ours_sha, theirs_sha, origin_sha)
        tree = merging.merged_tree(self._repo, sides)
        parents = [str(sides.ours), str(sides.theirs)]
        return self._write_commit(ObjectBatch(self._repo), tree.raw, parents, message, author)

    def squash(self, ref_full_name: str, *, message: str, author: Signature) -> CommitInfo:
        """Replace the history of a ref by one commit with its present files.

        Raises:
            RefNotFound
        """
        with self.lock():
            old = self.ref(ref_full_name)
            tree = self._commit(old).tree_id.raw
            commit = self._write_commit(ObjectBatch(self._repo), tree, [], message, author)
            refs.compare_and_swap(self._repo, ref_full_name, commit.sha, old)
            return commit

    def copy_to(self, path: Path) -> "Repository":
        """A copy at `path` with the branches and tags, and the objects they need.

        Raises:
            FileExistsError: something is at the path.
        """
        copy = Repository.init(path)
        with no_space_as_domain_error():
            remote = copy._repo.remotes.create_anonymous(os.fspath(self.path))
            remote.fetch([f"+{kind}*:{kind}*" for kind in (refs.BRANCHES, refs.TAGS)])
        return copy

    def _write_commit(
        self,
        batch: ObjectBatch,
        tree: bytes,
        parents: list[str],
        message: str,
        author: Signature,
    ) -> CommitInfo:
        line = signature_line(author)
        head = [f"tree {tree.hex()}", *(f"parent {sha}" for sha in parents)]
        head += [f"author {line}", f"committer {line}"]
        data = ("\n".join(head) + "\n\n").encode() + message_bytes(message)
        new = batch.add(ObjectType.COMMIT, data).hex()
        batch.write()
        return self.commit_info(new)

    def _row(self, commit_sha: str, path: str) -> rawtree.Row:
        root = self._commit(commit_sha).tree_id.raw
        row = rawtree.find_row(self._repo, root, path.strip("/"))
        if row is None:
            raise EntryNotFound(path, commit_sha)
        return row
