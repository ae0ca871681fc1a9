"""The pages of one repository: card, settings; and the page that makes a new one."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from hub import access, cards
from hub.access import Level
from hub.actions.repos import create_repo, delete_repo, move_repo, update_repo_settings
from hub.auth import actor_of
from hub.errors import Conflict, InvalidInput
from hub.model_tree import model_tree
from hub.models import RepoType, RequestStatus
from hub.portal.forms import NewRepoForm, RenameRepoForm, VisibilityForm
from hub.portal.gate_box import gate_box
from hub.portal.gate_forms import AskForm, GateForm
from hub.portal.repo_buttons import buttons_for
from hub.portal.repo_page import RepoPage, open_page
from hub.portal.snippets import use_snippets
from hub.portal.tabs import repo_page_url
from hub.scans import repo_security
from hub.site import base_url
from hub.vcs.errors import EntryNotFound

README_LIMIT_BYTES = 2 * 1024**2


@require_GET
def card(request: HttpRequest, repo_type: str, namespace: str, name: str) -> HttpResponse:
    return card_page(open_page(request, repo_type, namespace, name))


def card_page(page: RepoPage, ask_form: AskForm | None = None) -> HttpResponse:
    """The card; with a form of its gate that was not filled in well."""
    recent = list(page.git.log(page.commit_sha, limit=1))
    is_model = page.repo.repo_type == RepoType.MODEL
    context = {
        "card_html": _card_html(page),
        "snippets": use_snippets(page.repo, base_url(page.request)),
        "last_commit": recent[0] if recent else None,
        "security": repo_security(page.repo, page.commit_sha),
        "safetensors": page.repo.safetensors,
        "tree": model_tree(page.actor, page.repo) if is_model else None,
        "gate": gate_box(page, ask_form),
        "buttons": buttons_for(page.repo) if page.is_open else [],
    }
    response = page.render("hub/repo_card.html", "card", context)
    response.status_code = 422 if ask_form else 200
    return response


def _card_html(page: RepoPage) -> str | None:
    try:
        text = page.git.read(page.commit_sha, "README.md", max_bytes=README_LIMIT_BYTES)
    except EntryNotFound:
        return None
    return cards.render_card(
        text.decode("utf-8", "replace"),
        repo_path=page.repo.url_path,
        revision=page.commit_sha,
    )


@login_required
@require_http_methods(["GET", "POST"])
def new_repo(request: HttpRequest) -> HttpResponse:
    actor = actor_of(request)
    user = actor.require_user()
    initial = {"repo_type": request.GET.get("type", "model")}
    form = NewRepoForm(request.POST or None, user=user, initial=initial)
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        namespace = access.get_namespace_for_create(actor, data["owner"])
        try:
            repo = create_repo(
                repo_type=data["repo_type"],
                namespace=namespace,
                name=data["name"],
                is_private=data["is_private"],
                sdk=form.sdk_of_space(),
                acting_user=user,
            )
        except (InvalidInput, Conflict) as error:
            form.add_error("name", error.message)
        else:
            return redirect(repo_page_url("repo", repo))
    return render(request, "hub/repo_new.html", {"form": form})


@login_required
@require_GET
def settings(request: HttpRequest, repo_type: str, namespace: str, name: str) -> HttpResponse:
    return _settings_page(open_page(request, repo_type, namespace, name, level=Level.ADMIN))


def _settings_page(
    page: RepoPage,
    *,
    rename_form: RenameRepoForm | None = None,
    delete_error: str = "",
) -> HttpResponse:
    user = page.actor.require_user()
    context = {
        "visibility_form": VisibilityForm(initial={"is_private": page.repo.is_private}),
        "gate_form": GateForm(initial={"gated": page.repo.gated}),
        "n_waiting": page.repo.access_requests.filter(status=RequestStatus.PENDING).count(),
        "rename_form": rename_form or RenameRepoForm(user=user, initial=_current_id(page)),
        "delete_error": delete_error,
    }
    response = page.render("hub/repo_settings.html", "settings", context)
    response.status_code = 422 if rename_form or delete_error else 200
    return response


def _current_id(page: RepoPage) -> dict[str, str]:
    return {"owner": page.repo.namespace.name, "name": page.repo.name}


@login_required
@require_POST
def set_visibility(request: HttpRequest, repo_type: str, namespace: str, name: str) -> HttpResponse:
    page = open_page(request, repo_type, namespace, name, level=Level.ADMIN)
    form = VisibilityForm(request.POST)
    if form.is_valid():
        private = form.cleaned_data["is_private"]
        update_repo_settings(
            repo=page.repo, is_private=private, acting_user=page.actor.require_user()
        )
        messages.success(
            request,
            _("Only people with access see it from now on.")
            if private
            else _("Everyone can see it from now on."),
        )
    return redirect(repo_page_url("repo_settings", page.repo))


@login_required
@require_POST
def set_gate(request: HttpRequest, repo_type: str, namespace: str, name: str) -> HttpResponse:
    page = open_page(request, repo_type, namespace, name, level=Level.ADMIN)
    form = GateForm(request.POST)
    if form.is_valid():
        gated = form.cleaned_data["gated"]
        update_repo_settings(repo=page.repo, gated=gated, acting_user=page.actor.require_user())
        messages.success(
            request,
            _("Only those who pass the gate get its files from now on.")
            if gated
            else _("Whoever sees it gets its files from now on."),
        )
    return redirect(repo_page_url("repo_settings", page.repo))


@login_required
@require_POST
def rename(request: HttpRequest, repo_type: str, namespace: str, name: str) -> HttpResponse:
    page = open_page(request, repo_type, namespace, name, level=Level.ADMIN)
    user = page.actor.require_user()
    form = RenameRepoForm(request.POST, user=user, initial=_current_id(page))
    if not form.is_valid():
        return _settings_page(page, rename_form=form)
    target = access.get_namespace_for_create(page.actor, form.cleaned_data["owner"])
    try:
        move_repo(
            repo=page.repo, namespace=target, name=form.cleaned_data["name"], acting_user=user
        )
    except (InvalidInput, Conflict) as error:
        form.add_error("name", error.message)
        return _settings_page(page, rename_form=form)
    messages.success(request, _("Renamed. The old address leads here."))
    return redirect(repo_page_url("repo_settings", page.repo))


@login_required
@require_POST
def delete(request: HttpRequest, repo_type: str, namespace: str, name: str) -> HttpResponse:
    page = open_page(request, repo_type, namespace, name, level=Level.ADMIN)
    if request.POST.get("confirm", "").strip() != page.repo.full_name:
        text = _("That was not the name. Nothing was deleted. Type %(name)s exactly.")
        return _settings_page(page, delete_error=text % {"name": page.repo.full_name})
    delete_repo(repo=page.repo, acting_user=page.actor.require_user())
    messages.success(request, _("%(repo)s is deleted.") % {"repo": page.repo.full_name})
    return redirect("profile", name=page.repo.namespace.name)
