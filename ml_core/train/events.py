"""What a running fine-tuning says: one JSON object a line, numbered by `seq` without gaps.

`phase`, `progress` and `note` look as they do for an evaluation (`ml_core.evaluate.events`);
`progress` counts steps while the phase is "training", and items in "before" and "after".

`{"seq": 1, "event": "phase", "phase": "loading"}`, then "before", "training", "saving", "after"
`{"seq": 5, "event": "progress", "done": 20, "total": 300, "per_second": 2.5}`
`{"seq": 6, "event": "train", "step": 20, "epoch": 0.2, "loss": 1.91, "learning_rate": 0.0004,
  "tokens_per_second": 5100.0, "eta_s": 112.0}`
`{"seq": 7, "event": "eval", "step": 100, "metrics": {"accuracy": 0.71}, "is_best": true}`
`{"seq": 8, "event": "checkpoint", "step": 100, "name": "step-00000100", "size_bytes": 52428800}`
`{"seq": 9, "event": "resumed", "step": 100, "skipped": ["step-00000200"]}`
`{"seq": 10, "event": "note", "code": "learning_rate_cut", "message": "..."}`

A try that resumes begins at `seq` 1 again, and repeats points of steps after its checkpoint: a
reader drops the points it has of steps above that of "resumed".
"""

from dataclasses import asdict, dataclass
from typing import ClassVar, Literal

from ml_core.records import RecordError, from_json
from ml_core.train.results import EvalPoint, Resume, TrainPoint

Phase = Literal["loading", "before", "training", "saving", "after"]
PHASES: tuple[Phase, ...] = ("loading", "before", "training", "saving", "after")


@dataclass(frozen=True)
class PhaseBegins:
    event: ClassVar[str] = "phase"
    phase: Phase


@dataclass(frozen=True)
class Progress:
    """`per_second` is of steps (or items), None before it can be told."""

    event: ClassVar[str] = "progress"
    done: int
    total: int
    per_second: float | None = None


@dataclass(frozen=True)
class Trained(TrainPoint):
    event: ClassVar[str] = "train"


@dataclass(frozen=True, kw_only=True)
class Evaluated(EvalPoint):
    event: ClassVar[str] = "eval"
    is_best: bool = False


@dataclass(frozen=True)
class CheckpointSaved:
    event: ClassVar[str] = "checkpoint"
    step: int
    name: str
    size_bytes: int


@dataclass(frozen=True)
class Resumed(Resume):
    event: ClassVar[str] = "resumed"


@dataclass(frozen=True)
class Note:
    """Something worth knowing that is no error."""

    event: ClassVar[str] = "note"
    code: str
    message: str


TrainingEvent = PhaseBegins | Progress | Trained | Evaluated | CheckpointSaved | Resumed | Note

KINDS: dict[str, type[TrainingEvent]] = {
    kind.event: kind
    for kind in (PhaseBegins, Progress, Trained, Evaluated, CheckpointSaved, Resumed, Note)
}


def to_line(event: TrainingEvent, seq: int) -> dict[str, object]:
    """The event as a job prints it."""
    return {"seq": seq, "event": event.event, **asdict(event)}


def from_line(value: object) -> tuple[int, TrainingEvent]:
    """Number and event of a printed line, which a job that is not trusted may have written.

    Raises:
        RecordError: it is no event (a ValueError).
    """
    fields = dict(value) if isinstance(value, dict) else {}
    seq, name = fields.pop("seq", None), fields.pop("event", None)
    kind = KINDS.get(name) if isinstance(name, str) else None
    if kind is None or type(seq) is not int or seq < 1:
        raise RecordError("event", "this is no event of a fine-tuning")
    return seq, from_json(kind, fields)
