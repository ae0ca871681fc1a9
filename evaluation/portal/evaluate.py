"""Starting a run: choose a benchmark for a model, or a model for a benchmark."""

from __future__ import annotations

import re

from django import forms
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_GET, require_http_methods

from evaluation.access import (
    find_benchmark,
    get_benchmark_for_read,
    require_may_run_on,
    require_may_start,
)
from evaluation.actions.runs import start_run
from evaluation.bases import find_base
from evaluation.lists import benchmark_list
from evaluation.models import Benchmark
from evaluation.task_types import fits
from hub.auth import Actor, actor_of
from hub.errors import HubError, InvalidInput
from hub.models import Repo, RepoType
from hub.portal.repo_page import open_page
from hub.site import git_of
from hub.vcs.errors import RevisionNotFound

MAX_OWN_MODELS = 100
_MODEL_ID = re.compile(r"[\w.-]+/[\w.-]+")


class EvaluateForm(forms.Form):
    """What the page asks for beside the benchmark."""

    benchmark = forms.CharField(max_length=300)
    revision = forms.CharField(
        max_length=255,
        required=False,
        label=_("Revision"),
        help_text=_("Branch, tag, commit or refs/pr/N. Empty means the newest commit of main."),
        widget=forms.TextInput(attrs={"placeholder": "main", "autocomplete": "off"}),
    )
    label_map = forms.CharField(
        max_length=20_000,
        required=False,
        label=_("Label map"),
        help_text=_(
            "Only if the model's labels have other names than the benchmark's. One a line:"
            " LABEL_0 = positive. Leave the right side empty for “none of them”."
        ),
        widget=forms.Textarea(attrs={"rows": 4, "class": "mono", "spellcheck": "false"}),
    )

    def clean_label_map(self) -> dict[str, str | None] | None:
        lines = [line for line in self.cleaned_data["label_map"].splitlines() if line.strip()]
        pairs: dict[str, str | None] = {}
        for number, line in enumerate(lines, 1):
            left, equals, right = line.partition("=")
            if not equals or not left.strip():
                text = gettext("Line %(n)s is not of the form “model label = label”.")
                raise forms.ValidationError(text % {"n": number})
            pairs[left.strip()] = right.strip() or None
        return pairs or None


@login_required
@require_http_methods(["GET", "POST"])
def evaluate(request: HttpRequest, namespace: str, name: str) -> HttpResponse:
    page = open_page(request, RepoType.MODEL, namespace, name)
    require_may_start(page.actor, page.repo)
    form = EvaluateForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            run = _start(page.actor, page.repo, form, is_dry_run="dry_run" in request.POST)
        except RevisionNotFound:
            form.add_error("revision", gettext("The model has no such revision."))
        except HubError as error:
            form.add_error(None, error.message)
        else:
            return redirect("run", run_id=run)
    chosen = request.POST.get("benchmark") or request.GET.get("benchmark", "")
    fitting, others = _by_fit(benchmark_list(page.actor), page.repo, chosen)
    context = {
        "form": form,
        "fitting": fitting,
        "others": others,
        "chosen": chosen or (fitting[0].full_id if len(fitting) == 1 else ""),
    }
    return page.render("evaluation/evaluate.html", "evaluations", context)


@login_required
@require_GET
def choose_model(request: HttpRequest, namespace: str, name: str, task_id: str) -> HttpResponse:
    actor = actor_of(request)
    benchmark = get_benchmark_for_read(actor, namespace, name, task_id)
    typed = request.GET.get("model", "").strip().strip("/")
    if _MODEL_ID.fullmatch(typed):
        return redirect(f"/{typed}/evaluate?benchmark={benchmark.full_id}")
    models = (
        Repo.objects.visible_to(actor.user)
        .filter(repo_type=RepoType.MODEL, namespace__in=own_namespaces(actor))
        .select_related("namespace")
        .order_by("-last_modified")[:MAX_OWN_MODELS]
    )
    context = {"benchmark": benchmark, "models": models, "typed": typed}
    return render(request, "evaluation/choose_model.html", context)


def _start(actor: Actor, model: Repo, form: EvaluateForm, *, is_dry_run: bool) -> str:
    """Id of the run that the form asks for."""
    data = form.cleaned_data
    benchmark = find_benchmark(actor, data["benchmark"])
    require_may_run_on(actor, benchmark)
    if benchmark.current is None:
        raise InvalidInput("This benchmark has no version yet.")
    commit = git_of(model).resolve(data["revision"] or "main")
    started = start_run(
        model_repo=model,
        version=benchmark.current,
        acting_user=actor.require_user(),
        revision=commit,
        label_map=data["label_map"],
        is_dry_run=is_dry_run,
        base=find_base(actor, model, commit),
    )
    return str(started.run.pk)


def _by_fit(
    found: list[Benchmark], model: Repo, chosen: str
) -> tuple[list[Benchmark], list[Benchmark]]:
    """Benchmarks of the model's own task, and the rest; without a task all fit."""
    if not model.pipeline_tag:
        return found, []
    fitting = [b for b in found if fits(b.task_type, model.pipeline_tag) or b.full_id == chosen]
    return fitting, [b for b in found if b not in fitting]


def own_namespaces(actor: Actor) -> list[int]:
    """Where the caller's models live: their own name and their organisations."""
    user = actor.require_user()
    own = [user.namespace.pk]
    return own + list(
        user.organizations.filter(namespace__isnull=False).values_list("namespace__pk", flat=True)
    )
