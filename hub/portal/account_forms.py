"""Forms of accounts, tokens and organisations: form only; rules are in names and actions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from hub.actions.tokens import Grant
from hub.errors import InvalidInput
from hub.models import AccessToken, Namespace, Organization, Repo, Role, TokenScope, User
from hub.names import validate_namespace, validate_repo_name

PLAIN_INPUT = {"autocomplete": "off", "autocapitalize": "off", "spellcheck": "false"}


def clean_new_namespace(name: str, *, is_free_checked: bool = True) -> str:
    """`name`, if a new user or organisation may take it.

    Raises:
        ValidationError: malformed, reserved or, if asked for, taken; in the reader's language.
    """
    try:
        validate_repo_name(name)
    except InvalidInput:
        raise ValidationError(
            _(
                "Use 1–96 letters, digits, “-”, “_” and “.”; no “--” or “..”, "
                "no “-” or “.” at the ends, and not “.git” at the end."
            )
        ) from None
    try:
        validate_namespace(name)
    except InvalidInput:
        raise ValidationError(_("This name is kept for pages of the site.")) from None
    if is_free_checked and Namespace.objects.filter(name__iexact=name).exists():
        raise ValidationError(_("This name is taken. Please choose another one."))
    return name


class ProfileForm(forms.Form):
    full_name = forms.CharField(label=_("Full name"), max_length=150, required=False)
    bio = forms.CharField(
        label=_("About"),
        max_length=500,
        required=False,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=_("Up to 500 characters. Everyone can read this."),
    )
    homepage = forms.URLField(
        label=_("Home page"),
        max_length=200,
        required=False,
        assume_scheme="https",
        widget=forms.URLInput(attrs={"placeholder": "https://"}),
    )

    @classmethod
    def of(cls, owner: User | Organization, data: Any = None) -> ProfileForm:
        """The form as `owner` has filled it so far."""
        initial = {name: getattr(owner, name) for name in cls.base_fields}
        return cls(data, initial=initial)

    def clean_homepage(self) -> str:
        url: str = self.cleaned_data["homepage"]
        if url and not url.startswith(("https://", "http://")):
            raise ValidationError(_("A web address starts with https:// or http://."))
        return url


class OrganizationForm(forms.Form):
    name = forms.CharField(
        label=_("Name"),
        max_length=96,
        help_text=_("Part of every address: name/model. Letters, digits, “-”, “_” and “.”."),
        widget=forms.TextInput(attrs=PLAIN_INPUT),
    )
    full_name = forms.CharField(label=_("Full name"), max_length=150, required=False)

    def clean_name(self) -> str:
        return clean_new_namespace(self.cleaned_data["name"])


class MemberForm(forms.Form):
    """A user by name, and the role they get."""

    username = forms.CharField(
        label=_("User name"), max_length=150, widget=forms.TextInput(attrs=PLAIN_INPUT)
    )
    role = forms.ChoiceField(label=_("Role"), choices=Role.choices, initial=Role.CONTRIBUTOR)

    def clean_username(self) -> str:
        name = self.cleaned_data["username"].strip()
        self.user = User.objects.filter(username__iexact=name, is_active=True).first()
        if self.user is None:
            raise ValidationError(_("There is no user of this name."))
        return name


LIFETIMES = [
    ("30", _("30 days")),
    ("90", _("90 days")),
    ("365", _("1 year")),
    ("never", _("Until revoked")),
]


class TokenName(forms.CharField):
    """A name that tells the user's tokens apart."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            label=_("Name"), max_length=80, widget=forms.TextInput(attrs=PLAIN_INPUT), **kwargs
        )


def clean_token_name(user: User, name: str) -> str:
    """`name`, if the user has no token of it, so that a form sent twice makes one token."""
    if AccessToken.objects.filter(user=user, name=name.strip(), is_internal=False).exists():
        raise ValidationError(_("You already have a token of this name."))
    return name.strip()


class DeviceCodeForm(forms.Form):
    """The code that a machine shows."""

    user_code = forms.CharField(
        label=_("Code"),
        max_length=40,
        widget=forms.TextInput(attrs={**PLAIN_INPUT, "placeholder": "XXXX-XXXX", "class": "mono"}),
    )


class DeviceForm(forms.Form):
    """What a machine may do that logs in, and the name of its token."""

    scope = forms.ChoiceField(
        label=_("What it may do"),
        choices=[
            (TokenScope.WRITE, _("Write: upload and change everything that you may change")),
            (TokenScope.READ, _("Read: download, also what is private")),
        ],
        initial=TokenScope.WRITE,
        widget=forms.RadioSelect,
    )
    name = TokenName(help_text=_("Under this name you find and revoke it among your tokens."))

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.user = user

    def clean_name(self) -> str:
        return clean_token_name(self.user, self.cleaned_data["name"])


class TokenForm(forms.Form):
    """A token to make. Each of `repos` has a choice of nothing, read or write."""

    name = TokenName(help_text=_("Where you will use it, such as “laptop” or “training machine”."))
    lifetime = forms.ChoiceField(label=_("Expires after"), choices=LIFETIMES, initial="90")
    scope = forms.ChoiceField(
        label=_("What it may do"),
        choices=[
            (TokenScope.WRITE, _("Write: upload and change everything that you may change")),
            (TokenScope.READ, _("Read: download, also what is private")),
            (TokenScope.FINE_GRAINED, _("Chosen repositories only")),
        ],
        initial=TokenScope.WRITE,
        widget=forms.RadioSelect,
    )

    def __init__(self, *args: Any, user: User, repos: Sequence[Repo], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.user = user
        self.repos = {f"grant_{repo.pk}": repo for repo in repos}
        choices = [("", "–"), ("read", _("Read")), ("write", _("Write"))]
        for key in self.repos:
            self.fields[key] = forms.ChoiceField(
                choices=choices,
                required=False,
                widget=forms.Select(attrs={"class": "form-select form-select-sm w-auto"}),
            )

    def grant_rows(self) -> Iterator[tuple[Repo, forms.BoundField]]:
        for key, repo in self.repos.items():
            yield repo, self[key]

    def grants(self) -> list[Grant]:
        """What a fine-grained token reaches; nothing for other scopes."""
        if self.cleaned_data["scope"] != TokenScope.FINE_GRAINED:
            return []
        return [
            Grant(repo=repo, can_write=self.cleaned_data[key] == "write")
            for key, repo in self.repos.items()
            if self.cleaned_data.get(key)
        ]

    def expires_at(self) -> datetime | None:
        days = self.cleaned_data["lifetime"]
        return None if days == "never" else timezone.now() + timedelta(days=int(days))

    def clean_name(self) -> str:
        return clean_token_name(self.user, self.cleaned_data["name"])

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        if data.get("scope") == TokenScope.FINE_GRAINED and not self.grants():
            self.add_error("scope", _("Choose at least one repository for this token."))
        return data
