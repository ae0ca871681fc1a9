"""What can go wrong in evaluation besides the hub's own errors."""

from __future__ import annotations

from typing import Any

from hub.errors import Conflict, NotFound, RateLimited


class BenchmarkNotFound(NotFound):
    """No such benchmark, or its data set is private to others."""

    code = "BenchmarkNotFound"
    message = "There is no such benchmark, or you have no access to its data set."


class RunNotFound(NotFound):
    """No such run, or its model or data set is private to others."""

    code = "RunNotFound"
    message = "There is no such run, or you have no access to its model or data set."


class LogNotFound(NotFound):
    """No such imported log, or its model or data set is private to others."""

    code = "LogNotFound"
    message = "There is no such imported log, or you have no access to its model or data set."


class RunClosed(Conflict):
    """The run has ended; nothing about it changes any more."""

    code = "RunClosed"
    message = "This run has already ended."


class NotFinished(Conflict):
    """What was asked for exists only once the run is finished."""

    code = "RunNotFinished"
    message = "This run has no result: it is not finished."


class NothingToResume(Conflict):
    """Only a stopped or failed training with a stored checkpoint can go on."""

    code = "NothingToResume"
    message = "This run cannot go on: it is under way or finished, or no checkpoint is stored."


class NothingToPublish(Conflict):
    """The run has made nothing that waits to be published."""

    code = "NothingToPublish"
    message = "This run has nothing to publish, or it is published already."


class RunLimitReached(RateLimited):
    code = "RunLimitReached"


class SubmissionsClosed(Conflict):
    """No phase of the benchmark is open."""

    code = "SubmissionsClosed"


class SubmissionLimitReached(RateLimited):
    """The person or organisation has handed in as often as the benchmark allows."""

    code = "SubmissionLimitReached"


class JobFailed(Exception):
    """A run cannot go on.

    Args:
        family: one of `evaluation.models.ErrorFamily`; only `system` is tried again.
        code: names the words in `evaluation.messages`.
        message: in English, for logs and the API.
    """

    def __init__(self, family: str, code: str, message: str, **details: Any) -> None:
        super().__init__(message)
        self.family = family
        self.code = code
        self.message = message
        self.details = details


class LeaseLost(Exception):
    """The run was taken from this worker, or is gone; whatever it has is thrown away."""


class RunInterrupted(Exception):
    """The worker is told to stop; the run goes back to the queue at no cost."""


class RunCancelled(Exception):
    """Somebody with the right to do so asked the run to stop."""
