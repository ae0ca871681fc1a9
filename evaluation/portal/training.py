"""What the page of a fine-tuning shows besides that of any run, and its two buttons."""

from __future__ import annotations

import uuid
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from evaluation.access import get_run_for_cancel, may_cancel, require_may_publish
from evaluation.actions.finetunes import require_free_target, resume_run
from evaluation.actions.publishing import ask_to_publish
from evaluation.actions.records import key_of
from evaluation.curves import measured_rows
from evaluation.finetune_spec import Target
from evaluation.metrics import info_of
from evaluation.models import Output, Run, RunState
from hub.access import Level, level_of
from hub.auth import Actor, actor_of
from hub.errors import HubError


@require_POST
def resume(request: HttpRequest, run_id: uuid.UUID) -> HttpResponse:
    """Goes on from the stored checkpoint."""
    actor = actor_of(request)
    run = get_run_for_cancel(actor, run_id)
    resume_run(run=run, acting_user=actor.require_user())
    return redirect("run", run_id=run_id)


@require_POST
def publish(request: HttpRequest, run_id: uuid.UUID) -> HttpResponse:
    """Publishes a refused result again, under another name if one was typed."""
    actor = actor_of(request)
    run = get_run_for_cancel(actor, run_id)
    target = _target(run, request.POST.get("repo", "").strip())
    try:
        if target is not None:
            require_may_publish(actor, target, base=run.model)
            require_free_target(target, but=run)
        ask_to_publish(
            run=run,
            target=target.to_json() if target else None,
            acting_user=actor.require_user(),
        )
    except HubError as error:
        messages.error(request, error.message)
    return redirect("run", run_id=run_id)


def training_context(actor: Actor, run: Run) -> dict[str, Any]:
    """Checkpoints and curves of a run, and its result where it has one."""
    checkpoints = list(run.checkpoints.all())
    is_own = may_cancel(actor, run)
    is_stopped = run.state in (RunState.FAILED, RunState.CANCELLED)
    context: dict[str, Any] = {
        "checkpoints": checkpoints,
        "checkpoint_days": settings.RUN_CHECKPOINT_DAYS,
        "validation": measured_rows(run),
        "may_resume": bool(is_own and is_stopped and checkpoints),
        "may_publish": is_own,
    }
    if run.state == RunState.FINISHED:
        context |= _results(actor, run)
    return context


def _results(actor: Actor, run: Run) -> dict[str, Any]:
    record = run.record or {}
    before = {m["name"]: m["value"] for m in record["results"]["before"]["metrics"]}
    output = Output.objects.filter(run=run).first()
    repo = run.output_repo
    return {
        "record": record,
        "training": record["training"],
        "comparison": record["results"]["comparison"],
        "gain": [
            {
                "title": info_of(score.metric).title,
                "before": before.get(score.metric),
                "after": score,
            }
            for score in run.scores.all()
        ],
        "output": output,
        "may_see_output": repo is not None and level_of(actor, repo) >= Level.READ,
        "output_url": _output_url(run, output),
        "key_id": key_of(run)["key_id"],
    }


def _output_url(run: Run, output: Output | None) -> str:
    if run.output_repo is None or output is None:
        return ""
    number = output.pull_number
    return run.output_repo.url_path + (f"/discussions/{number}" if number else "")


def _target(run: Run, typed: str) -> Target | None:
    """The repository that was typed, if it is another than asked for at first."""
    asked = run.spec["output"]
    if not typed or asked["kind"] != "repo" or typed == asked["repo"]:
        return None
    return Target("repo", typed, asked["is_private"])
