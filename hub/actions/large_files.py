"""Deleting large files of a repository for good."""

from __future__ import annotations

from collections.abc import Collection

from django.db import transaction

from hub import events
from hub.actions.audit import record
from hub.actions.metadata import refresh_repo_metadata
from hub.actions.refs import copy_refs
from hub.actions.xorb_links import relink_xorbs
from hub.errors import InvalidInput
from hub.models import Repo, RepoBlob, User
from hub.site import git_of
from hub.unfinished import writes_to_repo


@writes_to_repo
def delete_large_files(
    *, repo: Repo, oids: Collection[str], rewrite_history: bool, acting_user: User
) -> None:
    """Takes the right to these contents (SHA-256) from the repository; nobody gets them there.

    With `rewrite_history` every commit of every ref is made anew without them, so that ids of
    commits change; else their pointers stay and lead nowhere. Collection removes the bytes once no
    repository needs them. Git is changed first, then the rows and the rights in one transaction: an
    interruption leaves contents that a second call deletes.

    Raises:
        InvalidInput: the repository has no such content; nothing was changed.
        RepositoryBusy (vcs).
    """
    wanted = set(oids)
    links = RepoBlob.objects.filter(repo=repo, blob__sha256__in=wanted)
    unknown = wanted - set(links.values_list("blob__sha256", flat=True))
    if unknown:
        raise InvalidInput(f"This repository has no large file {min(unknown)[:64]}.")
    git = git_of(repo)
    with git.lock():
        if rewrite_history:
            git.drop_large_files(wanted)
        with transaction.atomic():
            moved = [change.ref for change in copy_refs(repo=repo, acting_user=acting_user)]
            _drop_rights(repo, wanted)
            record(
                verb="repo.large_files_deleted", actor=acting_user, target=str(repo), repo=repo,
                oids=sorted(wanted)[:100], count=len(wanted), moved=moved[:100],
            )  # fmt: skip
            events.emit(events.LargeFilesDeleted(repo_id=repo.pk, actor_id=acting_user.pk))
    if moved and repo.head_sha:
        refresh_repo_metadata(repo, repo.head_sha)


def _drop_rights(repo: Repo, oids: Collection[str]) -> None:
    """The rights to the contents, and to chunks that no other file of the repository uses."""
    RepoBlob.objects.filter(repo=repo, blob__sha256__in=oids).delete()
    relink_xorbs(repo)
