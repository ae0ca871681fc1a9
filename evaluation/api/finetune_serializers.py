"""Forms of fine-tunings in `/api/v1/`."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from evaluation.finetune_spec import MAX_EPOCHS, MAX_TEXT_LENGTH, Target, Wish
from evaluation.training_data import TrainingData
from ml_core.train.recipes import RECIPES, get_recipe


class TargetIn(serializers.Serializer[Any]):
    """Where the result goes."""

    kind = serializers.ChoiceField(choices=["repo", "pull_request"], default="repo")
    repo = serializers.CharField(
        max_length=200,
        help_text="“namespace/name” of a new model, or of one that gets a pull request.",
    )
    is_private = serializers.BooleanField(
        required=False, default=True, help_text="Whether a new repository is private."
    )


class StartFinetuneIn(serializers.Serializer[Any]):
    """A request to fine-tune a model. What is left out is chosen by the recipe or from the data."""

    model = serializers.CharField(max_length=200, help_text="“namespace/name” of the base.")
    revision = serializers.CharField(max_length=255, required=False, default="main")
    dataset = serializers.CharField(max_length=200, help_text="“namespace/name” of the data set.")
    data_revision = serializers.CharField(max_length=255, required=False, default="main")
    config = serializers.CharField(max_length=200, required=False, default=None, allow_null=True)
    train_split = serializers.CharField(max_length=100, required=False, default="")
    validation_split = serializers.CharField(
        max_length=100,
        required=False,
        default=None,
        allow_null=True,
        help_text="Null holds back a part of the training rows.",
    )
    recipe = serializers.ChoiceField(choices=sorted(RECIPES), required=False, default="")
    columns = serializers.DictField(
        child=serializers.CharField(max_length=200),
        required=False,
        default=dict,
        help_text="From each role of the recipe (“text”, “label” …) to a column of the data.",
    )
    method = serializers.ChoiceField(choices=["full", "lora"], required=False, default="full")
    epochs = serializers.IntegerField(required=False, default=3, min_value=1, max_value=MAX_EPOCHS)
    minutes = serializers.FloatField(
        required=False,
        default=None,
        allow_null=True,
        min_value=0.5,
        max_value=10_000,
        help_text="Train for about so long; then “epochs” is not looked at.",
    )
    learning_rate = serializers.FloatField(
        required=False, default=None, allow_null=True, min_value=1e-8, max_value=1
    )
    seed = serializers.IntegerField(required=False, default=0, min_value=0, max_value=2**32 - 1)
    max_length = serializers.IntegerField(
        required=False, default=None, allow_null=True, min_value=8, max_value=MAX_TEXT_LENGTH
    )
    patience = serializers.IntegerField(
        required=False, default=None, allow_null=True, min_value=1, max_value=100
    )
    lora_rank = serializers.IntegerField(
        required=False, default=None, allow_null=True, min_value=1, max_value=256
    )
    output = TargetIn()

    def wish(self, data: TrainingData) -> Wish:
        """What a valid request asks for, completed from the data."""
        found = dict(self.validated_data)
        recipe = get_recipe(found["recipe"]) if found["recipe"] else data.likely_recipe
        columns = {role.name: data.guess(role) for role in (*recipe.inputs, *recipe.truth)}
        kept = (
            "validation_split", "method", "epochs", "minutes", "learning_rate", "seed",
            "max_length", "patience", "lora_rank",
        )  # fmt: skip
        return Wish(
            recipe=recipe.name,
            config=data.config,
            train_split=found["train_split"] or data.first.name,
            columns={name: c for name, c in (columns | found["columns"]).items() if c},
            target=Target(**found["output"]),
            **{name: found[name] for name in kept},
        )


class PriceOut(serializers.Serializer[Any]):
    minutes = serializers.IntegerField()
    seconds = serializers.FloatField()
    basis = serializers.ChoiceField(
        choices=["this_base", "this_site", "guess"],
        help_text="On what the figure rests: finished runs of this base, of others, or nothing.",
    )
    n_runs = serializers.IntegerField()
    n_rows = serializers.IntegerField()
    tokens = serializers.IntegerField(help_text="Of one epoch, roughly.")
    parameters = serializers.IntegerField()
    max_steps = serializers.IntegerField(allow_null=True)
    limit_minutes = serializers.IntegerField(help_text="What a fine-tuning may take here.")


class SeriesOut(serializers.Serializer[Any]):
    series = serializers.ChoiceField(choices=["train", "validation"])
    name = serializers.CharField()
    points = serializers.ListField(
        child=serializers.ListField(child=serializers.FloatField(allow_null=True)),
        help_text="Pairs of step and value.",
    )


class CurvesOut(serializers.Serializer[Any]):
    is_active = serializers.BooleanField()
    series = SeriesOut(many=True)


class PublishIn(serializers.Serializer[Any]):
    """Where to publish a result that was refused; nothing means where it was asked to go."""

    output = TargetIn(required=False, default=None, allow_null=True)


class PublishingOut(serializers.Serializer[Any]):
    state = serializers.ChoiceField(choices=["waiting", "publishing", "published", "refused"])
    problem = serializers.CharField(allow_blank=True)
    repo = serializers.CharField()
    commit = serializers.CharField(allow_blank=True)
    pull_number = serializers.IntegerField(allow_null=True)
