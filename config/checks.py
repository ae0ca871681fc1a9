"""System checks: what must be true before the site can work. `manage.py check` shows them.

Cheap checks run with every command; those that touch the network run with `check --deploy`
and in `manage.py doctor`.
"""

from __future__ import annotations

import fnmatch
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from celery import current_app
from django.apps import AppConfig
from django.conf import settings
from django.core import checks
from django.utils.module_loading import autodiscover_modules

GIT_MINIMUM = (2, 34)
"""First release whose partial clone and checks of packs behave as our tests expect."""
QUEUES = frozenset({"hub", "evaluate"})
"""Queues that the workers of `manage.py up` and docker-compose.yml listen to."""

Apps = Sequence[AppConfig] | None


def git_version() -> tuple[int, ...] | None:
    """Version of the `git` on PATH, or None without one."""
    if shutil.which("git") is None:
        return None
    answer = subprocess.run(
        ["git", "version"], capture_output=True, text=True, check=False, timeout=10
    )
    found = re.search(r"(\d+)\.(\d+)(?:\.(\d+))?", answer.stdout)
    return tuple(int(part) for part in found.groups(default="0")) if found else None


@checks.register("modelguild")
def check_git(app_configs: Apps, **kwargs: Any) -> list[checks.CheckMessage]:
    version = git_version()
    if version is None:
        return [checks.Error("git is not on PATH.", hint="Install git.", id="modelguild.E001")]
    if version < GIT_MINIMUM:
        wanted, found = (".".join(map(str, v)) for v in (GIT_MINIMUM, version))
        text = f"git {found} is too old: {wanted} or newer is needed."
        return [checks.Error(text, hint="Upgrade git.", id="modelguild.E002")]
    return []


@checks.register("modelguild")
def check_folders(app_configs: Apps, **kwargs: Any) -> list[checks.CheckMessage]:
    """Every local folder we write to exists, or can be made, and is ours to write."""
    folders = [settings.DATA_DIR, settings.GIT_ROOT, settings.STAGING_DIR]
    url = urlsplit(settings.STORAGE_URL)
    if url.scheme == "file":
        folders.append(Path(unquote(url.path)))
    return [
        checks.Error(
            f"{folder} cannot be written.",
            hint="Give this user the right to write there, or set MODELGUILD_DATA / STORAGE_URL.",
            id="modelguild.E003",
        )
        for folder in folders
        if not os.access(_nearest_existing(Path(folder)), os.W_OK)
    ]


@checks.register("modelguild")
def check_queues(app_configs: Apps, **kwargs: Any) -> list[checks.CheckMessage]:
    """Every task is routed to a queue that some worker listens to."""
    autodiscover_modules("tasks")
    return [
        checks.Error(
            f"Task {name} goes to the queue {queue!r}, which no worker listens to.",
            hint="Route it in CELERY_TASK_ROUTES to one of: " + ", ".join(sorted(QUEUES)),
            id="modelguild.E004",
        )
        for name in sorted(current_app.tasks)
        if not name.startswith("celery.") and (queue := _queue_of(name)) not in QUEUES
    ]


@checks.register("modelguild", checks.Tags.security, deploy=True)
def check_production(app_configs: Apps, **kwargs: Any) -> list[checks.CheckMessage]:
    problems: list[checks.CheckMessage] = []
    if not settings.PUBLIC_URL.startswith("https://"):
        text = "PUBLIC_URL is not an https address: cookies and tokens travel in the clear."
        problems.append(checks.Warning(text, hint="Set PUBLIC_URL.", id="modelguild.W001"))
    if not settings.REDIS_URL:
        text = "REDIS_URL is not set: login limits and caches are each process's own."
        problems.append(checks.Warning(text, hint="Set REDIS_URL.", id="modelguild.W002"))
    problems += [
        checks.Error(
            f"{path} can be read by others.",
            hint=f"chmod 600 {path}",
            id="modelguild.E005",
        )
        for path in settings.SECRETS_DIR.glob("*")
        if path.is_file() and path.stat().st_mode & 0o077
    ]
    return problems


def _queue_of(task_name: str) -> str:
    for pattern, route in settings.CELERY_TASK_ROUTES.items():
        if fnmatch.fnmatchcase(task_name, pattern):
            return str(route["queue"])
    return str(settings.CELERY_TASK_DEFAULT_QUEUE)


def _nearest_existing(path: Path) -> Path:
    while not path.exists():
        path = path.parent
    return path
