"""Forms around a gate: asking to be let in, setting the gate, and letting people in."""

from __future__ import annotations

import hashlib
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from hub.cards.gate import GateCard, GateField, countries
from hub.models import Gate, RequestStatus, User
from hub.models.access_request import MAX_REASON_CHARS

MAX_ANSWER_CHARS = 500
_CHOOSE = ("", "–")


class AskForm(forms.Form):
    """What a card asks for; all of it must be answered, and what is to be agreed to, agreed to."""

    def __init__(self, *args: Any, card: GateCard, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._labels = {_key(asked): asked.label for asked in card.fields}
        for asked in card.fields:
            self.fields[_key(asked)] = _field(asked)

    def answers(self) -> dict[str, Any]:
        """Answers by label, as JSON holds them: dates in ISO form, countries by their code."""
        given = {label: self.cleaned_data[key] for key, label in self._labels.items()}
        return {
            label: value.isoformat() if hasattr(value, "isoformat") else value
            for label, value in given.items()
        }


def _key(asked: GateField) -> str:
    """Name of the field; follows from the label, so that a changed card mixes no answers up."""
    return f"answer_{hashlib.sha256(asked.label.encode()).hexdigest()[:16]}"


def _field(asked: GateField) -> forms.Field:
    if asked.kind == "checkbox":
        return forms.BooleanField(label=asked.label)
    if asked.kind == "date":
        widget = forms.DateInput(attrs={"type": "date"})
        return forms.DateField(label=asked.label, widget=widget)
    if asked.kind == "country":
        return forms.ChoiceField(label=asked.label, choices=[_CHOOSE, *countries()])
    if asked.kind == "select":
        return forms.ChoiceField(label=asked.label, choices=[_CHOOSE, *asked.options])
    return forms.CharField(label=asked.label, max_length=MAX_ANSWER_CHARS)


class GateForm(forms.Form):
    gated = forms.ChoiceField(
        label=_("Its files are for"),
        choices=[("", _("Everyone who sees the repository")), *Gate.choices],
        required=False,
        widget=forms.RadioSelect,
        help_text=_("The list of files, the card, the licence and the discussions stay in view."),
    )


class DecisionForm(forms.Form):
    user = forms.CharField(max_length=150)
    status = forms.ChoiceField(choices=RequestStatus.choices)
    reason = forms.CharField(max_length=MAX_REASON_CHARS, required=False)


class GrantForm(forms.Form):
    username = forms.CharField(
        label=_("User name"),
        max_length=150,
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    user: User | None = None

    def clean_username(self) -> str:
        name: str = self.cleaned_data["username"].strip()
        self.user = User.objects.filter(username__iexact=name, is_active=True).first()
        if self.user is None:
            raise ValidationError(_("There is no user of this name."))
        return name
