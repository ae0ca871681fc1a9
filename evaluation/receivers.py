"""What evaluation does when news arrives from the hub: ring a task, nothing else."""

from __future__ import annotations

from evaluation import tasks
from hub.actions.repos import DEFAULT_REF
from hub.doorbell import ring
from hub.events import RefUpdated, receives


@receives(RefUpdated)
def read_benchmarks(event: RefUpdated) -> None:
    """The default branch moved: perhaps its `eval.yaml` changed. Models are passed over inside."""
    if event.ref == DEFAULT_REF and event.new_sha is not None:
        ring(tasks.refresh_benchmarks, event.repo_id)


@receives(RefUpdated)
def read_claims(event: RefUpdated) -> None:
    """The default branch moved: perhaps it claims other results. Others than models are passed
    over inside."""
    if event.ref == DEFAULT_REF:
        ring(tasks.refresh_claims, event.repo_id)
