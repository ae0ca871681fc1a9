"""Runs a job to its end: relays progress, keeps limits, cancels, and says how it ended. No Django.

    outcome = run_job(job, cage=find_cage(), limits=Limits(), on_event=..., should_cancel=...)

Events are those of `ml_core.evaluate.events`, and `{"event": "heartbeat", "elapsed_s": 12.0,
"memory_bytes": 1234}` every `HEARTBEAT_S` whether the job says anything or not. If a callback
raises, the job is ended and the error goes on.
"""

import contextlib
import os
import selectors
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from evaluation.cage import Cage, Job, Limits
from evaluation.child import Child, start_child
from evaluation.stream import Event, EventLines, Parse, Tail, parse_event
from evaluation.verdicts import Outcome, Stop, judge
from ml_core.errors import PlatformError

HEARTBEAT_S = 5.0
POLL_S = 0.1
WATCH_S = 0.25
CANCEL_POLL_S = 0.1
DRAIN_S = 1.0
READ_BYTES = 64 << 10


def never() -> bool:
    """For jobs that nobody can cancel."""
    return False


def ignore(_event: Event) -> None:
    """For callers who do not listen."""


def run_job(
    job: Job,
    *,
    cage: Cage,
    limits: Limits,
    on_event: Callable[[Event], None] = ignore,
    should_cancel: Callable[[], bool] = never,
    heartbeat_s: float = HEARTBEAT_S,
) -> Outcome:
    """Run `job` in `cage` under `limits`, and say how it ended. Never leaves a process behind.

    `should_cancel` is asked every `CANCEL_POLL_S`; the job is gone within two seconds of a yes.
    """
    if should_cancel():
        return judge(job, cage, stop=Stop.CANCELLED)
    try:
        child = start_child(job, cage=cage, limits=limits)
    except PlatformError as error:
        return Outcome.of_error(error, cage)
    return watch_child(
        child, job, on_event=on_event, should_cancel=should_cancel, heartbeat_s=heartbeat_s
    )


def watch_child(
    child: Child,
    job: Job,
    *,
    on_event: Callable[[Event], None] = ignore,
    should_cancel: Callable[[], bool] = never,
    heartbeat_s: float = HEARTBEAT_S,
    parse: Parse = parse_event,
) -> Outcome:
    """`run_job` for a child that is started already.

    Args:
        parse: reads a line of the job's output.
    """
    with child:
        watch = _Watch(
            child, job, EventLines(on_event, parse), on_event, should_cancel, heartbeat_s
        )
        stop = watch.until_ended()
        if stop is None:
            child.kill()
        else:
            child.terminate()
        watch.drain()
        status = child.process.wait()
        out_of_memory = child.was_out_of_memory()
    return judge(
        job,
        child.cage,
        stop=Stop.MEMORY if stop is None and out_of_memory and status != 0 else stop,
        status=status,
        limits=child.limits,
        wall_s=round(time.monotonic() - child.started, 3),
        cpu_s=child.cpu_s,
        peak_memory_bytes=child.peak_memory_bytes,
        stderr_tail=watch.tail.text(),
        n_garbage_lines=watch.lines.n_garbage,
    )


@dataclass
class _Watch:
    """The loop around one child."""

    child: Child
    job: Job
    lines: EventLines
    on_event: Callable[[Event], None]
    should_cancel: Callable[[], bool]
    heartbeat_s: float
    tail: Tail = field(default_factory=Tail)
    n_bytes: int = 0
    _due: dict[str, float] = field(default_factory=dict)

    def until_ended(self) -> Stop | None:
        """Relay and watch until the child ends by itself (None) or has to be stopped."""
        with selectors.DefaultSelector() as selector:
            for stream in (self.child.stdout, self.child.stderr):
                os.set_blocking(stream.fileno(), False)
                selector.register(stream, selectors.EVENT_READ)
            while True:
                ended = self.child.has_ended()
                self._read_ready(selector, 0 if ended else POLL_S)
                stop = self._limit_reached()
                if ended or stop is not None:
                    return stop if not ended else self._after_end(stop)
                self._beat()

    def drain(self) -> None:
        """Read what the ended child left in its pipes; a stray holder of a pipe does not block."""
        deadline = time.monotonic() + DRAIN_S
        pipes = ((self.child.stdout, self.lines.feed), (self.child.stderr, self.tail.feed))
        for stream, take in pipes:
            while time.monotonic() < deadline and self.n_bytes <= self.child.limits.output_bytes:
                data = _read(stream.fileno())
                if not data:
                    break
                self.n_bytes += len(data)
                take(data)
        self.lines.flush()

    def _after_end(self, stop: Stop | None) -> Stop | None:
        """A child that ended in time is not late because we looked late."""
        return None if stop in (Stop.WALL, Stop.CANCELLED) else stop

    def _read_ready(self, selector: selectors.BaseSelector, timeout_s: float) -> None:
        if not selector.get_map():
            time.sleep(timeout_s)
        for key, _ in selector.select(timeout_s) if selector.get_map() else []:
            data = _read(key.fd)
            if data == b"":
                selector.unregister(key.fileobj)
            elif data is not None:
                self.n_bytes += len(data)
                is_stdout = key.fd == self.child.stdout.fileno()
                (self.lines.feed if is_stdout else self.tail.feed)(data)

    def _limit_reached(self) -> Stop | None:
        limits = self.child.limits
        if self.n_bytes > limits.output_bytes:
            return Stop.OUTPUT
        if time.monotonic() - self.child.started > limits.wall_s:
            return Stop.WALL
        if self._is_due("cancel", CANCEL_POLL_S) and self.should_cancel():
            return Stop.CANCELLED
        if self._is_due("watch", WATCH_S):
            return self._over_watched()
        return None

    def _over_watched(self) -> Stop | None:
        """Limits that are looked at from outside now and then."""
        limits = self.child.limits
        sample = self.child.sample()
        if self.child.group is None and sample.n_processes > limits.processes:
            return Stop.PROCESSES
        if self.child.group is None and sample.memory_bytes > limits.memory_bytes:
            return Stop.MEMORY
        if folder_bytes(self.job.out_dir) > limits.out_bytes:
            return Stop.OUTPUT
        return None

    def _beat(self) -> None:
        if self._is_due("heartbeat", self.heartbeat_s):
            elapsed_s = round(time.monotonic() - self.child.started, 1)
            held = self.child.sample().memory_bytes
            self.on_event({"event": "heartbeat", "elapsed_s": elapsed_s, "memory_bytes": held})

    def _is_due(self, name: str, interval_s: float) -> bool:
        now = time.monotonic()
        if now < self._due.get(name, 0.0):
            return False
        self._due[name] = now + interval_s
        return True


def _read(handle: int) -> bytes | None:
    """Bytes that are there; b"" at the end, None where nothing is there yet."""
    try:
        return os.read(handle, READ_BYTES)
    except BlockingIOError:
        return None
    except OSError:
        return b""


def folder_bytes(folder: os.PathLike[str]) -> int:
    """Bytes on disk of everything in `folder`, links not followed."""
    total = 0
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                if entry.is_dir(follow_symlinks=False):
                    total += folder_bytes(entry)
                else:
                    total += entry.stat(follow_symlinks=False).st_blocks * 512 + 512
    return total
