"""Copying repositories and large files between repositories. No stored byte moves: rights do."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterable

from django.db import IntegrityError, transaction

from hub import events
from hub.actions.audit import record
from hub.actions.commits import linked_sizes
from hub.actions.refs import rebuild_copy
from hub.actions.repos import drop_redirects
from hub.actions.xorb_links import link_xorbs
from hub.batches import in_batches
from hub.errors import Conflict
from hub.models import Namespace, Repo, RepoBlob, User, XetFile
from hub.names import validate_repo_name
from hub.quotas import require_room, require_room_locked
from hub.site import git_of, git_path
from hub.unfinished import noted
from hub.xet.chunk_ranges import used_chunks
from hub.xet.content import find_xorbs

_ROWS_AT_ONCE = 500


def duplicate_repo(
    *, source: Repo, namespace: Namespace, name: str, is_private: bool, acting_user: User
) -> Repo:
    """A new repository with the branches, tags and large files of `source`.

    Pull requests and likes stay behind. A gate comes along, with nobody let in: what was given
    under conditions is not opened to all by copying it. The git copy is made first, outside of any
    transaction; a failure leaves neither a folder nor rows.

    Raises:
        InvalidInput: the name is not allowed.
        Conflict: a repository of that id exists.
        QuotaExceeded: the owner has no room for it.
    """
    validate_repo_name(name)
    require_room(namespace, source.git_bytes)
    repo = Repo(repo_type=source.repo_type, namespace=namespace, name=name, is_private=is_private)
    repo.creator, repo.gated = acting_user, source.gated
    conflict = Conflict(f"The repository {namespace.name}/{name} already exists.")
    if Repo.objects.named(repo.repo_type, namespace.name, name).exists():
        raise conflict
    with noted(repo, owns_folder=True):
        _copy(source, repo, acting_user, conflict)
        rebuild_copy(repo=repo)
    return repo


def _copy(source: Repo, repo: Repo, acting_user: User, conflict: Conflict) -> None:
    """The folder and the rows, or neither."""
    try:
        git_of(source).copy_to(git_path(repo))
        with transaction.atomic():
            repo.save()
            drop_redirects(repo.repo_type, repo.namespace.name, repo.name)
            link_contents(source=source, target=repo, oids=git_of(repo).large_oids())
            record(
                verb="repo.duplicated", actor=acting_user, target=str(repo), repo=repo,
                source=str(source),
            )  # fmt: skip
            events.emit(events.RepoCreated(repo_id=repo.pk, actor_id=acting_user.pk))
    except BaseException as error:
        shutil.rmtree(git_path(repo), ignore_errors=True)
        if isinstance(error, IntegrityError):
            raise conflict from None
        raise


def link_contents(*, source: Repo, target: Repo, oids: Collection[str]) -> set[str]:
    """Gives `target` the right to those of `oids` that `source` has; SHA-256 of those.

    Readers of `target` may know the chunks that these files use. Damaged files are damaged there,
    too, and whole again for both once somebody sends their content.

    Raises:
        QuotaExceeded: they do not fit; nothing was linked.
    """
    sizes = linked_sizes(source, oids, with_damaged=True)
    known = linked_sizes(target, sizes, with_damaged=True)
    new_bytes = sum(sizes.values()) - sum(known.values())
    with transaction.atomic():
        require_room_locked(target, new_bytes)
        for some in in_batches(sorted(sizes), _ROWS_AT_ONCE):
            _link_batch(source, target, some)
    return set(sizes)


def _link_batch(source: Repo, target: Repo, oids: Iterable[str]) -> None:
    links = list(RepoBlob.objects.filter(repo=source, blob__sha256__in=list(oids)))
    RepoBlob.objects.bulk_create(
        [RepoBlob(repo=target, blob_id=one.blob_id, xet_file_id=one.xet_file_id) for one in links],
        ignore_conflicts=True,
    )
    kept = RepoBlob.objects.filter(repo=target, blob_id__in=[one.blob_id for one in links])
    kept.exclude(condemned_at=None).update(condemned_at=None)
    files = XetFile.objects.filter(pk__in=[one.xet_file_id for one in links if one.xet_file_id])
    used = used_chunks(files.values_list("terms", flat=True))
    ids = find_xorbs(used)
    link_xorbs(target, {ids[raw]: ranges for raw, ranges in used.items() if raw in ids})
