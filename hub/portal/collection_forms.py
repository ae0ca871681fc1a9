"""Forms of collections: form only; rights and rules are in access and actions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from hub.actions.collections import MAX_DESCRIPTION, MAX_NOTE, MAX_TITLE
from hub.models import Collection, Role, Theme, User


def keeper_choices(user: User) -> list[tuple[str, str]]:
    """Names under which `user` may keep collections: their own first, then organisations."""
    memberships = user.memberships.filter(role__in=[Role.WRITE, Role.ADMIN])
    rows = memberships.select_related("organization__namespace")
    names = sorted(row.organization.namespace.name for row in rows)
    return [(name, name) for name in [user.username, *names]]


class CollectionForm(forms.Form):
    title = forms.CharField(label=_("Title"), max_length=MAX_TITLE)
    description = forms.CharField(
        label=_("Description"), max_length=MAX_DESCRIPTION, required=False
    )
    theme = forms.ChoiceField(label=_("Colour"), choices=Theme.choices, initial=Theme.BLUE)
    is_private = forms.BooleanField(
        label=_("Private"), required=False, help_text=_("Only the owner and its members see it.")
    )

    @classmethod
    def of(cls, collection: Collection, data: Any = None) -> CollectionForm:
        """The form as the collection stands."""
        return cls(data, initial={name: getattr(collection, name) for name in cls.base_fields})


class NewCollectionForm(CollectionForm):
    owner = forms.ChoiceField(label=_("Owner"))

    field_order = ["owner", "title"]

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["owner"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = keeper_choices(user)


class AddItemForm(forms.Form):
    """One of the collections that the reader may fill, and a note."""

    collection = forms.ChoiceField(label=_("Collection"))
    note = forms.CharField(
        label=pgettext_lazy("on an item", "Note"),
        max_length=MAX_NOTE,
        required=False,
        help_text=_("Why it is here; shown below it."),
    )

    def __init__(self, *args: Any, choices: Sequence[Collection], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["collection"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [(one.slug, f"{one.namespace.name} / {one.title}") for one in choices]
