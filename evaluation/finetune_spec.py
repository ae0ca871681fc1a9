"""What a fine-tuning is asked to do: checked before anything waits, frozen when it starts."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal

from django.conf import settings

from evaluation.spec import SPEC_VERSION
from hub.errors import InvalidInput
from hub.models import Repo
from ml_core.errors import CoreError
from ml_core.specs import DataSpec, EngineSpec, ModelSpec
from ml_core.train.recipes import Recipe, get_recipe
from ml_core.train.specs import FinetuneSpec, Training

MAX_EPOCHS = 100
MAX_TEXT_LENGTH = 8192


@dataclass(frozen=True)
class Target:
    """Where the result goes: a new repository, a pull request on one that is there, or a commit to
    it."""

    kind: Literal["repo", "pull_request", "commit"]
    repo: str
    is_private: bool = True

    @property
    def title(self) -> str:
        return "Add the fine-tuned model" if self.kind == "repo" else "Fine-tuned weights"

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "title": self.title}


@dataclass(frozen=True)
class Wish:
    """What somebody asks for, in their terms. None leaves a value to the recipe.

    Args:
        columns: the column of the data for each role of the recipe.
        minutes: train for about so long instead of `epochs`.
    """

    recipe: str
    config: str | None
    train_split: str
    validation_split: str | None
    columns: dict[str, str]
    target: Target
    method: str = "full"
    epochs: int = 3
    minutes: float | None = None
    learning_rate: float | None = None
    seed: int = 0
    max_length: int | None = None
    step_slots: int | None = None
    patience: int | None = None
    lora_rank: int | None = None

    @property
    def known_recipe(self) -> Recipe:
        """Raises `InvalidInput`."""
        try:
            return get_recipe(self.recipe)
        except CoreError as error:
            raise InvalidInput(error.message) from None

    def training(self, max_steps: int | None) -> dict[str, Any]:
        """The part of the spec of that name, without what is left to the recipe."""
        asked = {
            "method": self.method,
            "epochs": self.epochs if max_steps is None else MAX_EPOCHS,
            "max_steps": max_steps,
            "learning_rate": self.learning_rate,
            "step_slots": self.step_slots,
            "patience": self.patience,
            "lora_rank": self.lora_rank,
        }
        return {name: value for name, value in asked.items() if value is not None}


def build_finetune_spec(
    *, base: Repo, base_commit: str, dataset: Repo, data_commit: str, wish: Wish,
    max_steps: int | None,
) -> dict[str, Any]:  # fmt: skip
    """The spec of a fine-tuning, as JSON values.

    Shape: `version`, `model{repo, commit}`, `dataset{repo, commit}`, `config`, `splits{train,
    validation}`, `columns`, `recipe`, `training`, `engine{dtype, device, seed, max_length}`,
    `output` (see `Target`), `limits`.

    Raises: InvalidInput: a value is out of its range, or the recipe lacks a column.
    """
    recipe = wish.known_recipe
    missing = [name for name in recipe.required_columns if not wish.columns.get(name)]
    if missing:
        raise InvalidInput(f"Choose a column for: {', '.join(missing)}.")
    if wish.method not in recipe.methods:
        raise InvalidInput(f"This recipe can be trained by: {', '.join(recipe.methods)}.")
    if not 1 <= wish.epochs <= MAX_EPOCHS:
        raise InvalidInput(f"Choose 1 to {MAX_EPOCHS} epochs.")
    if wish.validation_split == wish.train_split:
        raise InvalidInput("Train and validate on different splits, or leave validation empty.")
    known = {role.name for role in (*recipe.inputs, *recipe.truth)}
    engine = {"dtype": "float32", "device": "auto", "seed": wish.seed}
    spec = {
        "version": SPEC_VERSION,
        "model": {"repo": base.full_name, "commit": base_commit},
        "dataset": {"repo": dataset.full_name, "commit": data_commit},
        "config": wish.config,
        "splits": {"train": wish.train_split, "validation": wish.validation_split},
        "columns": {name: column for name, column in wish.columns.items() if name in known},
        "recipe": wish.recipe,
        "training": wish.training(max_steps),
        "engine": {**engine, "max_length": wish.max_length},
        "output": wish.target.to_json(),
        "limits": {
            "wall_s": settings.FINETUNE_WALL_LIMIT_S,
            "memory_bytes": settings.RUN_MEMORY_LIMIT_BYTES,
            "out_bytes": settings.FINETUNE_OUTPUT_LIMIT_BYTES,
        },
    }
    _try_out(spec)
    return spec


def core_finetune_spec(
    spec: dict[str, Any],
    *,
    model: str,
    files: dict[str, list[str]],
    labels: tuple[str, ...] | None,
    resume_from: str | None,
) -> FinetuneSpec:
    """The spec as `ml_core` takes it, with the folders of this machine.

    Args:
        files: of each split.

    Raises: UserError: a value is out of its range.
    """
    splits = spec["splits"]
    data = {
        name: DataSpec(
            files=tuple(files[name]),
            columns=dict(spec["columns"]),
            repo=spec["dataset"]["repo"],
            revision=spec["dataset"]["commit"],
            config=spec["config"],
            split=split,
        )
        for name, split in splits.items()
        if split
    }
    return FinetuneSpec(
        recipe=spec["recipe"],
        model=ModelSpec(model, spec["model"]["repo"], spec["model"]["commit"]),
        train=data["train"],
        validation=data.get("validation"),
        labels=labels,
        training=Training(**spec["training"]),
        engine=EngineSpec(**spec["engine"]),
        resume_from=resume_from,
        name=spec["output"]["repo"].rpartition("/")[2],
    )


def _try_out(spec: dict[str, Any]) -> None:
    """Raises `InvalidInput` for values that the library would refuse when the job starts."""
    rate = spec["training"].get("learning_rate")
    if rate is not None and not math.isfinite(rate):
        raise InvalidInput("The learning rate must be a number.")
    longest = spec["engine"]["max_length"]
    if longest is not None and not 8 <= longest <= MAX_TEXT_LENGTH:
        raise InvalidInput(f"The longest text has 8 to {MAX_TEXT_LENGTH} tokens.")
    if not 0 <= spec["engine"]["seed"] < 2**32:
        raise InvalidInput("The seed is a whole number from 0 to 4294967295.")
    try:
        core_finetune_spec(
            spec,
            model="model",
            files={"train": ["train"], "validation": ["validation"]},
            labels=None,
            resume_from=None,
        )
    except CoreError as error:
        raise InvalidInput(error.message) from None
