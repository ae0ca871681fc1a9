"""How far a training is: what a checkpoint remembers besides weights and optimizer."""

import json
from dataclasses import dataclass, field
from pathlib import Path

from ml_core.directions import Direction
from ml_core.records import from_json, to_json
from ml_core.train.results import Curve, EvalPoint, TrainPoint

FILE = "progress.json"


@dataclass(frozen=True)
class Stored:
    """A `Progress` as JSON."""

    step: int
    best_step: int | None
    best_value: float | None
    patience_value: float | None
    stale_evals: int
    tokens: int
    padded_slots: int
    learning_rate_factor: float
    curve: Curve


@dataclass
class Progress:
    """Where a training stands; changed by the loop alone.

    `best_value` is the best main metric so far and `best_step` its step; `patience_value` is the
    value that the last `stale_evals` evaluations did not beat by enough. `learning_rate_factor` is
    below 1 after the loss was no number. `tokens` are useful slots, `padded_slots` those computed.
    """

    step: int = 0
    best_step: int | None = None
    best_value: float | None = None
    patience_value: float | None = None
    stale_evals: int = 0
    tokens: int = 0
    padded_slots: int = 0
    learning_rate_factor: float = 1.0
    train: list[TrainPoint] = field(default_factory=list)
    eval: list[EvalPoint] = field(default_factory=list)

    @property
    def curve(self) -> Curve:
        return Curve(tuple(self.train), tuple(self.eval))

    def judge(self, value: float | None, *, direction: Direction, min_delta: float) -> bool:
        """Take in the main metric at this step; True where it is the best so far.

        The first value is the best, and of equal ones the first stays.
        """
        sign = 1.0 if direction == "higher" else -1.0
        gain = float("-inf") if value is None else sign * value
        before = float("-inf") if self.patience_value is None else sign * self.patience_value
        if gain > before + min_delta or self.patience_value is None:
            self.patience_value, self.stale_evals = value, 0
        else:
            self.stale_evals += 1
        best = float("-inf") if self.best_value is None else sign * self.best_value
        if self.best_step is not None and gain <= best:
            return False
        self.best_step, self.best_value = self.step, value
        return True

    def write(self, folder: Path) -> None:
        stored = Stored(
            self.step,
            self.best_step,
            self.best_value,
            self.patience_value,
            self.stale_evals,
            self.tokens,
            self.padded_slots,
            self.learning_rate_factor,
            self.curve,
        )
        text = json.dumps(to_json(stored), allow_nan=False)
        (folder / FILE).write_text(text, encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> "Progress":
        """Raises OSError, or ValueError for a file that holds no progress."""
        stored = from_json(Stored, json.loads((folder / FILE).read_text(encoding="utf-8")))
        known = {name: getattr(stored, name) for name in Stored.__dataclass_fields__}
        curve = known.pop("curve")
        return cls(**known, train=list(curve.train), eval=list(curve.eval))
