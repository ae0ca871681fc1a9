"""`/api/v1/finetunes` and what fine-tunings have besides other runs."""

from __future__ import annotations

import uuid
from dataclasses import asdict, dataclass
from typing import Any

from django.conf import settings
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from evaluation import access
from evaluation.actions.finetunes import require_free_target, resume_run, start_finetune
from evaluation.actions.publishing import ask_to_publish
from evaluation.api import finetune_serializers as forms
from evaluation.api.serializers import RunOut
from evaluation.curves import curves_of
from evaluation.errors import NothingToPublish
from evaluation.finetune_spec import Target, Wish
from evaluation.models import Output, Run
from evaluation.pricing import Price, quote
from evaluation.training_data import training_data
from hub.access import get_repo_for_contents
from hub.auth import Actor, actor_of
from hub.errors import InvalidInput
from hub.models import Repo
from hub.site import git_of


@dataclass(frozen=True)
class _Asked:
    """A request that the caller has the right to make."""

    actor: Actor
    base: Repo
    dataset: Repo
    data_commit: str
    wish: Wish
    price: Price
    revision: str


class FinetuneList(APIView):
    @extend_schema(
        operation_id="start_finetune",
        request=forms.StartFinetuneIn,
        responses={201: RunOut},
    )
    def post(self, request: Request) -> Response:
        """Starts a fine-tuning; its result is published in the caller's name."""
        asked = _asked(request)
        access.require_may_publish(asked.actor, asked.wish.target, base=asked.base)
        run = start_finetune(
            base=asked.base,
            dataset=asked.dataset,
            data_commit=asked.data_commit,
            wish=asked.wish,
            price=asked.price,
            acting_user=asked.actor.require_user(),
            revision=asked.revision,
        )
        return _run_response(asked.actor, run.pk, status=201)


class FinetunePrice(APIView):
    @extend_schema(
        operation_id="price_finetune", request=forms.StartFinetuneIn, responses=forms.PriceOut
    )
    def post(self, request: Request) -> Response:
        """What a fine-tuning would take, without starting it."""
        price = _asked(request).price
        limit = settings.FINETUNE_WALL_LIMIT_S // 60
        body = {**asdict(price), "minutes": price.minutes, "limit_minutes": limit}
        return Response(forms.PriceOut(body).data)


class RunCurves(APIView):
    @extend_schema(operation_id="get_curves", responses=forms.CurvesOut)
    def get(self, request: Request, run_id: uuid.UUID) -> Response:
        """Loss and metrics over the steps of a training, also while it runs."""
        run = access.get_run_for_read(actor_of(request), run_id)
        return Response({"is_active": run.is_active, "series": curves_of(run)})


class RunResume(APIView):
    @extend_schema(operation_id="resume_run", request=None, responses=RunOut)
    def post(self, request: Request, run_id: uuid.UUID) -> Response:
        """Goes on with a stopped or failed fine-tuning from its stored checkpoint."""
        actor = actor_of(request)
        run = access.get_run_for_cancel(actor, run_id)
        resume_run(run=run, acting_user=actor.require_user())
        return _run_response(actor, run_id)


class RunPublish(APIView):
    @extend_schema(operation_id="get_publishing", responses=forms.PublishingOut)
    def get(self, request: Request, run_id: uuid.UUID) -> Response:
        """How far the result is on its way into a repository; for who started the run."""
        run = access.get_run_for_cancel(actor_of(request), run_id)
        return Response(forms.PublishingOut(_publishing(run)).data)

    @extend_schema(
        operation_id="publish_run", request=forms.PublishIn, responses=forms.PublishingOut
    )
    def post(self, request: Request, run_id: uuid.UUID) -> Response:
        """Publishes a finished result again that was refused, under another name if given."""
        actor = actor_of(request)
        run = access.get_run_for_cancel(actor, run_id)
        form = forms.PublishIn(data=request.data)
        form.is_valid(raise_exception=True)
        given = form.validated_data["output"]
        target = Target(**given) if given else None
        if target is not None:
            access.require_may_publish(actor, target, base=run.model)
            require_free_target(target, but=run)
        ask_to_publish(
            run=run,
            target=target.to_json() if target else None,
            acting_user=actor.require_user(),
        )
        run = access.get_run_for_read(actor, run_id)
        return Response(forms.PublishingOut(_publishing(run)).data)


def _asked(request: Request) -> _Asked:
    actor = actor_of(request)
    actor.require_user()
    form = forms.StartFinetuneIn(data=request.data)
    form.is_valid(raise_exception=True)
    found: dict[str, Any] = form.validated_data
    base = get_repo_for_contents(actor, "model", *_split(found["model"]))
    access.require_may_start(actor, base)
    dataset = get_repo_for_contents(actor, "dataset", *_split(found["dataset"]))
    commit = git_of(dataset).resolve(found["data_revision"])
    data = training_data(dataset, commit, found["config"])
    wish = form.wish(data)
    price = quote(base=base, data=data, wish=wish)
    return _Asked(actor, base, dataset, commit, wish, price, found["revision"])


def _run_response(actor: Actor, run_id: uuid.UUID, *, status: int = 200) -> Response:
    run = access.get_run_for_read(actor, run_id)
    body = RunOut(run, context={"actor": actor, "with_queue": True}).data
    return Response(body, status=status, headers={"Location": f"/api/v1/runs/{run.pk}"})


def _publishing(run: Run) -> dict[str, Any]:
    output = Output.objects.filter(run=run).first()
    if output is None:
        raise NothingToPublish
    return {
        "state": output.state,
        "problem": output.problem,
        "repo": run.spec["output"]["repo"],
        "commit": run.output_commit,
        "pull_number": output.pull_number,
    }


def _split(repo_id: str) -> tuple[str, str]:
    namespace, _, name = repo_id.strip("/").partition("/")
    if not namespace or not name or "/" in name:
        raise InvalidInput("A repository is named “namespace/name”.")
    return namespace, name
