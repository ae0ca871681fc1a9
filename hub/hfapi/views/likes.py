"""S2 to S4: likes."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.templatetags.static import static

from hub.actions.likes import like_repo, unlike_repo
from hub.errors import NotFound
from hub.hfapi.base import HubView
from hub.hfapi.pagination import limit_of, page_answer
from hub.hfapi.serializers import date_text
from hub.likes import liked_by, likers_of
from hub.models import Like, User
from hub.site import base_url

PAGE_ROWS = 100
MAX_PAGE_ROWS = 1000


class LikeRepo(HubView):
    def post(self, request: HttpRequest, **_: str) -> HttpResponse:
        repo = self.repo_for_contribution()
        return _answer(like_repo(repo=repo, acting_user=self.actor.require_user()))

    def delete(self, request: HttpRequest, **_: str) -> HttpResponse:
        repo = self.repo_for_contribution()
        return _answer(unlike_repo(repo=repo, acting_user=self.actor.require_user()))


class Likers(HubView):
    def get(self, request: HttpRequest, **_: str) -> HttpResponse:
        limit = limit_of(request, default=PAGE_ROWS, maximum=MAX_PAGE_ROWS)
        page = likers_of(self.repo_for_read(), cursor=request.GET.get("cursor"), limit=limit)
        rows = [_liker(request, like.user) for like in page.rows]
        return page_answer(request, rows, path=quote(request.path), next_cursor=page.next_cursor)


class LikedRepos(HubView):
    def get(self, request: HttpRequest, name: str) -> HttpResponse:
        user = User.objects.filter(username__iexact=name, is_active=True).first()
        if user is None:
            raise NotFound(f"There is no user called {name}.")
        limit = limit_of(request, default=PAGE_ROWS, maximum=MAX_PAGE_ROWS)
        page = liked_by(
            user,
            self.actor.user,
            granted=self.granted(),
            cursor=request.GET.get("cursor"),
            limit=limit,
        )
        rows = [_liked(like) for like in page.rows]
        return page_answer(request, rows, path=quote(request.path), next_cursor=page.next_cursor)


def _answer(likes: int) -> JsonResponse:
    return JsonResponse({"likes": likes})


def _liked(like: Like) -> dict[str, Any]:
    repo = {"name": like.repo.full_name, "type": like.repo.repo_type}
    return {"createdAt": date_text(like.created_at), "repo": repo}


def _liker(request: HttpRequest, user: User) -> dict[str, str]:
    return {
        "user": user.username,
        "fullname": user.get_full_name(),
        "avatarUrl": f"{base_url(request)}{static('img/mark.svg')}",
        "type": "user",
    }
