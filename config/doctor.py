"""Looks at every part of an installation and says what is wrong and how to mend it."""

from __future__ import annotations

import os
import shutil
import subprocess
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import redis
from celery import current_app
from django.conf import settings
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from kombu.exceptions import OperationalError

from config.checks import GIT_MINIMUM, QUEUES, git_version
from evaluation.models import Worker
from hub.actions.unfinished import finish_writes
from hub.models import Ref, Repo
from hub.models.repo import DUE_CLUTTER
from hub.site import git_of, git_path, store
from hub.storage.errors import StorageError
from hub.usage import damaged_contents, missing_contents, scattered_repos
from hub.vcs.errors import VcsError

GIB = 1024**3
DISK_FAIL_BYTES = 1 * GIB
DISK_WARN_BYTES = 10 * GIB
PING_TIMEOUT_S = 2.0
CONTENT_LIMIT = 200
REPOS_NAMED = 100
LATE_CLUTTER = 5 * DUE_CLUTTER
"""More than grows within the hour that a repository may rest."""
UP_HINT = "Start the site with `make run`, or set REDIS_URL to your own server."


class Level(StrEnum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True)
class Finding:
    """What one check saw; `mend` says what to do where it is not ok."""

    check: str
    level: Level
    text: str
    mend: str = ""


def examine(*, repo_limit: int | None) -> Iterator[Finding]:
    """Findings of all checks, one after another, as they come.

    Args:
        repo_limit: how many repositories to compare with git, newest first; None means all.
    """
    database = list(check_database())
    yield from database
    yield from check_broker()
    yield from check_workers()
    yield from check_store()
    if all(finding.level != Level.FAIL for finding in database):
        yield from check_writes()
        yield from check_git_copy(repo_limit=repo_limit)
        yield from check_upkeep()
        yield from check_content()
    yield from check_git()
    yield from check_cage()
    yield from check_disk()


def check_database() -> Iterator[Finding]:
    vendor = connection.vendor
    try:
        executor = MigrationExecutor(connection)
        plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except DatabaseError as error:
        yield Finding("database", Level.FAIL, f"{vendor}: {error}", "Check DATABASE_URL.")
        return
    if plan:
        text = f"{vendor}: {len(plan)} migrations are not applied"
        yield Finding("database", Level.FAIL, text, "Run `python manage.py migrate`.")
    elif vendor == "sqlite" and (mode := _journal_mode()) != "wal":
        text = f"sqlite: journal mode is {mode}, so that readers and writers block each other"
        yield Finding("database", Level.FAIL, text, "Move the data folder to a local disk.")
    else:
        yield Finding("database", Level.OK, f"{vendor}: reachable, all migrations applied")


def check_broker() -> Iterator[Finding]:
    if not settings.REDIS_URL:
        yield Finding("broker", Level.FAIL, "no broker is known here", UP_HINT)
        return
    try:
        client = redis.Redis.from_url(settings.REDIS_URL, socket_timeout=PING_TIMEOUT_S)
        version = client.info("server").get("redis_version", "?")
    except redis.RedisError as error:
        yield Finding("broker", Level.FAIL, f"no answer: {error}", UP_HINT)
        return
    yield Finding("broker", Level.OK, f"answers (Redis protocol, version {version})")


def check_workers() -> Iterator[Finding]:
    """Every queue has a listener, and the workers of runs have a fresh heartbeat."""
    for queue in sorted(QUEUES - set(listeners := _queue_listeners())):
        mend = f"Start one: `celery -A config worker --queues {queue}`."
        yield Finding("workers", Level.FAIL, f"no worker listens to the queue {queue!r}", mend)
    for queue, names in sorted(listeners.items()):
        yield Finding("workers", Level.OK, f"{queue}: {', '.join(sorted(names))}")
    try:
        alive = Worker.objects.alive().count()
    except DatabaseError:
        return
    if not alive and "evaluate" in listeners:
        text = "a worker listens, but none has written a heartbeat"
        yield Finding("workers", Level.WARN, text, "Look at the log of the evaluate worker.")


def check_store() -> Iterator[Finding]:
    """Writes, reads and deletes a few bytes."""
    key, data = f"doctor/{uuid.uuid4().hex}", b"modelguild doctor"
    try:
        store().put_bytes(key, data)
        found = store().read(key)
        store().delete(key)
    except (StorageError, OSError) as error:
        reason = getattr(error, "details", {}).get("reason", "")
        text = f"{error}: {reason}" if reason else str(error)
        yield Finding("store", Level.FAIL, text, "Check STORAGE_URL and its credentials.")
        return
    if bytes(found) == data:
        yield Finding("store", Level.OK, "written, read back and deleted")
    else:
        mend = "Look at the disk or the store's own health before anything else is uploaded."
        yield Finding("store", Level.FAIL, "what was read is not what was written", mend)


def check_writes() -> Iterator[Finding]:
    """What a killed process left half done is finished here, as a worker does every minute."""
    finished = finish_writes()
    if finished.failed:
        mend = "Look at the log; `git fsck` in the repository's folder says what is wrong with it."
        text = "writes were cut off and cannot be finished: " + _names(sorted(finished.failed))
        yield Finding("writes", Level.FAIL, text, mend)
    elif finished.done:
        text = "writes that were cut off have been finished: " + _names(sorted(finished.done))
        yield Finding("writes", Level.OK, text)
    else:
        yield Finding("writes", Level.OK, "none was cut off")


