"""What the hub itself does when news arrives: enqueue a task, nothing else."""

from __future__ import annotations

from hub import events


@events.receives(events.RefUpdated)
def scan_new_head(event: events.RefUpdated) -> None:
    """A ref leads to a commit that the scanner may not have seen."""
    from hub.actions.scans import queue_scan

    if event.new_sha is not None:
        queue_scan(repo_id=event.repo_id, commit_sha=event.new_sha)
