"""Quotas, and the measuring of what git repositories take."""

from __future__ import annotations

from django.db import transaction
from django.db.models import Q

from hub.actions.audit import record
from hub.errors import InvalidInput
from hub.models import Namespace, Repo, User
from hub.quotas import UNLIMITED
from hub.site import git_of, git_path
from hub.vcs.errors import RepositoryMissing
from hub.vcs.upkeep import clutter_of

_REPOS_PER_SWEEP = 500


def set_quota(*, namespace: Namespace, quota_bytes: int | None, acting_user: User) -> Namespace:
    """Gives a user or organisation a quota of their own.

    Args:
        quota_bytes: None for the site's default, -1 for no limit.

    Raises:
        InvalidInput: less than -1.
    """
    if quota_bytes is not None and quota_bytes < UNLIMITED:
        raise InvalidInput("A quota is a number of bytes, or -1 for no limit.")
    with transaction.atomic():
        old, namespace.quota_bytes = namespace.quota_bytes, quota_bytes
        namespace.save(update_fields=["quota_bytes"])
        record(
            verb="quota.changed",
            actor=acting_user,
            target=namespace.name,
            old=old,
            new=quota_bytes,
        )
    return namespace


def measure_repo(*, repo_id: int) -> None:
    """Writes down what the git repository takes on disk, and in how many files."""
    repo = Repo.objects.filter(pk=repo_id).first()
    if repo is None:
        return
    try:
        size_bytes, clutter = git_of(repo).size_bytes(), clutter_of(git_path(repo))
    except (RepositoryMissing, FileNotFoundError):  # deleted, or packed anew, while we looked
        return
    Repo.objects.filter(pk=repo_id).update(git_bytes=size_bytes, git_clutter=clutter.weight)


def measure_new_repos() -> int:
    """Measures repositories that never were; how many."""
    unmeasured = Repo.objects.filter(Q(git_bytes=0) | Q(git_clutter=None))
    ids = list(unmeasured.values_list("pk", flat=True)[:_REPOS_PER_SWEEP])
    for repo_id in ids:
        measure_repo(repo_id=repo_id)
    return len(ids)
