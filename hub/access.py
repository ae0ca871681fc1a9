"""The only doors to a repository for anything a caller names.

Each function reads, decides, and returns the row or raises. Who may not read a repository is told
that it does not exist.
"""

from __future__ import annotations

from enum import IntEnum

from django.db.models import Q, QuerySet

from hub import pull_requests
from hub.auth import Actor
from hub.errors import (
    AuthenticationRequired,
    GatedRepo,
    NotFound,
    PermissionDenied,
    RepoMoved,
    RepoNotFound,
)
from hub.models import (
    AccessRequest,
    Membership,
    Namespace,
    Organization,
    Repo,
    RepoRedirect,
    RequestStatus,
    Role,
    TokenScope,
    User,
)
from hub.site import repo_url

OPEN_FILES = frozenset({"README.md", "LICENSE", "LICENSE.md", "LICENSE.txt"})
"""Files of a gated repository that all who see it may read: what they agree to when they ask."""


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


def get_repo_for_contents(actor: Actor, repo_type: str, namespace: str, name: str) -> Repo:
    """The repository, if `actor` may read what its files hold.

    Raises: as `get_repo_for_read`; `GatedRepo` where the caller sees it, but must ask first.
    """
    repo = _get_repo(actor, repo_type, namespace, name)
    check_may_read_contents(actor, repo)
    return repo


def get_repo_for_write(actor: Actor, repo_type: str, namespace: str, name: str) -> Repo:
    """The repository, if `actor` may change its content.

    Raises: as `get_repo_for_read`; `AuthenticationRequired`, `PermissionDenied` where readable.
    """
    return _require(actor, _get_repo(actor, repo_type, namespace, name), Level.WRITE)


def get_repo_for_admin(actor: Actor, repo_type: str, namespace: str, name: str) -> Repo:
    """The repository, if `actor` may rename, hide or delete it. Raises as for write."""
    return _require(actor, _get_repo(actor, repo_type, namespace, name), Level.ADMIN)


def get_repo_for_contribution(actor: Actor, repo_type: str, namespace: str, name: str) -> Repo:
    """The repository, if `actor` may take part in what is said about it.

    Raises: as `get_repo_for_read`; `AuthenticationRequired`, `PermissionDenied` where readable.
    """
    repo = _get_repo(actor, repo_type, namespace, name)
    check_may_contribute(actor, repo)
    return repo


def get_repo_for_proposal(actor: Actor, repo_type: str, namespace: str, name: str) -> Repo:
    """The repository, if `actor` may send files for a pull request.

    Raises: as `get_repo_for_contribution`; `GatedRepo` for who may not read its files.
    """
    repo = get_repo_for_contribution(actor, repo_type, namespace, name)
    check_may_read_contents(actor, repo)
    return repo


def get_repo_for_ref(
    actor: Actor, repo_type: str, namespace: str, name: str, *, revision: str
) -> Repo:
    """The repository, if `actor` may move the branch or pull request ref that `revision` names.

    Raises: as `get_repo_for_read` and `check_may_move_ref`.
    """
    repo = _get_repo(actor, repo_type, namespace, name)
    check_may_move_ref(actor, repo, revision)
    return repo


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


def visible_repos(actor: Actor) -> QuerySet[Repo]:
    """All repositories that `actor` may read: for lists, where no name is named."""
    return actor.visible_repos()


def repos_open_to(actor: Actor) -> QuerySet[Repo]:
    """All repositories whose contents `actor` may read: `may_read_contents` as a set."""
    repos = visible_repos(actor)
    user, token = actor.user, actor.token
    if user is None:
        return repos.filter(gated="")
    if token is not None and token.scope == TokenScope.FINE_GRAINED:
        repos = repos.filter(Q(gated="") | Q(pk__in=token.grants.values("repo_id")))
    if user.is_superuser:
        return repos
    accepted = user.access_requests.filter(status=RequestStatus.ACCEPTED)
    return repos.filter(
        Q(gated="")
        | Q(namespace__user=user)
        | Q(namespace__organization_id__in=user.memberships.values("organization_id"))
        | Q(pk__in=accepted.values("repo_id"))
    )


def get_namespace(name: str) -> Namespace:
    """The namespace of an active user or of an organisation. Raises `NotFound`."""
    found = Namespace.objects.select_related("user", "organization").filter(name__iexact=name)
    namespace = found.exclude(user__is_active=False).first()
    if namespace is None:
        raise NotFound(f"There is no user or organisation called {name}.")
    return namespace


def get_user(name: str) -> User:
    """The active user of that name. Raises `NotFound`."""
    found = User.objects.filter(username__iexact=name, is_active=True)
    user = found.select_related("namespace").first()
    if user is None:
        raise NotFound(f"There is no user called {name}.")
    return user


def get_organization(name: str) -> Organization:
    """The organisation of that name. Raises `NotFound`."""
    found = Organization.objects.select_related("namespace").filter(namespace__name__iexact=name)
    organization = found.first()
    if organization is None:
        raise NotFound(f"There is no organisation called {name}.")
    return organization


def get_organization_for_member(user: User, name: str) -> Organization:
    """The organisation, if `user` belongs to it or maintains the site.

    Raises:
        NotFound: there is no organisation of that name.
        PermissionDenied: it is there, but not for this user.
    """
    organization = get_organization(name)
    if not user.is_superuser and not organization.memberships.filter(user=user).exists():
        raise PermissionDenied("Only members of the organisation may see this.")
    return organization


