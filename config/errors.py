"""The one place where a domain error becomes an answer, in the form each client understands.

| surface | paths | form |
|---|---|---|
| OAuth | `/oauth/…` | JSON `{"error": code, "error_description": …}` |
| Hub API, CAS | `/api/…`, `/cas/…`, `…/resolve/…` | JSON `{"error": …}` |
| git | `…/info/refs`, `…/git-…-pack` | plain text, which git shows as `remote: …` |
| LFS | `…/info/lfs/…` | `application/vnd.git-lfs+json` `{"message": …}` |
| pages | the rest | HTML page, or a fragment for htmx |

All carry `X-Error-Code` and `X-Error-Message`.
"""

from __future__ import annotations

import errno
import re
from typing import Any, TypeVar

from django.db import OperationalError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from rest_framework import exceptions as drf
from rest_framework.response import Response
from rest_framework.views import exception_handler as drf_default_handler

from config.logs import request_id
from hub import errors
from hub.oauth import OAuthRefusal
from hub.storage import errors as storage_errors
from hub.vcs import errors as vcs_errors

AnyResponse = TypeVar("AnyResponse", bound=HttpResponse)
LFS_MEDIA_TYPE = "application/vnd.git-lfs+json"
_DISK_FULL = "53100"
_BUSY = ("40001", "40P01", "55P03")
"""PostgreSQL's states for it: a conflict of transactions, a deadlock, a lock not to be had."""
_BASIC = 'Basic realm="access token", charset="UTF-8"'
"""What git and git-lfs need to see before they send a password, which is the token."""
_GIT_PATH = re.compile(r"\.git(/|$)|/info/(refs|lfs)|/git-(upload|receive)-pack$")
_GIT_CALL = re.compile(r"/info/refs$|/git-(upload|receive)-pack$")
_MACHINE_PATH = re.compile(
    r"^/(api|cas|buckets)/|^/uploads$|^/papers/[^/]+\.md$|^/v1/telemetry|/resolve/|\.git(/|$)|/info/(refs|lfs)"
    r"|/git-(upload|receive)-pack$"
)


def to_hub_error(error: Exception) -> errors.HubError | None:
    """`error` as a domain error: itself, or what an adapter's error means; None for a bug."""
    if isinstance(error, errors.HubError):
        return error
    for kind, make in _ADAPTER_ERRORS:
        if isinstance(error, kind):
            translated: errors.HubError = make(error)
            return translated
    if _is_for_want_of_space(error):
        return errors.StorageFull()
    return errors.DatabaseBusy() if _is_for_want_of_a_turn(error) else None


def _is_for_want_of_space(error: Exception) -> bool:
    """Whether a disk is full, or the database's."""
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    if isinstance(error, OperationalError):
        is_postgres_full = getattr(error.__cause__, "sqlstate", None) == _DISK_FULL
        return is_postgres_full or "database or disk is full" in str(error)
    return False


def _is_for_want_of_a_turn(error: Exception) -> bool:
    """Whether the database had others to serve until its patience was at an end."""
    if not isinstance(error, OperationalError):
        return False
    state = getattr(error.__cause__, "sqlstate", None)
    return state in _BUSY or "database is locked" in str(error)


def _with_text(target: type[errors.HubError]) -> Any:
    return lambda error: target(str(error) or None, **getattr(error, "details", {}))


_ADAPTER_ERRORS: list[tuple[type[Exception], Any]] = [
    (vcs_errors.RevisionNotFound, _with_text(errors.RevisionNotFound)),
    (vcs_errors.RefNotFound, _with_text(errors.RevisionNotFound)),
    (vcs_errors.EntryNotFound, _with_text(errors.EntryNotFound)),
    (vcs_errors.ParentMoved, lambda error: errors.ParentMoved(**getattr(error, "details", {}))),
    (vcs_errors.RefExists, _with_text(errors.Conflict)),
    (vcs_errors.MergeConflict, _with_text(errors.Conflict)),
    (vcs_errors.InvalidRefName, _with_text(errors.InvalidInput)),
    (vcs_errors.InvalidPath, _with_text(errors.InvalidPath)),
    (vcs_errors.EntryTooLarge, _with_text(errors.TooLarge)),
    (vcs_errors.InvalidContent, _with_text(errors.InvalidInput)),
    (vcs_errors.PathConflict, _with_text(errors.InvalidPath)),
    (vcs_errors.RepositoryBusy, lambda error: errors.RepositoryBusy()),
    (vcs_errors.RepositoryFull, lambda error: errors.StorageFull()),
    (storage_errors.StorageFull, lambda error: errors.StorageFull()),
    (storage_errors.StorageUnavailable, lambda error: errors.StorageUnavailable()),
    (Http404, lambda error: errors.NotFound()),
]


