"""Organisations: the reader's own, making one, its profile and members."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from hub.access import get_organization_for_admin, get_organization_for_member
from hub.actions.organizations import create_organization, remove_member, set_member
from hub.actions.profiles import update_organization_profile
from hub.errors import InvalidInput, NotFound
from hub.models import Membership, Organization, Role, User
from hub.portal.account_forms import MemberForm, OrganizationForm, ProfileForm
from hub.quotas import quota_of


@login_required
@require_GET
def own_organizations(request: HttpRequest) -> HttpResponse:
    assert isinstance(request.user, User)
    memberships = request.user.memberships.select_related("user", "organization__namespace")
    context = {
        "memberships": memberships.order_by("organization__namespace__name"),
        "active": "organizations",
    }
    return render(request, "hub/settings_organizations.html", context)


@login_required
@require_http_methods(["GET", "POST"])
def new_organization(request: HttpRequest) -> HttpResponse:
    assert isinstance(request.user, User)
    form = OrganizationForm(request.POST or None)
    if form.is_valid():
        organization = create_organization(**form.cleaned_data, acting_user=request.user)
        return redirect("organization_settings", organization.namespace.name)
    context = {"form": form, "active": "organizations"}
    return render(request, "hub/organization_new.html", context)


@login_required
@require_http_methods(["GET", "POST"])
def organization_settings(request: HttpRequest, name: str) -> HttpResponse:
    assert isinstance(request.user, User)
    organization = get_organization_for_admin(request.user, name)
    form = ProfileForm.of(organization, request.POST or None)
    if form.is_valid():
        update_organization_profile(
            organization=organization, **form.cleaned_data, acting_user=request.user
        )
        messages.success(request, _("The organisation’s profile is saved."))
        return redirect("organization_settings", organization.namespace.name)
    return _settings_page(request, organization, form, MemberForm())


@login_required
@require_POST
def add_member(request: HttpRequest, name: str) -> HttpResponse:
    """Adds someone who is no member yet."""
    assert isinstance(request.user, User)
    organization = get_organization_for_admin(request.user, name)
    form = MemberForm(request.POST)
    if form.is_valid() and organization.memberships.filter(user=form.user).exists():
        form.add_error("username", _("This user is a member already."))
    if not form.is_valid():
        return _settings_page(request, organization, ProfileForm.of(organization), form)
    assert form.user is not None
    set_member(
        organization=organization,
        user=form.user,
        role=form.cleaned_data["role"],
        acting_user=request.user,
    )
    messages.success(request, _("%(name)s is a member now.") % {"name": form.user.username})
    return redirect("organization_settings", organization.namespace.name)


@login_required
@require_POST
def change_member(request: HttpRequest, name: str, username: str) -> HttpResponse:
    """Gives a member another role."""
    assert isinstance(request.user, User)
    organization = get_organization_for_admin(request.user, name)
    member = _member(organization, username)
    role = request.POST.get("role", "")
    if role not in Role.values:
        raise InvalidInput(f"Role must be one of {', '.join(Role.values)}.")
    try:
        set_member(organization=organization, user=member.user, role=role, acting_user=request.user)
    except InvalidInput:
        messages.error(request, _("An organisation keeps at least one admin."))
    else:
        messages.success(request, _("The role of %(name)s is changed.") % {"name": username})
    return redirect("organization_settings", organization.namespace.name)


@login_required
@require_POST
def drop_member(request: HttpRequest, name: str, username: str) -> HttpResponse:
    """Removes a member; anyone may remove themselves."""
    assert isinstance(request.user, User)
    organization = get_organization_for_member(request.user, name)
    member = _member(organization, username)
    is_self = member.user_id == request.user.pk
    back = "settings_organizations" if is_self else "organization_settings"
    try:
        remove_member(organization=organization, user=member.user, acting_user=request.user)
    except InvalidInput:
        messages.error(request, _("An organisation keeps at least one admin."))
    else:
        messages.success(request, _("%(name)s is no member any more.") % {"name": username})
    return redirect(back) if is_self else redirect(back, organization.namespace.name)


def _member(organization: Organization, username: str) -> Membership:
    found = organization.memberships.filter(user__username=username).select_related("user").first()
    if found is None:
        raise NotFound(f"{username} is no member of this organisation.")
    return found


def _settings_page(
    request: HttpRequest, organization: Organization, form: ProfileForm, member_form: MemberForm
) -> HttpResponse:
    context = {
        "organization": organization,
        "namespace": organization.namespace,
        "quota": quota_of(organization.namespace),
        "form": form,
        "member_form": member_form,
        "memberships": organization.memberships.select_related(
            "user", "organization__namespace"
        ).order_by("user__username"),
        "roles": Role.choices,
        "active": "organizations",
    }
    status = 400 if form.errors or member_form.errors else 200
    return render(request, "hub/organization_settings.html", context, status=status)
