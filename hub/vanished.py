"""A repository that is deleted while somebody reads it or writes to it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import DatabaseError
from pygit2 import GitError

from hub.errors import RepoNotFound
from hub.models import Repo
from hub.vcs.errors import VcsError


@contextmanager
def not_found_if_deleted(repo: Repo) -> Iterator[None]:
    """What fails because `repo` has just been deleted is told as that: it is no fault of ours.

    Put it around the transaction, whose end is where the database misses the row.

    Raises:
        RepoNotFound
    """
    try:
        yield
    except (DatabaseError, VcsError, GitError, OSError) as error:
        if Repo.objects.filter(pk=repo.pk).exists():
            raise
        raise RepoNotFound(f"Repository {repo.full_name} was deleted meanwhile.") from error
