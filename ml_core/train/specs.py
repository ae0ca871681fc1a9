"""What a fine-tuning job is asked to do: frozen, versioned, JSON both ways."""

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ml_core.errors import Code, UserError
from ml_core.records import RecordError, from_json, to_json
from ml_core.specs import DataSpec, EngineSpec, ModelSpec, read_json_spec

FINETUNE_SPEC_VERSION = 1

Method = Literal["full", "lora"]
Schedule = Literal["linear", "cosine", "constant"]


@dataclass(frozen=True)
class Training:
    """How to train. None leaves a value to the recipe, whose choice the result records.

    Args:
        method: all weights, or low-rank additions (LoRA) and the new head.
        epochs: passes over the data; `max_steps` ends it sooner.
        step_slots: tokens (or images) that one step of the optimizer sees, on all devices together.
            `engine.token_budget` and `engine.batch_rows` bound what is computed at once, and change
            no result.
        warmup_share: part of the steps in which the learning rate rises to its full height.
        eval_steps: steps between two evaluations; None is once an epoch.
        save_steps: steps between two checkpoints; None is at each evaluation.
        patience: evaluations without a better main metric after which training ends; None never.
        min_delta: by how much a value must be better for patience to begin anew.
        lora_rank, lora_alpha, lora_dropout: of the additions.
        validation_share: part of the training rows that is held back where the spec names no
            validation data.
    """

    method: Method = "full"
    epochs: int = 3
    max_steps: int | None = None
    learning_rate: float | None = None
    step_slots: int | None = None
    schedule: Schedule = "linear"
    warmup_share: float = 0.06
    weight_decay: float = 0.01
    max_grad_norm: float = 1.0
    eval_steps: int | None = None
    save_steps: int | None = None
    patience: int | None = None
    min_delta: float = 0.0
    lora_rank: int = 16
    lora_alpha: int = 32
    lora_dropout: float = 0.05
    validation_share: float = 0.1

    def __post_init__(self) -> None:
        """Raises UserError `spec_invalid` where a value is out of its range."""
        positive = {
            "epochs": self.epochs,
            "max_steps": self.max_steps,
            "step_slots": self.step_slots,
            "eval_steps": self.eval_steps,
            "save_steps": self.save_steps,
            "patience": self.patience,
            "lora_rank": self.lora_rank,
            "lora_alpha": self.lora_alpha,
            "max_grad_norm": self.max_grad_norm,
        }
        for name, value in positive.items():
            _require(value is None or value > 0, f"training.{name} must be above 0.")
        _require(self.epochs <= 1000, "training.epochs must be at most 1000.")
        _require(self.lora_rank <= 1024, "training.lora_rank must be at most 1024.")
        rate = self.learning_rate
        _require(rate is None or 0 < rate <= 1, "training.learning_rate must be in (0, 1].")
        shares = {
            "warmup_share": self.warmup_share,
            "weight_decay": self.weight_decay,
            "lora_dropout": self.lora_dropout,
        }
        for name, share in shares.items():
            _require(0 <= share < 1, f"training.{name} must be from 0 to below 1.")
        _require(
            0 < self.validation_share <= 0.5, "training.validation_share must be above 0, to 0.5."
        )
        _require(0 <= self.min_delta < math.inf, "training.min_delta must be 0 or more.")


@dataclass(frozen=True)
class FinetuneSpec:
    """One fine-tuning: a base model, training data, a recipe, and how to train.

    Args:
        recipe: what is learnt, a name of `ml_core.train.recipes.RECIPES`.
        validation: the split that decides when to stop and gives the scores before and after; None
            holds back `training.validation_share` of the training rows, drawn by the seed.
        labels: the label names in the order of the new model's outputs; None reads them from the
            training data.
        engine: `dtype`, `device`, `seed`, `threads`, `max_length` (tokens of a row), and what is
            computed at once.
        max_parameters: a larger base is refused before memory is taken for it.
        max_checkpoints: kept besides the best.
        resume_from: a folder with checkpoints of an earlier try of the same spec; those in the
            output folder count too. The newest that is whole is taken, none is no error.
        name: what the card calls the new model; `license` and `languages` are written there too.
    """

    recipe: str
    model: ModelSpec
    train: DataSpec
    validation: DataSpec | None = None
    labels: tuple[str, ...] | None = None
    training: Training = field(default_factory=Training)
    engine: EngineSpec = field(default_factory=EngineSpec)
    metrics: tuple[str, ...] = ()
    max_parameters: int = 2_000_000_000
    max_checkpoints: int = 2
    bootstrap_draws: int = 2000
    resume_from: str | None = None
    name: str | None = None
    license: str | None = None
    languages: tuple[str, ...] = ()
    version: int = FINETUNE_SPEC_VERSION

    def __post_init__(self) -> None:
        """Raises UserError `spec_invalid` where a value is out of its range."""
        engine = self.engine
        positive = {
            "engine.token_budget": engine.token_budget,
            "engine.batch_rows": engine.batch_rows,
            "engine.max_length": engine.max_length,
            "engine.threads": engine.threads,
            "max_parameters": self.max_parameters,
            "max_checkpoints": self.max_checkpoints,
        }
        for name, value in positive.items():
            _require(value is None or value > 0, f"{name} must be above 0.")
        _require(self.version == FINETUNE_SPEC_VERSION, f"version must be {FINETUNE_SPEC_VERSION}.")
        _require(0 <= engine.seed < 2**32, "engine.seed must be from 0 to 2^32 - 1.")
        _require(engine.dtype != "float16", "training in float16 is not offered; use bfloat16.")
        _require(0 <= self.bootstrap_draws <= 100_000, "bootstrap_draws must be at most 100,000.")
        _require(bool(self.train.files), "train.files is empty.")
        _require(self.validation is None or bool(self.validation.files), "validation has no files.")
        for data in (self.train, self.validation):
            limit = data.limit if data else None
            _require(limit is None or limit > 0, "a limit of rows must be above 0.")
        names = self.labels or ()
        _require(len(set(names)) == len(names), "labels holds a name twice.")

    def to_json(self) -> dict[str, object]:
        return dict(to_json(self))

    @classmethod
    def from_json(cls, value: object) -> "FinetuneSpec":
        """The spec in a JSON value. Raises UserError `spec_invalid`."""
        try:
            return from_json(cls, value)
        except RecordError as error:
            raise UserError(Code.SPEC_INVALID, f"The spec does not hold: {error}.") from error

    @classmethod
    def read(cls, path: Path) -> "FinetuneSpec":
        """The spec in a JSON file. Raises UserError `spec_invalid`."""
        return cls.from_json(read_json_spec(path))

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(self.to_json(), ensure_ascii=False, indent=1), encoding="utf-8")


def _require(condition: bool, problem: str) -> None:
    if not condition:
        raise UserError(Code.SPEC_INVALID, f"The spec does not hold: {problem}")
