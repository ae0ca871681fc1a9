"""How much the repositories of a user or organisation may hold together, and how much they do.

Counted are logical bytes (hub/usage.py): the size of each large content that a repository was
sent, once for each repository and at any revision, and the size of its git repository. Whoever
owns the repository is charged, not who uploads. Content that is shared, compressed or uploaded
twice to one repository is charged as if it were not, so that nobody's quota depends on others.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings
from django.template.defaultfilters import filesizeformat

from hub.errors import QuotaExceeded
from hub.models import Namespace, Repo
from hub.usage import logical_bytes

UNLIMITED = -1


@dataclass(frozen=True, slots=True)
class Quota:
    """What is held, and what may be; `limit_bytes` None is no limit."""

    owner: str
    used_bytes: int
    limit_bytes: int | None

    @property
    def left_bytes(self) -> int | None:
        """What may still be added; 0 where it is used up or over."""
        return None if self.limit_bytes is None else max(0, self.limit_bytes - self.used_bytes)

    @property
    def percent(self) -> int:
        """How full it is, 0 to 100."""
        if not self.limit_bytes:
            return 100 if self.limit_bytes == 0 else 0
        return min(100, self.used_bytes * 100 // self.limit_bytes)

    def has_room_for(self, more_bytes: int) -> bool:
        return more_bytes <= 0 or self.left_bytes is None or more_bytes <= self.left_bytes

    def require(self, more_bytes: int) -> None:
        """Raises `QuotaExceeded` where that much more is too much; nothing more never is."""
        if not self.has_room_for(more_bytes):
            raise self.refusal(more_bytes)

    def refusal(self, more_bytes: int) -> QuotaExceeded:
        limit = self.limit_bytes or 0
        return QuotaExceeded(
            f"The repositories of {self.owner} may hold {_words(limit)} together and hold "
            f"{_words(self.used_bytes)}; {_words(more_bytes)} more do not fit. Delete what is not "
            "needed, or ask the operator for a larger quota.",
            used_bytes=self.used_bytes,
            limit_bytes=limit,
        )


def quota_of(namespace: Namespace) -> Quota:
    """The quota of a user or organisation, with what is held now."""
    return Quota(namespace.name, logical_bytes(namespace), limit_of(namespace))


def limit_of(namespace: Namespace) -> int | None:
    """What may be held: the row's own limit, else the default of the site; None: no limit."""
    limit = namespace.quota_bytes
    if limit is None:
        return settings.QUOTA_BYTES or None
    return None if limit == UNLIMITED else limit


def require_room(namespace: Namespace, more_bytes: int) -> None:
    """Raises `QuotaExceeded` where that much more does not fit; costs nothing without a limit."""
    if more_bytes > 0 and limit_of(namespace) is not None:
        quota_of(namespace).require(more_bytes)


def require_room_locked(repo: Repo, more_bytes: int) -> None:
    """As `require_room`, for bytes that are linked in this transaction, before they are.

    The row of the owner is locked until the transaction ends, so that of two uploads at once the
    second sees what the first has added.
    """
    if more_bytes <= 0 or limit_of(repo.namespace) is None:
        return
    namespace = Namespace.objects.select_for_update().get(pk=repo.namespace_id)
    quota_of(namespace).require(more_bytes)


def _words(size_bytes: int) -> str:
    return filesizeformat(size_bytes).replace("\xa0", " ")