def get_organization_for_admin(user: User, name: str) -> Organization:
    """The organisation, if `user` may change it. Raises as `get_organization_for_member`."""
    organization = get_organization(name)
    is_admin = organization.memberships.filter(user=user, role=Role.ADMIN).exists()
    if not user.is_superuser and not is_admin:
        raise PermissionDenied("Only an admin of the organisation may do this.")
    return organization


def check_may_move_ref(actor: Actor, repo: Repo, full_name: str) -> None:
    """Raises unless `actor`, who may read `repo`, may move the ref now; for commits and pushes.

    A pull request ref takes commits from the pull request's author and from whoever may write,
    while it is a draft or open. All other refs (also a short branch name) need the right to write.
    An action asks `pull_requests.check_takes_commits` again, with the repository's lock held.

    Raises:
        AuthenticationRequired, PermissionDenied, GatedRepo: the caller has not the right.
        RevisionNotFound: there is no such pull request.
        Conflict: the pull request is closed or merged.
    """
    if not pull_requests.is_pull_ref(full_name):
        _require(actor, repo, Level.WRITE)
        return
    check_may_contribute(actor, repo)
    check_may_read_contents(actor, repo)
    num = pull_requests.pull_number(full_name)
    pull_requests.pull_requests().check_may_push(actor=actor, repo=repo, num=num)


def check_may_contribute(actor: Actor, repo: Repo) -> None:
    """Raises unless `actor`, who may read `repo`, may discuss and propose changes there."""
    if actor.user is None:
        raise AuthenticationRequired
    if not may_contribute(actor, repo):
        raise PermissionDenied(
            "This token may read, but not take part: it needs scope “write”, or the right to write "
            f"to {repo.full_name}."
        )


def may_contribute(actor: Actor, repo: Repo) -> bool:
    """Whether `actor` may discuss and propose changes: a reader with a token that may write."""
    if actor.user is None or level_of(actor, repo) < Level.READ:
        return False
    if actor.token is None or actor.token.scope == TokenScope.WRITE:
        return True
    if actor.token.scope == TokenScope.FINE_GRAINED:
        return _granted(actor, repo) >= Level.WRITE
    return False


def may_propose(actor: Actor, repo: Repo) -> bool:
    """Whether `actor` may send files for a pull request: only who may read those that are there."""
    return may_contribute(actor, repo) and may_read_contents(actor, repo)


def check_may_read_contents(actor: Actor, repo: Repo) -> None:
    """Raises unless `actor`, who may see `repo`, may read what its files hold.

    Every way to the bytes of files, or to what is read out of them, asks this (or
    `may_read_contents`, `repos_open_to`). Names, sizes, history, card and discussions are open to
    all who see the repository.

    Raises:
        GatedRepo: it has a gate that did not let the caller in; 401 for an anonymous one.
    """
    if not may_read_contents(actor, repo):
        raise _gate_refusal(actor, repo)


def check_may_read_file(actor: Actor, repo: Repo, commit_sha: str, path: str) -> None:
    """The same for one file. Card and licence are open as they are on the default branch.

    At other commits they are not: there, a pull request could put another file in their place.
    """
    if path not in OPEN_FILES or commit_sha != repo.head_sha:
        check_may_read_contents(actor, repo)


def may_read_contents(actor: Actor, repo: Repo) -> bool:
    """Whether `actor`, who may see `repo`, may read what its files hold.

    A gate lets in the owner, every member of the organisation, the site's maintainers, and those
    whose request was accepted; a fine-grained token only where it was made for this repository.
    """
    if not repo.gated:
        return True
    if actor.user is None or not _token_reaches(actor, repo):
        return False
    return is_inside(actor.user, repo) or _request_of(actor.user, repo) == RequestStatus.ACCEPTED


def is_open_to_all(repo: Repo) -> bool:
    """Whether everybody may read what its files hold."""
    return not repo.is_private and not repo.gated


def is_inside(user: User, repo: Repo) -> bool:
    """Whether no gate of `repo` can hold `user` back."""
    return user.is_superuser or is_member(Actor(user=user), repo.namespace)


def is_member(actor: Actor, namespace: Namespace) -> bool:
    """Whether it is the caller's own, or that of an organisation they belong to."""
    if actor.user is None:
        return False
    return namespace.user_id == actor.user.pk or _role(actor, namespace) is not None


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


def _token_reaches(actor: Actor, repo: Repo) -> bool:
    token = actor.token
    if token is None or token.scope != TokenScope.FINE_GRAINED:
        return True
    return token.grants.filter(repo=repo).exists()


def _request_of(user: User, repo: Repo) -> str | None:
    found = AccessRequest.objects.filter(repo=repo, user=user)
    return found.values_list("status", flat=True).first()


def _gate_refusal(actor: Actor, repo: Repo) -> GatedRepo:
    """The refusal in words that fit where the caller stands."""
    what = f"{repo.repo_type} {repo.full_name}"
    status = _request_of(actor.user, repo) if actor.user else None
    if actor.user is None:
        text = f"Access to {what} is restricted. Sign in, or send a token of who has access to it."
    elif not _token_reaches(actor, repo):
        text = (
            f"Access to {what} is restricted, and this token was made for other repositories. Make"
            " one that names it, or one of scope “read”."
        )
    elif status == RequestStatus.PENDING:
        text = f"Your request for access to {what} waits for an answer of its maintainers."
    elif status == RequestStatus.REJECTED:
        text = f"Your request for access to {what} was rejected by its maintainers."
    else:
        text = (
            f"Access to {what} is restricted, and you have not been let in yet. Ask for it at"
            f" {repo_url(repo)}"
        )
    error = GatedRepo(text, ask_at=repo.url_path)
    if actor.user is None:
        error.status = 401
    return error


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
