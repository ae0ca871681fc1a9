"""Following a history that was made anew: the same commits under other ids, and no news."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from contributions.models import Discussion, DiscussionEvent, EventKind
from hub.batches import in_batches
from hub.events import RefUpdated
from hub.models import Repo

_KEPT = ("base_sha", "head_sha", "merge_commit_sha")
_ROWS_AT_ONCE = 500


def follow_rewrite(*, repo: Repo, rewritten: Mapping[str, str]) -> None:
    """Has every pull request name the commits that stand in for those it names.

    Part of the transaction that copies the refs. A second time it changes nothing.

    Args:
        rewritten: new ids of commits by the old ones.
    """
    pulls = Discussion.objects.select_for_update().filter(repo=repo, is_pull_request=True)
    for some in in_batches(pulls.order_by("pk"), _ROWS_AT_ONCE):
        Discussion.objects.bulk_update([pull for pull in some if _renamed(pull, rewritten)], _KEPT)
    commits = DiscussionEvent.objects.filter(discussion__repo=repo, kind=EventKind.COMMIT)
    for events in in_batches(commits.order_by("pk").iterator(_ROWS_AT_ONCE), _ROWS_AT_ONCE):
        changed = [event for event in events if event.data.get("oid") in rewritten]
        for event in changed:
            event.data["oid"] = rewritten[event.data["oid"]]
        DiscussionEvent.objects.bulk_update(changed, ["data"])


def but_for_rewrite(
    changes: Sequence[RefUpdated], rewritten: Mapping[str, str]
) -> list[RefUpdated]:
    """What else moved: the changes as if the rows had known the new ids before."""
    since = [
        replace(change, old_sha=rewritten.get(change.old_sha or "", change.old_sha))
        for change in changes
    ]
    return [change for change in since if change.old_sha != change.new_sha]


def _renamed(pull: Discussion, rewritten: Mapping[str, str]) -> bool:
    """Sets the new ids; whether there were any."""
    before = [getattr(pull, field) for field in _KEPT]
    after = [rewritten.get(sha, sha) for sha in before]
    for field, sha in zip(_KEPT, after, strict=True):
        setattr(pull, field, sha)
    return before != after
