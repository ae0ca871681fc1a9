"""The form of a fine-tuning: form only; rights and rules are in access and actions."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from evaluation.finetune_spec import MAX_EPOCHS, MAX_TEXT_LENGTH, Target, Wish
from evaluation.training_data import TrainingData
from hub.models import User
from hub.portal.forms import owner_choices
from ml_core.data.roles import Role
from ml_core.train.recipes import Recipe

BY_EPOCHS, BY_MINUTES = "epochs", "minutes"
NEW_REPO, PULL_REQUEST = "repo", "pull_request"
ROLE_TITLES = {
    "text": _("Text"),
    "text_pair": _("Second text"),
    "label": _("Label"),
    "tokens": _("Words"),
    "tags": _("Tags of the words"),
    "image": _("Picture"),
    "prompt": _("Prompt"),
}
METHOD_TITLES = {
    "full": _("All weights"),
    "lora": _("LoRA: small additions to the weights"),
}


class FinetuneForm(forms.Form):
    """What the page asks for, given the base, the data and the recipe."""

    train_split = forms.ChoiceField(label=_("Train on"))
    validation_split = forms.ChoiceField(
        label=_("Measure on"),
        required=False,
        help_text=_("This split decides which weights are kept, and gives the scores."),
    )
    method = forms.ChoiceField(label=_("What is trained"), widget=forms.RadioSelect)
    length = forms.ChoiceField(
        label=_("How long"),
        choices=[(BY_EPOCHS, _("A number of epochs")), (BY_MINUTES, _("About so many minutes"))],
        widget=forms.RadioSelect,
        initial=BY_EPOCHS,
    )
    epochs = forms.IntegerField(
        label=_("Epochs"), min_value=1, max_value=MAX_EPOCHS, initial=3, required=False
    )
    minutes = forms.FloatField(
        label=_("Minutes"), min_value=0.5, max_value=10_000, initial=2, required=False
    )
    learning_rate = forms.FloatField(
        label=_("Learning rate"),
        required=False,
        min_value=1e-8,
        max_value=1,
        widget=forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off"}),
    )
    seed = forms.IntegerField(
        label=_("Seed"), required=False, min_value=0, max_value=2**32 - 1, initial=0
    )
    max_length = forms.IntegerField(
        label=_("Longest text, in tokens"), required=False, min_value=8, max_value=MAX_TEXT_LENGTH
    )
    patience = forms.IntegerField(
        label=_("Stop early"),
        required=False,
        min_value=1,
        max_value=100,
        help_text=_("After so many measurements without a better one. Empty: never."),
    )
    lora_rank = forms.IntegerField(
        label=_("Rank of LoRA"), required=False, min_value=1, max_value=256
    )
    output = forms.ChoiceField(
        label=_("Where the result goes"),
        choices=[
            (NEW_REPO, _("A new repository")),
            (PULL_REQUEST, _("A pull request on a model")),
        ],
        widget=forms.RadioSelect,
        initial=NEW_REPO,
    )
    owner = forms.ChoiceField(label=_("Owner"), required=False)
    name = forms.CharField(
        label=_("Name"),
        max_length=96,
        required=False,
        help_text=_("Letters, digits, “-”, “_” and “.”."),
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    is_private = forms.BooleanField(label=_("Private"), required=False)
    target = forms.CharField(
        label=_("Model"),
        max_length=200,
        required=False,
        widget=forms.TextInput(attrs={"autocomplete": "off", "placeholder": "namespace/name"}),
    )

    def __init__(
        self, *args: Any, user: User, data: TrainingData, recipe: Recipe, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.user, self.training_data, self.recipe = user, data, recipe
        self.roles: list[Role] = [*recipe.inputs, *recipe.truth]
        splits = [(name, name) for name in data.splits]
        held_back = gettext("a part of the training rows, held back")
        self._choose("train_split", splits, data.first.name)
        validation = "validation" if "validation" in data.splits else ""
        if validation == data.first.name:
            validation = ""
        self._choose("validation_split", [("", held_back), *splits], validation)
        self._choose("method", [(m, METHOD_TITLES[m]) for m in recipe.methods], recipe.methods[0])
        self._choose("owner", owner_choices(user), user.username)
        rates = ", ".join(f"{rate:g} ({name})" for name, rate in recipe.learning_rates.items())
        words = gettext("Empty: %(rates)s; more for narrow models.")
        self.fields["learning_rate"].help_text = words % {"rates": rates}
        for role in self.roles:
            self.fields[f"column_{role.name}"] = self._column(role)

    def filled(self) -> FinetuneForm:
        """The form as it would be sent if nothing were changed."""
        first = {n: self.get_initial_for_field(field, n) for n, field in self.fields.items()}
        sent = {name: value for name, value in first.items() if value not in (None, False)}
        return FinetuneForm(sent, user=self.user, data=self.training_data, recipe=self.recipe)

    def columns(self) -> list[forms.BoundField]:
        """One field for each role of the recipe."""
        return [self[f"column_{role.name}"] for role in self.roles]

    def clean(self) -> dict[str, Any]:
        """What is needed depends on what was chosen."""
        found = super().clean() or self.cleaned_data
        needed = {
            BY_EPOCHS: ("length", "epochs"),
            BY_MINUTES: ("length", "minutes"),
            NEW_REPO: ("output", "name"),
            PULL_REQUEST: ("output", "target"),
        }
        for value, (field, name) in needed.items():
            is_missing = found.get(name) in (None, "") and name not in self.errors
            if found.get(field) == value and is_missing:
                self.add_error(name, gettext("Fill in this field."))
        return found

    def wish(self) -> Wish:
        """What a valid form asks for."""
        found = self.cleaned_data
        by_minutes = found["length"] == BY_MINUTES
        columns = {
            role.name: found[f"column_{role.name}"]
            for role in self.roles
            if found.get(f"column_{role.name}")
        }
        return Wish(
            recipe=self.recipe.name,
            config=self.training_data.config,
            train_split=found["train_split"],
            validation_split=found["validation_split"] or None,
            columns=columns,
            target=self.wished_target(),
            method=found["method"],
            epochs=found["epochs"] or 3,
            minutes=found["minutes"] if by_minutes else None,
            learning_rate=found["learning_rate"],
            seed=found["seed"] or 0,
            max_length=found["max_length"],
            patience=found["patience"],
            lora_rank=found["lora_rank"] if found["method"] == "lora" else None,
        )

    def wished_target(self) -> Target:
        found = self.cleaned_data
        if found["output"] == PULL_REQUEST:
            return Target("pull_request", found["target"].strip().strip("/"))
        return Target("repo", f"{found['owner']}/{found['name']}", found["is_private"])

    def _column(self, role: Role) -> forms.ChoiceField:
        fitting = [(name, name) for name in self.training_data.fitting(role)]
        return forms.ChoiceField(
            label=ROLE_TITLES.get(role.name, role.name),
            choices=fitting if role.required else [("", gettext("none")), *fitting],
            initial=self.training_data.guess(role),
            required=role.required,
        )

    def _choose(self, name: str, choices: list[tuple[str, Any]], initial: str) -> None:
        field = self.fields[name]
        assert isinstance(field, forms.ChoiceField)
        field.choices = choices
        field.initial = initial
