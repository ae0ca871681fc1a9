"""Importing a log of another program on a page of its model."""

from __future__ import annotations

import uuid
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods, require_POST

from evaluation import access
from evaluation.actions.imports import import_log, remove_log
from evaluation.imports.reading import MAX_LOG_BYTES
from evaluation.models import ImportedLog
from hub.access import get_repo_for_write
from hub.auth import Actor, actor_of
from hub.errors import HubError
from hub.models import Repo, RepoType
from hub.portal.repo_page import open_page
from hub.vcs.errors import RevisionNotFound

LOGS_SHOWN = 50


class ImportForm(forms.Form):
    file = forms.FileField(
        label=_("Log"),
        help_text=_("A results file of lm-eval, or a log of inspect-ai (.json or .eval)."),
    )
    benchmark = forms.CharField(
        max_length=300, label=_("Benchmark"), help_text=_("namespace/name/task")
    )
    revision = forms.CharField(
        max_length=255,
        required=False,
        label=_("Revision"),
        help_text=_("Branch, tag, commit or refs/pr/N. Empty means the newest commit of main."),
        widget=forms.TextInput(attrs={"placeholder": "main", "autocomplete": "off"}),
    )
    task = forms.CharField(
        max_length=200,
        required=False,
        label=_("Task in the log"),
        help_text=_("Only if the log has several."),
    )
    metrics = forms.CharField(
        max_length=5000,
        required=False,
        label=_("Metrics"),
        help_text=_("Only if names differ. One a line: acc,none = accuracy."),
        widget=forms.Textarea(attrs={"rows": 3, "class": "mono", "spellcheck": "false"}),
    )

    def clean_file(self) -> Any:
        file = self.cleaned_data["file"]
        if file.size > MAX_LOG_BYTES:
            words = gettext("A log may have %(n)s MiB; leave its samples out.")
            raise forms.ValidationError(words % {"n": MAX_LOG_BYTES >> 20})
        return file

    def clean_metrics(self) -> dict[str, str]:
        pairs = {}
        for number, line in enumerate(self.cleaned_data["metrics"].splitlines(), 1):
            theirs, equals, ours = line.rpartition("=")
            if line.strip() and not (equals and theirs.strip() and ours.strip()):
                text = gettext("Line %(n)s is not of the form “name in the log = metric”.")
                raise forms.ValidationError(text % {"n": number})
            if line.strip():
                pairs[theirs.strip()] = ours.strip()
        return pairs


@login_required
@require_http_methods(["GET", "POST"])
def import_results(request: HttpRequest, namespace: str, name: str) -> HttpResponse:
    page = open_page(request, RepoType.MODEL, namespace, name)
    model = get_repo_for_write(page.actor, RepoType.MODEL, namespace, name)
    form = ImportForm(request.POST or None, request.FILES or None)
    if request.method == "POST" and form.is_valid():
        try:
            _import(page.actor, model, form)
        except RevisionNotFound:
            form.add_error("revision", gettext("The model has no such revision."))
        except HubError as error:
            form.add_error(None, error.message)
        else:
            messages.success(request, gettext("The log is imported; its scores stand as claimed."))
            return redirect("evaluations", namespace=namespace, name=name)
    status = 422 if form.is_bound and not form.is_valid() else 200
    answer = page.render("evaluation/import_results.html", "evaluations", {"form": form})
    answer.status_code = status
    return answer


@require_POST
def remove(request: HttpRequest, log_id: uuid.UUID) -> HttpResponse:
    actor = actor_of(request)
    log = access.get_log_for_removal(actor, log_id)
    remove_log(log=log, acting_user=actor.require_user())
    model = log.model_repo
    return redirect("evaluations", namespace=model.namespace.name, name=model.name)


def logs_of(actor: Actor, model: Repo) -> list[ImportedLog]:
    """What the tab of a model lists, newest first."""
    found = ImportedLog.objects.visible_to(actor).filter(model_repo=model)
    joined = found.select_related("benchmark__dataset__namespace", "importer")
    return list(joined.order_by("-created_at")[:LOGS_SHOWN])


def _import(actor: Actor, model: Repo, form: ImportForm) -> None:
    data = form.cleaned_data
    import_log(
        model=model,
        revision=data["revision"] or "main",
        benchmark=access.find_benchmark(actor, data["benchmark"]),
        raw=data["file"].read(),
        filename=data["file"].name,
        task=data["task"],
        metrics=data["metrics"] or None,
        acting_user=actor.require_user(),
    )
