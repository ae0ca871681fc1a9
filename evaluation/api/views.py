"""`/api/v1/`: benchmarks, runs and leaderboards as JSON."""

from __future__ import annotations

import uuid
from typing import Any

from django.http import HttpResponse, HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from evaluation import access, comparisons, downloads
from evaluation.actions import runs as run_actions
from evaluation.actions.records import (
    all_keys,
    instance_key,
    record_document,
    record_schema,
    verify_run,
)
from evaluation.api import record_forms
from evaluation.api import serializers as forms
from evaluation.bases import find_base
from evaluation.boards import board_csv
from evaluation.errors import NotFinished
from evaluation.lists import benchmark_list, run_page, version_of
from evaluation.models import Priority, RunState
from evaluation.queries import leaderboard
from evaluation.slow_comparisons import wait_for
from hub.access import get_repo_for_read
from hub.auth import actor_of
from hub.errors import InvalidInput
from hub.site import base_url, git_of

_SEARCH = OpenApiParameter("search", str, description="Words of name or data set.")
_TYPE = OpenApiParameter("type", str, description="Task, such as text-classification.")
_VERSION = OpenApiParameter("version", int, description="Benchmark version; the current one else.")
_AS_CSV = OpenApiParameter("as", str, enum=["json", "csv"])


class BenchmarkList(APIView):
    @extend_schema(
        operation_id="list_benchmarks",
        parameters=[_SEARCH, _TYPE],
        responses=forms.BenchmarkPageOut,
    )
    def get(self, request: Request) -> Response:
        """Benchmarks that the caller may see, by name."""
        found = benchmark_list(
            actor_of(request),
            search=request.query_params.get("search", ""),
            task_type=request.query_params.get("type", ""),
        )
        return Response({"items": forms.BenchmarkOut(found[:500], many=True).data})


class BenchmarkDetail(APIView):
    @extend_schema(operation_id="get_benchmark", responses=forms.BenchmarkOut)
    def get(self, request: Request, namespace: str, name: str, task_id: str) -> Response:
        """One benchmark with its current spec."""
        benchmark = access.get_benchmark_for_read(actor_of(request), namespace, name, task_id)
        return Response(forms.BenchmarkOut(benchmark).data)


class Leaderboard(APIView):
    @extend_schema(
        operation_id="get_leaderboard",
        parameters=[_VERSION, _AS_CSV],
        responses={
            (200, "application/json"): forms.LeaderboardOut,
            (200, "text/csv"): OpenApiTypes.STR,
        },
    )
    def get(
        self, request: Request, namespace: str, name: str, task_id: str
    ) -> Response | HttpResponse:
        """The models of a benchmark in order, with intervals and ranges of ranks."""
        actor = actor_of(request)
        benchmark = access.get_benchmark_for_read(actor, namespace, name, task_id)
        version = version_of(benchmark, request.query_params.get("version"))
        rows = leaderboard(actor, version)
        if request.query_params.get("as") == "csv":
            return HttpResponse(board_csv(version, rows), content_type="text/csv; charset=utf-8")
        body = {
            "benchmark": benchmark.full_id,
            "version": version.number,
            "commit": version.commit_sha,
            "metrics": version.metrics,
            "chance": version.chance,
            "baselines": version.spec["baselines"],
            "rows": rows,
        }
        return Response(forms.LeaderboardOut(body).data)


class RunList(APIView):
    @extend_schema(
        operation_id="list_runs", parameters=[forms.ListRunsIn], responses=forms.RunPageOut
    )
    def get(self, request: Request) -> Response:
        """Runs that the caller may see, newest first."""
        form = forms.ListRunsIn(data=request.query_params)
        form.is_valid(raise_exception=True)
        actor = actor_of(request)
        page = run_page(actor, **form.validated_data)
        body = {"items": page.runs, "next_cursor": page.next_cursor}
        return Response(forms.RunPageOut(body, context={"actor": actor}).data)

    @extend_schema(
        operation_id="start_run",
        request=forms.StartRunIn,
        responses={
            201: forms.RunOut,
            200: OpenApiResponse(
                forms.RunOut, description="The same commit was already under way here."
            ),
        },
    )
    def post(self, request: Request) -> Response:
        """Starts the evaluation of a model; asking twice starts it once."""
        form = forms.StartRunIn(data=request.data)
        form.is_valid(raise_exception=True)
        data = form.validated_data
        actor = actor_of(request)
        actor.require_user()
        model = get_repo_for_read(actor, "model", *_split(data["model"]))
        access.require_may_start(actor, model)
        benchmark = access.find_benchmark(actor, data["benchmark"])
        access.require_may_run_on(actor, benchmark)
        assert benchmark.current is not None
        commit = git_of(model).resolve(data["revision"] or "main")
        started = run_actions.start_run(
            model_repo=model,
            version=benchmark.current,
            acting_user=actor.require_user(),
            revision=commit,
            label_map=data["label_map"],
            priority=Priority[data["priority"].upper()],
            is_dry_run=data["dry_run"],
            base=find_base(actor, model, commit, data["base"]),
        )
        run = access.get_run_for_read(actor, started.run.pk)
        body = forms.RunOut(run, context={"actor": actor, "with_queue": True}).data
        headers = {"Location": f"/api/v1/runs/{run.pk}"}
        return Response(body, status=201 if started.is_new else 200, headers=headers)


