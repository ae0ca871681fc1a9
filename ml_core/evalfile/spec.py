"""What an `eval.yaml` says, once it is checked. Frozen; JSON values both ways."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from ml_core.asking import AskingSpec
from ml_core.evalfile.submissions import Halves, Submissions
from ml_core.generation import ComparisonSpec, GenerationSpec
from ml_core.records import to_json


@dataclass(frozen=True)
class Problem:
    """What is wrong and where; the words for `code` are in `evaluation.messages`."""

    where: str
    code: str
    params: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Baseline:
    """A row to compare with: numbers that somebody claims, those of a run of this site (`run`), or
    of answers that need no model (`computed`, see `ml_core.submitted.baselines`)."""

    name: str
    scores: dict[str, float]
    url: str = ""
    run: str = ""
    computed: str = ""


_LEFT_OUT = (
    "generation",
    "comparison",
    "asking",
    "dtype",
    "replay_tolerance",
    "submissions",
    "halves",
)


@dataclass(frozen=True)
class TaskSpec:
    """One checked task. `metrics` names the main one first.

    `generation` and `comparison` are of families that write texts, `asking` of those with choices,
    None elsewhere. `dtype` None is float32. `replay_tolerance` is the share of items that may
    change where another engine measures a run again; None is the library's own.
    """

    id: str
    name: str
    description: str
    type: str
    config: str | None
    split: str
    columns: dict[str, str]
    labels: tuple[str, ...] | None
    metrics: tuple[str, ...]
    chance: float | None
    baselines: tuple[Baseline, ...]
    generation: GenerationSpec | None = None
    comparison: ComparisonSpec | None = None
    templates: tuple[str, ...] = ()
    asking: AskingSpec | None = None
    dtype: str | None = None
    replay_tolerance: float | None = None
    submissions: Submissions | None = None
    halves: Halves | None = None

    def to_json(self) -> dict[str, Any]:
        """As JSON values; what a family does not have is left out, so that digests stay."""
        values = asdict(self)
        for name in _LEFT_OUT:
            values.pop(name)
            if (given := getattr(self, name)) is not None:
                values[name] = to_json(given)
        if not self.templates:
            del values["templates"]
        values["labels"] = list(self.labels) if self.labels is not None else None
        values["metrics"] = list(self.metrics)
        values["baselines"] = [asdict(baseline) for baseline in self.baselines]
        return values


@dataclass(frozen=True)
class EvalFile:
    """All that could be read. `tasks` holds only those without a problem."""

    name: str
    description: str
    tasks: tuple[TaskSpec, ...]
    problems: tuple[Problem, ...]
