"""Fills the hub's port: what the hub asks and tells about pull requests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from contributions.actions.pull_requests import follow_refs, start_pull_request
from contributions.actions.rewrites import but_for_rewrite, follow_rewrite
from contributions.models import Discussion, DiscussionStatus
from contributions.texts import MAX_COMMENT_CHARS, title_of_commit
from hub.access import Level, level_of
from hub.auth import Actor
from hub.errors import Conflict, PermissionDenied, RevisionNotFound
from hub.events import RefUpdated
from hub.models import Repo, User
from hub.pull_requests import OpenPull
from hub.storable import storable_text


class PullRequestKeeper:
    """See `hub.pull_requests.PullRequests`."""

    def open_pulls(self, *, repo: Repo, base_ref: str, limit: int) -> Sequence[OpenPull]:
        pulls = Discussion.objects.filter(
            repo=repo, is_pull_request=True, status=DiscussionStatus.OPEN, base_ref=base_ref
        )
        rows = pulls.order_by("-num").values_list("num", "head_sha")[:limit]
        return [OpenPull(num, head_sha) for num, head_sha in rows]

    def check_may_push(self, *, actor: Actor, repo: Repo, num: int) -> None:
        pull = _pull(repo, num)
        is_author = actor.user is not None and actor.user.pk == pull.author_id
        if not is_author and level_of(actor, repo) < Level.WRITE:
            raise PermissionDenied(
                f"Only its author, or who may write to {repo.full_name}, may add commits to pull "
                f"request #{num}."
            )
        _check_under_way(pull)

    def check_takes_commits(self, *, repo: Repo, num: int) -> None:
        _check_under_way(_pull(repo, num))

    def refs_moved(
        self,
        *,
        repo: Repo,
        changes: Sequence[RefUpdated],
        rewritten: Mapping[str, str],
        acting_user: User | None,
    ) -> None:
        if rewritten:
            follow_rewrite(repo=repo, rewritten=rewritten)
            changes = but_for_rewrite(changes, rewritten)
        follow_refs(repo=repo, changes=changes, acting_user=acting_user)

    def open_for_commit(
        self,
        *,
        repo: Repo,
        base_ref: str,
        base_sha: str,
        head_sha: str,
        title: str,
        description: str,
        acting_user: User,
    ) -> int:
        pull = Discussion(
            repo=repo,
            title=title_of_commit(title),
            status=DiscussionStatus.OPEN,
            author=acting_user,
            base_ref=base_ref,
            base_sha=base_sha,
        )
        start_pull_request(
            pull,
            head_sha=head_sha,
            description=storable_text(description).strip()[:MAX_COMMENT_CHARS],
            acting_user=acting_user,
        )
        return pull.num


def _pull(repo: Repo, num: int) -> Discussion:
    pull = Discussion.objects.filter(repo=repo, num=num, is_pull_request=True).first()
    if pull is None:
        raise RevisionNotFound(f"There is no pull request #{num}.", revision=f"refs/pr/{num}")
    return pull


def _check_under_way(pull: Discussion) -> None:
    if not pull.is_under_way:
        raise Conflict(
            f"Pull request #{pull.num} is {pull.status}: it takes no more commits. "
            "Open a new one, or reopen it if it was closed by mistake.",
            status=pull.status,
        )
