"""Walking history: logs, and the last commit that touched each of many paths in one walk."""

import heapq
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime
from itertools import islice

import pygit2

from hub.vcs.rawtree import PathFinder, TreeComparer
from hub.vcs.values import CommitInfo, Signature

LAST_MOMENT_S = int(datetime(9999, 12, 30, tzinfo=UTC).timestamp())
"""The latest date that can be shown, in every time zone; git itself knows later ones."""


def describe_commit(commit: pygit2.Commit) -> CommitInfo:
    """The commit as plain values; text that is not UTF-8 is shown with replacement signs."""
    text = commit.raw_message.decode("utf-8", "replace").strip("\n")
    title, _, rest = text.partition("\n")
    return CommitInfo(
        sha=str(commit.id),
        parents=tuple(str(oid) for oid in commit.parent_ids),
        title=title.strip(),
        message=rest.strip("\n"),
        author=_describe_author(commit.author),
    )


def _describe_author(author: pygit2.Signature) -> Signature:
    return Signature(
        name=author.raw_name.decode("utf-8", "replace"),
        email=author.raw_email.decode("utf-8", "replace"),
        when=datetime.fromtimestamp(min(max(author.time, 0), LAST_MOMENT_S), UTC),
    )


def log(
    repo: pygit2.Repository, start: pygit2.Oid, *, skip: int, limit: int | None
) -> Iterator[CommitInfo]:
    """Commits reachable from the start, newest first."""
    stop = None if limit is None else skip + limit
    for commit in islice(_all_commits(repo, start), skip, stop):
        yield describe_commit(commit)


def _all_commits(repo: pygit2.Repository, start: pygit2.Oid) -> Iterator[pygit2.Commit]:
    queue = _CommitQueue(repo, start, revisit=False)
    for commit in queue:
        yield commit
        for parent in commit.parents:
            queue.add(parent)


def log_path(
    repo: pygit2.Repository, start: pygit2.Oid, path: str, *, skip: int, limit: int | None
) -> Iterator[CommitInfo]:
    """Commits that changed the path, newest first.

    A merge whose path equals that of one parent is followed to that parent only, so a change made
    on one branch is told once.
    """
    stop = None if limit is None else skip + limit
    for commit in islice(_changes(repo, start, path), skip, stop):
        yield describe_commit(commit)


def _changes(repo: pygit2.Repository, start: pygit2.Oid, path: str) -> Iterator[pygit2.Commit]:
    comparer = TreeComparer(repo)
    folder, _, name = path.rpartition("/")
    wanted = name.encode("utf-8", "surrogatepass")
    queue = _CommitQueue(repo, start, revisit=False)
    for commit in queue:
        same = None
        for parent in commit.parents or (None,):
            if wanted not in _changed_names(comparer, commit, parent, folder):
                same = parent
                break
        else:
            yield commit
        for parent in commit.parents if same is None else [same]:
            queue.add(parent)


def _changed_names(
    comparer: TreeComparer, commit: pygit2.Commit, parent: pygit2.Commit | None, folder: str
) -> AbstractSet[bytes]:
    old = parent.tree_id.raw if parent is not None else None
    return comparer.changed_below(old, commit.tree_id.raw, folder).keys()


def last_commits(
    repo: pygit2.Repository,
    start: pygit2.Oid,
    paths: Iterable[str],
    *,
    max_commits: int,
    budget_s: float,
) -> dict[str, CommitInfo]:
    """For each path the commit that gave it its present content.

    Paths are followed together, folder by folder: a commit that leaves a folder's tree alone is
    passed in one comparison whatever the number of paths. Paths that do not exist, and those not
    settled after `max_commits` commits or `budget_s` seconds, are left out.
    """
    found: dict[str, CommitInfo] = {}
    comparer = TreeComparer(repo)
    queue = _CommitQueue(repo, start, revisit=True)
    finder = PathFinder(repo, repo[start].peel(pygit2.Commit).tree_id.raw)
    present = (path for path in paths if finder.find(path) is not None)
    wanted: dict[pygit2.Oid, dict[str, set[bytes]]] = {start: _by_folder(present)}
    deadline = time.monotonic() + budget_s
    for commit in islice(queue, max_commits):
        settled: list[str] = []
        for folder, names in wanted.pop(commit.id, {}).items():
            for parent, handed_on in _hand_on(comparer, commit, folder, names, settled):
                queue.add(parent)
                wanted.setdefault(parent.id, defaultdict(set))[folder] |= handed_on
        if settled:
            found.update(dict.fromkeys(settled, describe_commit(commit)))
        if time.monotonic() > deadline:
            break
    return found


def _by_folder(paths: Iterable[str]) -> dict[str, set[bytes]]:
    folders: dict[str, set[bytes]] = defaultdict(set)
    for path in paths:
        folder, _, name = path.strip("/").rpartition("/")
        folders[folder].add(name.encode("utf-8", "surrogatepass"))
    return folders


def _hand_on(
    comparer: TreeComparer,
    commit: pygit2.Commit,
    folder: str,
    names: set[bytes],
    settled: list[str],
) -> Iterator[tuple[pygit2.Commit, set[bytes]]]:
    """Give each name to the first parent that has the same; those that differ are settled here."""
    rest = names
    for parent in commit.parents:
        same = rest - _changed_names(comparer, commit, parent, folder)
        if same:
            yield parent, same
            rest = rest - same
        if not rest:
            return
    prefix = folder + "/" if folder else ""
    settled.extend(prefix + name.decode("utf-8", "replace") for name in rest)


class _CommitQueue:
    """Commits to look at, newest first.

    With `revisit` a commit that is added again after it was looked at comes again, which happens
    when clocks were wrong and a parent is younger than its child.
    """

    def __init__(self, repo: pygit2.Repository, start: pygit2.Oid, *, revisit: bool) -> None:
        self._repo = repo
        self._revisit = revisit
        self._heap: list[tuple[int, int, pygit2.Oid]] = []
        self._known: set[pygit2.Oid] = set()
        self._count = 0
        self.add(repo[start].peel(pygit2.Commit))

    def add(self, commit: pygit2.Commit) -> None:
        if commit.id in self._known:
            return
        self._known.add(commit.id)
        self._count += 1
        heapq.heappush(self._heap, (-commit.commit_time, self._count, commit.id))

    def __iter__(self) -> Iterator[pygit2.Commit]:
        while self._heap:
            _, _, oid = heapq.heappop(self._heap)
            if self._revisit:
                self._known.discard(oid)
            yield self._repo[oid].peel(pygit2.Commit)
