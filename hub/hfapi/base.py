"""What every view of the Hub API shares: who calls, which repository, what the body says.

Plain Django views: the protocol knows one form of answer, whatever a client says it accepts, and
domain errors are rendered by the middleware (config/errors.py).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cached_property
from typing import Any

from django.conf import settings
from django.http import HttpResponseNotAllowed
from django.http.response import HttpResponseBase
from django.views.decorators.csrf import csrf_exempt
from django.views.generic import View

from hub.access import (
    get_repo_for_admin,
    get_repo_for_contents,
    get_repo_for_contribution,
    get_repo_for_proposal,
    get_repo_for_read,
    get_repo_for_ref,
    get_repo_for_write,
)
from hub.auth import Actor, actor_of, token_actor_of
from hub.errors import InvalidInput, TooLarge
from hub.hfapi.bodies import input_of
from hub.models import Repo, TokenScope

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class HubView(View):
    """A view under `/api/`.

    Reads accept a token or a session; changes accept a token only, so that no other site can make
    a browser send them.
    """

    @classmethod
    def as_view(cls, **initkwargs: Any) -> Callable[..., HttpResponseBase]:
        return csrf_exempt(super().as_view(**initkwargs))

    @cached_property
    def actor(self) -> Actor:
        is_read = self.request.method in SAFE_METHODS
        return actor_of(self.request) if is_read else token_actor_of(self.request)

    def repo_for_read(self) -> Repo:
        return get_repo_for_read(self.actor, **self._repo_id())

    def repo_for_contents(self) -> Repo:
        return get_repo_for_contents(self.actor, **self._repo_id())

    def repo_for_write(self) -> Repo:
        return get_repo_for_write(self.actor, **self._repo_id())

    def repo_for_admin(self) -> Repo:
        return get_repo_for_admin(self.actor, **self._repo_id())

    def repo_for_contribution(self) -> Repo:
        return get_repo_for_contribution(self.actor, **self._repo_id())

    def repo_for_commit(self, revision: str) -> Repo:
        """The repository, if the caller may commit to `revision`.

        With `create_pr` that needs no more than the right to propose changes.
        """
        if self.flag("create_pr"):
            return get_repo_for_proposal(self.actor, **self._repo_id())
        return get_repo_for_ref(self.actor, **self._repo_id(), revision=revision)

    def granted(self) -> list[int] | None:
        """The repositories of a fine-grained token, which sees no other private ones."""
        token = self.actor.token
        if token is None or token.scope != TokenScope.FINE_GRAINED:
            return None
        return list(token.grants.values_list("repo_id", flat=True))

    def body(self) -> bytes:
        """The body, which must fit into memory. Raises `TooLarge`."""
        limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        data = input_of(self.request).read(limit + 1)
        if len(data) > limit:
            raise TooLarge(f"The body may have at most {limit} bytes.")
        return data

    def json_body(self) -> dict[str, Any]:
        """The body as a JSON object; none at all or null is an empty one. Raises `InvalidInput`."""
        data = self.body()
        try:
            value = json.loads(data) if data.strip() else None
        except (ValueError, RecursionError):
            raise InvalidInput("The body is not JSON.") from None
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise InvalidInput("The body must be a JSON object.")
        return value

    def flag(self, name: str) -> bool:
        return is_true(self.request.GET.get(name))

    def http_method_not_allowed(
        self, request: Any, *args: Any, **kwargs: Any
    ) -> HttpResponseNotAllowed:
        allowed = [name.upper() for name in self.http_method_names if hasattr(self, name)]
        message = f"Method {request.method} is not allowed here."
        answer = HttpResponseNotAllowed(
            allowed, json.dumps({"error": message}), content_type="application/json"
        )
        answer["X-Error-Code"], answer["X-Error-Message"] = "MethodNotAllowed", message
        return answer

    def _repo_id(self) -> dict[str, str]:
        return {key: self.kwargs[key] for key in ("repo_type", "namespace", "name")}


def is_true(value: object) -> bool:
    """`true` as clients of any age write it: true, True, 1 (in JSON also the literal)."""
    return value is True or str(value).lower() in {"true", "1"}


def text_of(body: dict[str, Any], key: str, *, default: str | None = None) -> str:
    """The string at `key`. Raises `InvalidInput` where it is missing or no proper text."""
    value = body.get(key)
    if value is None:
        value = default
    if not isinstance(value, str):
        raise InvalidInput(f"“{key}” must be given as a string.")
    return proper_text(value, key)


def proper_text(value: str, key: str) -> str:
    """`value`, if a database can hold it. Raises `InvalidInput` for NUL and lone surrogates."""
    if "\0" in value or value != value.encode(errors="ignore").decode():
        raise InvalidInput(f"“{key}” contains characters that are no text.")
    return value
