"""What a fine-tuning job answers: frozen, versioned, JSON both ways."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ml_core.directions import Direction
from ml_core.records import from_json, to_json
from ml_core.results import ModelFacts, PredictionsFile, Scores
from ml_core.statistics.comparison import Comparison
from ml_core.train.specs import FinetuneSpec

FINETUNE_RESULT_VERSION = 1

EndReason = Literal["epochs", "max_steps", "early_stopping"]


@dataclass(frozen=True)
class OutputFile:
    """A file of the new model's folder, `path` relative to it."""

    path: str
    sha256: str
    size_bytes: int


@dataclass(frozen=True)
class TrainPoint:
    """The training loss, a mean over the examples since the last point."""

    step: int
    epoch: float
    loss: float
    learning_rate: float
    tokens_per_second: float | None = None
    eta_s: float | None = None


@dataclass(frozen=True)
class EvalPoint:
    """Metrics on the validation split after `step` steps; 0 is the base with its fresh head."""

    step: int
    metrics: dict[str, float | None]


@dataclass(frozen=True)
class Curve:
    """What training looked like, in the order of steps."""

    train: tuple[TrainPoint, ...] = ()
    eval: tuple[EvalPoint, ...] = ()


@dataclass(frozen=True)
class Resume:
    """A checkpoint that the job went on from, and damaged or unfinished ones it left aside."""

    step: int
    skipped: tuple[str, ...] = ()


@dataclass(frozen=True)
class TrainingFacts:
    """How it was trained, as used and not as asked for.

    `steps` were made, of `planned_steps`; `best_step` is the one whose weights are the result.
    `tokens` (or images) were seen, `padded_slots` computed for them. `rows` are those trained on,
    `validation_rows` those that decided; `trainable_parameters` of `parameters` were changed.
    `fresh_weights` began at random. Seconds are wall time by phase, of the last try alone.
    """

    method: str
    learning_rate: float
    step_slots: int
    token_budget: int
    max_length: int | None
    steps: int
    planned_steps: int
    best_step: int
    end_reason: EndReason
    epochs: float
    rows: int
    validation_rows: int
    truncated_rows: int
    tokens: int
    padded_slots: int
    parameters: int
    trainable_parameters: int
    fresh_weights: tuple[str, ...]
    device: str
    device_name: str
    dtype: str
    threads: int
    seed: int
    seconds: dict[str, float]
    oom_halvings: int = 0
    learning_rate_cuts: int = 0
    peak_device_memory_bytes: int | None = None
    notes: tuple[str, ...] = ()
    arithmetic: dict[str, str] = field(default_factory=dict)

    @property
    def padding_ratio(self) -> float:
        """Computed slots for each useful one, 1 at best."""
        return self.padded_slots / self.tokens if self.tokens else 1.0


@dataclass(frozen=True)
class FinetuneResult:
    """One fine-tuning.

    `before` are the scores of the base with its fresh head on the validation split, `after` those
    of the model as it was saved and loaded again; `comparison` pairs their answers item by item.
    `files` make up the folder `model_folder` below the output folder, `adapter_files` the folder
    `adapter_folder` where the method is LoRA.
    """

    recipe: str
    spec: FinetuneSpec
    labels: tuple[str, ...]
    main_metric: str
    direction: Direction
    base: ModelFacts
    training: TrainingFacts
    before: Scores
    after: Scores
    comparison: Comparison
    curve: Curve
    model_folder: str
    files: tuple[OutputFile, ...]
    environment: dict[str, str]
    adapter_folder: str | None = None
    adapter_files: tuple[OutputFile, ...] = ()
    predictions: dict[str, PredictionsFile] = field(default_factory=dict)
    resumed_from: Resume | None = None
    version: int = FINETUNE_RESULT_VERSION

    def to_json(self) -> dict[str, object]:
        return dict(to_json(self))

    @classmethod
    def from_json(cls, value: object) -> "FinetuneResult":
        """Raises RecordError (a ValueError) or UserError for a value that is no result."""
        return from_json(cls, value)

    def write(self, path: Path) -> None:
        text = json.dumps(self.to_json(), ensure_ascii=False, indent=1, allow_nan=False)
        path.write_text(text, encoding="utf-8")
