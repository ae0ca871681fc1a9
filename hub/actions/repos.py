"""Creating, renaming, hiding and deleting repositories."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime

from django.db import IntegrityError, transaction

from hub import events
from hub.actions.audit import record
from hub.actions.gates import forget_answers
from hub.actions.metadata import card_body, refresh_repo_metadata
from hub.actions.search import index_repo
from hub.cards.vocabulary import SPACE_SDKS
from hub.errors import Conflict, InvalidInput
from hub.models import Namespace, Ref, Repo, RepoRedirect, RepoType, User
from hub.names import validate_repo_name
from hub.quotas import require_room
from hub.site import git_of, git_path
from hub.unfinished import noted
from hub.usage import repo_logical_bytes
from hub.vcs import Repository
from hub.vcs.operations import AddFile
from hub.vcs.values import Signature

DEFAULT_BRANCH = "main"
DEFAULT_REF = f"refs/heads/{DEFAULT_BRANCH}"
_LFS_PATTERNS = """*.7z *.arrow *.avro *.bin *.bz2 *.ckpt *.flac *.ftz *.gguf *.gz *.h5 *.jpeg *.jpg
*.joblib *.lz4 *.mlmodel *.mp3 *.mp4 *.model *.msgpack *.npy *.npz *.onnx *.ot *.parquet *.pb
*.pickle *.pkl *.png *.pt *.pth *.rar *.safetensors *.tar *.tflite *.tgz *.wav *.webp *.xz *.zip
*.zst *tfevents*""".split()


def create_repo(
    *,
    repo_type: str,
    namespace: Namespace,
    name: str,
    is_private: bool = False,
    sdk: str = "",
    acting_user: User,
) -> Repo:
    """A new repository whose one commit holds `.gitattributes`, and the card of a Space.

    The row is made first, in the same transaction as the folder: a failure leaves neither.

    Raises:
        InvalidInput: the name, type or SDK (a Space needs one) is not allowed.
        Conflict: it exists; `details["repo"]` is its id.
    """
    if repo_type not in RepoType.values:
        raise InvalidInput(f"Repository type must be one of {', '.join(RepoType.values)}.")
    if repo_type == RepoType.SPACE and sdk not in SPACE_SDKS:
        raise InvalidInput(f"A Space needs an “sdk”: one of {', '.join(SPACE_SDKS)}.")
    validate_repo_name(name)
    repo = Repo(repo_type=repo_type, namespace=namespace, name=name, is_private=is_private)
    repo.creator = acting_user
    with noted(repo, owns_folder=True):
        _make(repo, sdk, acting_user)
        if sdk:
            refresh_repo_metadata(repo, repo.head_sha)
    return repo


def update_repo_settings(
    *, repo: Repo, is_private: bool | None = None, gated: str | None = None, acting_user: User
) -> Repo:
    """Changes who sees the repository, or who gets its files; None leaves it as it is.

    Args:
        gated: one of `Gate`, or an empty text for no gate.
    """
    if is_private is not None and is_private != repo.is_private:
        _set_visibility(repo, is_private, acting_user)
    if gated is not None and gated != repo.gated:
        _set_gate(repo, gated, acting_user)
    return repo


def _set_visibility(repo: Repo, is_private: bool, acting_user: User) -> None:
    with transaction.atomic():
        record(
            verb="repo.visibility_changed",
            actor=acting_user,
            target=str(repo),
            repo=repo,
            old_private=repo.is_private,
            new_private=is_private,
        )
        repo.is_private = is_private
        repo.save(update_fields=["is_private"])
        events.emit(events.RepoConfigured(repo.pk, {"private": is_private}, acting_user.pk))


def _set_gate(repo: Repo, gated: str, acting_user: User) -> None:
    body = card_body(repo)
    with transaction.atomic():
        record(
            verb="repo.gate_changed",
            actor=acting_user,
            target=str(repo),
            repo=repo,
            old=repo.gated,
            new=gated,
        )
        repo.gated = gated
        repo.save(update_fields=["gated"])
        index_repo(repo, body)
        config = {"gated": gated or False}
        events.emit(events.RepoConfigured(repo.pk, config, acting_user.pk))


def move_repo(*, repo: Repo, namespace: Namespace, name: str, acting_user: User) -> Repo:
    """Renames or transfers; the old id keeps working by redirect.

    What people told the maintainers when they asked for access does not go to another owner.

    Raises:
        InvalidInput: the name is not allowed.
        Conflict: another repository has that id.
        QuotaExceeded: its new owner has no room for it.
    """
    validate_repo_name(name)
    old_namespace, old_name = repo.namespace, repo.name
    if namespace.pk != old_namespace.pk:
        require_room(namespace, repo_logical_bytes(repo))
    body = card_body(repo)
    try:
        with transaction.atomic():
            drop_redirects(repo.repo_type, namespace.name, name)
            repo.namespace, repo.name = namespace, name
            repo.save(update_fields=["namespace", "name"])
            if namespace.pk != old_namespace.pk:
                forget_answers(repo)
            index_repo(repo, body)
            if (old_namespace.pk, old_name.lower()) != (namespace.pk, name.lower()):
                RepoRedirect.objects.create(
                    repo_type=repo.repo_type,
                    namespace_name=old_namespace.name,
                    name=old_name,
                    repo=repo,
                )
            old_id = f"{old_namespace.name}/{old_name}"
            record(verb="repo.moved", actor=acting_user, target=str(repo), repo=repo, old=old_id)
            if old_id != repo.full_name:
                moved = events.RepoRenamed(repo.pk, old_id, old_namespace.pk, acting_user.pk)
                events.emit(moved)
    except IntegrityError:
        repo.namespace, repo.name = old_namespace, old_name
        raise Conflict(f"The repository {namespace.name}/{name} already exists.") from None
    return repo


def delete_repo(*, repo: Repo, acting_user: User) -> None:
    """Removes the repository for good: rows first, then its folder.

    Content in the store is kept; other repositories may use it, and collection removes the rest.
    """
    path = git_path(repo)
    deleted = events.RepoDeleted(
        repo_id=repo.pk,
        full_name=repo.full_name,
        actor_id=acting_user.pk,
        repo_type=repo.repo_type,
        namespace_id=repo.namespace_id,
        is_private=repo.is_private,
    )
    with noted(repo, owns_folder=True), transaction.atomic():
        record(verb="repo.deleted", actor=acting_user, target=repo.full_name, type=repo.repo_type)
        repo.delete()
        events.emit(deleted)
        transaction.on_commit(lambda: shutil.rmtree(path, ignore_errors=True))


def _make(repo: Repo, sdk: str, acting_user: User) -> None:
    """The row and the folder, or neither."""
    try:
        with transaction.atomic():
            repo.save()
            drop_redirects(repo.repo_type, repo.namespace.name, repo.name)
            head = _init_git(repo, acting_user, sdk)
            Ref.objects.create(repo=repo, name=DEFAULT_REF, commit_sha=head)
            repo.head_sha, repo.size_bytes = head, git_of(repo).content_bytes(head)
            repo.save(update_fields=["head_sha", "size_bytes"])
            index_repo(repo, card_body="")
            record(verb="repo.created", actor=acting_user, target=str(repo), repo=repo)
            events.emit(events.RepoCreated(repo_id=repo.pk, actor_id=acting_user.pk))
    except IntegrityError:
        raise Conflict(f"You already created this repo: {repo.full_name}.") from None
    except BaseException:
        shutil.rmtree(git_path(repo), ignore_errors=True)
        raise


def signature_of(user: User) -> Signature:
    """How `user` signs commits. Their e-mail address stays private."""
    return Signature(
        name=user.get_full_name(),
        email=f"{user.username}@users.noreply.localhost",
        when=datetime.now(UTC),
    )


def _init_git(repo: Repo, user: User, sdk: str) -> str:
    git = Repository.init(git_path(repo), default_branch=DEFAULT_BRANCH)
    attributes = "".join(f"{p} filter=lfs diff=lfs merge=lfs -text\n" for p in _LFS_PATTERNS)
    files = [AddFile(path=".gitattributes", content=attributes.encode())]
    if repo.repo_type == RepoType.SPACE:
        files.append(AddFile(path="README.md", content=_space_card(repo.name, sdk).encode()))
    commit = git.commit(
        DEFAULT_REF,
        files,
        message="initial commit",
        author=signature_of(user),
    )
    return commit.sha


def _space_card(name: str, sdk: str) -> str:
    app_file = {"gradio": "app_file: app.py\n", "streamlit": "app_file: app.py\n"}.get(sdk, "")
    return f'---\ntitle: "{name}"\nsdk: {sdk}\n{app_file}pinned: false\n---\n'


def drop_redirects(repo_type: str, namespace: str, name: str) -> None:
    """Old addresses give way to a repository that takes the id."""
    RepoRedirect.objects.filter(
        repo_type=repo_type, namespace_name__iexact=namespace, name__iexact=name
    ).delete()
