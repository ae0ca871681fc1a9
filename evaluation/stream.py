"""What a child prints, read without trust: events from garbage told apart, all of it bounded."""

import json
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from ml_core.train.events import from_line, to_line

MAX_LINE_BYTES = 64 << 10
STDERR_TAIL_BYTES = 16 << 10
MAX_NOTES = 100
MAX_TEXT_CHARS = 500
PROGRESS_INTERVAL_S = 0.2
PHASES = ("ready", "loading", "running", "scoring")

Event = dict[str, object]
Parse = Callable[[bytes], Event | None]


def parse_event(line: bytes) -> Event | None:
    """The event in a line, with known fields of known types only; None for anything else."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict):
        return None
    parsers = {"phase": _phase, "progress": _progress, "note": _note}
    parser = parsers.get(str(value.get("event")))
    return parser(value) if parser else None


def parse_training_event(line: bytes) -> Event | None:
    """The event of a fine-tuning in a line (`ml_core.train.events`); None for anything else."""
    try:
        seq, event = from_line(json.loads(line))
    except (ValueError, RecursionError):
        return None
    return to_line(event, seq)


def _phase(value: Event) -> Event | None:
    phase = value.get("phase")
    return {"event": "phase", "phase": phase} if phase in PHASES else None


def _progress(value: Event) -> Event | None:
    done, total, rate = (value.get(name) for name in ("done", "total", "per_second"))
    if type(done) is not int or type(total) is not int or not 0 <= done <= total < 1 << 53:
        return None
    rate = float(rate) if isinstance(rate, (int, float)) and 0 <= rate < 1e12 else None
    return {"event": "progress", "done": done, "total": total, "per_second": rate}


def _note(value: Event) -> Event | None:
    code, message = value.get("code"), value.get("message")
    if not isinstance(code, str) or not isinstance(message, str):
        return None
    return {"event": "note", "code": code[:64], "message": message[:MAX_TEXT_CHARS]}


@dataclass
class EventLines:
    """Splits standard output into lines and hands on the events among them.

    Progress is thinned out, the last one kept for `flush`; notes are counted off; lines that are
    no event are counted in `n_garbage`.
    """

    on_event: Callable[[Event], None]
    parse: Parse = parse_event
    n_garbage: int = 0
    _rest: bytes = b""
    _is_too_long: bool = False
    _n_notes: int = 0
    _held: Event | None = None
    _last_progress: float = float("-inf")

    def feed(self, data: bytes) -> None:
        """Take in some bytes, cut anywhere."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            if self._is_too_long or len(line) > MAX_LINE_BYTES:
                self._is_too_long = False
                self.n_garbage += 1
            elif line.strip():
                self._take(line)
        if len(self._rest) > MAX_LINE_BYTES:
            self._rest, self._is_too_long = b"", True

    def flush(self) -> None:
        """Hand on the progress that was held back."""
        if self._held is not None:
            held, self._held = self._held, None
            self.on_event(held)

    def _take(self, line: bytes) -> None:
        event = self.parse(line)
        if event is None:
            self.n_garbage += 1
        elif event["event"] == "progress":
            self._take_progress(event)
        elif event["event"] != "note" or self._n_notes < MAX_NOTES:
            self._n_notes += event["event"] == "note"
            self.flush()
            self.on_event(event)

    def _take_progress(self, event: Event) -> None:
        now = time.monotonic()
        self._held = event
        if now - self._last_progress >= PROGRESS_INTERVAL_S:
            self._last_progress = now
            self.flush()


@dataclass
class Tail:
    """The last bytes of standard error, for operators."""

    _parts: deque[bytes] = field(default_factory=deque)
    _size: int = 0

    def feed(self, data: bytes) -> None:
        self._parts.append(data)
        self._size += len(data)
        while self._size - len(self._parts[0]) >= STDERR_TAIL_BYTES:
            self._size -= len(self._parts.popleft())

    def text(self) -> str:
        return b"".join(self._parts)[-STDERR_TAIL_BYTES:].decode("utf-8", "replace")
