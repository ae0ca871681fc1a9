"""What a running fine-tuning tells its listener, and the seconds of its phases."""

import time
from collections.abc import Callable
from itertools import count

from ml_core.errors import Code, PlatformError
from ml_core.evaluate.events import PROGRESS_INTERVAL_S, OnEvent, Reporter
from ml_core.train.events import Progress, TrainingEvent, to_line

ShouldStop = Callable[[], bool]


def never() -> bool:
    """For callers who do not stop a training."""
    return False


class TrainingReporter(Reporter):
    """Sends numbered events, and leaves at the next of them where it is asked to stop."""

    def __init__(
        self,
        on_event: OnEvent,
        should_stop: ShouldStop = never,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._numbers = count(1)
        self._listener = on_event
        super().__init__(lambda event: on_event({"seq": next(self._numbers), **event}), clock)
        self.should_stop = should_stop
        self._last_step = float("-inf")

    def progress(self, done: int, total: int) -> None:
        self.leave_if_asked()
        super().progress(done, total)

    def send(self, event: TrainingEvent) -> None:
        """Send one of the events of a training."""
        self._listener(to_line(event, next(self._numbers)))

    def step(self, done: int, total: int, per_second: float | None) -> None:
        """`done` of `total` steps; sent at most every `PROGRESS_INTERVAL_S`, and at the end."""
        now = self._clock()
        if done < total and now - self._last_step < PROGRESS_INTERVAL_S:
            return
        self._last_step = now
        self.send(Progress(done, total, per_second))

    def leave_if_asked(self) -> None:
        """Raise PlatformError `interrupted` where the process was asked to stop."""
        if self.should_stop():
            raise interrupted("before or after the training itself; nothing of it is lost")


def interrupted(where: str) -> PlatformError:
    """The error of a job that was asked to stop."""
    return PlatformError(
        Code.INTERRUPTED, f"The job was asked to stop ({where}). Start it again to go on."
    )