def check_git_copy(*, repo_limit: int | None) -> Iterator[Finding]:
    """The database's copy of the refs says what the git repositories say."""
    repos = Repo.objects.select_related("namespace").order_by("-last_modified")[:repo_limit]
    missing, damaged, stale, seen = [], [], [], 0
    for repo in repos:
        seen += 1
        if not git_path(repo).exists():
            missing.append(repo.full_name)
        elif not _heads_are_there(repo):
            damaged.append(repo.full_name)
        elif not _refs_agree(repo):
            stale.append(repo.full_name)
    if missing:
        mend = f"Restore {settings.GIT_ROOT} from a backup."
        yield Finding("git copy", Level.FAIL, "no git repository: " + _names(missing), mend)
    if damaged:
        text = "refs lead to objects that cannot be read: " + _names(damaged)
        mend = f"Restore {settings.GIT_ROOT} from a backup; until then all their files are kept."
        yield Finding("git copy", Level.FAIL, text, mend)
    if stale:
        mend = "Run `python manage.py rebuild_copy`."
        yield Finding("git copy", Level.FAIL, "the database lags behind: " + _names(stale), mend)
    if not missing and not damaged and not stale:
        yield Finding("git copy", Level.OK, f"{seen} repositories agree with the database")


def check_upkeep() -> Iterator[Finding]:
    """No git repository has become slow for want of repacking."""
    late = scattered_repos().filter(git_clutter__gte=LATE_CLUTTER).select_related("namespace")
    names = [repo.full_name for repo in late[:REPOS_NAMED]]
    if names:
        mend = "Run `python manage.py storage repack`, and look at the log of the hub worker."
        text = f"git is slow where nobody repacks: {_names(names)}"
        yield Finding("git upkeep", Level.WARN, text, mend)
    else:
        yield Finding("git upkeep", Level.OK, "no git repository waits long to be repacked")


def check_content() -> Iterator[Finding]:
    """Nothing stored is known to be damaged, and what came last is where it should be."""
    damaged = damaged_contents()
    if damaged:
        mend = "Upload the files again, or restore the store from a backup."
        text = f"{len(damaged)} damaged objects were set aside: {_names(damaged, 3)}"
        yield Finding("content", Level.FAIL, text, mend)
    try:
        missing = missing_contents(limit=CONTENT_LIMIT)
    except StorageError:
        return
    if missing:
        mend = "Restore the store from a backup; then run `python manage.py storage scrub --all`."
        text = f"{len(missing)} objects are not in the store: {_names(missing, 3)}"
        yield Finding("content", Level.FAIL, text, mend)
    if not damaged and not missing:
        yield Finding("content", Level.OK, "nothing is known to be damaged or missing")


def check_git() -> Iterator[Finding]:
    version = git_version()
    shown = ".".join(map(str, version or ()))
    if version is None or version < GIT_MINIMUM:
        text = f"git {shown or 'is missing'}"
        wanted = ".".join(map(str, GIT_MINIMUM))
        yield Finding("git", Level.FAIL, text, f"Install git {wanted} or newer.")
    else:
        yield Finding("git", Level.OK, f"git {shown}")


def check_cage() -> Iterator[Finding]:
    """Whether jobs on this machine can be shut in."""
    mend = "Install bubblewrap (`apt-get install bubblewrap`)."
    if shutil.which("bwrap") is None:
        text = "no bubblewrap: jobs on this machine would run with limits alone"
        yield Finding("cage", Level.WARN, text, mend)
        return
    argv = ["bwrap", "--ro-bind", "/", "/", "--unshare-net", "--unshare-pid", "true"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=20)
    if done.returncode:
        mend = "Allow unprivileged user namespaces (kernel.unprivileged_userns_clone=1)."
        text = f"bubblewrap cannot start: {done.stderr.strip()}"
        yield Finding("cage", Level.WARN, text, mend)
    else:
        yield Finding("cage", Level.OK, "bubblewrap works")


def check_disk() -> Iterator[Finding]:
    usage = shutil.disk_usage(_existing(Path(settings.DATA_DIR)))
    text = f"{usage.free / GIB:.1f} GiB free of {usage.total / GIB:.1f} GiB at {settings.DATA_DIR}"
    mend = "Free some space, or move the data folder or the store."
    if usage.free < DISK_FAIL_BYTES:
        yield Finding("disk", Level.FAIL, text, mend)
    elif usage.free < DISK_WARN_BYTES:
        yield Finding("disk", Level.WARN, text, mend)
    else:
        yield Finding("disk", Level.OK, text)


def worst(findings: list[Finding]) -> Level:
    order: Callable[[Level], int] = list(Level).index
    return max((finding.level for finding in findings), key=order, default=Level.OK)


def _journal_mode() -> str:
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA journal_mode")
        return str(cursor.fetchone()[0])


def _queue_listeners() -> dict[str, set[str]]:
    """Worker names by queue; empty when the broker cannot be asked."""
    if not settings.REDIS_URL:
        return {}
    try:
        answers = current_app.control.inspect(timeout=PING_TIMEOUT_S).active_queues() or {}
    except (OperationalError, redis.RedisError, OSError):
        return {}
    listeners: dict[str, set[str]] = {}
    for worker, queues in answers.items():
        for queue in queues:
            listeners.setdefault(queue["name"], set()).add(worker)
    return listeners


def _heads_are_there(repo: Repo) -> bool:
    try:
        git_of(repo).check_heads()
    except VcsError:
        return False
    return True


def _refs_agree(repo: Repo) -> bool:
    try:
        truth = {ref.full_name: ref.commit_sha for ref in git_of(repo).refs()}
    except VcsError:
        return False
    return truth == dict(Ref.objects.filter(repo=repo).values_list("name", "commit_sha"))


def _names(names: list[str], shown: int = 5) -> str:
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more


def _existing(path: Path) -> Path:
    while not os.path.exists(path):  # noqa: PTH110  (a folder we may not enter counts as there)
        path = path.parent
    return path
