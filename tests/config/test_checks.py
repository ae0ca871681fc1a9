"""System checks: each speaks up for the fault it is there for."""

from __future__ import annotations

import subprocess

import pytest

from config import checks


def _ids(messages):
    return [message.id for message in messages]


def test_this_machine_passes():
    assert checks.check_git(None) == []
    assert checks.check_folders(None) == []
    assert checks.check_queues(None) == []


@pytest.mark.parametrize(
    ("answer", "expected"),
    [("git version 2.20.1", ["modelguild.E002"]), ("git version 2.45.0.windows.1", [])],
)
def test_old_git_is_refused(monkeypatch, answer, expected):
    done = subprocess.CompletedProcess([], 0, stdout=answer)
    monkeypatch.setattr(subprocess, "run", lambda *args, **kwargs: done)
    assert _ids(checks.check_git(None)) == expected


def test_missing_git_is_refused(monkeypatch):
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert _ids(checks.check_git(None)) == ["modelguild.E001"]


def test_store_that_cannot_be_made_is_refused(settings, monkeypatch):
    settings.STORAGE_URL = "file:///proc/nowhere/store"
    monkeypatch.setattr("os.access", lambda path, mode: not str(path).startswith("/proc"))
    assert _ids(checks.check_folders(None)) == ["modelguild.E003"]


def test_task_that_nobody_would_run_is_refused(settings):
    settings.CELERY_TASK_ROUTES = {"hub.*": {"queue": "forgotten"}}
    messages = checks.check_queues(None)
    assert messages
    assert set(_ids(messages)) == {"modelguild.E004"}
    assert all("forgotten" in message.msg for message in messages)


def test_secret_that_others_can_read_is_refused_in_production(settings, tmp_path):
    settings.SECRETS_DIR = tmp_path
    settings.PUBLIC_URL = "https://hub.example.org"
    settings.REDIS_URL = "redis://broker"
    secret = tmp_path / "secret_key"
    secret.write_text("x")
    secret.chmod(0o600)
    assert checks.check_production(None) == []
    secret.chmod(0o644)
    assert _ids(checks.check_production(None)) == ["modelguild.E005"]


def test_production_without_https_and_broker_is_warned(settings, tmp_path):
    settings.SECRETS_DIR = tmp_path
    settings.PUBLIC_URL = settings.REDIS_URL = ""
    assert _ids(checks.check_production(None)) == ["modelguild.W001", "modelguild.W002"]
