"""Opening and merging pull requests, and keeping their rows in line with git.

Order of writes. Git goes first: the ref of a new pull request, or the base branch of a merge, moves
by compare and swap; then one transaction brings the copy of the refs, the pull request's row and
its events in line. What a killed process left between the two is mended by whatever copies the refs
next: a commit, a merge, a look at the pull request, or `manage.py rebuild_copy`.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from django.db import transaction

from contributions.actions.discussions import (
    announce,
    append_comment,
    append_event,
    append_opening,
    check_takes_comments,
    next_number,
)
from contributions.merging import PullState, obstacles_of
from contributions.models import Discussion, DiscussionStatus, EventKind
from contributions.texts import checked_comment, checked_title
from hub.actions.audit import record
from hub.actions.metadata import refresh_repo_metadata
from hub.actions.refs import branch_ref, copy_refs
from hub.actions.repos import DEFAULT_BRANCH, DEFAULT_REF, signature_of
from hub.errors import Conflict, RevisionNotFound
from hub.events import RefUpdated
from hub.models import Repo, User
from hub.pull_requests import is_pull_ref, pull_number
from hub.rates import take
from hub.site import git_of, git_path
from hub.storable import storable_text
from hub.unfinished import noted
from hub.vcs import CommitInfo, Ref, Repository
from hub.vcs.errors import MergeConflict, ParentMoved, RepositoryBusy, VcsError
from hub.vcs.refs import BRANCHES

MAX_COMMIT_EVENTS = 250
"""How many commits of one push are told one by one, the newest."""
MEND_TIMEOUT_S = 2.0
_SUBJECT_CHARS = 500


def open_pull_request(
    *,
    repo: Repo,
    title: str,
    description: str,
    acting_user: User,
    base: str = DEFAULT_BRANCH,
) -> Discussion:
    """A new draft pull request without commits: `refs/pr/N` at the head of branch `base`.

    Raises:
        InvalidInput, TooLarge: title or description cannot be stored.
        RevisionNotFound: there is no such branch.
    """
    title, description = checked_title(title), checked_comment(description, may_be_empty=True)
    git = git_of(repo)
    base_ref = branch_ref(git, base)
    if is_pull_ref(base_ref):
        raise RevisionNotFound(f"There is no branch “{base}”.", revision=base)
    pull = Discussion(repo=repo, title=title, status=DiscussionStatus.DRAFT, author=acting_user)
    pull.base_ref, pull.base_sha = base_ref, git.ref(base_ref)
    return start_pull_request(
        pull, head_sha=pull.base_sha, description=description, acting_user=acting_user
    )


def start_pull_request(
    pull: Discussion, *, head_sha: str, description: str, acting_user: User
) -> Discussion:
    """Numbers the new row `pull` and makes its ref at `head_sha`, whose objects are written.

    Raises:
        RateLimited: the user has opened too many.
    """
    repo, git = pull.repo, git_of(pull.repo)
    take("discussion", acting_user)
    pull.is_pull_request, pull.head_sha = True, pull.base_sha
    with noted(repo), git.lock():
        taken = max((int(ref.name) for ref in git.pull_refs() if ref.name.isdecimal()), default=0)
        made: Ref | None = None
        try:
            with transaction.atomic():
                pull.num = next_number(repo, above=taken)
                pull.save(force_insert=True)
                append_opening(pull, description, acting_user)
                made = git.create_ref(pull.head_ref, head_sha)
                copy_refs(repo=repo, acting_user=acting_user, names={pull.head_ref})
        except BaseException:
            if made is not None:
                git.delete_ref(made.full_name)
            raise
    pull.refresh_from_db()
    pull.repo = repo
    return pull


def merge_pull_request(
    *, pull: Discussion, acting_user: User, comment: str = "", expected_head: str | None = None
) -> Discussion:
    """Brings `refs/pr/N` into the base branch: by fast-forward, else by a merge commit.

    The ref of the pull request stays. Two merges at once, or a commit that comes between, are kept
    apart by the repository's lock: the later one meets the state that the earlier one left.

    Args:
        comment: what the person who merges says, before the merge.
        expected_head: commit that the caller has looked at.

    Raises:
        Conflict: it may not be merged; `details` has codes as `reasons`, paths as `conflicts`. Or
            it has no room for the comment.
        ParentMoved (vcs): the pull request has other commits than `expected_head`.
        RepositoryBusy, RepositoryFull (vcs)
    """
    comment = checked_comment(comment, may_be_empty=True)
    if comment:
        check_takes_comments(pull)
    repo, git = pull.repo, git_of(pull.repo)
    with noted(repo):
        with git.lock():
            pull.refresh_from_db(fields=["status", "head_sha"])
            was_merged = pull.status == DiscussionStatus.MERGED
            copy_refs(repo=repo, acting_user=acting_user, names={pull.base_ref, pull.head_ref})
            pull.refresh_from_db(fields=["status", "head_sha"])
            if was_merged or pull.status != DiscussionStatus.MERGED:
                _check_expected(pull, expected_head)
                _merge_in_git(git, pull, acting_user)
            with transaction.atomic():
                if comment:
                    said = append_comment(pull, comment, acting_user)
                    announce(pull, "comment", acting_user, comment=said)
                copy_refs(repo=repo, acting_user=acting_user, names={pull.base_ref})
        return _caught_up(pull, repo)


def mend_pull_request(*, pull: Discussion) -> Discussion:
    """Brings the row in line with git where a process died between the two; mostly a no-op.

    Where somebody is writing just now, whoever does will leave the row right.
    """
    repo = pull.repo
    git = Repository(git_path(repo), lock_timeout_s=MEND_TIMEOUT_S)
    names = {pull.base_ref, pull.head_ref}
    rows = dict(repo.refs.filter(name__in=names).values_list("name", "commit_sha"))
    if all(rows.get(name) == _ref_or_none(git, name) for name in names):
        return pull
    try:
        with git.lock():
            copy_refs(repo=repo, names=names)
    except RepositoryBusy:
        return pull
    return _caught_up(pull, repo)


def follow_refs(*, repo: Repo, changes: Sequence[RefUpdated], acting_user: User | None) -> None:
    """Takes note of refs that moved: new commits of pull requests, and merged ones.

    Part of the transaction that copies the refs, so that nothing is lost or told twice.
    """
    pulls = [change for change in changes if is_pull_ref(change.ref)]
    branches = [change for change in changes if change.ref.startswith(BRANCHES)]
    git = git_of(repo)
    for change in pulls:
        _follow_head(git, repo, change, acting_user)
    for change in branches:
        if change.old_sha and change.new_sha:
            _find_merged(git, repo, change, acting_user)


def _caught_up(pull: Discussion, repo: Repo) -> Discussion:
    """The row as it is now; the repository says what the files at its head say."""
    if pull.base_ref == DEFAULT_REF:
        refresh_repo_metadata(repo, repo.head_sha)
    pull.refresh_from_db()
    pull.repo = repo
    return pull


def _merge_in_git(git: Repository, pull: Discussion, user: User) -> None:
    """Moves the base branch, or raises `Conflict` with every reason and leaves it alone."""
    base_sha, head_sha = _ref_or_none(git, pull.base_ref), git.ref(pull.head_ref)
    state = PullState(
        status=pull.status,
        has_base=base_sha is not None,
        has_changes=base_sha is not None and not git.contains(base_sha, head_sha),
    )
    _refuse(pull, state)
    assert base_sha is not None
    merged_sha = head_sha
    if not git.contains(head_sha, base_sha):
        try:
            merged_sha = git.write_merge(
                base_sha,
                head_sha,
                message=_merge_message(pull),
                author=signature_of(user),
                origin_sha=pull.base_sha,
            ).sha
        except MergeConflict as conflict:
            _refuse(pull, PullState(pull.status, True, True, conflict.paths))
            raise
    git.update_ref(pull.base_ref, merged_sha, expected_old=base_sha)


def _refuse(pull: Discussion, state: PullState) -> None:
    obstacles = obstacles_of(state)
    if not obstacles:
        return
    paths = [path for obstacle in obstacles for path in obstacle.paths]
    shown = f" In conflict: {', '.join(paths[:5])}{', …' if len(paths) > 5 else ''}."
    raise Conflict(
        " ".join(obstacle.message for obstacle in obstacles) + (shown if paths else ""),
        reasons=[obstacle.code for obstacle in obstacles],
        conflicts=paths,
    )


def _merge_message(pull: Discussion) -> str:
    return f"Merge pull request #{pull.num}: {pull.title}"


def _check_expected(pull: Discussion, expected_head: str | None) -> None:
    if expected_head is not None and pull.head_sha != expected_head:
        raise ParentMoved(expected_head, pull.head_sha)


def _follow_head(git: Repository, repo: Repo, change: RefUpdated, user: User | None) -> None:
    """One event for each commit that came; the row follows the ref."""
    try:
        num = pull_number(change.ref)
    except RevisionNotFound:
        return
    rows = Discussion.objects.select_for_update(of=("self",))
    pull = rows.filter(repo=repo, num=num, is_pull_request=True).first()
    if pull is None or change.new_sha is None:
        return
    pull.repo = repo
    hidden = {
        sha for sha in (pull.head_sha, pull.base_sha, _ref_or_none(git, pull.base_ref)) if sha
    }
    for commit in _newest(git, change.new_sha, hidden):
        append_event(
            pull,
            EventKind.COMMIT,
            user,
            subject=storable_text(commit.title)[:_SUBJECT_CHARS],
            oid=commit.sha,
        )
    is_new = pull.head_sha == pull.base_sha and change.old_sha is None
    pull.head_sha = change.new_sha
    pull.save(update_fields=["head_sha", "updated_at"])
    if not is_new:
        announce(pull, "update", user)


def _newest(git: Repository, tip_sha: str, hidden: set[str]) -> list[CommitInfo]:
    """The commits that came, oldest first; of many the newest."""
    found = []
    for commit in git.new_commits(tip_sha, hidden=hidden):
        found.append(commit)
        if len(found) >= MAX_COMMIT_EVENTS:
            break
    return found[::-1]


def _find_merged(git: Repository, repo: Repo, change: RefUpdated, user: User | None) -> None:
    """Pull requests whose head came into their branch with this move are merged."""
    assert change.old_sha is not None
    assert change.new_sha is not None
    waiting = Discussion.objects.under_way().filter(repo=repo, base_ref=change.ref)
    heads = set(waiting.values_list("head_sha", flat=True))
    if not heads:
        return
    came = list(git.new_commits(change.new_sha, hidden=[change.old_sha]))
    arrived = heads.intersection(commit.sha for commit in came)
    for pull in waiting.filter(head_sha__in=arrived).select_for_update(of=("self",)):
        pull.repo = repo
        pull.base_sha = git.merge_base(change.old_sha, pull.head_sha) or pull.base_sha
        _mark_merged(pull, _bringer(git, came, pull.head_sha), user)


def _bringer(git: Repository, came: list[CommitInfo], head_sha: str) -> str:
    """The commit with which a branch that gained `came` (newest first) first had `head_sha`."""
    by_sha = {commit.sha: commit for commit in came}
    found = came[0]
    while found.sha != head_sha and found.parents and found.parents[0] in by_sha:
        if not git.contains(found.parents[0], head_sha):
            break
        found = by_sha[found.parents[0]]
    return found.sha


def _mark_merged(pull: Discussion, merge_sha: str, user: User | None) -> None:
    pull.status, pull.merge_commit_sha = DiscussionStatus.MERGED, merge_sha
    pull.save(update_fields=["status", "base_sha", "merge_commit_sha", "updated_at"])
    append_event(pull, EventKind.STATUS_CHANGE, user, status=DiscussionStatus.MERGED)
    record(
        verb="pull_request.merged",
        actor=user,
        target=str(pull),
        repo=pull.repo,
        merge_commit=merge_sha,
    )
    announce(pull, "update", user)


def _ref_or_none(git: Repository, name: str) -> str | None:
    with suppress(VcsError):
        return git.ref(name)
    return None
