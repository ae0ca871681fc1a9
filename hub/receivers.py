"""What the hub itself does when news arrives: enqueue a task, nothing else."""

from __future__ import annotations

from hub import events


@events.receives(events.RepoDeleted)
@events.receives(events.LargeFilesDeleted)
def forget_viewer_pages(event: events.RepoDeleted | events.LargeFilesDeleted) -> None:
    """What the viewer keeps of a data set goes with it. At once and here: it lies on the disk of
    web processes, which a worker may not share."""
    from hub.viewer.kept import forget_kept

    forget_kept(event.repo_id)


@events.receives(events.RefUpdated)
def scan_new_head(event: events.RefUpdated) -> None:
    """A ref leads to a commit that the scanner may not have seen."""
    from hub.actions.scans import queue_scan

    if event.new_sha is not None:
        queue_scan(repo_id=event.repo_id, commit_sha=event.new_sha)


@events.receives(events.RefUpdated)
def measure_repo(event: events.RefUpdated) -> None:
    """What a repository holds may have changed."""
    from hub import tasks
    from hub.doorbell import ring

    ring(tasks.measure_repo, event.repo_id)


@events.receives(events.RefUpdated)
def convert_new_files(event: events.RefUpdated) -> None:
    """Large files may have come as one piece."""
    from hub import tasks
    from hub.doorbell import ring

    if event.new_sha is not None:
        ring(tasks.convert_repo, event.repo_id)
