"""What evaluation does when news arrives from the hub: ring a task, nothing else."""

from __future__ import annotations

from evaluation import tasks
from hub.actions.repos import DEFAULT_REF
from hub.doorbell import ring
from hub.events import DiscussionChanged, RefUpdated, receives
from hub.pull_requests import is_pull_ref


@receives(RefUpdated)
def read_benchmarks(event: RefUpdated) -> None:
    """The default branch moved: perhaps its `eval.yaml` changed. Models are passed over inside."""
    if event.ref == DEFAULT_REF and event.new_sha is not None:
        ring(tasks.refresh_benchmarks, event.repo_id)


@receives(RefUpdated)
def read_claims(event: RefUpdated) -> None:
    """The default branch or a pull request moved: perhaps it claims other results. Others than
    models are passed over inside."""
    if event.ref == DEFAULT_REF or is_pull_ref(event.ref):
        ring(tasks.refresh_claims, event.repo_id)


@receives(DiscussionChanged)
def read_proposed_claims(event: DiscussionChanged) -> None:
    """A pull request may have been opened, closed or reopened: its claims come or go."""
    if event.is_pull_request and event.action == "update" and event.comment_id is None:
        ring(tasks.refresh_claims, event.repo_id)
