"""Pages of collections: one, making one, changing it, and adding a repository to one."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from hub.actions.collections import (
    add_item,
    create_collection,
    delete_collection,
    remove_item,
    update_collection,
    update_item,
)
from hub.auth import Actor, actor_of
from hub.collection_access import (
    get_collection_for_read,
    get_collection_for_write,
    get_item_for_write,
    get_listable_repo,
    get_namespace_for_collection,
    may_edit,
    visible_items,
)
from hub.errors import Conflict, InvalidInput
from hub.models import Collection, RepoType
from hub.portal.collection_forms import (
    AddItemForm,
    CollectionForm,
    NewCollectionForm,
    keeper_choices,
)

CHOICES_SHOWN = 200


@require_GET
def collection(request: HttpRequest, namespace: str, slug: str) -> HttpResponse:
    actor = actor_of(request)
    shown = get_collection_for_read(actor, namespace, slug)
    if shown.slug != f"{namespace}/{slug}":
        return _page_of(shown)
    return _render(request, actor, shown, CollectionForm.of(shown))


@login_required
@require_http_methods(["GET", "POST"])
def new_collection(request: HttpRequest) -> HttpResponse:
    actor = actor_of(request)
    user = actor.require_user()
    initial = {"owner": request.GET.get("owner", user.username)}
    form = NewCollectionForm(request.POST or None, user=user, initial=initial)
    if form.is_valid():
        data = form.cleaned_data
        try:
            made = create_collection(
                namespace=get_namespace_for_collection(actor, data["owner"]),
                title=data["title"],
                description=data["description"],
                is_private=data["is_private"],
                acting_user=user,
            )
        except Conflict as error:
            form.add_error("title", error.message)
        else:
            return _page_of(made)
    return render(request, "hub/collection_new.html", {"form": form})


@login_required
@require_POST
def edit(request: HttpRequest, namespace: str, slug: str) -> HttpResponse:
    actor = actor_of(request)
    changed = get_collection_for_write(actor, namespace, slug)
    form = CollectionForm.of(changed, request.POST)
    if form.is_valid():
        try:
            update_collection(
                collection=changed, **form.cleaned_data, acting_user=actor.require_user()
            )
        except Conflict as error:
            form.add_error("title", error.message)
        else:
            messages.success(request, _("The collection is saved."))
            return _page_of(changed)
    return _render(request, actor, get_collection_for_read(actor, namespace, slug), form)


@login_required
@require_POST
def delete(request: HttpRequest, namespace: str, slug: str) -> HttpResponse:
    actor = actor_of(request)
    gone = get_collection_for_write(actor, namespace, slug)
    if request.POST.get("confirm", "").strip() != gone.title:
        messages.error(request, _("That was not the title. Nothing was deleted."))
        return _page_of(gone)
    delete_collection(collection=gone, acting_user=actor.require_user())
    messages.success(request, _("The collection is deleted."))
    return redirect("profile", gone.namespace.name)


@login_required
@require_POST
def change_item(request: HttpRequest, namespace: str, slug: str, item_id: str) -> HttpResponse:
    """A new note, one place up or down, or out of the collection."""
    item = get_item_for_write(actor_of(request), namespace, slug, item_id)
    wanted = request.POST.get("do")
    if wanted == "remove":
        remove_item(item=item)
    elif wanted in {"up", "down"}:
        before = item.collection.items.filter(position__lt=item.position).count()
        update_item(item=item, position=max(0, before + (1 if wanted == "down" else -1)))
    elif wanted == "note":
        update_item(item=item, note=request.POST.get("note", ""))
    else:
        raise InvalidInput("“do” must be note, up, down or remove.")
    return _page_of(item.collection)


@login_required
@require_http_methods(["GET", "POST"])
def add(request: HttpRequest) -> HttpResponse:
    """Adds the repository that `item` names (`models/ns/name`) to a collection of the reader's."""
    actor = actor_of(request)
    repo_type, namespace, name = RepoType.split_address(request.GET.get("item", ""))
    repo = get_listable_repo(actor, repo_type, f"{namespace}/{name}")
    form = AddItemForm(request.POST or None, choices=_own_collections(actor))
    if form.is_valid():
        owner, _slash, slug = form.cleaned_data["collection"].partition("/")
        chosen = get_collection_for_write(actor, owner, slug)
        try:
            add_item(collection=chosen, target=repo, note=form.cleaned_data["note"])
        except Conflict as error:
            form.add_error("collection", error.message)
        else:
            return _page_of(chosen)
    return render(request, "hub/collection_add.html", {"form": form, "repo": repo})


def _own_collections(actor: Actor) -> list[Collection]:
    names = [name for name, _label in keeper_choices(actor.require_user())]
    found = Collection.objects.filter(Q(namespace__name__in=names)).select_related("namespace")
    return list(found.order_by("-updated_at")[:CHOICES_SHOWN])


def _render(
    request: HttpRequest, actor: Actor, shown: Collection, form: CollectionForm
) -> HttpResponse:
    context = {
        "collection": shown,
        "items": visible_items(actor).filter(collection=shown),
        "may_edit": may_edit(actor, shown),
        "form": form,
    }
    return render(request, "hub/collection.html", context, status=422 if form.errors else 200)


def _page_of(shown: Collection) -> HttpResponse:
    return redirect("collection", shown.namespace.name, shown.short_slug)
