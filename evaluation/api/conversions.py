"""`/api/v1/conversions`: what a model can be converted to, and the start of it."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from evaluation import access
from evaluation.actions.conversions import start_conversion
from evaluation.api.serializers import RunOut
from evaluation.bases import find_base, top_files
from evaluation.convert_spec import DTYPES, ConvertWish
from evaluation.finetune_spec import Target
from hub.access import get_repo_for_contents
from hub.auth import actor_of
from hub.errors import InvalidInput
from hub.models import RepoType
from hub.site import git_of
from ml_core.convert.catalogue import CONVERSIONS, convertible_files, get_conversion, why_not

_MODEL = OpenApiParameter("model", str, required=True, description="“namespace/name”.")
_REVISION = OpenApiParameter("revision", str, description="“main” else.")


class ConversionTargetIn(serializers.Serializer[Any]):
    """Where the outcome goes."""

    kind = serializers.ChoiceField(
        choices=["commit", "pull_request", "repo"],
        default="pull_request",
        help_text="A commit to the model or a pull request on it; or a new repository.",
    )
    repo = serializers.CharField(
        max_length=200,
        required=False,
        default="",
        allow_blank=True,
        help_text="“namespace/name” of a new model; the others go to the model itself.",
    )
    is_private = serializers.BooleanField(required=False, default=True)


class StartConversionIn(serializers.Serializer[Any]):
    """A request to convert a model."""

    model = serializers.CharField(max_length=200)
    revision = serializers.CharField(max_length=255, required=False, default="main")
    conversion = serializers.ChoiceField(choices=list(CONVERSIONS))
    file = serializers.CharField(
        max_length=200, required=False, default=None, allow_null=True,
        help_text="Which file at the top level, where several could be meant.",
    )  # fmt: skip
    dtype = serializers.ChoiceField(
        choices=list(DTYPES), required=False, default=None, allow_null=True,
        help_text="Of weights that are dequantised or merged. Null keeps theirs; GGUF: bfloat16.",
    )  # fmt: skip
    base = serializers.CharField(
        max_length=200, required=False, default="", allow_blank=True,
        help_text="Of an adapter: “namespace/name” of its base. Left out, its config names it.",
    )  # fmt: skip
    benchmark = serializers.CharField(
        max_length=300, required=False, default="", allow_blank=True,
        help_text="Scores an int8 model before and after. Left out, the cost is not measured.",
    )  # fmt: skip
    output = ConversionTargetIn(required=False, default=dict)


class ConversionOut(serializers.Serializer[Any]):
    conversion = serializers.CharField()
    is_available = serializers.BooleanField()
    why_not = serializers.CharField(allow_null=True)
    may_stay = serializers.BooleanField(help_text="Whether the outcome may go to the same model.")


class ConversionsOut(serializers.Serializer[Any]):
    model = serializers.CharField()
    commit = serializers.CharField()
    files = serializers.ListField(
        child=serializers.CharField(), help_text="That “safetensors” can take."
    )
    items = ConversionOut(many=True)


class ConversionList(APIView):
    @extend_schema(
        operation_id="list_conversions", parameters=[_MODEL, _REVISION], responses=ConversionsOut
    )
    def get(self, request: Request) -> Response:
        """What a model can be converted to; for signed-in readers."""
        actor = actor_of(request)
        actor.require_user()
        asked = request.query_params.get("model", "")
        model = get_repo_for_contents(actor, RepoType.MODEL, *_split(asked))
        git = git_of(model)
        commit = git.resolve(request.query_params.get("revision") or "main")
        names = top_files(git, commit)
        problems = {each.name: why_not(each, names) for each in CONVERSIONS.values()}
        items = [
            {
                "conversion": name,
                "is_available": problem is None,
                "why_not": problem.message if problem else None,
                "may_stay": get_conversion(name).may_stay,
            }
            for name, problem in problems.items()
        ]
        files = convertible_files(names)
        body = {"model": model.full_name, "commit": commit, "files": files, "items": items}
        return Response(ConversionsOut(body).data)

    @extend_schema(
        operation_id="start_conversion", request=StartConversionIn, responses={201: RunOut}
    )
    def post(self, request: Request) -> Response:
        """Starts a conversion; its outcome is published in the caller's name."""
        actor = actor_of(request)
        actor.require_user()
        form = StartConversionIn(data=request.data)
        form.is_valid(raise_exception=True)
        found: dict[str, Any] = form.validated_data
        model = get_repo_for_contents(actor, RepoType.MODEL, *_split(found["model"]))
        access.require_may_start(actor, model)
        output = {"kind": "pull_request", "repo": "", "is_private": True, **found["output"]}
        if not output["repo"] and output["kind"] != "repo":
            output["repo"] = model.full_name
        wish = ConvertWish(
            conversion=found["conversion"],
            target=Target(**output),
            file=found["file"],
            dtype=found["dtype"],
            benchmark=access.find_benchmark_to_run(actor, found["benchmark"]),
        )
        access.require_may_publish(actor, wish.target, base=model)
        commit = git_of(model).resolve(found["revision"])
        is_merge = get_conversion(wish.conversion).needs_base
        run = start_conversion(
            model=model,
            commit=commit,
            base=find_base(actor, model, commit, found["base"]) if is_merge else None,
            wish=wish,
            acting_user=actor.require_user(),
        )
        run = access.get_run_for_read(actor, run.pk)
        body = RunOut(run, context={"actor": actor, "with_queue": True}).data
        return Response(body, status=201, headers={"Location": f"/api/v1/runs/{run.pk}"})


def _split(repo_id: str) -> tuple[str, str]:
    namespace, _, name = repo_id.strip("/").partition("/")
    if not namespace or not name or "/" in name:
        raise InvalidInput("A model is named “namespace/name”.")
    return namespace, name
