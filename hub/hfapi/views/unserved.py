"""What the Hub has and this site has not: said in words, never by a bare 404."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

from hub.auth import actor_of
from hub.errors import NotFound, NotServed, RepoNotFound


@csrf_exempt
def not_served(request: HttpRequest, **found: Any) -> HttpResponse:
    """A call of the Hub protocol that comes with a later version, or never."""
    raise NotServed(
        f"This site does not serve {request.method} {request.path}. It offers models, data sets "
        "and Spaces through the Hub's repository, commit, file, LFS and Xet calls."
    )


@csrf_exempt
def not_hosted(request: HttpRequest, **found: Any) -> HttpResponse:
    """Commercial hosting: jobs, Spaces' machines, inference."""
    raise NotFound("This site keeps the files of Spaces and runs none; nor jobs, nor endpoints.")


@csrf_exempt
def no_such_repo(request: HttpRequest, **found: Any) -> HttpResponse:
    """An id that no repository here can have: of another type, or of one part only."""
    error = RepoNotFound(f"There is no repository at {request.path}. Ids are namespace/name.")
    if actor_of(request).user is None:
        error.status = 401
    raise error
