"""What a fine-tuning costs in time, told before it starts, and on what the figure rests.

Work is counted in parameters times tokens. How fast a pool does it is learnt from its finished
runs, those of the same base first; without any it is a stated guess.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import median
from typing import Literal

from evaluation.finetune_spec import Wish
from evaluation.models import Run, RunKind, RunState
from evaluation.training_data import SplitFacts, TrainingData
from hub.models import Repo
from ml_core.train.recipes import Recipe

Basis = Literal["this_base", "this_site", "guess"]

GUESSED_RATE = 2e10
"""Parameters times tokens a second of a training on a few cores: DistilBERT's shape at 500 tokens a
second, a third of what was measured for reading."""
START_S = 20.0
"""Fetching, loading, saving, checking the result."""
BYTES_PER_TOKEN = 4.0
IMAGE_TOKENS = 200
DEFAULT_MAX_LENGTH = 512
READING_SHARE = 1 / 3
"""Of the cost of training on a text: what it costs to read it when scores are taken."""
VALIDATION_SHARE = 0.1
RUNS_LOOKED_AT = 15
BYTES_PER_PARAMETER = 4


@dataclass(frozen=True)
class Price:
    """`seconds` of a worker; `max_steps` where the training ends by time and not by epochs."""

    seconds: float
    basis: Basis
    n_runs: int
    n_rows: int
    tokens: int
    parameters: int
    max_steps: int | None = None

    @property
    def minutes(self) -> int:
        """Rounded up: nobody minds an early end."""
        return max(1, math.ceil(self.seconds / 60))


@dataclass(frozen=True)
class _Rate:
    per_s: float
    basis: Basis
    n_runs: int


def quote(*, base: Repo, data: TrainingData, wish: Wish) -> Price:
    """The price of a wish. Raises `InvalidInput`, and what reading the data raises."""
    held = wish.validation_split
    return price_of(
        base=base,
        recipe=wish.known_recipe,
        train=data.facts(wish.train_split),
        validation=data.facts(held) if held else None,
        columns=wish.columns,
        epochs=wish.epochs,
        minutes=wish.minutes,
        max_length=wish.max_length,
        step_slots=wish.step_slots,
    )


def price_of(
    *,
    base: Repo,
    recipe: Recipe,
    train: SplitFacts,
    validation: SplitFacts | None,
    columns: dict[str, str],
    epochs: int,
    minutes: float | None,
    max_length: int | None,
    step_slots: int | None,
) -> Price:
    """The time that a fine-tuning should take; rows that nobody counted are taken for 10,000."""
    parameters = parameters_of(base)
    rate = _measured_rate(base)
    per_row = _tokens_a_row(recipe, train, columns, max_length or DEFAULT_MAX_LENGTH)
    n_rows = train.n_rows if train.n_rows is not None else 10_000
    n_held = (validation.n_rows or 0) if validation else round(n_rows * VALIDATION_SHARE)
    n_trained = n_rows if validation else n_rows - n_held
    per_token_s = parameters / rate.per_s
    epoch_s = n_trained * per_row * per_token_s
    scores_s = n_held * per_row * per_token_s * READING_SHARE
    tokens = round(n_trained * per_row)
    max_steps = None
    if minutes is not None:
        training_s = max(1.0, minutes * 60 - START_S - 3 * scores_s)
        tokens_a_slot = IMAGE_TOKENS if recipe.unit == "images" else 1
        slots = step_slots or recipe.slots_of_step(per_row / tokens_a_slot)
        slot_s = per_token_s * tokens_a_slot
        max_steps = max(1, int(training_s / (slots * slot_s)))
        seconds = max(minutes * 60, START_S + 3 * scores_s)
    else:
        seconds = START_S + epochs * (epoch_s + scores_s) + 2 * scores_s
    return Price(seconds, rate.basis, rate.n_runs, n_rows, tokens, parameters, max_steps)


def parameters_of(base: Repo) -> int:
    """Of the weights' headers; where they were not read, by the size of the repository."""
    total = (base.safetensors or {}).get("total")
    if isinstance(total, int) and total > 0:
        return total
    return max(1, (base.size_bytes or 0) // BYTES_PER_PARAMETER)


def _tokens_a_row(
    recipe: Recipe, train: SplitFacts, columns: dict[str, str], max_length: int
) -> float:
    if recipe.unit == "images":
        return IMAGE_TOKENS
    used = [columns[role.name] for role in recipe.inputs if columns.get(role.name)]
    size = sum(train.chars.get(column, 0.0) for column in used)
    return min(float(max_length), 2 + size / BYTES_PER_TOKEN)


def _measured_rate(base: Repo) -> _Rate:
    """Parameters times tokens a second, of the newest runs that are most alike."""
    finished = Run.objects.filter(kind=RunKind.FINETUNE, state=RunState.FINISHED)
    choices: list[tuple[Basis, dict[str, object]]] = [
        ("this_base", {"model_repo": base}),
        ("this_site", {}),
    ]
    for basis, narrowed in choices:
        facts = finished.filter(**narrowed).order_by("-finished_at")
        rows = facts.values_list("record__training", flat=True)[:RUNS_LOOKED_AT]
        rates = [rate for row in rows if (rate := _rate_of(row)) is not None]
        if rates:
            return _Rate(median(rates), basis, len(rates))
    return _Rate(GUESSED_RATE, "guess", 0)


def _rate_of(training: object) -> float | None:
    """Of one record; None where it has no time or was resumed."""
    if not isinstance(training, dict):
        return None
    seconds = (training.get("seconds") or {}).get("training")
    tokens, parameters = training.get("tokens"), training.get("parameters")
    if not seconds or not tokens or not parameters or seconds < 1:
        return None
    return float(tokens) * float(parameters) / float(seconds)
