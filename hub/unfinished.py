"""Notes of writes under way, by which what a killed process left is found and finished.

A write to a repository has steps that no transaction holds together: git, rows, what lists show of
the files. Its note lies in a folder of its own, locked while the process lives, and goes when the
last step is done. A note that nobody holds is of a process that died, or met a fault of ours.
"""

from __future__ import annotations

import fcntl
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import ParamSpec, TypeVar, cast

from django.conf import settings

from hub.errors import HubError
from hub.models import Repo
from hub.vanished import not_found_if_deleted
from hub.vcs.errors import VcsError
from hub.vcs.pack import no_space_as_domain_error

P = ParamSpec("P")
Result = TypeVar("Result")

_FOLDER = "folder"
_COPY = "copy"


@dataclass(frozen=True, slots=True)
class Note:
    """A write that was not finished; `owns_folder` where it was to make or remove the folder."""

    path: Path
    storage_key: str
    owns_folder: bool

    def drop(self) -> None:
        self.path.unlink(missing_ok=True)


@contextmanager
def noted(repo: Repo, *, owns_folder: bool = False) -> Iterator[None]:
    """A note of `repo` lies there until the block has ended, by itself or by a refusal."""
    with ExitStack() as held:
        path = _make_note(held, repo.storage_key, _FOLDER if owns_folder else _COPY)
        try:
            with nullcontext() if owns_folder else not_found_if_deleted(repo):
                yield
        except (HubError, VcsError):
            path.unlink(missing_ok=True)
            raise
        path.unlink(missing_ok=True)


def writes_to_repo(action: Callable[P, Result]) -> Callable[P, Result]:
    """The action, whose argument `repo` is noted while it runs."""

    @wraps(action)
    def with_note(*args: P.args, **kwargs: P.kwargs) -> Result:
        with noted(cast("Repo", kwargs["repo"])):
            return action(*args, **kwargs)

    return with_note


def notes_left() -> Iterator[Note]:
    """What processes left that live no more; each is ours alone while we look at it."""
    for path in sorted(_folder().glob("[!.]*")):
        try:
            with path.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                storage_key, _, kind = path.name.split(".")
                yield Note(path, storage_key, kind == _FOLDER)
        except (FileNotFoundError, BlockingIOError):
            continue


def _make_note(held: ExitStack, storage_key: str, kind: str) -> Path:
    """Hidden until it is locked."""
    folder = _folder()
    name = f"{storage_key}.{uuid.uuid4().hex}.{kind}"
    with no_space_as_domain_error():
        folder.mkdir(parents=True, exist_ok=True)
        file = held.enter_context((folder / f".{name}").open("xb"))
    fcntl.flock(file, fcntl.LOCK_EX)
    return (folder / f".{name}").rename(folder / name)


def _folder() -> Path:
    return Path(settings.GIT_ROOT) / "unfinished"
