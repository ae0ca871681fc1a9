"""Taking what `git push` sends: the rules of commits by API, for all refs of a push together."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import pygit2
from django.conf import settings

from hub.access import check_may_move_ref
from hub.actions.commits import linked_sizes
from hub.actions.metadata import refresh_repo_metadata
from hub.actions.refs import copy_refs
from hub.actions.repos import DEFAULT_BRANCH, DEFAULT_REF
from hub.auth import Actor
from hub.errors import HubError, PushRefused
from hub.lfs.pointer import LfsPointer
from hub.models import Repo
from hub.pull_requests import check_takes_commits, is_pull_ref
from hub.quotas import require_room
from hub.site import git_of, git_path, incoming_path
from hub.unfinished import writes_to_repo
from hub.vcs import Repository
from hub.vcs.errors import InvalidRefName
from hub.vcs.gitprocess import ProcessLimits
from hub.vcs.incoming import MAX_FAULTS, IncomingLimits, inspect
from hub.vcs.names import validate_full_ref_name
from hub.vcs.quarantine import PREFIX, PackLimits, Quarantine, Readable
from hub.vcs.refs import BRANCHES, PULL_REQUESTS, TAGS, RefMove

_GRACE_S = 3600
_NOT_HERE = "this repository was never sent the content; run: git lfs push --all origin"


@writes_to_repo
def receive_push(*, repo: Repo, moves: Sequence[RefMove], pack: Readable, actor: Actor) -> None:
    """Moves the refs to what the pack brings: all of them, or none and nothing is kept.

    The pack is looked at where nobody else sees it, and let in under the repository's lock.

    Raises:
        PushRefused: a rule is broken, or a ref has moved meanwhile.
        QuotaExceeded: the owner of the repository has no room for what was sent.
        vcs errors: PackRefused, RefExists, RepositoryBusy, RepositoryFull.
    """
    git = git_of(repo)
    _check_moves(repo, moves, actor)
    _check_positions(git, moves)
    with Quarantine(git_path(repo), incoming_path()) as quarantine:
        if any(move.new for move in moves):
            quarantine.receive(pack, _pack_limits())
            require_room(repo.namespace, quarantine.size_bytes())
            _check_content(repo, quarantine, moves)
        with git.lock():
            _check_positions(git, moves)
            for move in moves:
                check_takes_commits(repo, move.full_name)
            quarantine.let_in()
            git.move_refs(moves)
            names = {move.full_name for move in moves}
            copy_refs(repo=repo, acting_user=actor.require_user(), names=names)
    if DEFAULT_REF in names and repo.head_sha:
        refresh_repo_metadata(repo, repo.head_sha)


def sweep_quarantines() -> int:
    """Removes what pushes left whose server was killed in the middle.

    Returns:
        How many were removed.
    """
    oldest = time.time() - settings.GIT_TIME_LIMIT_S - _GRACE_S
    stale = [path for path in incoming_path().glob(f"{PREFIX}*") if _is_older(path, oldest)]
    for path in stale:
        shutil.rmtree(path, ignore_errors=True)
    return len(stale)


def _is_older(path: Path, moment: float) -> bool:
    try:
        return path.stat().st_mtime < moment
    except FileNotFoundError:
        return False


def _check_moves(repo: Repo, moves: Sequence[RefMove], actor: Actor) -> None:
    """What can be told without the objects: number, names, rights."""
    if len(moves) > settings.MAX_PUSH_REFS:
        raise PushRefused(f"At most {settings.MAX_PUSH_REFS} refs may be pushed at once.")
    refused: dict[str, str] = {}
    names: set[str] = set()
    for move in moves:
        reason = _fault_of(repo, move, actor)
        if move.full_name in names:
            reason = "it is named twice"
        names.add(move.full_name)
        if reason:
            refused[move.full_name] = reason
    if refused:
        raise PushRefused(refs=refused)


def _fault_of(repo: Repo, move: RefMove, actor: Actor) -> str | None:
    name = move.full_name
    if not name.startswith((BRANCHES, TAGS, PULL_REQUESTS)):
        return "only branches and tags are taken (refs/heads/…, refs/tags/…)"
    try:
        validate_full_ref_name(name)
        check_may_move_ref(actor, repo, name)
    except (InvalidRefName, HubError) as error:
        return error.message
    if is_pull_ref(name) and move.new is None:
        return "a pull request is closed on the site, not by a push"
    if name == DEFAULT_REF and move.new is None:
        return f"{DEFAULT_BRANCH} is the default branch and cannot be deleted"
    return None


def _check_positions(git: Repository, moves: Iterable[RefMove]) -> None:
    present = git.raw_refs()
    moved = {
        move.full_name: "it has moved since you fetched: git fetch first"
        for move in moves
        if present.get(move.full_name) != move.old
    }
    if moved:
        raise PushRefused(refs=moved)


def _check_content(repo: Repo, quarantine: Quarantine, moves: Sequence[RefMove]) -> None:
    """Commits, paths, files and large content, and that the default branch only goes forward."""
    opened = quarantine.open()
    found = inspect(
        opened,
        quarantine.objects(),
        [move.new for move in moves if move.new],
        IncomingLimits(
            file_bytes=settings.MAX_REGULAR_FILE_BYTES,
            entries=settings.MAX_PUSH_OBJECTS,
            deadline=time.monotonic() + settings.GIT_TIME_LIMIT_S,
        ),
    )
    faults = [*found.faults, *_pointer_faults(repo, found.pointers)]
    if faults:
        more = f"\n(and {len(faults) - MAX_FAULTS} more)" if len(faults) > MAX_FAULTS else ""
        raise PushRefused("\n".join(faults[:MAX_FAULTS]) + more)
    refused = {move.full_name: reason for move in moves if (reason := _target_fault(opened, move))}
    if refused:
        raise PushRefused(refs=refused)


def _pointer_faults(repo: Repo, pointers: dict[LfsPointer, str]) -> list[str]:
    sizes = linked_sizes(repo, [pointer.oid for pointer in pointers])
    faults = []
    for pointer, path in pointers.items():
        size_bytes = sizes.get(pointer.oid)
        if size_bytes is None:
            faults.append(f"{path} is a large file ({pointer.oid}): {_NOT_HERE}")
        elif size_bytes != pointer.size_bytes:
            faults.append(f"{path}: the content has {size_bytes} bytes, not {pointer.size_bytes}")
    return faults


def _target_fault(opened: pygit2.Repository, move: RefMove) -> str | None:
    if move.new is None:
        return None
    is_branch = not move.full_name.startswith(TAGS)
    if is_branch and not isinstance(opened[move.new], pygit2.Commit):
        return "a branch must lead to a commit"
    if move.full_name != DEFAULT_REF or move.old in (None, move.new):
        return None
    if opened.descendant_of(move.new, move.old):
        return None
    return (
        f"{DEFAULT_BRANCH} is the default branch and only goes forward: "
        "git fetch, then merge or rebase, and push without force"
    )


def _pack_limits() -> PackLimits:
    process = ProcessLimits(settings.GIT_MEMORY_LIMIT_BYTES, settings.GIT_TIME_LIMIT_S)
    return PackLimits(settings.MAX_PUSH_BYTES, settings.MAX_PUSH_OBJECTS, process)
