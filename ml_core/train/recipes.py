"""The recipes: what can be learnt, one table, and one module each.

To add one: write a module in `ml_core.train.objectives` with a `prepare` of the same signature as
its neighbours', and add its `Recipe` below. Checks, batches, checkpoints, scores before and after,
the card and the platform's forms read this table. Standard library and numpy alone: the web reads
it. Objectives are imported when a job runs.
"""

from dataclasses import dataclass
from typing import Literal

from ml_core.data.roles import LABEL, TAGS, WORDS_ROLE, Role
from ml_core.errors import Code, UserError
from ml_core.train.specs import Method

Unit = Literal["tokens", "images"]


@dataclass(frozen=True)
class Recipe:
    """What a recipe takes and gives.

    Args:
        inputs, truth: columns of the training data and of the validation data.
        task: the family of `ml_core.evaluate.tasks` that scores before and after; None where the
            loss itself is the score.
        metrics: computed at each evaluation, the main one first.
        unit: what a slot of a batch is.
        objective: module with `prepare`.
        learning_rates: by method, for models of the usual width.
        max_step_slots: of one step, where the spec names no number: see `slots_of_step`.
        has_labels: whether the new model has a head for label names.
        pipeline_tag: of the new model's card.
    """

    name: str
    title: str
    inputs: tuple[Role, ...]
    truth: tuple[Role, ...]
    task: str | None
    metrics: tuple[str, ...]
    unit: Unit
    objective: str
    learning_rates: dict[Method, float]
    max_step_slots: int
    pipeline_tag: str
    has_labels: bool = False

    @property
    def methods(self) -> tuple[Method, ...]:
        return tuple(self.learning_rates)

    def learning_rate(self, method: Method, *, width: int | None) -> float:
        """The rate for a model whose hidden states have `width` values; None: nobody knows.

        Models narrower than BERT base, for which custom has found the rates of recipes, get more.

        Source: Yang et al. 2022, "Tensor Programs V": with Adam the best rate of hidden weights
        goes with one over the width.
        """
        rate = self.learning_rates[method]
        if width is None or width >= USUAL_WIDTH:
            return rate
        return rate * min(USUAL_WIDTH / max(width, 1), MAX_RATE_FACTOR)

    def slots_of_step(self, mean_row: float) -> int:
        """Slots of a step of the customary number of rows, whose mean length is `mean_row` slots.

        The bound is for long rows. Short ones do not fill it: fewer steps of more rows learn less
        in an epoch (of BERT-tiny, on messages of 25 tokens, by 6 points of accuracy in three).
        """
        return max(1, min(self.max_step_slots, round(STEP_ROWS * mean_row)))

    @property
    def required_columns(self) -> tuple[str, ...]:
        """Roles that the data must have, input first."""
        return tuple(role.name for role in (*self.inputs, *self.truth) if role.required)


USUAL_WIDTH = 768
MAX_RATE_FACTOR = 8.0
STEP_ROWS = 32

TEXTS = (Role("text", "text"), Role("text_pair", "text", required=False))

RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        Recipe(
            name="text-classification",
            title="Text classification",
            inputs=TEXTS,
            truth=(LABEL,),
            task="text-classification",
            metrics=("accuracy", "macro_f1"),
            unit="tokens",
            objective="ml_core.train.objectives.text_classification",
            learning_rates={"full": 5e-5, "lora": 5e-4},
            max_step_slots=2048,
            pipeline_tag="text-classification",
            has_labels=True,
        ),
        Recipe(
            name="token-classification",
            title="Token classification",
            inputs=(Role(WORDS_ROLE, "texts"),),
            truth=(TAGS,),
            task="token-classification",
            metrics=("entity_f1", "entity_precision", "entity_recall", "tag_accuracy"),
            unit="tokens",
            objective="ml_core.train.objectives.token_classification",
            learning_rates={"full": 5e-5, "lora": 5e-4},
            max_step_slots=2048,
            pipeline_tag="token-classification",
            has_labels=True,
        ),
        Recipe(
            name="image-classification",
            title="Image classification",
            inputs=(Role("image", "image"),),
            truth=(LABEL,),
            task="image-classification",
            metrics=("accuracy", "macro_f1"),
            unit="images",
            objective="ml_core.train.objectives.image_classification",
            learning_rates={"full": 5e-5, "lora": 5e-4},
            max_step_slots=32,
            pipeline_tag="image-classification",
            has_labels=True,
        ),
        Recipe(
            name="masked-lm",
            title="Masked words (continued pretraining)",
            inputs=(Role("text", "text"),),
            truth=(),
            task=None,
            metrics=("loss",),
            unit="tokens",
            objective="ml_core.train.objectives.masked_lm",
            learning_rates={"full": 5e-5, "lora": 5e-4},
            max_step_slots=4096,
            pipeline_tag="fill-mask",
        ),
        Recipe(
            name="causal-lm",
            title="Text generation (prompts and answers, or plain texts)",
            inputs=(Role("text", "text"), Role("prompt", "text", required=False)),
            truth=(),
            task=None,
            metrics=("loss",),
            unit="tokens",
            objective="ml_core.train.objectives.causal_lm",
            learning_rates={"full": 2e-5, "lora": 2e-4},
            max_step_slots=4096,
            pipeline_tag="text-generation",
        ),
    )
}


def get_recipe(name: str) -> Recipe:
    """The recipe called `name`. Raises UserError `recipe_unknown`."""
    if name not in RECIPES:
        known = ", ".join(sorted(RECIPES))
        raise UserError(Code.RECIPE_UNKNOWN, f"There is no recipe {name!r}; there are {known}.")
    return RECIPES[name]
