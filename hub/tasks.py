"""Doorbells of the hub. Each carries ids, calls the action of its name, and may ring twice."""

from __future__ import annotations

from celery import shared_task

SCAN_LIMIT_S = 1800


@shared_task(ignore_result=True, time_limit=SCAN_LIMIT_S)
def scan_commit(repo_id: int, commit_sha: str) -> None:
    """A commit has arrived; its files wait for the scanner."""
    from hub.actions import scans

    scans.scan_commit(repo_id=repo_id, commit_sha=commit_sha)


@shared_task(ignore_result=True)
def sweep_scans() -> None:
    """Finds commits whose scan was forgotten."""
    from hub.actions import scans

    scans.sweep_scans()


@shared_task(ignore_result=True)
def record_downloads() -> None:
    """Adds up the downloads noted in the cache."""
    from hub.actions import downloads

    downloads.record_downloads()


@shared_task(ignore_result=True)
def refresh_download_windows() -> None:
    """Lets old days fall out of the counts of recent downloads."""
    from hub.actions import downloads

    downloads.refresh_download_windows()


@shared_task(ignore_result=True)
def sweep_uploads() -> None:
    """Removes what was left of uploads that nobody completed."""
    from hub.actions import blobs

    blobs.sweep_uploads()
