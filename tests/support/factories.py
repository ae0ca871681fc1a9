"""Makes what tests need through the actions users reach, so that each starts from a true state."""

from __future__ import annotations

import hashlib
import itertools
import tempfile
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path

from django.conf import settings

from hub.actions.accounts import create_user
from hub.actions.gates import grant_access
from hub.actions.organizations import create_organization, set_member
from hub.actions.repos import create_repo, update_repo_settings
from hub.actions.tokens import Grant, create_token
from hub.models import (
    Blob,
    Gate,
    Namespace,
    Organization,
    Repo,
    RepoBlob,
    RepoType,
    Role,
    TokenScope,
    User,
)

_numbers = itertools.count(1)


def make_user(name: str | None = None, *, is_maintainer: bool = False) -> User:
    """A user with a namespace, without a password."""
    name = name or f"user{next(_numbers)}"
    return create_user(username=name, email=f"{name}@example.org", is_maintainer=is_maintainer)


def make_organization(
    name: str | None = None, *, admin: User, members: Mapping[User, Role] | None = None
) -> Organization:
    organization = create_organization(name=name or f"org{next(_numbers)}", acting_user=admin)
    for user, role in (members or {}).items():
        set_member(organization=organization, user=user, role=role, acting_user=admin)
    return organization


def make_token(
    user: User,
    *,
    scope: TokenScope = TokenScope.WRITE,
    grants: tuple[Grant, ...] = (),
    expires_at: datetime | None = None,
) -> str:
    """The text of a new token."""
    return create_token(
        user=user, name="test token", scope=scope, grants=grants, expires_at=expires_at
    ).text


def make_repo(
    owner: User | Organization,
    name: str | None = None,
    *,
    repo_type: str = RepoType.MODEL,
    is_private: bool = False,
    files: Mapping[str, bytes | str] | None = None,
    creator: User | None = None,
) -> Repo:
    """A repository under `owner`, with `files` committed on top of its first commit."""
    namespace: Namespace = owner.namespace
    creator = creator or (owner if isinstance(owner, User) else owner.members.first())
    assert creator is not None
    repo = create_repo(
        repo_type=repo_type,
        namespace=namespace,
        name=name or f"repo{next(_numbers)}",
        is_private=is_private,
        sdk="gradio" if repo_type == RepoType.SPACE else "",
        acting_user=creator,
    )
    if files:
        commit(repo, files)
    return repo


def gate(repo: Repo, mode: str = Gate.MANUAL, *, let_in: Iterable[User] = ()) -> Repo:
    """`repo`, gated, with these people let in."""
    assert repo.creator is not None
    update_repo_settings(repo=repo, gated=mode, acting_user=repo.creator)
    for user in let_in:
        grant_access(repo=repo, user=user, acting_user=repo.creator)
    return repo


def commit(
    repo: Repo,
    files: Mapping[str, bytes | str],
    *,
    ref: str = "refs/heads/main",
    message: str = "Add files",
    user: User | None = None,
) -> str:
    """Commits regular files and gives the commit's sha."""
    from hub.actions.commits import commit_files
    from hub.vcs.operations import AddFile

    operations = [
        AddFile(path=path, content=data.encode() if isinstance(data, str) else data)
        for path, data in files.items()
    ]
    author = user or repo.creator
    assert author is not None
    result = commit_files(
        repo=repo, ref=ref, operations=operations, message=message, acting_user=author
    )
    return result.commit_sha


def store_blob(repo: Repo | None, content: bytes) -> Blob:
    """Plain content in the store, linked to `repo` as if it had been uploaded there by LFS."""
    from hub.site import store

    sha256 = hashlib.sha256(content).hexdigest()
    blob, is_new = Blob.objects.get_or_create(
        sha256=sha256, defaults={"size_bytes": len(content), "is_plain": True}
    )
    if is_new:
        with tempfile.NamedTemporaryFile(dir=settings.STAGING_DIR, delete=False) as file:
            file.write(content)
        store().put_file(blob.store_key, Path(file.name))
    if repo is not None:
        RepoBlob.objects.get_or_create(repo=repo, blob=blob)
    return blob


def commit_large(
    repo: Repo,
    files: Mapping[str, bytes],
    *,
    ref: str = "refs/heads/main",
    user: User | None = None,
) -> str:
    """Commits files as LFS pointers to content that lies in the store; gives the commit's sha."""
    from hub.actions.commits import commit_files
    from hub.vcs.operations import AddPointer

    operations = []
    for path, content in files.items():
        blob = store_blob(repo, content)
        operations.append(AddPointer(path=path, oid=blob.sha256, size_bytes=blob.size_bytes))
    author = user or repo.creator
    assert author is not None
    result = commit_files(
        repo=repo, ref=ref, operations=operations, message="Add large files", acting_user=author
    )
    return result.commit_sha
