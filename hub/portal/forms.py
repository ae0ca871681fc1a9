"""Forms of the repository pages: form only; rights and rules are in access and actions."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from hub.cards.vocabulary import SPACE_SDKS
from hub.models import RepoType, Role, User


def owner_choices(user: User) -> list[tuple[str, str]]:
    """Namespaces in which `user` may create: their own first, then organisations."""
    roles = [Role.CONTRIBUTOR, Role.WRITE, Role.ADMIN]
    memberships = user.memberships.filter(role__in=roles).select_related("organization__namespace")
    names = sorted(membership.organization.namespace.name for membership in memberships)
    return [(name, name) for name in [user.username, *names]]


class OwnerForm(forms.Form):
    """An owner and a name: together a repository id."""

    owner = forms.ChoiceField(label=_("Owner"))
    name = forms.CharField(
        label=_("Name"),
        max_length=96,
        help_text=_("Letters, digits, “-”, “_” and “.”."),
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["owner"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = owner_choices(user)
        current = self.initial.get("owner")
        if current and current not in dict(field.choices):  # a site admin looking at others' work
            field.choices = [(current, current), *field.choices]


class NewRepoForm(OwnerForm):
    repo_type = forms.ChoiceField(
        label=_("What is it?"), choices=RepoType.choices, widget=forms.RadioSelect
    )
    sdk = forms.ChoiceField(
        label=_("Made with"),
        choices=[(sdk, sdk) for sdk in SPACE_SDKS],
        required=False,
        help_text=_("What runs a Space. This site keeps its files and does not run it."),
    )
    is_private = forms.BooleanField(
        label=_("Private"),
        required=False,
        help_text=_("Only you and people you give access can see it."),
    )

    field_order = ["repo_type", "sdk", "owner", "name", "is_private"]

    def sdk_of_space(self) -> str:
        """The SDK where a Space is to be made; else nothing."""
        is_space = self.cleaned_data["repo_type"] == RepoType.SPACE
        return self.cleaned_data["sdk"] if is_space else ""


class DuplicateForm(OwnerForm):
    is_private = forms.BooleanField(
        label=_("Private"),
        required=False,
        help_text=_("Only you and people you give access can see it."),
    )


class RenameRepoForm(OwnerForm):
    pass


class VisibilityForm(forms.Form):
    is_private = forms.BooleanField(
        label=_("Private"),
        required=False,
        help_text=_("Only you and people you give access can see it."),
    )
