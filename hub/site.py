"""Where things of this site live: folders, the store, absolute URLs."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpRequest
from rest_framework.request import Request

from hub.models import Repo
from hub.storage import Store
from hub.vanished import not_found_if_deleted
from hub.vcs import Repository


def store() -> Store:
    """The content store named by `STORAGE_URL`."""
    return _store(settings.STORAGE_URL, settings.STAGING_DIR)


@lru_cache(maxsize=4)
def _store(url: str, staging_dir: Path) -> Store:
    return Store(url, staging_dir=staging_dir)


def git_path(repo: Repo) -> Path:
    """Folder of the repository's bare git repository; renaming does not move it."""
    return git_folder(repo.storage_key)


def git_folder(storage_key: str) -> Path:
    """The same, of a repository that may have no row."""
    return Path(settings.GIT_ROOT) / storage_key[:2] / f"{storage_key}.git"


def incoming_path() -> Path:
    """Folder where pushed objects wait until they are let into their repository."""
    return Path(settings.GIT_ROOT) / "incoming"


def git_of(repo: Repo) -> Repository:
    """Its git repository. Raises: RepoNotFound where `repo` was deleted meanwhile."""
    with not_found_if_deleted(repo):
        return Repository(git_path(repo))


def base_url(request: HttpRequest | Request | None = None) -> str:
    """Base of absolute URLs: the configured one, else the host this request came to."""
    if settings.PUBLIC_URL or request is None:
        configured: str = settings.PUBLIC_URL or settings.HUB_URL
        return configured
    return f"{request.scheme}://{request.get_host()}"


def own_hosts() -> frozenset[str]:
    """Hosts, with their ports, under which this site is called."""
    hosts = {urlsplit(url).netloc for url in (settings.PUBLIC_URL, settings.HUB_URL) if url}
    if not settings.PUBLIC_URL:
        hosts |= {f"{host}:{settings.PORT}" for host in settings.ALLOWED_HOSTS}
    return frozenset(hosts)


def repo_url(repo: Repo, request: HttpRequest | Request | None = None) -> str:
    return base_url(request) + repo.url_path
