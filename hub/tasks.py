"""Doorbells of the hub. Each carries ids, calls the action of its name, and may ring twice."""

from __future__ import annotations

from celery import shared_task

SCAN_LIMIT_S = 1800
COLLECTION_LIMIT_S = 6 * 3600
SCRUB_LIMIT_S = 3000
REPACK_LIMIT_S = 2 * 3600
CONVERSION_LIMIT_S = 4 * 3600


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
def refresh_trending() -> None:
    """Interest fades and comes: works out the scores anew."""
    from hub.actions import trending

    trending.refresh_trending()


@shared_task(ignore_result=True)
def refresh_facets() -> None:
    """Counts the values that large lists are narrowed to."""
    from hub.actions import facets

    facets.refresh_facets()


@shared_task(ignore_result=True)
def sweep_search() -> None:
    """Finds repositories that the search does not know yet."""
    from hub.actions import search

    search.sweep_search()


@shared_task(ignore_result=True)
def sweep_uploads() -> None:
    """Removes what was left of uploads that nobody completed."""
    from hub.actions import blobs, pushes

    blobs.sweep_uploads()
    pushes.sweep_quarantines()


@shared_task(ignore_result=True)
def sweep_devices() -> None:
    """Removes what is left of logins of machines that nobody waits for any more."""
    from hub.actions import devices

    devices.sweep_devices()


@shared_task(ignore_result=True)
def finish_writes() -> None:
    """Finishes what processes began that died in the middle."""
    from hub.actions import unfinished

    unfinished.finish_writes()


@shared_task(ignore_result=True, time_limit=COLLECTION_LIMIT_S)
def collect_garbage() -> None:
    """Deletes stored bytes that nothing names any more, where the operator wants that."""
    from django.conf import settings

    from hub.actions import garbage

    if settings.COLLECT_STORAGE:
        garbage.collect_garbage(is_applied=True)


@shared_task(ignore_result=True, time_limit=SCRUB_LIMIT_S)
def scrub_storage() -> None:
    """Verifies some stored bytes again, in turn."""
    from django.conf import settings

    from hub.actions import scrub

    scrub.scrub_storage(limit=settings.SCRUB_OBJECTS_PER_HOUR)


@shared_task(ignore_result=True)
def measure_repo(repo_id: int) -> None:
    """A ref has moved; the repository may have grown."""
    from hub.actions import quotas

    quotas.measure_repo(repo_id=repo_id)


@shared_task(ignore_result=True)
def measure_new_repos() -> None:
    """Measures repositories whose task was lost."""
    from hub.actions import quotas

    quotas.measure_new_repos()


@shared_task(ignore_result=True, time_limit=REPACK_LIMIT_S)
def sweep_repacks() -> None:
    """Joins the objects of repositories that were written to often."""
    from hub.actions import upkeep

    upkeep.sweep_repacks()


@shared_task(ignore_result=True, time_limit=CONVERSION_LIMIT_S)
def convert_repo(repo_id: int) -> None:
    """Large files have been committed; those that came plain are made into chunks."""
    from hub.actions import conversion

    conversion.convert_repo(repo_id=repo_id)


@shared_task(ignore_result=True, time_limit=CONVERSION_LIMIT_S)
def sweep_conversions() -> None:
    """Converts what was forgotten, and drops plain copies that have served out."""
    from hub.actions import conversion

    conversion.sweep_conversions()


@shared_task(ignore_result=True, time_limit=CONVERSION_LIMIT_S)
def make_plain_copy(blob_id: int) -> None:
    """A file stored as chunks is being fetched plain; the next one shall have it faster."""
    from hub.actions import plain_copies

    plain_copies.make_plain_copy(blob_id=blob_id)
