"""What a caller of the hub may get wrong, each with a stable code and a status.

Raised by access, actions and adapters; rendered once per surface (config/errors.py). A `code` in
CamelCase is one that Hub clients know and goes out as `X-Error-Code`.
"""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext_noop as _  # pages look the words up in their language


class HubError(Exception):
    """A refusal with a reason.

    Args:
        message: one or two sentences in plain words: what happened, what to do.
        details: JSON-able facts that a program may want.
    """

    code = "BadRequest"
    status = 400
    message = _("The request could not be carried out.")

    def __init__(self, message: str | None = None, **details: Any) -> None:
        self.message = message or self.message
        self.details = details
        super().__init__(self.message)


class InvalidInput(HubError):
    code = "InvalidInput"


class InvalidPath(HubError):
    code = "InvalidPath"
    status = 422


class AuthenticationRequired(HubError):
    code = "AuthenticationRequired"
    status = 401
    message = _("This needs an access token or a signed-in user.")


class InvalidToken(HubError):
    code = "InvalidToken"
    status = 401
    message = _(
        "The access token is not valid: it is unknown, revoked or expired."
        " Make a new one on the tokens page."
    )


class PermissionDenied(HubError):
    code = "PermissionDenied"
    status = 403
    message = _("You do not have the right to do this.")


class NotFound(HubError):
    code = "NotFound"
    status = 404
    message = _("There is nothing here.")


class RepoNotFound(NotFound):
    """The repository does not exist, or the caller may not know that it does."""

    code = "RepoNotFound"
    message = _("Repository not found.")


class RevisionNotFound(NotFound):
    code = "RevisionNotFound"
    message = _("Revision not found.")


class EntryNotFound(NotFound):
    """A path is missing at a commit. `details["commit_sha"]` goes out as `X-Repo-Commit`."""

    code = "EntryNotFound"
    message = _("Entry not found.")


class GatedRepo(HubError):
    """The caller may see the repository, and its gate keeps them from its files.

    `details`: `ask_at`, the path of the page where one asks for access.
    """

    code = "GatedRepo"
    status = 403
    message = _("Access to this repository is restricted.")


class NotGated(HubError):
    """Somebody is to pass a gate where there is none."""

    code = "RepoNotGated"
    message = _("This repository is not gated: whoever sees it may read its files.")


class Conflict(HubError):
    """Something of that name exists. `details["body"]` is merged into the JSON answer."""

    code = "Conflict"
    status = 409


class ParentMoved(HubError):
    code = "ParentMoved"
    status = 412
    message = _(
        "The branch has moved since the commit you built on. Pull its newest commit and try again."
    )


class PushRefused(HubError):
    """A push broke a rule; nothing of it was kept.

    Args:
        refs: the reason for each ref that was refused for itself.
    """

    code = "PushRefused"
    status = 422
    message = _("The push was refused. Nothing was changed.")

    def __init__(self, message: str | None = None, *, refs: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.refs = refs or {}


class TooLarge(HubError):
    code = "TooLarge"
    status = 413


class QuotaExceeded(HubError):
    """The owner of a repository would hold more than they may."""

    code = "QuotaExceeded"
    status = 413


class UnsupportedType(HubError):
    code = "UnsupportedType"
    status = 415


class RangeNotSatisfiable(HubError):
    code = "RangeNotSatisfiable"
    status = 416


class ContentDamaged(HubError):
    """Stored bytes failed a check; nobody is sent them."""

    code = "ContentDamaged"
    status = 410
    message = _(
        "The stored bytes of this file are damaged and were set aside. Upload the same file again"
        " to restore it, or tell the operator."
    )


class RateLimited(HubError):
    """Somebody did something too often.

    `details` where it counts in windows: `limit` (its name), `amount`, `window_s`,
    `retry_after_s`; they go out as `Retry-After`, `RateLimit` and `RateLimit-Policy`.
    `retry_after_s` alone goes out as `Retry-After`.
    """

    code = "RateLimited"
    status = 429
    message = _("That was too often in a short time. Wait a little, then try again.")


class NotServed(HubError):
    """Part of the Hub protocol that this site does not offer."""

    code = "NotImplemented"
    status = 501
    message = _("This site does not serve this part of the Hub protocol.")


class StorageUnavailable(HubError):
    code = "StorageUnavailable"
    status = 503
    message = _("Storage cannot be reached just now. Nothing was changed; please try again.")


class RepositoryBusy(HubError):
    code = "RepositoryBusy"
    status = 503
    message = _("Another change to this repository is being written. Please try again in a moment.")


class DatabaseBusy(HubError):
    code = "DatabaseBusy"
    status = 503
    message = _("The site is busy with other changes. Nothing was changed; please try again.")


class StorageFull(HubError):
    code = "StorageFull"
    status = 507
    message = _(
        "The site has run out of disk space. Nothing was changed; please tell the operator."
    )


class RepoMoved(HubError):
    """The repository has a new name. Rendered as a redirect that keeps method and body.

    `details`: `old_id`, `new_id` ("namespace/name").
    """

    code = "RepoMoved"
    status = 307
