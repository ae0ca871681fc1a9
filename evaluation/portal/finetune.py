"""Fine-tuning from the site: choose base and data, see the price, start."""

from __future__ import annotations

import re
from typing import Any

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from evaluation.access import require_may_publish, require_may_start
from evaluation.actions.finetunes import require_within_limits, start_finetune
from evaluation.portal.evaluate import own_namespaces
from evaluation.portal.finetune_form import FinetuneForm
from evaluation.pricing import quote
from evaluation.training_data import TrainingData, training_data
from hub.access import get_repo_for_contents
from hub.auth import Actor
from hub.errors import HubError
from hub.models import Repo, RepoType
from hub.portal.repo_page import RepoPage, open_contents_page
from hub.site import git_of
from ml_core.train.recipes import RECIPES

MAX_SHOWN = 100
MAX_USED = 20
_REPO_ID = re.compile(r"[\w.-]+/[\w.-]+")


@login_required
@require_http_methods(["GET", "POST"])
def finetune(request: HttpRequest, namespace: str, name: str) -> HttpResponse:
    """The page of a model: first its data set is chosen, then all the rest on one form."""
    page = open_contents_page(request, RepoType.MODEL, namespace, name)
    require_may_start(page.actor, page.repo)
    chosen = request.GET.get("dataset", "").strip().strip("/")
    if not _REPO_ID.fullmatch(chosen):
        choices = {"choices": _readable(page.actor, RepoType.DATASET), "typed": chosen}
        return page.render("evaluation/finetune_data.html", "evaluations", choices)
    dataset = get_repo_for_contents(page.actor, "dataset", *chosen.split("/"))
    context: dict[str, Any] = {
        "dataset": dataset,
        "limit_minutes": settings.FINETUNE_WALL_LIMIT_S // 60,
    }
    try:
        data = training_data(dataset, "main", request.GET.get("config") or None)
    except HubError as error:
        return page.render(
            "evaluation/finetune.html", "evaluations", context | {"problem": error.message}
        )
    form = _form(request, page, dataset, data)
    context |= {"form": form, "data": data, "recipe": form.recipe, "recipes": RECIPES.values()}
    if request.method == "POST" and form.is_valid():
        try:
            run = _start(page, dataset, form)
        except HubError as error:
            form.add_error(None, error.message)
        else:
            return redirect("run", run_id=run)
    context |= _price_context(page.repo, form)
    return page.render("evaluation/finetune.html", "evaluations", context)


@login_required
@require_POST
def finetune_price(request: HttpRequest, namespace: str, name: str) -> HttpResponse:
    """The price of what the form says just now, for htmx."""
    page = open_contents_page(request, RepoType.MODEL, namespace, name)
    require_may_start(page.actor, page.repo)
    chosen = request.GET.get("dataset", "")
    context: dict[str, Any] = {"price_problem": _("Choose a data set first.")}
    if _REPO_ID.fullmatch(chosen):
        dataset = get_repo_for_contents(page.actor, "dataset", *chosen.split("/"))
        data = training_data(dataset, "main", request.GET.get("config") or None)
        context = _price_context(page.repo, _form(request, page, dataset, data))
    return render(request, "evaluation/components/finetune_price.html", context)


@login_required
@require_GET
def finetune_on(request: HttpRequest, namespace: str, name: str) -> HttpResponse:
    """The page of a data set: which base model?"""
    page = open_contents_page(request, RepoType.DATASET, namespace, name)
    typed = request.GET.get("model", "").strip().strip("/")
    if _REPO_ID.fullmatch(typed):
        return redirect(f"/{typed}/finetune?dataset={page.repo.full_name}")
    context = {"choices": _readable(page.actor, RepoType.MODEL), "typed": typed}
    return page.render("evaluation/finetune_base.html", "benchmark", context)


def _form(request: HttpRequest, page: RepoPage, dataset: Repo, data: TrainingData) -> FinetuneForm:
    recipe = RECIPES.get(request.GET.get("recipe", "")) or data.likely_recipe
    is_private = page.repo.is_private or dataset.is_private
    return FinetuneForm(
        request.POST or None,
        user=page.actor.require_user(),
        data=data,
        recipe=recipe,
        initial={
            "name": f"{page.repo.name}-{dataset.name}"[:96],
            "target": page.repo.full_name,
            "is_private": is_private,
        },
    )


def _start(page: RepoPage, dataset: Repo, form: FinetuneForm) -> str:
    """Id of the run that the form asks for."""
    wish = form.wish()
    require_may_publish(page.actor, wish.target, base=page.repo)
    run = start_finetune(
        base=page.repo,
        dataset=dataset,
        data_commit=git_of(dataset).resolve("main"),
        wish=wish,
        price=quote(base=page.repo, data=form.training_data, wish=wish),
        acting_user=page.actor.require_user(),
    )
    return str(run.pk)


def _price_context(base: Repo, form: FinetuneForm) -> dict[str, Any]:
    """The price of a form that holds, of its first values before it is sent; else why not."""
    if form.is_bound and not form.is_valid():
        return {"price_problem": _("Fill in the form, and the price is worked out.")}
    if not form.is_bound:
        form = form.filled()
        if not form.is_valid():
            return {"price_problem": _("Choose the columns, and the price is worked out.")}
    try:
        price = quote(base=base, data=form.training_data, wish=form.wish())
        require_within_limits(price)
    except HubError as error:
        return {"price_problem": error.message}
    return {"price": price}


def _readable(actor: Actor, repo_type: str) -> list[Repo]:
    """Repositories of the reader's own namespaces first, then those used most."""
    user = actor.require_user()
    found = Repo.objects.visible_to(user).filter(repo_type=repo_type).select_related("namespace")
    own = found.filter(namespace__in=own_namespaces(actor))
    used = found.order_by("-downloads", "-pk")[:MAX_USED]
    chosen = [*own.order_by("-last_modified")[:MAX_SHOWN], *used]
    return list({repo.pk: repo for repo in chosen}.values())[:MAX_SHOWN]
