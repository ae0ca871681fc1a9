"""The events of a training as points of curves: few enough to keep, written now and then."""

from __future__ import annotations

import math
import time

from evaluation.actions.training import add_points, drop_points_after
from evaluation.models import CurvePoint, Run, Series
from ml_core.train.events import Evaluated, Resumed, Trained, TrainingEvent

MAX_TRAIN_POINTS = 500
MAX_METRICS = 8
WRITE_S = 1.0
_OF_TRAINING = ("loss", "learning_rate")


class Curves:
    """Collects points, and writes them under the lease at most every `WRITE_S`."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._waiting: list[CurvePoint] = []
        self._written = float("-inf")
        self._last_step = -1
        self.planned_steps: int | None = None

    def take(self, event: TrainingEvent) -> None:
        """Raises `LeaseLost`."""
        if isinstance(event, Resumed):
            self._last_step = event.step
            drop_points_after(run=self._run, step=event.step)
        elif isinstance(event, Trained):
            self._take_trained(event)
        elif isinstance(event, Evaluated):
            for name, value in list(event.metrics.items())[:MAX_METRICS]:
                self._add(Series.VALIDATION, name, event.step, value)
        if self._waiting and time.monotonic() - self._written > WRITE_S:
            self.flush()

    def flush(self) -> None:
        """Raises `LeaseLost`."""
        self._written = time.monotonic()
        waiting, self._waiting = self._waiting, []
        if waiting:
            add_points(run=self._run, points=waiting)

    def _take_trained(self, event: Trained) -> None:
        """Thinned by the length of the training, so that any length gives as many points."""
        apart = math.ceil((self.planned_steps or 0) / MAX_TRAIN_POINTS)
        if event.step - self._last_step < apart:
            return
        self._last_step = event.step
        for name in _OF_TRAINING:
            self._add(Series.TRAIN, name, event.step, getattr(event, name))

    def _add(self, series: Series, name: str, step: int, value: float | None) -> None:
        is_number = value is not None and math.isfinite(value)
        if 0 <= step < 2**31:
            self._waiting.append(
                CurvePoint(
                    series=series, name=name[:40], step=step, value=value if is_number else None
                )
            )
