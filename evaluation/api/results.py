"""`/api/v1/runs/{id}/…`: what can be done with a finished run."""

from __future__ import annotations

import uuid

from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from evaluation import access, downloads
from evaluation.actions.exports import publish_results
from evaluation.actions.replays import start_replay
from evaluation.api import record_forms
from evaluation.api import serializers as forms
from evaluation.replays import replays_of, summaries
from hub.auth import actor_of


class RunReplays(APIView):
    @extend_schema(operation_id="list_replays", responses=record_forms.ReplaysOut)
    def get(self, request: Request, run_id: uuid.UUID) -> Response:
        """Later runs of exactly the same, and whether they agree."""
        run = access.get_run_for_read(actor_of(request), run_id)
        return Response({"items": summaries(replays_of(run))})

    @extend_schema(
        operation_id="replay_run",
        request=None,
        responses={
            201: forms.RunOut,
            200: OpenApiResponse(forms.RunOut, description="One was already under way."),
        },
    )
    def post(self, request: Request, run_id: uuid.UUID) -> Response:
        """Measures the same commits by the same spec again; it costs what a run costs."""
        actor = actor_of(request)
        run = access.get_run_for_read(actor, run_id)
        access.require_may_replay(actor, run)
        started = start_replay(run=run, acting_user=actor.require_user())
        again = access.get_run_for_read(actor, started.run.pk)
        body = forms.RunOut(again, context={"actor": actor, "with_queue": True}).data
        headers = {"Location": f"/api/v1/runs/{again.pk}"}
        return Response(body, status=201 if started.is_new else 200, headers=headers)


class RunExport(APIView):
    @extend_schema(
        operation_id="export_run",
        responses={
            (200, "application/json"): OpenApiTypes.OBJECT,
            (200, "application/yaml"): OpenApiTypes.STR,
        },
    )
    def get(self, request: Request, run_id: uuid.UUID, form: str) -> HttpResponse:
        """The result as eval-results, model-index, every-eval-ever or lm-eval."""
        run = access.get_run_for_read(actor_of(request), run_id)
        return downloads.export_response(run, form)


class RunPublishResults(APIView):
    @extend_schema(
        operation_id="publish_results",
        request=record_forms.PublishResultsIn,
        responses={201: record_forms.PublishedResultsOut},
    )
    def post(self, request: Request, run_id: uuid.UUID) -> Response:
        """Puts the result into the model repository: a commit, or a pull request."""
        actor = actor_of(request)
        run = access.get_run_for_read(actor, run_id)
        actor.require_user()
        form = record_forms.PublishResultsIn(data=request.data)
        form.is_valid(raise_exception=True)
        as_pull_request = form.validated_data["as"] == "pull_request"
        access.require_may_publish_results(actor, run, as_pull_request=as_pull_request)
        done = publish_results(
            run=run, as_pull_request=as_pull_request, acting_user=actor.require_user()
        )
        return Response(record_forms.PublishedResultsOut(done).data, status=201)
