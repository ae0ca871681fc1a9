"""What every test stands on: no network beyond this machine, and a data folder of its own."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.live_site import LiveSite
from tests.support.tools import missing_tool

pytest_plugins = ["tests.support.cast"]

_real_connect = socket.socket.connect
_LOOPBACK = ("127.", "::1", "localhost", "0.0.0.0", "::ffff:127.")


class NetworkClosed(RuntimeError):
    """A test tried to reach beyond this machine."""


def _connect_on_loopback(self: socket.socket, address: Any) -> Any:
    if self.family in (socket.AF_INET, socket.AF_INET6):
        host = str(address[0])
        if not host.startswith(_LOOPBACK):
            raise NetworkClosed(f"tests may only connect to this machine, not to {host}")
    return _real_connect(self, address)


@pytest.fixture(autouse=True, scope="session")
def closed_network() -> Iterator[None]:
    socket.socket.connect = _connect_on_loopback  # type: ignore[method-assign]
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    yield
    socket.socket.connect = _real_connect  # type: ignore[method-assign]


@pytest.fixture(autouse=True)
def data_dir(tmp_path: Path, settings: Any) -> Path:
    """The data folder of this test: git repositories, store and uploads under way."""
    settings.DATA_DIR = tmp_path / "data"
    settings.GIT_ROOT = settings.DATA_DIR / "git"
    settings.STAGING_DIR = settings.DATA_DIR / "tmp"
    settings.WORKER_DIR = settings.DATA_DIR / "worker"
    settings.STORAGE_URL = f"file://{settings.DATA_DIR / 'store'}"
    for folder in (settings.GIT_ROOT, settings.STAGING_DIR, settings.DATA_DIR / "store"):
        folder.mkdir(parents=True)
    return settings.DATA_DIR


@pytest.fixture(scope="session")
def live_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveSite]:
    """The real site behind gunicorn, with a database, store and Valkey of its own."""
    with LiveSite.started(tmp_path_factory.mktemp("site")) as site:
        yield site


@pytest.fixture(scope="session")
def live_workers(live_site: LiveSite) -> LiveSite:
    """`live_site` with its Celery workers and beat running."""
    live_site.start_workers()
    return live_site


@pytest.fixture(scope="session")
def git_lfs() -> str:
    return need_tool("git-lfs", package="git-lfs")


@pytest.fixture(scope="session")
def bubblewrap() -> str:
    return need_tool("bwrap", package="bubblewrap")


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of the browser's executable."""
    return need_tool("chromium", "chromium-browser", "google-chrome", package="chromium")


@pytest.fixture(scope="session")
def browser(chromium: str) -> Iterator[Any]:
    """A headless Chromium, driven by Playwright."""
    from playwright.sync_api import sync_playwright

    # Playwright keeps an event loop in this thread, at which Django's guard would take fright.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
    flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
    flags += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=flags)
        yield started
        started.close()


@pytest.fixture
def page(browser: Any, live_site: LiveSite) -> Iterator[Any]:
    """A fresh browser window; relative addresses are the live site's."""
    context = browser.new_context(base_url=live_site.base_url, locale="en-GB")
    context.set_default_timeout(15_000)
    yield context.new_page()
    context.close()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The folder says what kind of test it is; a GPU test without a GPU is skipped."""
    has_gpu = any(Path("/dev").glob("nvidia[0-9]*"))
    for item in items:
        if "/tests/contract/" in str(item.path):
            item.add_marker(pytest.mark.contract)
        fixtures = set(getattr(item, "fixturenames", ()))
        if {"browser", "page"} & fixtures:
            item.add_marker(pytest.mark.browser)
        if not {"db", "transactional_db", "live_site"} & fixtures and not _uses_database(item):
            item.add_marker(pytest.mark.pure)
        if item.get_closest_marker("gpu") and not has_gpu:
            item.add_marker(pytest.mark.skip(reason="needs an NVIDIA GPU"))


def _uses_database(item: pytest.Item) -> bool:
    return bool(item.get_closest_marker("django_db") or item.get_closest_marker("contract"))


def need_tool(*names: str, package: str) -> str:
    """Path of the first program of `names` that exists; without one the test is skipped, or
    fails where everything must be there (CI)."""
    path, reason = missing_tool(*names, package=package)
    if path:
        return path
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
