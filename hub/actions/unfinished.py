"""Finishing what a process began that died in the middle."""

from __future__ import annotations

import logging
import shutil
from dataclasses import dataclass, field

from hub.actions.metadata import refresh_repo_metadata
from hub.actions.refs import copy_refs
from hub.models import Repo
from hub.site import git_folder, git_path
from hub.unfinished import Note, notes_left
from hub.vcs import Repository
from hub.vcs.errors import RepositoryBusy, VcsError

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Finished:
    """Names of repositories: where all is well again, and where it could not be done."""

    done: set[str] = field(default_factory=set)
    failed: set[str] = field(default_factory=set)


def finish_writes() -> Finished:
    """Brings the database in line with git wherever a write was cut off.

    A repository in which somebody writes just now keeps its turn for the next call. Folders go that
    no row names any more, or never did.
    """
    result = Finished()
    for note in notes_left():
        repos = Repo.objects.select_related("namespace")
        repo = repos.filter(storage_key=note.storage_key).first()
        if repo is None:
            _finish_folder(note)
            continue
        try:
            _finish_copy(repo)
            note.drop()
            result.done.add(repo.full_name)
        except RepositoryBusy:
            logger.info("%s is busy; its turn comes again", repo)
        except VcsError:
            logger.exception("a write to %s was cut off and cannot be finished", repo)
            result.failed.add(repo.full_name)
    return result


def _finish_folder(note: Note) -> None:
    if note.owns_folder:
        shutil.rmtree(git_folder(note.storage_key), ignore_errors=True)
    note.drop()


def _finish_copy(repo: Repo) -> None:
    git = Repository(git_path(repo), lock_timeout_s=0)
    with git.lock():
        copy_refs(repo=repo)
    if repo.head_sha:
        refresh_repo_metadata(repo, repo.head_sha)