class Compare(APIView):
    @extend_schema(
        operation_id="compare_runs", parameters=[forms.CompareIn], responses=forms.ComparisonsOut
    )
    def get(self, request: Request) -> Response:
        """Finished runs of one benchmark version against each other, item by item.

        The first run is the base of the pairs that name it. With more than one pair the intervals
        hold for all together and `p_adjusted` is Holm's. Where a metric takes long to compare, the
        first answers are 503 with `Retry-After`, until a worker has made the numbers.
        """
        form = forms.CompareIn(data=request.query_params)
        form.is_valid(raise_exception=True)
        actor = actor_of(request)
        wanted = dict.fromkeys(form.validated_data["run"])
        runs = [access.get_run_for_read(actor, run_id) for run_id in wanted]
        data = form.validated_data
        asked = comparisons.ask(runs, metric=data["metric"], margin=data["margin"])
        if wait_for(asked) is not None:
            raise comparisons.ComparisonUnderWay(retry_after_s=comparisons.POLL_S)
        body = {
            "benchmark": asked.version.benchmark.full_id,
            "version": asked.version.number,
            "metric": asked.metric,
            "direction": asked.direction,
            "margin": asked.margin,
            "runs": [forms.compared_run(run) for run in asked.runs],
            "pairs": [comparisons.pair_facts(p) for p in comparisons.compare_all(asked)],
        }
        return Response(forms.ComparisonsOut(body).data)


class RunDetail(APIView):
    @extend_schema(operation_id="get_run", responses=forms.RunOut)
    def get(self, request: Request, run_id: uuid.UUID) -> Response:
        """One run: state, and what goes with it."""
        actor = actor_of(request)
        run = access.get_run_for_read(actor, run_id)
        return Response(forms.RunOut(run, context={"actor": actor, "with_queue": True}).data)


class RunCancel(APIView):
    @extend_schema(operation_id="cancel_run", request=None, responses=forms.RunOut)
    def post(self, request: Request, run_id: uuid.UUID) -> Response:
        """Stops a run: at once while it waits, within two seconds while it runs."""
        actor = actor_of(request)
        run = access.get_run_for_cancel(actor, run_id)
        run_actions.cancel_run(run=run, acting_user=actor.require_user())
        run = access.get_run_for_read(actor, run_id)
        return Response(forms.RunOut(run, context={"actor": actor}).data)


class RunRecord(APIView):
    @extend_schema(operation_id="get_record", responses=record_forms.RecordOut)
    def get(self, request: Request, run_id: uuid.UUID) -> Response:
        """The record of a finished run, with digest and signature."""
        run = access.get_run_for_read(actor_of(request), run_id)
        _require_finished(run.state)
        return Response(record_document(run=run))


class RunPredictions(APIView):
    @extend_schema(
        operation_id="get_predictions",
        responses={(200, "application/vnd.apache.parquet"): OpenApiTypes.BINARY},
    )
    def get(self, request: Request, run_id: uuid.UUID) -> HttpResponseBase:
        """Every answer beside what is right, as parquet."""
        return downloads.predictions_response(
            access.get_run_for_predictions(actor_of(request), run_id)
        )


class RunVerify(APIView):
    @extend_schema(operation_id="verify_run", responses=record_forms.VerificationOut)
    def get(self, request: Request, run_id: uuid.UUID) -> Response:
        """Whether record and samples are as this instance signed them."""
        run = access.get_run_for_read(actor_of(request), run_id)
        _require_finished(run.state)
        return Response(record_forms.VerificationOut(verify_run(run=run)).data)


class InstanceKey(APIView):
    @extend_schema(operation_id="get_instance_key", responses=record_forms.InstanceKeyOut)
    def get(self, request: Request) -> Response:
        """The public key with which records of this instance can be checked."""
        return Response(instance_key())


class InstanceKeys(APIView):
    @extend_schema(operation_id="get_instance_keys", responses=record_forms.InstanceKeysOut)
    def get(self, request: Request) -> Response:
        """Every key that has signed a record here, today's first; also retired ones hold."""
        return Response({"site": base_url(request), "keys": all_keys()})


class RecordSchema(APIView):
    @extend_schema(operation_id="get_record_schema", responses=OpenApiTypes.OBJECT)
    def get(self, request: Request) -> Response:
        """The JSON Schema of evaluation records."""
        address = f"{base_url(request)}{request.path}"
        return Response({"$id": address, **record_schema()}, content_type="application/schema+json")


def _split(repo_id: str) -> tuple[str, str]:
    namespace, _, name = repo_id.strip("/").partition("/")
    if not namespace or not name or "/" in name:
        raise InvalidInput("A model is named “namespace/name”.")
    return namespace, name


def _require_finished(state: Any) -> None:
    if state != RunState.FINISHED:
        raise NotFinished
