"""What happens after each step: the curve, the evaluations, the checkpoints, the reasons to end."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from ml_core.train.checkpoints import clear, name_of, save_checkpoint
from ml_core.train.events import CheckpointSaved, Evaluated, Trained
from ml_core.train.judging import Judged
from ml_core.train.progress import Progress
from ml_core.train.reporting import TrainingReporter, interrupted
from ml_core.train.results import EvalPoint, TrainPoint
from ml_core.train.sampler import StepPlan
from ml_core.train.specs import FinetuneSpec
from ml_core.train.trainer import StepTrainer
from ml_core.train.weights import are_finite

CURVE_POINTS = 200
MAX_LOG_STEPS = 50


class LossNotFinite(Exception):
    """The loss of a step, or a weight after it, is infinite or no number."""

    def __init__(self, step: int) -> None:
        super().__init__(f"the loss is no finite number at step {step}")
        self.step = step


@dataclass(frozen=True)
class Places:
    """Where checkpoints are written, of which training they are, and how many stay."""

    root: Path
    identity: str
    keep: int


class Watch(TrainerCallback):
    """Follows one training. `judge` evaluates the model as it is."""

    def __init__(
        self,
        spec: FinetuneSpec,
        plan: StepPlan,
        progress: Progress,
        *,
        judge: Callable[[], Judged],
        main_metric: str,
        learning_rate: float,
        places: Places,
        reporter: TrainingReporter,
    ) -> None:
        self.spec, self.plan, self.progress = spec, plan, progress
        self.judge, self.main_metric = judge, main_metric
        self.learning_rate, self.places, self.reporter = learning_rate, places, reporter
        self.trainer: StepTrainer | None = None
        self.first_step = progress.step
        self.log_steps = min(MAX_LOG_STEPS, max(1, len(plan) // CURVE_POINTS))
        self.evals = due_steps(plan, spec.training.eval_steps)
        self.saves = self.evals | due_steps(plan, spec.training.save_steps or len(plan))
        self._units, self._slots = 0, 0
        self._clock = time.monotonic()
        self._start = self._clock
        self._judging_s = 0.0

    def on_step_end(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        """After the optimizer and the schedule took the step."""
        step = self.progress.step = int(state.global_step)
        rows = self.plan.steps[step - 1]
        self._units += int(self.plan.units[rows].sum())
        self._slots += int(self.plan.lengths[rows].sum())
        stops = self.reporter.should_stop()
        is_due = step in self.saves or stops
        if step % self.log_steps == 0 or step == len(self.plan) or is_due:
            self._log()
        self.reporter.step(step, len(self.plan), self._per_second())
        if step in self.evals:
            self._evaluate()
        if is_due:
            self._save()
        if stops:
            raise interrupted(f"saved after step {step} of {len(self.plan)}")
        patience = self.spec.training.patience
        if patience is not None and self.progress.stale_evals >= patience and step < len(self.plan):
            control.should_training_stop = True

    @property
    def _trainer(self) -> StepTrainer:
        assert self.trainer is not None
        return self.trainer

    def _log(self) -> None:
        """Add a point to the curve. Raises LossNotFinite."""
        step = self.progress.step
        total = self._trainer.take_loss()
        if not math.isfinite(total):
            raise LossNotFinite(step)
        self.progress.tokens += self._slots
        self.progress.padded_slots += self._trainer.padded_slots
        self._trainer.padded_slots = 0
        if not self._units:
            return
        seconds = max(time.monotonic() - self._clock - self._judging_s, 1e-9)
        rate = self._per_second()
        left = len(self.plan) - step
        point = TrainPoint(
            step=step,
            epoch=round(self.plan.epoch(step), 4),
            loss=total / self._units,
            learning_rate=self.learning_rate * self._trainer.rate(step - 1),
            tokens_per_second=round(self._slots / seconds, 1),
            eta_s=None if not rate else round(left / rate, 1),
        )
        self.progress.train.append(point)
        self.reporter.send(Trained(**vars(point)))
        self._units, self._slots = 0, 0
        self._clock, self._judging_s = time.monotonic(), 0.0

    def _per_second(self) -> float | None:
        """Steps a second in this try, evaluations and checkpoints included."""
        seconds = time.monotonic() - self._start
        made = self.progress.step - self.first_step
        return round(made / seconds, 3) if seconds > 0 and made else None

    def _evaluate(self) -> None:
        began = time.monotonic()
        judged = self.judge()
        values = {metric.name: metric.value for metric in judged.scores.metrics}
        direction = judged.value(self.main_metric).direction
        is_best = self.progress.judge(
            values[self.main_metric],
            direction=direction,
            min_delta=self.spec.training.min_delta,
        )
        self.progress.eval.append(EvalPoint(self.progress.step, values))
        self.reporter.send(Evaluated(step=self.progress.step, metrics=values, is_best=is_best))
        self._judging_s += time.monotonic() - began

    def _save(self) -> None:
        """Write a checkpoint, unless what it would hold is broken. Raises LossNotFinite."""
        began = time.monotonic()
        step = self.progress.step
        if not are_finite(self._trainer.trained):
            raise LossNotFinite(step)

        def fill(folder: Path) -> None:
            self._trainer.save_state(folder)
            self.progress.write(folder)

        root, identity = self.places.root, self.places.identity
        manifest = save_checkpoint(root, step, identity, fill)
        clear(root, keep=self.places.keep, best_step=self.progress.best_step)
        self.reporter.send(CheckpointSaved(step, name_of(step), manifest.size_bytes))
        self._judging_s += time.monotonic() - began


def due_steps(plan: StepPlan, every: int | None) -> frozenset[int]:
    """The steps after which something is due: each `every`, or each epoch's last; and the last."""
    last = len(plan)
    steps = plan.epoch_ends if every is None else range(every, last + 1, every)
    return frozenset(step for step in (*steps, last) if step <= last)
