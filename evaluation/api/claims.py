"""`/api/v1/claims`: logs of other programs, imported as claims."""

from __future__ import annotations

import uuid
from typing import Any

from django.http import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.parsers import JSONParser, MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from evaluation import access, downloads
from evaluation.actions.imports import import_log, remove_log
from evaluation.imports.reading import MAX_LOG_BYTES
from evaluation.models import ImportedLog
from hub.access import get_repo_for_read, get_repo_for_write
from hub.auth import actor_of
from hub.errors import InvalidInput

LIST_LIMIT = 200
_MODEL = OpenApiParameter("model", str, required=True, description="“namespace/name”.")


class ImportIn(serializers.Serializer[Any]):
    """A log and what it is about, as `multipart/form-data`."""

    model = serializers.CharField(max_length=200, help_text="“namespace/name” of the model.")
    revision = serializers.CharField(max_length=255, required=False, default="main")
    benchmark = serializers.CharField(max_length=300, help_text="“namespace/name/task”.")
    task = serializers.CharField(
        max_length=200, required=False, default="", help_text="Where the log has several."
    )
    metrics = serializers.JSONField(
        required=False,
        default=None,
        help_text="From names in the log to the benchmark's metrics, as a JSON object.",
    )
    file = serializers.FileField(help_text="Results JSON of lm-eval, or a log of inspect-ai.")

    def validate_metrics(self, value: Any) -> dict[str, str] | None:
        if value is None:
            return None
        items = value.items() if isinstance(value, dict) else []
        good = {k: v for k, v in items if isinstance(v, str)}
        if not isinstance(value, dict) or len(good) != len(value) or len(value) > 100:
            raise serializers.ValidationError("Write an object from name to name.")
        return good

    def validate_file(self, value: Any) -> Any:
        if value.size > MAX_LOG_BYTES:
            limit = MAX_LOG_BYTES >> 20
            raise serializers.ValidationError(f"A log may have {limit} MiB; leave its samples out.")
        return value


class ClaimedScoreOut(serializers.Serializer[Any]):
    metric = serializers.CharField()
    logged_as = serializers.CharField()
    value = serializers.FloatField()
    se = serializers.FloatField(allow_null=True)
    n = serializers.IntegerField(allow_null=True)


class ImportedLogOut(serializers.Serializer[ImportedLog]):
    """What a log claims; nothing of it was measured here."""

    id = serializers.UUIDField()
    kind = serializers.CharField(default="claimed")
    model = serializers.CharField(source="model_repo.full_name")
    commit = serializers.CharField(source="model_commit")
    benchmark = serializers.CharField(source="benchmark.full_id")
    importer = serializers.CharField(source="importer.username", default=None, allow_null=True)
    program = serializers.CharField()
    program_version = serializers.CharField(allow_blank=True)
    logged_model = serializers.CharField(allow_blank=True)
    logged_task = serializers.CharField(allow_blank=True)
    scores = ClaimedScoreOut(many=True)
    filename = serializers.CharField()
    sha256 = serializers.CharField()
    size_bytes = serializers.IntegerField()
    created_at = serializers.DateTimeField()


class ImportedLogsOut(serializers.Serializer[Any]):
    items = ImportedLogOut(many=True)


class ClaimList(APIView):
    parser_classes = [MultiPartParser, JSONParser]

    @extend_schema(
        operation_id="list_imported_logs", parameters=[_MODEL], responses=ImportedLogsOut
    )
    def get(self, request: Request) -> Response:
        """Logs imported for a model, newest first."""
        actor = actor_of(request)
        model = get_repo_for_read(actor, "model", *_split(request.query_params.get("model", "")))
        logs = ImportedLog.objects.visible_to(actor).filter(model_repo=model)
        found = logs.select_related(
            "model_repo__namespace", "benchmark__dataset__namespace", "importer"
        ).order_by("-created_at")[:LIST_LIMIT]
        return Response(ImportedLogsOut({"items": found}).data)

    @extend_schema(
        operation_id="import_log",
        request={"multipart/form-data": ImportIn},
        responses={201: ImportedLogOut},
    )
    def post(self, request: Request) -> Response:
        """Claims what a log says for a model commit on a benchmark; the file is kept beside it."""
        actor = actor_of(request)
        actor.require_user()
        form = ImportIn(data=request.data)
        form.is_valid(raise_exception=True)
        data = form.validated_data
        model = get_repo_for_write(actor, "model", *_split(data["model"]))
        benchmark = access.find_benchmark(actor, data["benchmark"])
        log = import_log(
            model=model,
            revision=data["revision"],
            benchmark=benchmark,
            raw=data["file"].read(),
            filename=data["file"].name,
            task=data["task"],
            metrics=data["metrics"],
            acting_user=actor.require_user(),
        )
        return Response(ImportedLogOut(log).data, status=201)


class ClaimDetail(APIView):
    @extend_schema(operation_id="get_imported_log", responses=ImportedLogOut)
    def get(self, request: Request, log_id: uuid.UUID) -> Response:
        """One imported log."""
        return Response(ImportedLogOut(access.get_log_for_read(actor_of(request), log_id)).data)

    @extend_schema(operation_id="remove_imported_log", responses={204: None})
    def delete(self, request: Request, log_id: uuid.UUID) -> Response:
        """Takes the log and its claims away."""
        actor = actor_of(request)
        log = access.get_log_for_removal(actor, log_id)
        remove_log(log=log, acting_user=actor.require_user())
        return Response(status=204)


class ClaimSource(APIView):
    @extend_schema(
        operation_id="get_imported_file",
        responses={(200, "application/octet-stream"): OpenApiTypes.BINARY},
    )
    def get(self, request: Request, log_id: uuid.UUID) -> HttpResponseBase:
        """The file as it was sent."""
        return downloads.log_response(access.get_log_for_source(actor_of(request), log_id))


def _split(repo_id: str) -> tuple[str, str]:
    namespace, _, name = repo_id.strip("/").partition("/")
    if not namespace or not name or "/" in name:
        raise InvalidInput("A model is named “namespace/name”.")
    return namespace, name
