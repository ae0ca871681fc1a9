"""What a run has made becomes a repository or a pull request, in the name of who started it.

A worker has no right to write; it leaves the files in the store, and the site publishes them by its
own actions. Nothing is lost when that is refused: the files stay until somebody publishes them.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from evaluation.actions.runs import note_run, ring_to_publish
from evaluation.errors import NothingToPublish
from evaluation.models import Output, OutputState, Run, RunKind
from hub.access import get_namespace_for_create, get_repo_for_proposal, get_repo_for_write
from hub.actions.blobs import register_blob
from hub.actions.commits import AddLarge, Change, CommitResult, commit_files, propose_files
from hub.actions.repos import DEFAULT_BRANCH, create_repo
from hub.auth import Actor
from hub.errors import HubError, RepositoryBusy, StorageUnavailable
from hub.models import Repo, RepoType, User
from hub.site import base_url, git_of, store
from hub.storage import Received, StorageError, receive
from hub.vcs import AddFile
from hub.vcs.errors import VcsError

logger = logging.getLogger(__name__)

STUCK_AFTER = timedelta(minutes=15)
"""After which a process that was publishing is taken for dead."""
PAUSES_S = (0, 60, 600, 3600)
"""Before each try after a fault of ours; the last one is repeated."""
_LARGE = (".safetensors", ".model", ".onnx")
_SOURCES_LOOKED_AT = 50
CARD = "README.md"


def publish_output(*, run: Run) -> Output:
    """Commits the files of `run` where it was asked to, once; says in the row why not.

    A fault of ours leaves it waiting for the next sweep. Rights and room are looked at again:
    they may have changed since the start.

    Raises: NothingToPublish: it has no files, they are published, or another process is at it.
    """
    now = timezone.now()
    output = Output.objects.filter(run=run).first()
    ready = Q(state=OutputState.WAITING) | Q(
        state=OutputState.PUBLISHING, state_since__lt=now - STUCK_AFTER
    )
    claimed = Output.objects.filter(ready, run=run).update(
        state=OutputState.PUBLISHING, state_since=now, tries=F("tries") + 1, problem=""
    )
    if output is None or not claimed:
        raise NothingToPublish
    try:
        repo, done = _publish(run, output)
    except (StorageError, StorageUnavailable, RepositoryBusy) as error:
        logger.warning("run %s: not published yet: %s", run.pk, error)
        _settle(output, OutputState.WAITING)
    except (HubError, VcsError) as error:
        logger.info("run %s: not published: %s", run.pk, error)
        _settle(output, OutputState.REFUSED, problem=str(error)[:1000])
    else:
        _settle_published(run, output, repo, done)
    output.refresh_from_db()
    return output


def ask_to_publish(*, run: Run, target: dict[str, Any] | None, acting_user: User) -> None:
    """Sends a refused output on its way again, elsewhere if `target` says so.

    Args:
        target: as `spec["output"]`; the caller has checked the right to it.

    Raises: NothingToPublish: it was not refused.
    """
    with transaction.atomic():
        changed = Output.objects.filter(run=run, state=OutputState.REFUSED).update(
            state=OutputState.WAITING, state_since=timezone.now(), problem="", tries=0
        )
        if not changed:
            raise NothingToPublish
        if target is not None:
            spec = {**run.spec, "output": {**target, "title": run.spec["output"]["title"]}}
            Run.objects.filter(pk=run.pk).update(spec=spec)
        note_run("run.publish_again", run, acting_user)
        ring_to_publish(run)


def sweep_outputs() -> int:
    """Rings for outputs that wait: news that was lost, faults of ours; returns for how many."""
    now = timezone.now()
    count = 0
    stuck = Q(state=OutputState.PUBLISHING, state_since__lt=now - STUCK_AFTER)
    waiting = Output.objects.filter(Q(state=OutputState.WAITING) | stuck)
    for output in waiting.select_related("run").order_by("state_since")[:100]:
        pause = timedelta(seconds=PAUSES_S[min(output.tries, len(PAUSES_S) - 1)])
        if output.state_since + pause <= now:
            ring_to_publish(output.run)
            count += 1
    return count


def _publish(run: Run, output: Output) -> tuple[Repo, CommitResult]:
    if run.owner is None:
        raise NothingToPublish("The person who started the run is gone.")
    actor = Actor(user=run.owner)
    wanted = run.spec["output"]
    namespace, _, name = wanted["repo"].partition("/")
    if wanted["kind"] == "pull_request":
        repo = get_repo_for_proposal(actor, RepoType.MODEL, namespace, name)
    elif wanted["kind"] == "commit":
        repo = get_repo_for_write(actor, RepoType.MODEL, namespace, name)
    else:
        repo = _own_repo(run, actor, namespace, name, is_private=wanted["is_private"])
    if (done := _already_there(repo, run)) is not None:
        return repo, done
    facts: dict[str, Any] = {
        "repo": repo,
        "operations": list(_changes(repo, run, output)),
        "message": f"{wanted['title']}\n\n{_trailer(run)}",
        "acting_user": run.owner,
    }
    if wanted["kind"] == "pull_request":
        return repo, propose_files(base=DEFAULT_BRANCH, **facts)
    return repo, commit_files(ref=DEFAULT_BRANCH, **facts)


def _own_repo(run: Run, actor: Actor, namespace: str, name: str, *, is_private: bool) -> Repo:
    """The repository that an earlier try made, else a new one."""
    if run.output_repo is not None and run.output_repo.full_name == f"{namespace}/{name}":
        return run.output_repo
    repo = create_repo(
        repo_type=RepoType.MODEL,
        namespace=get_namespace_for_create(actor, namespace),
        name=name,
        is_private=is_private,
        acting_user=actor.require_user(),
    )
    Run.objects.filter(pk=run.pk).update(output_repo=repo)
    run.output_repo = repo
    return repo


def _changes(repo: Repo, run: Run, output: Output) -> Iterator[Change]:
    for file in output.files:
        path, key = file["path"], f"{output.folder}/{file['path']}"
        if path == CARD and _has_a_newer_card(repo, run):
            continue
        is_large = path.endswith(_LARGE) or file["size_bytes"] > settings.MAX_REGULAR_FILE_BYTES
        if is_large:
            register_blob(repo=repo, received=_received(key, file))
            yield AddLarge(path, file["sha256"], file["size_bytes"])
        else:
            content = store().read(key)
            yield AddFile(path, _with_source(content, run) if path == CARD else content)


def _has_a_newer_card(repo: Repo, run: Run) -> bool:
    """Whether somebody has changed the card to which a conversion has added its section."""
    if run.kind != RunKind.CONVERT or run.spec["output"]["kind"] == "repo":
        return False
    git = git_of(repo)
    head = git.entries(git.resolve(DEFAULT_BRANCH), [CARD])
    return [e.oid for e in head] != [e.oid for e in git.entries(run.model_commit, [CARD])]


def _received(key: str, file: dict[str, Any]) -> Received:
    """A stored file in the staging folder, verified on the way."""
    return receive(
        _Chunks(store().stream(key)),
        staging_dir=settings.STAGING_DIR,
        limit_bytes=file["size_bytes"],
        expected_size=file["size_bytes"],
        expected_sha256=file["sha256"],
    )


class _Chunks:
    """Pieces of bytes as a stream."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = b""

    def read(self, size: int = -1, /) -> bytes:
        if not self._rest:
            self._rest = next(self._chunks, b"")
        end = len(self._rest) if size < 0 else size
        data, self._rest = self._rest[:end], self._rest[end:]
        return data


