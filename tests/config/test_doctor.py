"""What doctor finds when one thing is wrong."""

from __future__ import annotations

import io
import json
import shutil
from typing import NamedTuple

import pytest
from django.core.management import call_command
from django.utils import timezone

from config import doctor
from config.doctor import Level
from evaluation.models import Worker
from hub.models import Ref
from hub.site import git_path
from hub.storage.errors import StorageUnavailable
from tests.support.factories import make_repo, make_user

pytestmark = pytest.mark.django_db


class Usage(NamedTuple):
    total: int
    used: int
    free: int


def _only(findings):
    (finding,) = findings
    return finding


def test_healthy_parts_are_ok():
    assert _only(doctor.check_database()).level == Level.OK
    assert _only(doctor.check_store()).level == Level.OK
    assert _only(doctor.check_git()).level == Level.OK


def test_store_probe_leaves_nothing_behind(data_dir):
    list(doctor.check_store())
    assert [path for path in (data_dir / "store").rglob("*") if path.is_file()] == []


def test_missing_migration_is_found(monkeypatch):
    monkeypatch.setattr(doctor.MigrationExecutor, "migration_plan", lambda *args: [("hub", "x")])
    finding = _only(doctor.check_database())
    assert finding.level == Level.FAIL
    assert "migrate" in finding.mend


def test_store_that_cannot_be_reached_is_found(monkeypatch):
    def unreachable():
        raise StorageUnavailable("no route to the bucket")

    monkeypatch.setattr(doctor, "store", unreachable)
    finding = _only(doctor.check_store())
    assert finding.level == Level.FAIL
    assert "no route to the bucket" in finding.text


def test_missing_broker_is_found(settings):
    settings.REDIS_URL = ""
    assert _only(doctor.check_broker()).level == Level.FAIL


def test_silent_broker_is_found(settings):
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    finding = _only(doctor.check_broker())
    assert finding.level == Level.FAIL
    assert finding.mend


def test_queue_without_a_listener_is_found(monkeypatch):
    monkeypatch.setattr(doctor, "_queue_listeners", lambda: {"hub": {"hub@here"}})
    levels = {finding.text: finding.level for finding in doctor.check_workers()}
    assert levels["no worker listens to the queue 'evaluate'"] == Level.FAIL
    assert levels["hub: hub@here"] == Level.OK


def test_worker_without_a_heartbeat_is_found(monkeypatch):
    listeners = {"hub": {"a"}, "evaluate": {"b"}}
    monkeypatch.setattr(doctor, "_queue_listeners", lambda: listeners)
    assert Level.WARN in {finding.level for finding in doctor.check_workers()}
    now = timezone.now()
    Worker.objects.create(name="b", started_at=now, heartbeat_at=now)
    assert {finding.level for finding in doctor.check_workers()} == {Level.OK}


def test_copy_that_agrees_with_git_is_ok():
    make_repo(make_user("ada"), "net", files={"README.md": "hello"})
    assert _only(doctor.check_git_copy(repo_limit=None)).level == Level.OK


def test_copy_that_lags_behind_git_is_found():
    repo = make_repo(make_user("ada"), "net", files={"README.md": "hello"})
    Ref.objects.filter(repo=repo).update(commit_sha="0" * 40)
    finding = _only(doctor.check_git_copy(repo_limit=None))
    assert finding.level == Level.FAIL
    assert "ada/net" in finding.text


def test_lost_git_repository_is_found():
    repo = make_repo(make_user("ada"), "net")
    shutil.rmtree(git_path(repo))
    finding = _only(doctor.check_git_copy(repo_limit=None))
    assert finding.level == Level.FAIL
    assert "backup" in finding.mend


def test_ref_to_a_lost_commit_is_found_and_not_to_be_rebuilt():
    repo = make_repo(make_user("ada"), "net", files={"README.md": "hello"})
    sha = repo.head_sha
    (git_path(repo) / "objects" / sha[:2] / sha[2:]).unlink()
    finding = _only(doctor.check_git_copy(repo_limit=None))
    assert finding.level == Level.FAIL
    assert "ada/net" in finding.text
    assert "backup" in finding.mend


@pytest.mark.parametrize(
    ("free_gib", "level"), [(0.5, Level.FAIL), (5, Level.WARN), (50, Level.OK)]
)
def test_little_free_disk_is_found(monkeypatch, free_gib, level):
    usage = Usage(total=100 * doctor.GIB, used=0, free=int(free_gib * doctor.GIB))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    assert _only(doctor.check_disk()).level == level


def test_machine_without_a_cage_is_warned(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    finding = _only(doctor.check_cage())
    assert finding.level == Level.WARN
    assert "bubblewrap" in finding.mend


def test_command_reports_as_json_and_by_its_exit_status(settings):
    settings.REDIS_URL = ""
    out = io.StringIO()
    with pytest.raises(SystemExit) as exit_:
        call_command("doctor", json=True, stdout=out)
    assert exit_.value.code == 1
    report = json.loads(out.getvalue())
    assert report["level"] == "fail"
    checks = {row["check"] for row in report["findings"]}
    assert {"database", "broker", "workers", "store", "writes", "git copy", "git", "disk"} <= checks
    assert all(row["mend"] for row in report["findings"] if row["level"] != "ok")
