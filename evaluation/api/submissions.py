"""`/api/v1/benchmarks/…/predictions`: handing in predictions, and what is left to hand in."""

from __future__ import annotations

from typing import Any

from django.urls import reverse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from evaluation import access
from evaluation.actions.submissions import Handed, submit_predictions
from evaluation.api import serializers as forms
from evaluation.limits import allowance, rules_of
from evaluation.models import BenchmarkVersion
from hub.access import get_repo_for_read
from hub.auth import Actor, actor_of
from hub.errors import InvalidInput
from hub.models import Namespace, Repo, User
from hub.site import base_url
from hub.xet.bodies import RequestBody
from ml_core.evalfile import Submissions, eval_schema
from ml_core.evaluate.tasks import get_task
from ml_core.predictions.columns import columns_for

_NAMESPACE = OpenApiParameter("namespace", str, description="An organisation of yours; you else.")


class Predictions(APIView):
    @extend_schema(
        operation_id="get_submission_rules",
        parameters=[_NAMESPACE],
        responses=forms.SubmissionRulesOut,
    )
    def get(self, request: Request, namespace: str, name: str, task_id: str) -> Response:
        """What may be handed in on a benchmark, and what is left of it for the caller."""
        actor = actor_of(request)
        benchmark = access.get_benchmark_for_read(actor, namespace, name, task_id)
        assert benchmark.current is not None
        asked = request.query_params.get("namespace", "")
        who = actor.user.namespace if actor.user else None
        if actor.user and asked:
            who = access.require_may_submit(actor, benchmark, asked)
        body = rules_body(benchmark.current, who, actor.user)
        return Response(forms.SubmissionRulesOut(body).data)

    @extend_schema(
        operation_id="submit_predictions",
        parameters=[forms.SubmitIn],
        request={"application/octet-stream": OpenApiTypes.BINARY},
        responses={201: forms.RunOut},
    )
    def post(self, request: Request, namespace: str, name: str, task_id: str) -> Response:
        """Hands in a file of predictions, which is the body as it is: `curl -T FILE`."""
        actor = actor_of(request)
        benchmark = access.get_benchmark_for_read(actor, namespace, name, task_id)
        user = actor.require_user()
        form = forms.SubmitIn(data=request.query_params)
        form.is_valid(raise_exception=True)
        data: dict[str, Any] = form.validated_data
        if (request.content_type or "").startswith("multipart/"):
            raise InvalidInput("Send the file itself as the body, not a form: curl -T FILE.")
        whose = access.require_may_submit(actor, benchmark, data["namespace"])
        handed = Handed(
            system=data["system"],
            filename=data["filename"],
            namespace=whose,
            model_link=find_model(actor, data["model"]),
            is_dry_run=data["dry_run"],
        )
        assert benchmark.current is not None
        body = RequestBody(request._request)
        run = submit_predictions(
            version=benchmark.current,
            handed=handed,
            stream=body,
            size_bytes=body.announced_bytes or None,
            acting_user=user,
        )
        run = access.get_run_for_read(actor, run.pk)
        answer = forms.RunOut(run, context={"actor": actor, "with_queue": True}).data
        return Response(answer, status=201, headers={"Location": f"/api/v1/runs/{run.pk}"})


class EvalSchema(APIView):
    @extend_schema(operation_id="get_eval_schema", responses=OpenApiTypes.OBJECT)
    def get(self, request: Request) -> Response:
        """The JSON Schema of `eval.yaml`, for editors and checks before a commit."""
        address = base_url(request._request) + reverse("api_eval_schema")
        return Response(eval_schema(address), headers={"Cache-Control": "public, max-age=3600"})


def find_model(actor: Actor, repo_id: str) -> Repo | None:
    """The model that a submission names, if it names one. Raises RepoNotFound, InvalidInput."""
    if not repo_id.strip():
        return None
    namespace, _, name = repo_id.strip().strip("/").partition("/")
    if not namespace or not name or "/" in name:
        raise InvalidInput("A model is named “namespace/name”.")
    return get_repo_for_read(actor, "model", namespace, name)


def rules_body(
    version: BenchmarkVersion, whose: Namespace | None, user: User | None
) -> dict[str, Any]:
    """The rules of a benchmark, and how `user` stands who acts for `whose`."""
    task = get_task(version.spec["type"])
    rules = rules_of(version) or Submissions()
    found = allowance(version, whose, user)
    return {
        "takes_models": bool(task.runner),
        "takes_predictions": rules.predictions,
        "columns": columns_for(task.answer) if rules.predictions else [],
        "namespace": whose.name if whose else None,
        "is_open": found is None or found.is_open,
        "phase": found.phase.name if found and found.phase else None,
        "phases": rules.phases,
        "per_day": found.per_day if found else None,
        "total": found.total if found else None,
        "left_today": found.left_today if found and whose else None,
        "left_in_total": found.left_in_total if found and whose else None,
        "retry_at": found.retry_at if found and whose else None,
    }