def _with_source(card: bytes, run: Run) -> bytes:
    """The card with the address of the run, where record and curves are."""
    url = f"{base_url()}{run.url_path}"
    made = "Converted" if run.kind == RunKind.CONVERT else "Trained"
    return card.rstrip() + f"\n\n{made} on this site: [run and signed record]({url}).\n".encode()


def _trailer(run: Run) -> str:
    return f"Run: {run.pk}"


def _already_there(repo: Repo, run: Run) -> CommitResult | None:
    """The commit of an earlier try that was killed before it could say so."""
    output = run.output
    if output.tries <= 1:
        return None
    git = git_of(repo)
    heads, depth = [DEFAULT_BRANCH], 1
    if run.spec["output"]["kind"] == "commit":
        depth = _SOURCES_LOOKED_AT  # others may have committed since
    if run.spec["output"]["kind"] == "pull_request":
        heads = [ref.full_name for ref in git.pull_refs()[-_SOURCES_LOOKED_AT:]]
    for name in heads:
        for commit in git.log(git.resolve(name), limit=depth):
            if _trailer(run) in commit.message:
                number = int(name.rpartition("/")[2]) if name.startswith("refs/pr/") else None
                parent = commit.parents[0] if commit.parents else None
                return CommitResult(commit.sha, parent, name, commit, pull_number=number)
    return None


def _settle(output: Output, state: str, *, problem: str = "") -> None:
    Output.objects.filter(pk=output.pk).update(
        state=state, state_since=timezone.now(), problem=problem
    )


def _settle_published(run: Run, output: Output, repo: Repo, done: CommitResult) -> None:
    with transaction.atomic():
        Run.objects.filter(pk=run.pk).update(output_repo=repo, output_commit=done.commit_sha)
        Output.objects.filter(pk=output.pk).update(
            state=OutputState.PUBLISHED,
            state_since=timezone.now(),
            problem="",
            pull_number=done.pull_number,
        )
        note_run("run.published", run, run.owner, commit=done.commit_sha)
    for file in output.files:
        try:
            store().delete(f"{output.folder}/{file['path']}")
        except StorageError:
            logger.warning("run %s: %s is left in the store", run.pk, file["path"])
