"""The only doors to a repository for anything a caller names.

Each function reads, decides, and returns the row or raises. Who may not read a repository is told
that it does not exist.
"""

from __future__ import annotations

from enum import IntEnum

from hub.auth import Actor
from hub.errors import (
    AuthenticationRequired,
    NotFound,
    PermissionDenied,
    RepoMoved,
    RepoNotFound,
)
from hub.models import (
    Membership,
    Namespace,
    Organization,
    Repo,
    RepoRedirect,
    Role,
    TokenScope,
    User,
)


class Level(IntEnum):
    """What a caller may do with one repository."""

    NONE = 0
    READ = 1
    WRITE = 2
    ADMIN = 3


def get_repo_for_read(actor: Actor, repo_type: str, namespace: str, name: str) -> Repo:
    """The repository, if `actor` may read it.

    Raises:
        RepoNotFound: there is none, or it is private to others (401 for an anonymous caller).
        RepoMoved: it was renamed, and the caller may read it under its new name.
    """
    return _get_repo(actor, repo_type, namespace, name)


def get_repo_for_write(actor: Actor, repo_type: str, namespace: str, name: str) -> Repo:
    """The repository, if `actor` may change its content.

    Raises: as `get_repo_for_read`; `AuthenticationRequired`, `PermissionDenied` where readable.
    """
    return _require(actor, _get_repo(actor, repo_type, namespace, name), Level.WRITE)


def get_repo_for_admin(actor: Actor, repo_type: str, namespace: str, name: str) -> Repo:
    """The repository, if `actor` may rename, hide or delete it. Raises as for write."""
    return _require(actor, _get_repo(actor, repo_type, namespace, name), Level.ADMIN)


def get_namespace_for_create(actor: Actor, name: str | None) -> Namespace:
    """The namespace in which `actor` may create a repository; None names the caller's own.

    Raises:
        PermissionDenied: a foreign namespace, whether or not it exists.
    """
    user = actor.require_user()
    if actor.token and actor.token.scope != TokenScope.WRITE:
        raise PermissionDenied("This token may not create repositories: it needs scope “write”.")
    if name is None or name.lower() == user.username.lower():
        return user.namespace
    namespace = Namespace.objects.filter(name__iexact=name).first()
    if namespace is None or not may_create_in(actor, namespace):
        raise PermissionDenied(f"You may not create repositories under “{name}”.")
    return namespace


def get_organization_for_member(user: User, name: str) -> Organization:
    """The organisation, if `user` belongs to it or maintains the site.

    Raises:
        NotFound: there is no organisation of that name.
        PermissionDenied: it is there, but not for this user.
    """
    organization = _organization(name)
    if not user.is_superuser and not organization.memberships.filter(user=user).exists():
        raise PermissionDenied("Only members of the organisation may see this.")
    return organization


def get_organization_for_admin(user: User, name: str) -> Organization:
    """The organisation, if `user` may change it. Raises as `get_organization_for_member`."""
    organization = _organization(name)
    is_admin = organization.memberships.filter(user=user, role=Role.ADMIN).exists()
    if not user.is_superuser and not is_admin:
        raise PermissionDenied("Only an admin of the organisation may do this.")
    return organization


def may_create_in(actor: Actor, namespace: Namespace) -> bool:
    if actor.user is None:
        return False
    if actor.user.is_superuser or namespace.user_id == actor.user.pk:
        return True
    return _role(actor, namespace) in {Role.CONTRIBUTOR, Role.WRITE, Role.ADMIN}


def level_of(actor: Actor, repo: Repo) -> Level:
    """What `actor` may do with `repo`: the user's right, narrowed by the token."""
    level = _user_level(actor, repo)
    if actor.token is None:
        return level
    if actor.token.scope == TokenScope.READ:
        return min(level, Level.READ)
    if actor.token.scope == TokenScope.FINE_GRAINED:
        return min(level, _granted(actor, repo))
    return level


def _user_level(actor: Actor, repo: Repo) -> Level:
    floor = Level.NONE if repo.is_private else Level.READ
    if actor.user is None:
        return floor
    if actor.user.is_superuser or repo.namespace.user_id == actor.user.pk:
        return Level.ADMIN
    role = _role(actor, repo.namespace)
    if role == Role.CONTRIBUTOR:
        return Level.WRITE if repo.creator_id == actor.user.pk else Level.READ
    levels = {Role.READ: Level.READ, Role.WRITE: Level.WRITE, Role.ADMIN: Level.ADMIN}
    return levels.get(role, floor) if role else floor


def _granted(actor: Actor, repo: Repo) -> Level:
    """A fine-grained token sees public repositories and what it was made for."""
    assert actor.token is not None
    grant = actor.token.grants.filter(repo=repo).first()
    if grant is None:
        return Level.NONE if repo.is_private else Level.READ
    return Level.WRITE if grant.can_write else Level.READ


def _role(actor: Actor, namespace: Namespace) -> Role | None:
    if namespace.organization_id is None or actor.user is None:
        return None
    membership = Membership.objects.filter(
        organization_id=namespace.organization_id, user=actor.user
    ).first()
    return Role(membership.role) if membership else None


def _get_repo(actor: Actor, repo_type: str, namespace: str, name: str) -> Repo:
    repo = (
        Repo.objects.named(repo_type, namespace, name)
        .select_related("namespace", "namespace__user")
        .first()
    )
    if repo is None:
        repo = _moved_repo(repo_type, namespace, name)
        if repo and level_of(actor, repo) >= Level.READ:
            raise RepoMoved(old_id=f"{namespace}/{name}", new_id=repo.full_name)
        raise _not_found(actor, namespace, name)
    if level_of(actor, repo) < Level.READ:
        raise _not_found(actor, namespace, name)
    return repo


def _organization(name: str) -> Organization:
    found = Organization.objects.select_related("namespace").filter(namespace__name__iexact=name)
    organization = found.first()
    if organization is None:
        raise NotFound(f"There is no organisation called {name}.")
    return organization


def _moved_repo(repo_type: str, namespace: str, name: str) -> Repo | None:
    redirect = (
        RepoRedirect.objects.filter(
            repo_type=repo_type, namespace_name__iexact=namespace, name__iexact=name
        )
        .select_related("repo", "repo__namespace")
        .first()
    )
    return redirect.repo if redirect else None


def _not_found(actor: Actor, namespace: str, name: str) -> RepoNotFound:
    error = RepoNotFound(f"Repository {namespace}/{name} not found, or you have no access to it.")
    if actor.user is None:
        error.status = 401
    return error


def _require(actor: Actor, repo: Repo, level: Level) -> Repo:
    if level_of(actor, repo) >= level:
        return repo
    if actor.user is None:
        raise AuthenticationRequired
    if _user_level(actor, repo) >= level:
        raise PermissionDenied("This token's scope does not allow that.")
    raise PermissionDenied(f"You may read {repo.full_name}, but not change it.")
