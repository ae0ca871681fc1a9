"""The operator hears of what goes wrong before a user has to write: once, and once when it ends."""

from __future__ import annotations

import shutil
from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.test import Client
from django.utils import timezone

from evaluation.actions import leases
from evaluation.actions.incidents import QUIET, TELL_AFTER, watch
from evaluation.actions.workers import beat_worker, drain_worker, retire_worker
from evaluation.alarms import find_alarms
from evaluation.models import Incident, Run, Worker
from tests.support.benchmarks import make_benchmark, make_model, make_run, make_worker
from tests.support.cast import Cast

pytestmark = pytest.mark.django_db
MINUTE = timedelta(minutes=1)


@pytest.fixture(autouse=True)
def room(settings: Any) -> None:
    """Thresholds that this machine's disk does not cross, and somebody to write to."""
    settings.ALERT_DISK_FREE_BYTES = 0
    settings.ADMINS = [("Ops", "ops@example.org")]


def queue_one(cast: Cast) -> Run:
    return make_run(make_benchmark(cast.owner), make_model(cast.owner), cast.owner)


def kinds() -> list[tuple[str, str]]:
    return [(alarm.kind.value, alarm.subject) for alarm in find_alarms()]


def test_pool_without_worker_is_told_once_and_its_end_once(cast: Cast) -> None:
    queue_one(cast)
    now = timezone.now()
    assert [incident.kind for incident in watch(now=now)] == ["no_worker"]
    assert mail.outbox == []
    for later in (TELL_AFTER, 2 * TELL_AFTER, 3 * TELL_AFTER):
        watch(now=now + later)
    assert len(mail.outbox) == 1
    assert mail.outbox[0].to == ["ops@example.org"]
    assert "no worker for runs that wait: cpu" in mail.outbox[0].subject
    assert "1 run waits in the pool 'cpu', the first for 1 minute;" in mail.outbox[0].body
    Run.objects.update(state="cancelled")
    over = now + 4 * MINUTE
    assert watch(now=over) == []
    assert len(mail.outbox) == 1
    for later in (QUIET, 2 * QUIET):
        watch(now=over + later)
    assert [message.subject.split("] ")[1][:5] for message in mail.outbox] == ["no wo", "Over:"]


def test_what_comes_and_goes_is_one_incident(cast: Cast) -> None:
    run = queue_one(cast)
    now = timezone.now()
    for minute in range(12):
        Run.objects.filter(pk=run.pk).update(state="cancelled" if minute % 2 else "queued")
        watch(now=now + minute * MINUTE)
    assert Incident.objects.count() == 1
    assert len(mail.outbox) == 1


def test_short_gap_such_as_a_restart_writes_to_nobody(cast: Cast) -> None:
    run = queue_one(cast)
    now = timezone.now()
    watch(now=now)
    Run.objects.filter(pk=run.pk).update(state="cancelled")
    for later in (10 * MINUTE, 20 * MINUTE):
        watch(now=now + later)
    assert (Incident.objects.get().is_open, mail.outbox) == (False, [])


def test_mail_that_fails_is_sent_the_next_time(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    from evaluation.actions import incidents

    queue_one(cast)
    now = timezone.now()
    watch(now=now)
    with monkeypatch.context() as broken:
        broken.setattr(incidents, "send_mail", _refuse)
        watch(now=now + TELL_AFTER)
    assert Incident.objects.get().told_at is None
    watch(now=now + 2 * TELL_AFTER)
    assert len(mail.outbox) == 1


def _refuse(*args: Any) -> None:
    raise ConnectionRefusedError


def test_maintainers_are_written_to_where_no_admins_are_named(cast: Cast, settings: Any) -> None:
    settings.ADMINS = []
    queue_one(cast)
    now = timezone.now()
    watch(now=now)
    watch(now=now + TELL_AFTER)
    assert mail.outbox[0].to == [cast.admin.email]


def test_runs_that_wait_long_or_beside_idle_workers_are_noticed(cast: Cast) -> None:
    run = queue_one(cast)
    worker = make_worker()
    assert kinds() == []
    Run.objects.update(state_since=timezone.now() - 3 * MINUTE)
    assert kinds() == [("stalled", "cpu")]
    other = queue_one(cast)
    Run.objects.filter(pk=other.pk).update(state="cancelled", claimed_at=timezone.now() - MINUTE)
    assert kinds() == []
    Run.objects.filter(pk=other.pk).delete()
    Run.objects.update(state_since=timezone.now() - 31 * MINUTE)
    queue_one(cast)
    assert leases.claim_run(worker=worker) == run
    Run.objects.filter(state="queued").update(state_since=timezone.now() - 31 * MINUTE)
    assert kinds() == [("queue_old", "cpu")]
    drain_worker(worker=worker, acting_user=None)
    assert kinds() == [("queue_old", "cpu")]


def test_lost_worker_is_noticed_but_not_one_that_has_stopped() -> None:
    make_worker("lost", is_alive=False)
    make_worker("gone", is_alive=False)
    retire_worker(name="gone")
    assert kinds() == [("worker_lost", "lost")]
    beat_worker(name="lost")
    assert kinds() == []


def test_faults_of_ours_are_noticed_when_they_are_many(cast: Cast) -> None:
    worker = make_worker()
    for n in range(3):
        assert kinds() == []
        queue_one(cast)
        held = leases.claim_run(worker=worker)
        assert held is not None
        leases.fail_run(run=held, family="system", code="disk_full", message=str(n))
    Run.objects.update(state="failed", finished_at=timezone.now())
    assert kinds() == [("system_errors", "runs")]
    assert "disk_full (3)" in find_alarms()[0].text
    Run.objects.update(state_since=timezone.now() - 61 * MINUTE)
    assert kinds() == []


def test_full_disks_of_site_and_workers_are_noticed(settings: Any) -> None:
    make_worker("w")
    settings.ALERT_DISK_FREE_BYTES = 1 << 30
    beat_worker(name="w", disk_free_bytes=(1 << 30) - 1)
    if shutil.disk_usage(settings.DATA_DIR).free > 1 << 30:
        assert kinds() == [("disk_low", "w")]
    settings.ALERT_DISK_FREE_BYTES = 1 << 60
    assert kinds() == [("disk_low", "site"), ("disk_low", "w")]


def test_dashboard_and_health_address_show_it(cast: Cast, client: Client) -> None:
    queue_one(cast)
    make_worker("secret-host", is_alive=False)
    Worker.objects.update(pools=["gpu"])
    watch()
    health = client.get("/healthz")
    assert health.status_code == 200
    assert health.content.decode() == "ok\nalert: no_worker cpu\nalert: worker_lost\n"
    client.force_login(cast.admin)
    page = client.get("/admin/").content.decode()
    assert "secret-host" in page
    assert "no worker for runs that wait" in page
    assert client.get("/admin/evaluation/incident/").status_code == 200
