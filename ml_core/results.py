"""What a job answers: frozen, versioned, JSON both ways."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ml_core.directions import Direction
from ml_core.generation import GenerationFacts
from ml_core.records import from_json, to_json
from ml_core.specs import EvaluationSpec
from ml_core.statistics.estimates import Estimate
from ml_core.statistics.slices import Slices

RESULT_VERSION = 1

ScoringPath = Literal["tree", "kv", "plain"]
"""How log-likelihoods were computed, see `ml_core.evaluate.likelihoods`."""


@dataclass(frozen=True)
class MetricValue:
    """One number with its uncertainty.

    `n` items were scored, `n_missing` gave no prediction and are in none of the numbers. A value
    that does not exist is None, never 0. `method` says how `se` and the 95 % interval came about.
    `n_clusters` is None where items stand alone.
    """

    name: str
    value: float | None
    direction: Direction
    n: int
    n_missing: int
    se: float | None
    ci_low: float | None
    ci_high: float | None
    method: str
    n_clusters: int | None = None


@dataclass(frozen=True)
class ClassScore:
    """Scores of one label; None where the ratio has an empty denominator.

    `iou`, intersection over union, is of pixels; answers of other kinds have none.
    """

    label: str
    precision: float | None
    recall: float | None
    f1: float | None
    support: int
    predicted: int
    iou: float | None = None


@dataclass(frozen=True)
class Confusion:
    """How often a label (row) was predicted as a label (column): (row, column, count), sorted."""

    labels: tuple[str, ...]
    cells: tuple[tuple[int, int, int], ...]


@dataclass(frozen=True)
class Bin:
    """Items of like confidence. `low` and `high` bound the bin, `ci_low` and `ci_high` are Wilson's
    95 % interval of `accuracy`; an empty bin has None."""

    low: float
    high: float
    n: int
    confidence: float | None
    accuracy: float | None
    ci_low: float | None
    ci_high: float | None


@dataclass(frozen=True)
class TemperatureFit:
    """The temperature that makes the true labels likeliest, and what it would change.

    Above 1 the model is too sure of itself. Fitted and measured on the same items, so the gain is a
    little flattering. `temperature` is None where no finite one inside 0.01 .. 100 is best, as for
    a model that is always right.
    """

    temperature: float | None
    nll_before: float
    nll_after: float | None
    ece_before: float
    ece_after: float | None


@dataclass(frozen=True)
class Calibration:
    """All of it for one set of predictions.

    `ece` uses 15 bins of equal width, `adaptive_ece` 15 of equal size; both rise with noise where
    items are few, and have no interval for that reason. `brier` is the sum of squares over the
    labels (0 to 2), `nll` the natural logarithm's.
    """

    ece: float | None
    adaptive_ece: float | None
    brier: Estimate
    nll: Estimate
    bins: tuple[Bin, ...]
    temperature: TemperatureFit | None
    n: int
    n_missing: int


@dataclass(frozen=True)
class MetricSlices:
    """One metric in each group of items."""

    metric: str
    slices: Slices


@dataclass(frozen=True)
class Scores:
    """Everything computed from predictions and truth together.

    `per_class`, `confusion` and `calibration` are for answers that are labels; `slices` for data
    whose items come in groups, in the order of the metrics; `halves` for benchmarks that part their
    items into a public and a private half.
    """

    metrics: tuple[MetricValue, ...]
    per_class: tuple[ClassScore, ...] = ()
    confusion: Confusion | None = None
    slices: tuple[MetricSlices, ...] = ()
    halves: tuple[MetricSlices, ...] = ()
    calibration: Calibration | None = None


@dataclass(frozen=True)
class AdapterFacts:
    """A LoRA adapter that was added into the weights, in float32, before anything was computed.

    `modules` got an addition, `replaced` are parameters that the adapter brought whole.
    """

    ranks: tuple[int, ...]
    modules: int
    replaced: tuple[str, ...]
    parameters: int


@dataclass(frozen=True)
class ModelFacts:
    """What was loaded. `removed_config_keys` are runtime settings we did not take over."""

    architecture: str
    model_type: str
    parameters: int
    stored_parameters: dict[str, int]
    weight_files: tuple[str, ...]
    removed_config_keys: tuple[str, ...] = ()
    adapter: AdapterFacts | None = None


@dataclass(frozen=True)
class Execution:
    """How it was computed, as used and not as asked for.

    `batch_sizes` counts batches by their number of rows. `useful_slots` are the tokens (or images)
    of the items, `padded_slots` those computed. Seconds are wall time by phase. `arithmetic` is as
    `ml_core.device` describes it; `peak_device_memory_bytes` is None where the device is the CPU,
    `generation` where no text was generated, `path` where no log-likelihoods of continuations
    were asked for.
    """

    device: str
    device_name: str
    dtype: str
    attention: str | None
    threads: int
    seed: int
    max_length: int | None
    token_budget: int | None
    batch_rows: int | None
    batch_sizes: dict[str, int]
    useful_slots: int
    padded_slots: int
    oom_halvings: int
    n_items: int
    n_truncated: int
    n_errors: int
    seconds: dict[str, float]
    notes: tuple[str, ...] = ()
    arithmetic: dict[str, str] = field(default_factory=dict)
    peak_device_memory_bytes: int | None = None
    generation: GenerationFacts | None = None
    path: ScoringPath | None = None


@dataclass(frozen=True)
class PredictionsFile:
    """The per-sample file beside the result."""

    file: str
    sha256: str
    size_bytes: int
    rows: int


@dataclass(frozen=True)
class EvaluationResult:
    """One evaluation. `scores` is None where the job was not told what is right."""

    task: str
    spec: EvaluationSpec
    labels: tuple[str, ...]
    label_map: dict[str, str | None]
    model: ModelFacts
    execution: Execution
    environment: dict[str, str]
    predictions: PredictionsFile
    scores: Scores | None = None
    version: int = field(default=RESULT_VERSION)

    def metric(self, name: str) -> MetricValue:
        """The metric called `name`. Raises KeyError."""
        found = [m for m in (self.scores.metrics if self.scores else ()) if m.name == name]
        if not found:
            raise KeyError(name)
        return found[0]

    def to_json(self) -> dict[str, object]:
        return dict(to_json(self))

    @classmethod
    def from_json(cls, value: object) -> "EvaluationResult":
        """Raises RecordError (a ValueError) or UserError for a value that is no result."""
        return from_json(cls, value)

    def write(self, path: Path) -> None:
        text = json.dumps(self.to_json(), ensure_ascii=False, indent=1, allow_nan=False)
        path.write_text(text, encoding="utf-8")