def render_error(request: HttpRequest, error: errors.HubError) -> HttpResponse:
    """The answer to `request` that says `error` on the surface it came through."""
    if isinstance(error, errors.RepoMoved):
        return _redirect(request, error)
    if "/info/lfs/" in request.path:
        response = _lfs(error)
    elif _GIT_CALL.search(request.path):
        response = HttpResponse(f"{error.message}\n", "text/plain; charset=utf-8", error.status)
    elif request.path.startswith("/oauth/"):
        response = _oauth(error)
    elif _MACHINE_PATH.search(request.path):
        response = JsonResponse(_body(error), status=error.status)
    else:
        response = _page(request, error)
    add_headers(response, error)
    if request.method == "HEAD":
        response.content = b""
    if error.status == 401 and _GIT_PATH.search(request.path):
        response["WWW-Authenticate"] = response["LFS-Authenticate"] = _BASIC
    return response


def add_headers(response: AnyResponse, error: errors.HubError) -> AnyResponse:
    """Sets the `X-Error-*` headers that the official client turns into its exceptions."""
    response["X-Error-Code"] = error.code
    response["X-Error-Message"] = _header_message(error)
    if commit_sha := error.details.get("commit_sha"):
        response["X-Repo-Commit"] = commit_sha
    if error.status == 401:
        response["WWW-Authenticate"] = "Bearer"
    if "retry_after_s" in error.details:
        response["Retry-After"] = str(error.details["retry_after_s"])
    if "window_s" in error.details:
        _add_rate(response, error.details)
    return response


def _add_rate(response: HttpResponse, details: dict[str, Any]) -> None:
    """The window that is used up, as Hub clients read it.

    Source: draft-ietf-httpapi-ratelimit-headers-09; `Retry-After` is RFC 9110, section 10.2.3.
    """
    name, wait_s = details["limit"], details["retry_after_s"]
    response["RateLimit"] = f'"{name}";r=0;t={wait_s}'
    response["RateLimit-Policy"] = (
        f'"fixed window";"{name}";q={details["amount"]};w={details["window_s"]}'
    )


def drf_exception_handler(exception: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's hook: domain errors in our form, DRF's own ones translated to it."""
    error = to_hub_error(exception)
    if error is None and isinstance(exception, drf.APIException):
        error = _from_drf(exception)
    if error is None:
        return drf_default_handler(exception, context)
    if isinstance(error, errors.RepoMoved):
        return _redirect(context["request"]._request, error)  # type: ignore[return-value]
    return add_headers(Response(_body(error), status=error.status), error)


def _from_drf(exception: drf.APIException) -> errors.HubError:
    error = errors.HubError(_drf_text(exception.detail))
    error.code = {401: "AuthenticationRequired", 403: "PermissionDenied", 404: "NotFound"}.get(
        exception.status_code, "InvalidInput"
    )
    error.status = exception.status_code
    return error


def _drf_text(detail: Any) -> str:
    if isinstance(detail, dict):
        return "; ".join(f"{field}: {_drf_text(value)}" for field, value in detail.items())
    if isinstance(detail, list):
        return " ".join(_drf_text(value) for value in detail)
    return str(detail)


def _body(error: errors.HubError) -> dict[str, Any]:
    details = {key: value for key, value in error.details.items() if key != "body"}
    body = {"error": error.message, "code": error.code, **error.details.get("body", {})}
    return {**body, "details": details} if details else body


def _lfs(error: errors.HubError) -> HttpResponse:
    body = {"message": error.message, "request_id": request_id.get()}
    return JsonResponse(body, status=error.status, content_type=LFS_MEDIA_TYPE)


def _oauth(error: errors.HubError) -> HttpResponse:
    """In the codes of OAuth, of which a client that asks too often knows `slow_down`."""
    if isinstance(error, OAuthRefusal):
        code = error.code
    elif error.status == 429:
        code = "slow_down"
    else:
        code = "temporarily_unavailable" if error.status >= 500 else "invalid_request"
    body = {"error": code, "error_description": error.message}
    return JsonResponse(body, status=error.status, headers={"Cache-Control": "no-store"})


def _page(request: HttpRequest, error: errors.HubError) -> HttpResponse:
    context = {"error": error, "request_id": request_id.get()}
    return render(request, "errors/error.html", context, status=error.status)


def _redirect(request: HttpRequest, error: errors.RepoMoved) -> HttpResponse:
    """The same path under the new name; 307 keeps method and body."""
    old, new = error.details["old_id"], error.details["new_id"]
    target = request.META.get("RAW_URI") or request.get_full_path()  # raw: keeps %2F quoted
    location = re.sub(re.escape(old), new, target, count=1, flags=re.IGNORECASE)
    response = HttpResponse(status=error.status)
    response["Location"] = location
    return response


def _header_message(error: errors.HubError) -> str:
    """The message; of a bad token the fixed text that tells clients it is not the repository."""
    if isinstance(error, errors.InvalidToken):
        return "Invalid credentials in Authorization header"
    return _header_text(error.message)


def _header_text(text: str) -> str:
    """`text` on one line and in latin-1, as header values must be."""
    line = " ".join(text.split()).replace("“", '"').replace("”", '"').replace("’", "'")
    return line.encode("latin-1", "replace").decode("latin-1")[:1000]
