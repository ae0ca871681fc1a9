"""Scanning on arrival: what is stored, what is shown, and what happens when things break."""

from __future__ import annotations

import io
import pickle
from datetime import timedelta

import numpy as np
import pytest
from django.utils import timezone
from safetensors.numpy import save

from hub.actions import scans
from hub.actions.scans import queue_scan, scan_commit, sweep_scans
from hub.models import CommitScan, FileScan, Repo, RepoBlob, ScanState
from hub.scans import repo_security, security_status
from hub.site import store
from hub.storage.errors import StorageUnavailable
from ml_core.scan import SCANNER_SET
from tests.ml_core.scan.hostile import call, zipped
from tests.support.factories import commit, commit_large, make_repo, make_user

pytestmark = pytest.mark.django_db(transaction=True)

WEIGHTS = save({"a": np.zeros((2, 3), np.float32)})


@pytest.fixture
def rung(monkeypatch):
    """Doorbells rung, as (task name, arguments); nobody answers."""
    bells = []
    monkeypatch.setattr(
        "hub.doorbell._send", lambda task, ids, _queue: bells.append((task.name, ids))
    )
    return bells


@pytest.fixture
def repo(rung):
    return make_repo(make_user())


def scanned(repo, sha):
    scan = scan_commit(repo_id=repo.pk, commit_sha=sha)
    assert scan is not None
    scan.refresh_from_db()
    return scan


def state_of(repo, sha, path):
    return security_status(repo, sha, [path])[path].state


def test_a_new_commit_waits_and_rings(repo, rung):
    rung.clear()
    sha = commit(repo, {"a.txt": "hello"})
    assert ("hub.tasks.scan_commit", (repo.pk, sha)) in rung
    assert CommitScan.objects.get(repo=repo, commit_sha=sha).state == ScanState.QUEUED
    assert state_of(repo, sha, "a.txt") == "pending"
    summary = repo_security(repo, sha)
    assert (summary.state, summary.is_done) == ("pending", False)


def test_clean_files_are_clean_after_the_scan(repo):
    sha = commit(repo, {"README.md": "# Hi", "config.json": '{"model_type": "bert"}'})
    sha = commit_large(repo, {"model.safetensors": WEIGHTS})
    scan = scanned(repo, sha)
    assert (scan.state, scan.verdict, scan.error) == (ScanState.DONE, "clean", "")
    status = security_status(repo, sha, ["model.safetensors", "README.md", "absent"])
    assert {path: s.state for path, s in status.items()} == {
        "model.safetensors": "clean",
        "README.md": "clean",
    }
    assert {s.scanner for s in status["model.safetensors"].scanners} == {"content", "safetensors"}
    summary = repo_security(repo, sha)
    assert (summary.state, summary.is_done, summary.n_flagged) == ("clean", True, 0)
    assert summary.to_api() == {"scansDone": True, "filesWithIssues": []}


def test_malicious_pickle_is_unsafe_in_page_and_api(repo):
    payload = zipped(call("os", "system", "touch /tmp/never"))
    sha = commit_large(repo, {"pytorch_model.bin": payload, "model.safetensors": WEIGHTS})
    assert scanned(repo, sha).verdict == "dangerous"
    status = security_status(repo, sha, ["pytorch_model.bin"])["pytorch_model.bin"]
    assert status.state == "unsafe"
    assert status.findings[0]["severity"] == "danger"
    api = status.to_api()
    assert api["status"] == "unsafe"
    assert api["pickleImportScan"]["pickleImports"] == [
        {"module": "os", "name": "system", "safety": "dangerous"}
    ]
    assert repo_security(repo, sha).to_api()["filesWithIssues"] == [
        {"path": "pytorch_model.bin", "level": "unsafe"}
    ]


