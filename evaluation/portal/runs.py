"""Runs: the list, one run that tells how it stands, and what it leaves."""

from __future__ import annotations

import uuid
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from evaluation import downloads, lists
from evaluation.access import (
    error_words,
    get_run_for_cancel,
    get_run_for_predictions,
    get_run_for_read,
    linked_model,
    may_cancel,
)
from evaluation.actions.records import key_of
from evaluation.actions.runs import cancel_run
from evaluation.messages import explain_run_error, explain_wait, phase_title, runs_ahead
from evaluation.metrics import info_of
from evaluation.models import ErrorFamily, Run, RunKind, RunState, Score
from evaluation.portal.convert import conversion_context
from evaluation.portal.findings import halves_of, reliability_of, slices_of
from evaluation.portal.replays import result_context
from evaluation.portal.training import training_context
from evaluation.queries import queue_insight
from evaluation.recompute import recompute_code, verify_lines
from hub.auth import Actor, actor_of

LIST_LIMIT = 30
HEAT_STEPS = 8
MENDED_BY_CONVERSION = ("unsafe_format", "adapter_only", "adapter_invalid")
STEPS = (RunState.QUEUED, RunState.PREPARING, RunState.RUNNING, RunState.FINISHED)


@require_GET
def run_list(request: HttpRequest) -> HttpResponse:
    actor = actor_of(request)
    is_mine = actor.user is not None and request.GET.get("of", "mine") == "mine"
    state = request.GET.get("state", "")
    page = lists.run_page(
        actor,
        owner=actor.user.username if is_mine and actor.user else "",
        state=state if state in RunState.values else "",
        limit=LIST_LIMIT,
        cursor=request.GET.get("cursor", ""),
    )
    context = {
        "page": page,
        "runs": page.runs,
        "is_mine": is_mine,
        "state": state,
        "states": RunState.choices,
    }
    return render(request, "evaluation/runs.html", context)


@require_GET
def run_page(request: HttpRequest, run_id: uuid.UUID) -> HttpResponse:
    return render(request, "evaluation/run.html", _context(request, run_id))


@require_GET
def run_panel(request: HttpRequest, run_id: uuid.UUID) -> HttpResponse:
    """The part of the page that changes by itself."""
    return render(request, "evaluation/components/run_panel.html", _context(request, run_id))


@require_POST
def cancel(request: HttpRequest, run_id: uuid.UUID) -> HttpResponse:
    actor = actor_of(request)
    run = get_run_for_cancel(actor, run_id)
    if run.is_active:
        cancel_run(run=run, acting_user=actor.require_user())
    if request.headers.get("HX-Request"):
        return render(request, "evaluation/components/run_panel.html", _context(request, run_id))
    return redirect("run", run_id=run_id)


@require_GET
def predictions(request: HttpRequest, run_id: uuid.UUID) -> HttpResponseBase:
    return downloads.predictions_response(get_run_for_predictions(actor_of(request), run_id))


@require_GET
def record(request: HttpRequest, run_id: uuid.UUID) -> HttpResponse:
    return downloads.record_response(get_run_for_read(actor_of(request), run_id))


def _context(request: HttpRequest, run_id: uuid.UUID) -> dict[str, Any]:
    actor = actor_of(request)
    run = get_run_for_read(actor, run_id)
    context: dict[str, Any] = {
        "run": run,
        "benchmark": run.benchmark_version.benchmark if run.benchmark_version else None,
        "version": run.benchmark_version,
        "may_cancel": run.is_active and may_cancel(actor, run),
        "steps": _steps(run),
        "phase": phase_title(run.phase),
        "title": _title(run),
        "is_stopping": run.is_cancel_requested and run.is_active,
        "is_our_fault": run.error_family == ErrorFamily.SYSTEM,
        "again_url": _again_url(actor, run),
    }
    if run.error_code:
        message, details = error_words(actor, run)
        context["error_message"] = message
        context["convert_url"] = _convert_url(run)
        context["error"] = explain_run_error(run.error_code, message, details)
    if insight := queue_insight(run):
        context["insight"] = insight
        context["wait"] = explain_wait(insight.reason, pool=insight.pool)
        context["ahead"] = runs_ahead(insight.position - 1)
    if run.kind == RunKind.FINETUNE:
        context |= training_context(actor, run)
    elif run.kind == RunKind.CONVERT:
        context |= conversion_context(actor, run)
    elif run.state == RunState.FINISHED:
        context |= _results(actor, run) | result_context(actor, run)
    return context


