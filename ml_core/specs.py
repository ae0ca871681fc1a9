"""What a job is asked to do: frozen, versioned, JSON both ways."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ml_core.asking import AskingSpec, Example
from ml_core.errors import Code, UserError
from ml_core.generation import ComparisonSpec, GenerationSpec
from ml_core.records import RecordError, from_json, to_json

SPEC_VERSION = 1
MAX_SPEC_BYTES = 16 << 20

Dtype = Literal["float32", "bfloat16", "float16"]


@dataclass(frozen=True)
class ModelSpec:
    """A folder with a checkpoint. `repo` and `revision` are recorded, never fetched.

    `base` is the model that an adapter alone adds to. `onnx` is a file with the same model, which
    then computes the outputs in onnxruntime; the folder still says all else about it.
    """

    path: str
    repo: str | None = None
    revision: str | None = None
    base: "ModelSpec | None" = None
    onnx: str | None = None


@dataclass(frozen=True)
class DataSpec:
    """The files of one split, in order. `repo` to `split` are recorded, never fetched.

    `columns` names the column for each role of the task ("text", "label", "item_id" ...). A role
    left out is filled by the column of its own name, if there is one. `limit` keeps the first rows.
    """

    files: tuple[str, ...]
    columns: dict[str, str] = field(default_factory=dict)
    limit: int | None = None
    repo: str | None = None
    revision: str | None = None
    config: str | None = None
    split: str | None = None


@dataclass(frozen=True)
class EngineSpec:
    """How to compute. None leaves the choice to the engine, which records what it took.

    `token_budget` bounds rows times longest row of one batch, `batch_rows` the rows of an image
    batch, `threads` torch's threads on a CPU.
    """

    dtype: Dtype = "float32"
    device: str = "auto"
    seed: int = 0
    token_budget: int | None = None
    batch_rows: int | None = None
    max_length: int | None = None
    threads: int | None = None


@dataclass(frozen=True)
class EvaluationSpec:
    """One evaluation: a model, one split of a data set, a task, its metrics.

    Args:
        labels: the data set's label names in the order of their integers; None reads them from
            the data.
        label_map: from each label of the model to a label of the data set, or to null for "none of
            them"; several may share one, whose probabilities are added. None matches by name.
        metrics: empty means the task's own.
        max_parameters: a larger model is refused before memory is taken for it.
        max_error_share: a run in which a larger share of the items failed is no result.
        bootstrap_draws: for metrics whose error has no closed form.
        templates: for labels known by name: the sentences these are set into, at `{}`; empty means
            the task's own.
        may_be_silent: for questions about a text: whether some have no answer.
        asking, examples: for multiple choice: how a question is put, and what is shown before it.
        generation, comparison: for families whose answer is a text of the model's own.
    """

    task: str
    model: ModelSpec
    data: DataSpec
    labels: tuple[str, ...] | None = None
    label_map: dict[str, str | None] | None = None
    metrics: tuple[str, ...] = ()
    engine: EngineSpec = field(default_factory=EngineSpec)
    max_parameters: int = 2_000_000_000
    max_error_share: float = 0.01
    bootstrap_draws: int = 2000
    templates: tuple[str, ...] = ()
    may_be_silent: bool = False
    asking: AskingSpec = field(default_factory=AskingSpec)
    examples: tuple[Example, ...] = ()
    generation: GenerationSpec = field(default_factory=GenerationSpec)
    comparison: ComparisonSpec = field(default_factory=ComparisonSpec)
    version: int = SPEC_VERSION

    def __post_init__(self) -> None:
        """Raises UserError `spec_invalid` where a value is out of its range."""
        engine = self.engine
        positive = {
            "data.limit": self.data.limit,
            "engine.token_budget": engine.token_budget,
            "engine.batch_rows": engine.batch_rows,
            "engine.max_length": engine.max_length,
            "engine.threads": engine.threads,
            "max_parameters": self.max_parameters,
        }
        for name, value in positive.items():
            _require(value is None or value > 0, f"{name} must be above 0.")
        _require(self.version == SPEC_VERSION, f"version must be {SPEC_VERSION}.")
        _require(0 <= engine.seed < 2**32, "engine.seed must be from 0 to 2^32 - 1.")
        _require(0 <= self.max_error_share <= 1, "max_error_share must be from 0 to 1.")
        _require(0 <= self.bootstrap_draws <= 100_000, "bootstrap_draws must be at most 100,000.")
        _require(bool(self.data.files), "data.files is empty.")
        names = self.labels or ()
        _require(len(set(names)) == len(names), "labels holds a name twice.")
        are_whole = all(template.count("{}") == 1 for template in self.templates)
        _require(are_whole, "a template needs one place {} for the name of a label.")

    def to_json(self) -> dict[str, object]:
        return dict(to_json(self))

    @classmethod
    def from_json(cls, value: object) -> "EvaluationSpec":
        """The spec in a JSON value. Raises UserError `spec_invalid`."""
        try:
            return from_json(cls, value)
        except RecordError as error:
            raise UserError(Code.SPEC_INVALID, f"The spec does not hold: {error}.") from error

    @classmethod
    def read(cls, path: Path) -> "EvaluationSpec":
        """The spec in a JSON file. Raises UserError `spec_invalid`."""
        return cls.from_json(read_json_spec(path))

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(self.to_json(), ensure_ascii=False, indent=1), encoding="utf-8")


def read_json_spec(path: Path) -> object:
    """The JSON value in a spec file. Raises UserError `spec_invalid`."""
    try:
        with path.open("rb") as stream:
            raw = stream.read(MAX_SPEC_BYTES + 1)
        _require(len(raw) <= MAX_SPEC_BYTES, "the file is too large.")
        value: object = json.loads(raw)
    except (OSError, ValueError, RecursionError) as error:
        message = f"The spec {path.name} cannot be read as JSON: {error}"
        raise UserError(Code.SPEC_INVALID, message) from error
    return value


def _require(condition: bool, problem: str) -> None:
    if not condition:
        raise UserError(Code.SPEC_INVALID, f"The spec does not hold: {problem}")
