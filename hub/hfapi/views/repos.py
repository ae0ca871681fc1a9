"""C3 to C6: creating, deleting, renaming and hiding repositories."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse

from hub.access import get_namespace_for_create, get_repo_for_admin
from hub.actions.repos import create_repo, delete_repo, move_repo, update_repo_settings
from hub.auth import Actor
from hub.errors import Conflict, InvalidInput, NotServed, RepoMoved, RepoNotFound
from hub.hfapi.base import HubView, is_true, text_of
from hub.models import Gate, Namespace, Repo, RepoType
from hub.site import base_url, repo_url

_OF_MACHINES = (
    "devMode", "hardware", "secrets", "sleepTimeSeconds", "storageTier", "template",
    "variables", "volumes",
)  # fmt: skip


class CreateRepo(HubView):
    def post(self, request: HttpRequest) -> HttpResponse:
        user = self.actor.require_user()
        body = self.json_body()
        repo_type = _type_in(body)
        owner, name = _id_in(body)
        is_private = privacy_in(body) or False
        namespace = get_namespace_for_create(self.actor, owner)
        with conflict_with_url(base_url(request), repo_type, namespace, name):
            repo = create_repo(
                repo_type=repo_type,
                namespace=namespace,
                name=name,
                is_private=is_private,
                sdk=_sdk_in(body) if repo_type == RepoType.SPACE else "",
                acting_user=user,
            )
        return JsonResponse(_created(repo, request))


class DeleteRepo(HubView):
    def delete(self, request: HttpRequest) -> HttpResponse:
        user = self.actor.require_user()
        body = self.json_body()
        owner, name = _id_in(body)
        owner = owner or user.username
        repo = _named_in_body(self.actor, _type_in(body), owner, name)
        delete_repo(repo=repo, acting_user=user)
        return JsonResponse({})


class MoveRepo(HubView):
    def post(self, request: HttpRequest) -> HttpResponse:
        user = self.actor.require_user()
        body = self.json_body()
        source, target = full_id(body, "fromRepo"), full_id(body, "toRepo")
        repo = _named_in_body(self.actor, _type_in(body), *source)
        namespace = get_namespace_for_create(self.actor, target[0])
        move_repo(
            repo=repo,
            namespace=namespace,
            name=target[1],
            acting_user=user,
        )
        return JsonResponse({"url": repo_url(repo, request)})


class RepoSettings(HubView):
    def put(self, request: HttpRequest, **ids: str) -> HttpResponse:
        repo = self.repo_for_admin()
        body = self.json_body()
        repo = update_repo_settings(
            repo=repo,
            is_private=privacy_in(body),
            gated=_gate_in(body),
            acting_user=self.actor.require_user(),
        )
        return JsonResponse({"private": repo.is_private, "gated": repo.gated or False})

    patch = post = put


@contextmanager
def conflict_with_url(base: str, repo_type: str, namespace: Namespace, name: str) -> Iterator[None]:
    """Clients read `url` from a 409 as from a success."""
    try:
        yield
    except Conflict as error:
        repo = Repo.objects.named(repo_type, namespace.name, name).first()
        if repo is not None:
            error.details["body"] = {"url": base + repo.url_path, "name": repo.full_name}
        raise


def _named_in_body(actor: Actor, repo_type: str, namespace: str, name: str) -> Repo:
    """The repository to administrate. An old id is not followed: no address could be redirected."""
    try:
        return get_repo_for_admin(actor, repo_type, namespace, name)
    except RepoMoved as moved:
        raise RepoNotFound(
            f"{namespace}/{name} is now called {moved.details['new_id']}: use that id."
        ) from None


def _created(repo: Repo, request: HttpRequest) -> dict[str, Any]:
    return {
        "url": repo_url(repo, request),
        "name": repo.full_name,
        "id": f"{repo.pk:024x}",
        "private": repo.is_private,
    }


def _type_in(body: dict[str, Any]) -> str:
    repo_type = text_of(body, "type", default=RepoType.MODEL)
    if repo_type in RepoType.values:
        return repo_type
    if repo_type in {"kernel", "bucket"}:
        raise NotServed(f"This site serves models, data sets and Spaces, but no {repo_type}s.")
    raise InvalidInput(f"“type” must be one of {', '.join(RepoType.values)}.")


def refuse_machines(body: dict[str, Any]) -> None:
    """Raises `NotServed` where a Space is to get what only a machine could carry out."""
    asked = sorted(key for key in _OF_MACHINES if body.get(key))
    if asked:
        raise NotServed(f"This site runs no Spaces: leave out {', '.join(asked)}.")


def _sdk_in(body: dict[str, Any]) -> str:
    """The SDK of a new Space."""
    refuse_machines(body)
    return text_of(body, "sdk", default="")


def _id_in(body: dict[str, Any]) -> tuple[str | None, str]:
    """Namespace (None: the caller's own) and name; some tools put both into `name`."""
    name = text_of(body, "name")
    owner = text_of(body, "organization", default="")
    if not owner and name.count("/") == 1:
        owner, name = name.split("/")
    return owner or None, name


def full_id(body: dict[str, Any], key: str) -> tuple[str, str]:
    """Namespace and name in `namespace/name`. Raises `InvalidInput`."""
    namespace, slash, name = text_of(body, key).partition("/")
    if not slash:
        raise InvalidInput(f"“{key}” must look like namespace/name.")
    return namespace, name


def _gate_in(body: dict[str, Any]) -> str | None:
    """What `gated` asks for, empty for no gate; None where it is left out."""
    gated = body.get("gated")
    if gated is None:
        return None
    if gated is False:
        return ""
    if not isinstance(gated, str) or gated not in Gate.values:
        raise InvalidInput("“gated” must be “auto”, “manual” or false.")
    return gated


def privacy_in(body: dict[str, Any]) -> bool | None:
    """What `visibility`, or `private` of older clients, asks for; None where neither is there."""
    visibility = body.get("visibility")
    if visibility is None:
        private = body.get("private")
        return None if private is None else is_true(private)
    if visibility not in {"public", "private"}:
        raise InvalidInput("“visibility” must be public or private.")
    return bool(visibility == "private")
