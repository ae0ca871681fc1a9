"""Reads used by more than one surface: lists of repositories and the search over them."""

from __future__ import annotations

import base64
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from django.contrib.auth.models import AnonymousUser
from django.db.models import Model, Q

from hub.errors import InvalidInput
from hub.models import Namespace, Repo, User
from hub.search.asking import Ask, Hit
from hub.search.finding import find
from hub.search.terms import GATED, Condition, question

SORT_FIELDS = {
    "lastModified": "last_modified",
    "createdAt": "created_at",
    "downloads": "downloads",
    "trendingScore": "trending_score",
    "likes": "likes",
}
"""Sort keys of the Hub protocol, each with the field of `Repo` that is sorted by."""
RELEVANCE = "relevance"
"""Sort key of ours: names before other texts, and what is downloaded most first among each."""
DEFAULT_SORT = "lastModified"

Row = TypeVar("Row", bound=Model)


@dataclass(frozen=True)
class RepoFilter:
    """What a list of repositories is narrowed to; all given conditions must hold.

    `search` words are looked for in names, tags, descriptions and cards; `tags` are exact but for
    case (`license:mit`, `fr`). Sizes are numbers of parameters.
    """

    search: Sequence[str] = ()
    author: str = ""
    tags: Sequence[str] = ()
    pipeline_tag: str = ""
    library: str = ""
    min_parameters: int | None = None
    max_parameters: int | None = None
    is_gated: bool | None = None
    is_empty: bool = False
    """Let nothing through."""

    @property
    def has_words(self) -> bool:
        return any(text.strip() for text in self.search)

    def values(self) -> list[str]:
        """Values that the search knows as facets (`hub.search.indexing`)."""
        fields = (("pipeline_tag", self.pipeline_tag), ("library", self.library))
        named = [f"{name}:{value}" for name, value in fields if value]
        return [*self.tags, *named, *([GATED] if self.is_gated else [])]

    def rows(self) -> Q:
        """The conditions that are asked of `Repo` itself."""
        rows = Q()
        if self.min_parameters is not None:
            rows &= Q(parameter_count__gte=self.min_parameters)
        if self.max_parameters is not None:
            rows &= Q(parameter_count__lte=self.max_parameters)
        if self.is_gated is not None:
            rows &= ~Q(gated="") if self.is_gated else Q(gated="")
        return rows


NOTHING = RepoFilter(is_empty=True)


@dataclass(frozen=True)
class Page(Generic[Row]):
    """Rows in order, and the cursor of what follows; None at the end. `sort` is the order."""

    rows: list[Row]
    next_cursor: str | None
    sort: str = ""


@dataclass(frozen=True)
class RepoList:
    """Repositories of a type that `user` may see and `conditions` let through, unordered.

    `granted` narrows the private ones to these ids.
    """

    user: User | AnonymousUser | None
    repo_type: str
    conditions: RepoFilter
    granted: Collection[int] | None = None

    def hidden(self) -> Q | None:
        """The private repositories that the reader may see; None where there are none."""
        user = self.user
        if user is None or not isinstance(user, User):
            return None
        hidden = Q(is_private=True)
        if not user.is_superuser:
            # As plain numbers, from which a database knows how few rows they stand for.
            own = Q(user=user) | Q(organization__memberships__user=user)
            hidden &= Q(
                namespace__in=list(Namespace.objects.filter(own).values_list("pk", flat=True))
            )
        if self.granted is not None:
            hidden &= Q(pk__in=self.granted)
        return hidden


def list_repos(
    user: User | AnonymousUser | None,
    repo_type: str,
    conditions: RepoFilter,
    *,
    granted: Collection[int] | None = None,
) -> RepoList:
    """Repositories of a type that `user` may see and `conditions` let through, unordered.

    Args:
        granted: the ids of private repositories that a fine-grained token reaches.
    """
    return RepoList(user, repo_type, conditions, granted)


def paginate(repos: RepoList, *, sort: str = "", cursor: str | None, limit: int) -> Page[Repo]:
    """One page by key, newest or most first: its cost does not grow with its number.

    Args:
        sort: a key of `SORT_FIELDS`, or `RELEVANCE`; left out, the latter if words are searched.

    Raises:
        InvalidInput: unknown sort key, or a cursor that is not ours or not of this order.
    """
    has_words = repos.conditions.has_words
    sort = sort or (RELEVANCE if has_words else DEFAULT_SORT)
    is_ranked = sort == RELEVANCE
    field = "downloads" if is_ranked else SORT_FIELDS.get(sort)
    if field is None:
        raise InvalidInput(f"Unknown sort “{sort}”. Use one of {', '.join(SORT_FIELDS)}.")
    ask = Ask(
        repo_type=repos.repo_type,
        conditions=_question(repos, is_ranked=is_ranked),
        public=Q(is_private=False),
        hidden=repos.hidden(),
        rows=repos.conditions.rows(),
        order=field,
        after=_decode(cursor, sort) if cursor else None,
        limit=limit + 1,
    )
    hits = find(ask)
    more = len(hits) > limit
    hits = hits[:limit]
    return Page(_rows(hits), _encode(sort, hits[-1]) if more else None, sort)


def _question(repos: RepoList, *, is_ranked: bool) -> list[Condition]:
    conditions = repos.conditions
    if conditions.is_empty:
        return []
    return question(
        repos.repo_type,
        texts=conditions.search,
        values=conditions.values(),
        author=conditions.author,
        is_ranked=is_ranked,
    )


def _rows(hits: list[Hit]) -> list[Repo]:
    """The repositories of the hits, less those that vanished in between."""
    if not hits:
        return []
    repos = Repo.objects.select_related("namespace").in_bulk([hit.repo_id for hit in hits])
    return [repos[hit.repo_id] for hit in hits if hit.repo_id in repos]


def search_namespaces(text: str, *, limit: int) -> list[Namespace]:
    """Users and organisations whose name starts with or contains `text`."""
    found = Namespace.objects.filter(
        Q(name__icontains=text)
        | Q(user__full_name__icontains=text)
        | Q(organization__full_name__icontains=text)
    ).exclude(user__is_active=False)
    return list(found.select_related("user", "organization").order_by("name")[:limit])


def _encode(sort: str, hit: Hit) -> str:
    key = hit.key.isoformat() if isinstance(hit.key, datetime) else hit.key
    text = json.dumps([sort, hit.tier, key, hit.repo_id])
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _decode(cursor: str, sort: str) -> Hit:
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        of_sort, tier, key, repo_id = json.loads(raw)
        if of_sort != sort:
            raise ValueError("a page of another order")
        is_date = SORT_FIELDS.get(sort) in {"last_modified", "created_at"}
        return Hit(_number(tier), _date(key) if is_date else _number(key), _number(repo_id))
    except (ValueError, TypeError, RecursionError):
        raise InvalidInput("This page address is not valid: start again from the first.") from None


def _number(value: object) -> int:
    if type(value) is not int or not 0 <= value < 2**63:
        raise ValueError("no number of ours")
    return value


def _date(value: str) -> datetime:
    when = datetime.fromisoformat(value)
    if when.tzinfo is None:
        raise ValueError("no time zone")
    return when