def test_secret_is_reported_without_being_stored(repo):
    secret = "ghp_" + "wWPw5k4aXcaT4fNP0UcnZwJUVFk6LO0pINUx"
    sha = commit(repo, {"train.py": f"TOKEN = '{secret}'\n"})
    assert scanned(repo, sha).verdict == "suspicious"
    assert secret not in str(list(FileScan.objects.values()))
    finding = security_status(repo, sha, ["train.py"])["train.py"].findings[0]
    assert (finding["code"], finding["detail"]["line"]) == ("secret", 1)


def test_remote_code_is_said_and_stays_clean(repo):
    sha = commit(repo, {"config.json": '{"auto_map": {"AutoModel": "modeling.X"}}'})
    assert scanned(repo, sha).verdict == "clean"
    assert repo_security(repo, sha).needs_remote_code


def test_not_scanned_never_looks_clean(repo):
    sha = commit(repo, {"a.txt": "x"})
    CommitScan.objects.all().delete()
    status = security_status(repo, sha, ["a.txt"])["a.txt"]
    assert (status.state, status.is_scanned) == ("not_scanned", False)
    assert status.to_api()["status"] == "unscanned"
    assert not repo_security(repo, sha).is_done


def test_verdict_holds_for_the_same_content_and_name_elsewhere(repo):
    payload = pickle.dumps({"a": 1})
    sha = commit(repo, {"a/model.pkl": payload})
    scanned(repo, sha)
    n_rows = FileScan.objects.count()
    other = make_repo(make_user())
    sha = commit(other, {"b/model.pkl": payload})
    assert state_of(other, sha, "b/model.pkl") == "clean"
    scanned(other, sha)
    assert FileScan.objects.count() == n_rows
    sha = commit(other, {"model.safetensors": payload})
    assert state_of(other, sha, "model.safetensors") == "pending"
    scanned(other, sha)
    assert state_of(other, sha, "model.safetensors") == "unsafe"


def test_findings_do_not_tell_folders_of_another_repository(repo):
    sha = commit(repo, {"secret-project/model.pkl": call("os", "system")})
    scanned(repo, sha)
    assert "secret-project" not in str(list(FileScan.objects.values()))


def test_scan_of_other_scanners_is_out_of_date(repo, monkeypatch):
    sha = commit(repo, {"a.txt": "x"})
    scanned(repo, sha)
    before = FileScan.objects.get(file_name="a.txt", scanner="content")
    assert before.scanner_version.endswith(SCANNER_SET)
    monkeypatch.setattr(scans, "SCANNER_SET", "newer")
    sha = commit(repo, {"b.txt": "y"})
    scanned(repo, sha)
    after = FileScan.objects.get(file_name="a.txt", scanner="content")
    assert after.scanner_version.endswith("+newer")


def test_second_bell_finds_nothing_to_do(repo):
    sha = commit(repo, {"a.txt": "x"})
    scanned(repo, sha)
    assert scan_commit(repo_id=repo.pk, commit_sha=sha) is None
    assert scan_commit(repo_id=repo.pk, commit_sha="0" * 40) is None


def test_claimed_scan_is_left_alone_until_its_lease_is_over(repo):
    sha = commit(repo, {"a.txt": "x"})
    rows = CommitScan.objects.filter(repo=repo, commit_sha=sha)
    rows.update(state=ScanState.SCANNING, started_at=timezone.now())
    assert state_of(repo, sha, "a.txt") == "scanning"
    assert scan_commit(repo_id=repo.pk, commit_sha=sha) is None
    rows.update(started_at=timezone.now() - scans.LEASE - timedelta(seconds=1))
    assert scanned(repo, sha).state == ScanState.DONE


def test_slice_that_is_over_leaves_the_rest_in_the_queue(repo, rung, monkeypatch):
    sha = commit(repo, {f"{n}.txt": str(n) for n in range(5)})
    monkeypatch.setattr(scans, "SLICE_S", -1.0)
    rung.clear()
    assert scanned(repo, sha).state == ScanState.QUEUED
    assert rung == [("hub.tasks.scan_commit", (repo.pk, sha))]
    monkeypatch.setattr(scans, "SLICE_S", 60.0)
    assert scanned(repo, sha).state == ScanState.DONE


