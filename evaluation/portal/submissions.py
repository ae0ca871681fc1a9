"""Handing in a file of predictions."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django import forms
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods

from evaluation import access
from evaluation.actions.submissions import (
    ENDINGS,
    Handed,
    require_takes_predictions,
    submit_predictions,
)
from evaluation.api.submissions import find_model
from evaluation.limits import Allowance, allowance, closed_words, moment
from evaluation.models import Benchmark, Run
from hub.auth import Actor, actor_of
from hub.errors import HubError
from hub.models import Membership, Role, User
from ml_core.evalfile import Phase
from ml_core.evaluate.tasks import get_task
from ml_core.predictions.columns import columns_for, example_for


class PredictionsForm(forms.Form):
    """What is asked for beside the benchmark."""

    system = forms.CharField(
        label=_("Name of the system"),
        max_length=96,
        help_text=_("The leaderboard has one line for it; a newer file takes its place."),
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    namespace = forms.ChoiceField(label=_("Handed in by"), required=False)
    model = forms.CharField(
        label=_("Model on this site"),
        max_length=200,
        required=False,
        help_text=_("If the system is one. It is shown as your word; nobody here has run it."),
        widget=forms.TextInput(attrs={"autocomplete": "off", "placeholder": "namespace/name"}),
    )
    file = forms.FileField(
        label=_("File"),
        allow_empty_file=True,
        widget=forms.FileInput(attrs={"accept": ",".join(ENDINGS)}),
        help_text=_("JSON Lines, CSV, TSV or parquet; one row for each item."),
    )

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["namespace"].choices = _own_names(user)  # type: ignore[attr-defined]


@login_required
@require_http_methods(["GET", "POST"])
def predictions(request: HttpRequest, namespace: str, name: str, task_id: str) -> HttpResponse:
    actor = actor_of(request)
    benchmark = access.get_benchmark_for_read(actor, namespace, name, task_id)
    assert benchmark.current is not None
    require_takes_predictions(benchmark.current)
    user = actor.require_user()
    form = PredictionsForm(request.POST or None, request.FILES or None, user=user)
    status = 200
    if request.method == "POST":
        status = 422
        if form.is_valid():
            try:
                run = _submit(actor, benchmark, form, is_dry_run="dry_run" in request.POST)
            except HubError as error:
                status = error.status
                form.add_error(None, error.message)
            else:
                return redirect("run", run_id=run.pk)
    answer = get_task(benchmark.task_type).answer
    context = {
        "form": form,
        "benchmark": benchmark,
        "version": benchmark.current,
        "columns": columns_for(answer),
        "example": example_for(answer),
        **standing(benchmark, user),
    }
    return render(request, "evaluation/submit_predictions.html", context, status=status)


def standing(benchmark: Benchmark, user: User | None) -> dict[str, Any]:
    """The rules of the benchmark, and what is left of them to `user` alone."""
    version = benchmark.current
    found: Allowance | None = None
    if version is not None:
        found = allowance(version, user.namespace if user is not None else None, user)
    return {
        "allowance": found,
        "is_known": user is not None,
        "phases": _phases(found) if found is not None else [],
        "closed": closed_words(found) if found is not None and not found.is_open else "",
    }


def _phases(found: Allowance) -> list[dict[str, Any]]:
    return [
        {"phase": phase, "is_open": phase == found.phase, "span": span_of(phase)}
        for phase in found.submissions.phases
    ]


def span_of(phase: Phase) -> str:
    """From when to when, in the reader's language."""
    ends = [
        moment(datetime.fromisoformat(end)) if end else "…" for end in (phase.opens, phase.closes)
    ]
    return " – ".join(ends)


def _submit(actor: Actor, benchmark: Benchmark, form: PredictionsForm, *, is_dry_run: bool) -> Run:
    data = form.cleaned_data
    file = data["file"]
    assert benchmark.current is not None
    handed = Handed(
        system=data["system"],
        filename=file.name,
        namespace=access.require_may_submit(actor, benchmark, data["namespace"]),
        model_link=find_model(actor, data["model"]),
        is_dry_run=is_dry_run,
    )
    return submit_predictions(
        version=benchmark.current,
        handed=handed,
        stream=file,
        size_bytes=file.size,
        acting_user=actor.require_user(),
    )


def _own_names(user: User) -> list[tuple[str, str]]:
    """The user, and the organisations in whose name they may act."""
    roles = (Role.CONTRIBUTOR, Role.WRITE, Role.ADMIN)
    joined = Membership.objects.filter(user=user, role__in=roles)
    names = joined.values_list("organization__namespace__name", flat=True).order_by(
        "organization__namespace__name"
    )
    return [(name, name) for name in (user.username, *names) if name]
