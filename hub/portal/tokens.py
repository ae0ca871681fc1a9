"""The tokens page: list, make (shown once), revoke."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_http_methods, require_POST

from hub.actions.tokens import NewToken, create_token, revoke_token
from hub.errors import NotFound
from hub.models import AccessToken, Repo, RequestStatus, User
from hub.portal.account_forms import TokenForm

CHOICE_LIMIT = 500
"""Repositories offered to a fine-grained token, newest changes first."""


@login_required
@never_cache
@require_http_methods(["GET", "POST"])
@sensitive_variables("made")
def tokens(request: HttpRequest) -> HttpResponse:
    """GET lists; POST makes one and answers with its text, which no later page can show."""
    assert isinstance(request.user, User)
    form = TokenForm(request.POST or None, user=request.user, repos=_choices(request.user))
    made: NewToken | None = None
    if form.is_valid():
        made = create_token(
            user=request.user,
            name=form.cleaned_data["name"],
            scope=form.cleaned_data["scope"],
            grants=form.grants(),
            expires_at=form.expires_at(),
        )
        form = TokenForm(user=request.user, repos=_choices(request.user))
    listed = request.user.access_tokens.filter(is_internal=False, device__used_at=None)
    listed = listed.select_related("device__login").order_by("-created_at", "-pk")
    context = {
        "form": form,
        "made": made,
        "tokens": listed.prefetch_related("grants__repo__namespace"),
        "active": "tokens",
    }
    return render(request, "hub/settings_tokens.html", context)


@login_required
@require_POST
def revoke(request: HttpRequest, token_id: int) -> HttpResponse:
    assert isinstance(request.user, User)
    token = AccessToken.objects.filter(pk=token_id, user=request.user, is_internal=False).first()
    if token is None:
        raise NotFound("You have no such token; it may have been revoked already.")
    revoke_token(token=token, acting_user=request.user)
    messages.success(request, _("The token “%(name)s” is revoked.") % {"name": token.name})
    return redirect("settings_tokens")


def _choices(user: User) -> list[Repo]:
    """The user's own repositories, their organisations', and gated ones they were let into."""
    mine = Q(namespace__user=user)
    ours = Q(namespace__organization__in=user.memberships.values("organization_id"))
    accepted = user.access_requests.filter(status=RequestStatus.ACCEPTED)
    let_in = Q(pk__in=accepted.values("repo_id"), is_private=False)
    repos = Repo.objects.filter(mine | ours | let_in).select_related("namespace")
    return list(repos.order_by("-last_modified", "-pk")[:CHOICE_LIMIT])