def test_storage_that_fails_is_our_fault_and_stores_no_verdict(repo, monkeypatch):
    sha = commit(repo, {"a.txt": "fine"})
    sha = commit_large(repo, {"model.bin": zipped(pickle.dumps(1))})
    RepoBlob.objects.all().delete()
    scan = scanned(repo, sha)
    assert scan.state == ScanState.FAILED
    assert "model.bin" in scan.error
    assert not FileScan.objects.filter(file_name="model.bin").exists()
    assert state_of(repo, sha, "model.bin") == "error"
    assert state_of(repo, sha, "a.txt") == "clean"


class _Failing(io.BytesIO):
    def read(self, n=-1):
        raise StorageUnavailable("down")


def test_storage_that_fails_in_the_middle_is_tried_again(repo, monkeypatch):
    sha = commit_large(repo, {"model.bin": zipped(pickle.dumps(1))})
    with monkeypatch.context() as patched:
        patched.setattr(
            scans, "open_file", lambda repo, entry, git: _Failing(b"x" * entry.size_bytes)
        )
        assert scanned(repo, sha).state == ScanState.FAILED
        assert not FileScan.objects.exists()
    assert scanned(repo, sha).verdict == "clean"


def test_damaged_content_is_a_failed_verdict_of_the_file(repo):
    sha = commit_large(repo, {"model.safetensors": WEIGHTS[:-4]})
    assert scanned(repo, sha).verdict == "failed"
    assert state_of(repo, sha, "model.safetensors") == "error"


def test_sweep_rings_for_what_was_lost(repo, rung):
    sha = commit(repo, {"a.txt": "x"})
    rows = CommitScan.objects.filter(repo=repo, commit_sha=sha)
    CommitScan.objects.exclude(commit_sha=sha).delete()
    rung.clear()
    long_ago = timezone.now() - timedelta(hours=1)
    for fields in (
        {"state": ScanState.QUEUED, "queued_at": long_ago},
        {"state": ScanState.SCANNING, "started_at": long_ago},
        {"state": ScanState.FAILED, "finished_at": long_ago},
    ):
        rows.update(**fields)
        rung.clear()
        assert sweep_scans() == 1
        assert rung == [("hub.tasks.scan_commit", (repo.pk, sha))]
    for fields in (
        {"state": ScanState.DONE},
        {"state": ScanState.QUEUED, "queued_at": timezone.now()},
        {"state": ScanState.FAILED, "queued_at": timezone.now() - timedelta(days=2)},
    ):
        rows.update(**fields)
        assert sweep_scans() == 0


def test_sweep_finds_heads_whose_news_never_arrived(repo, rung):
    sha = commit(repo, {"a.txt": "x"})
    CommitScan.objects.all().delete()
    rung.clear()
    sweep_scans()
    assert CommitScan.objects.get(repo=repo, commit_sha=sha).state == ScanState.QUEUED
    assert rung == [("hub.tasks.scan_commit", (repo.pk, sha))]


def test_scan_of_a_deleted_repository_is_no_error(repo):
    sha = commit(repo, {"a.txt": "x"})
    repo_id = repo.pk
    Repo.objects.filter(pk=repo_id).delete()
    assert scan_commit(repo_id=repo_id, commit_sha=sha) is None
    queue_scan(repo_id=repo_id, commit_sha=sha)
    assert not CommitScan.objects.exists()


def test_content_in_a_bucket_is_read_in_ranges(repo, monkeypatch):
    sha = commit_large(repo, {"pytorch_model.bin": zipped(call("os", "system"))})
    monkeypatch.setattr(type(store()), "local_path", lambda self, key: None)
    assert scanned(repo, sha).verdict == "dangerous"


def test_status_of_many_files_takes_few_queries(repo, django_assert_max_num_queries):
    sha = commit(repo, {f"{n}.txt": str(n) for n in range(50)})
    scanned(repo, sha)
    with django_assert_max_num_queries(3):
        assert len(security_status(repo, sha, [f"{n}.txt" for n in range(50)])) == 50