def _convert_url(run: Run) -> str:
    """Where the files become such as can be evaluated, if their form was the trouble."""
    if run.kind == RunKind.CONVERT or run.error_code not in MENDED_BY_CONVERSION:
        return ""
    if run.model_repo is None:
        return ""
    namespace, name = run.model_repo.namespace.name, run.model_repo.name
    return reverse("convert", kwargs={"namespace": namespace, "name": name})


def _again_url(actor: Actor, run: Run) -> str:
    """Where the reader starts the same again; empty where they cannot."""
    version, model = run.benchmark_version, run.model_repo
    if actor.user is None:
        return ""
    if run.kind == RunKind.EVALUATE and run.state == RunState.FINISHED:
        return ""
    if model is None:
        return f"{version.benchmark.url_path}/predictions" if version else ""
    names = {"namespace": model.namespace.name, "name": model.name}
    if run.kind == RunKind.CONVERT:
        return reverse("convert", kwargs=names)
    if run.kind == RunKind.FINETUNE and run.dataset is not None:
        return f"{reverse('finetune', kwargs=names)}?dataset={run.dataset.full_name}"
    if version is None:
        return ""
    return f"{reverse('evaluate', kwargs=names)}?benchmark={version.benchmark.full_id}"


def _results(actor: Actor, run: Run) -> dict[str, Any]:
    scores = list(run.scores.all())
    record = run.record or {}
    per_class = record.get("results", {}).get("per_class", [])
    return {
        "scores": [{"score": score, "info": info_of(score.metric)} for score in scores],
        "main": scores[0] if scores else None,
        "record": record,
        "execution": record.get("execution", {}),
        "per_class": per_class,
        "has_iou": any(entry.get("iou") is not None for entry in per_class),
        "halves": halves_of(record),
        "linked_model": linked_model(actor, run.system),
        "slices": slices_of(record),
        "reliability": reliability_of(record),
        "clustered": _n_clusters(record),
        "matrix": heat_matrix(run.confusion),
        "key_id": key_of(run)["key_id"],
        "verify": verify_lines(run),
        "recompute": recompute_code(
            f"{run.pk}-predictions.parquet",
            scores[0].metric if scores else "",
            scores[0].value if scores else None,
        ),
    }


def _n_clusters(record: dict[str, Any]) -> int | None:
    """In how many clusters the items of the main metric come; None where they stand alone."""
    metrics = record.get("results", {}).get("metrics", [])
    return metrics[0].get("n_clusters") if metrics else None


def _steps(run: Run) -> list[dict[str, Any]]:
    """The way of a run: `done`, `now` or `later` for each step."""
    last = RunState(run.state)
    names = [*STEPS[:3], last] if last in (RunState.FAILED, RunState.CANCELLED) else [*STEPS]
    at = names.index(last)
    reached = {RunState.QUEUED: run.queued_at, RunState.PREPARING: run.claimed_at}
    reached |= {RunState.RUNNING: run.started_at, last: run.state_since}
    return [
        {
            "state": state,
            "label": state.label,
            "when": reached.get(state) if number <= at else None,
            "place": "now" if number == at else "done" if reached.get(state) else "later",
        }
        for number, state in enumerate(names)
    ]


def _title(run: Run) -> str:
    """What the browser's tab says."""
    if run.state == RunState.RUNNING and run.percent is not None:
        return f"{run.percent} % · {run.short_name}"
    if run.state == RunState.FINISHED:
        main: Score | None = run.scores.first()
        if main is not None and main.value is not None:
            return f"{main.value:.3f} · {run.short_name}"
    words = {
        RunState.QUEUED: _("Queued"),
        RunState.PREPARING: _("Preparing"),
        RunState.RUNNING: _("Running"),
        RunState.FINISHED: _("Finished"),
        RunState.FAILED: _("Failed"),
        RunState.CANCELLED: _("Cancelled"),
    }
    return f"{words[RunState(run.state)]} · {run.short_name}"


def heat_matrix(confusion: dict[str, Any] | None) -> dict[str, Any] | None:
    """Rows of cells with count, share of the row, and step of shading 0..8."""
    if not confusion:
        return None
    rows = []
    for at, counts in enumerate(confusion["counts"]):
        total = sum(counts)
        cells = [
            {
                "count": count,
                "share": count / total if total else None,
                "heat": round(HEAT_STEPS * count / total) if total else 0,
                "is_right": at == column,
            }
            for column, count in enumerate(counts)
        ]
        rows.append({"label": confusion["labels"][at], "cells": cells, "total": total})
    return {"labels": confusion["labels"], "rows": rows}
