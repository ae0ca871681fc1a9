"""C30, C32 to C36: branches, tags, squashing."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, JsonResponse

from hub.access import get_repo_for_ref
from hub.actions.refs import create_branch, create_tag, delete_branch, delete_tag, squash_history
from hub.hfapi.base import HubView, text_of
from hub.hfapi.serializers import ref_row
from hub.site import git_of


class Refs(HubView):
    def get(self, request: HttpRequest, **ids: str) -> HttpResponse:
        git = git_of(self.repo_for_read())
        answer = {
            "branches": [ref_row(ref) for ref in git.branches()],
            "converts": [],
            "tags": [ref_row(ref) for ref in git.tags()],
        }
        if self.flag("include_prs"):
            answer["pullRequests"] = [ref_row(ref) for ref in git.pull_refs()]
        return JsonResponse(answer)


class Branch(HubView):
    def post(self, request: HttpRequest, branch: str, **ids: str) -> HttpResponse:
        repo = self.repo_for_write()
        start = text_of(self.json_body(), "startingPoint", default="") or None
        user = self.actor.require_user()
        create_branch(repo=repo, branch=branch, starting_point=start, acting_user=user)
        return JsonResponse({}, status=201)

    def delete(self, request: HttpRequest, branch: str, **ids: str) -> HttpResponse:
        repo = self.repo_for_write()
        delete_branch(repo=repo, branch=branch, acting_user=self.actor.require_user())
        return JsonResponse({})


class Tag(HubView):
    def post(self, request: HttpRequest, revision: str, **ids: str) -> HttpResponse:
        """Tags `revision` with the name in the body."""
        repo = self.repo_for_write()
        body = self.json_body()
        create_tag(
            repo=repo,
            tag=text_of(body, "tag"),
            revision=revision,
            message=text_of(body, "message", default="") or None,
            acting_user=self.actor.require_user(),
        )
        return JsonResponse({}, status=201)

    def delete(self, request: HttpRequest, revision: str, **ids: str) -> HttpResponse:
        """Removes the tag called `revision`."""
        repo = self.repo_for_write()
        delete_tag(repo=repo, tag=revision, acting_user=self.actor.require_user())
        return JsonResponse({})


class SuperSquash(HubView):
    def post(self, request: HttpRequest, revision: str, **ids: str) -> HttpResponse:
        repo = get_repo_for_ref(self.actor, **self._repo_id(), revision=revision)
        default = f"Super-squash branch '{revision}'"
        squash_history(
            repo=repo,
            revision=revision,
            message=text_of(self.json_body(), "message", default=default) or default,
            acting_user=self.actor.require_user(),
        )
        return JsonResponse({})
