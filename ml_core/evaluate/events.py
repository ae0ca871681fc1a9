"""What a running job says: phases, progress and notes, as plain dictionaries.

`{"event": "phase", "phase": "loading" | "running" | "scoring"}`; a fine-tuning has others
`{"event": "progress", "done": 64, "total": 1000, "per_second": 211.5}`
`{"event": "note", "code": "oom_halved", "message": "..."}`
"""

import time
from collections.abc import Callable
from typing import Literal

Event = dict[str, object]
OnEvent = Callable[[Event], None]
Phase = Literal["loading", "running", "scoring", "before", "training", "saving", "after"]

PROGRESS_INTERVAL_S = 0.5


def ignore(_event: Event) -> None:
    """For callers who do not listen."""


class Reporter:
    """Sends events to a listener and keeps the seconds of each phase."""

    def __init__(self, on_event: OnEvent, clock: Callable[[], float] = time.monotonic) -> None:
        self._send = on_event
        self._clock = clock
        self._phase: tuple[str, float] | None = None
        self._last_progress = float("-inf")
        self.seconds: dict[str, float] = {}

    def phase(self, phase: Phase) -> None:
        """A phase begins, and the one before it ends."""
        self.close()
        self._phase = (phase, self._clock())
        self._send({"event": "phase", "phase": phase})

    def close(self) -> None:
        """The running phase ends."""
        if self._phase is not None:
            name, start = self._phase
            self.seconds[name] = round(self.seconds.get(name, 0.0) + self._clock() - start, 3)
            self._phase = None

    def progress(self, done: int, total: int) -> None:
        """`done` of `total` items; sent at most every `PROGRESS_INTERVAL_S`, and at the end."""
        now = self._clock()
        if done < total and now - self._last_progress < PROGRESS_INTERVAL_S:
            return
        self._last_progress = now
        elapsed = now - self._phase[1] if self._phase else 0.0
        rate = round(done / elapsed, 1) if elapsed > 0 else None
        self._send({"event": "progress", "done": done, "total": total, "per_second": rate})

    def note(self, code: str, message: str) -> None:
        """Something worth knowing that is no error."""
        self._send({"event": "note", "code": code, "message": message})
