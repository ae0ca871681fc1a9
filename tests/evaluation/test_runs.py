"""The life of a run: states, claims, leases, retries, and who pays for what."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.conf import settings
from django.db import IntegrityError
from django.utils import timezone

from evaluation.actions import leases, runs
from evaluation.errors import LeaseLost, RunClosed, RunLimitReached
from evaluation.models import ACTIVE, CLOSED, MOVES, Run, RunState, Score
from evaluation.queries import next_run_ids, runs_counted_against, used_s_by_owner
from hub.errors import Conflict, InvalidInput, RevisionNotFound
from hub.models import AccessToken, AuditEntry
from hub.vcs.errors import RevisionNotFound as GitRevisionNotFound
from tests.support.benchmarks import (
    finish,
    make_benchmark,
    make_model,
    make_run,
    make_worker,
    outcome,
)
from tests.support.cast import Cast
from tests.support.factories import commit, make_user

pytestmark = pytest.mark.django_db


def test_every_state_has_its_moves_and_finished_ones_stay_finished() -> None:
    assert set(MOVES) == set(RunState)
    assert not MOVES[RunState.FINISHED]
    assert MOVES[RunState.CANCELLED] == MOVES[RunState.FAILED] == {RunState.QUEUED}
    assert {*ACTIVE, *CLOSED} == set(RunState)


def test_a_run_goes_from_queue_to_record(cast: Cast) -> None:
    run = make_run(make_benchmark(cast.owner), make_model(cast.owner), cast.owner)
    assert (run.state, run.model_height, run.attempt) == ("queued", 2, 0)
    finish(run, 0.75)
    run.refresh_from_db()
    assert run.state == RunState.FINISHED
    assert (run.lease_token, run.access_token, run.attempt) == ("", None, 1)
    assert Score.objects.get(run=run).value == 0.75
    verbs = list(AuditEntry.objects.filter(target=str(run.pk)).values_list("verb", flat=True))
    assert sorted(verbs) == ["run.finished", "run.started"]


def test_spec_is_frozen_to_commits(cast: Cast) -> None:
    benchmark, model = make_benchmark(cast.owner), make_model(cast.owner)
    run = make_run(benchmark, model, cast.owner)
    sha = model.head_sha if len(model.head_sha) == 40 else run.model_commit
    commit(model, {"note.txt": "later"})
    run.refresh_from_db()
    assert run.spec["model"]["commit"] == run.model_commit
    assert benchmark.current is not None
    assert run.spec["dataset"]["commit"] == benchmark.current.commit_sha
    assert len(sha) == 40


def test_asking_twice_gives_the_run_under_way_whoever_asks(cast: Cast) -> None:
    benchmark, model = make_benchmark(cast.owner), make_model(cast.owner)
    assert benchmark.current is not None
    first = runs.start_run(model_repo=model, version=benchmark.current, acting_user=cast.owner)
    second = runs.start_run(model_repo=model, version=benchmark.current, acting_user=cast.stranger)
    assert (first.is_new, second.is_new) == (True, False)
    assert first.run.pk == second.run.pk
    finish(first.run)
    third = runs.start_run(model_repo=model, version=benchmark.current, acting_user=cast.stranger)
    assert third.is_new


def test_another_label_map_on_a_run_under_way_is_a_conflict(cast: Cast) -> None:
    benchmark, model = make_benchmark(cast.owner), make_model(cast.owner)
    make_run(benchmark, model, cast.owner)
    with pytest.raises(Conflict):
        make_run(benchmark, model, cast.owner, label_map={"LABEL_0": "negative"})
    assert Run.objects.count() == 1


def test_unknown_revision_starts_nothing(cast: Cast) -> None:
    with pytest.raises((RevisionNotFound, GitRevisionNotFound)):
        make_run(make_benchmark(cast.owner), make_model(cast.owner), cast.owner, revision="nope")
    assert not Run.objects.exists()


def test_retired_benchmark_takes_no_runs(cast: Cast) -> None:
    benchmark = make_benchmark(cast.owner)
    benchmark.is_active = False
    benchmark.save()
    with pytest.raises(InvalidInput):
        make_run(benchmark, make_model(cast.owner), cast.owner)


def test_the_database_itself_refuses_a_second_active_run(cast: Cast) -> None:
    run = make_run(make_benchmark(cast.owner), make_model(cast.owner), cast.owner)
    run.pk = None
    with pytest.raises(IntegrityError):
        run.save(force_insert=True)


def test_claim_gives_a_run_to_one_worker_only(cast: Cast) -> None:
    run = make_run(make_benchmark(cast.owner), make_model(cast.owner), cast.owner)
    first, second = make_worker(), make_worker()
    assert leases._claim(run.pk, first) is not None
    assert leases._claim(run.pk, second) is None
    run.refresh_from_db()
    assert run.worker == first


def test_late_worker_whose_lease_was_taken_can_write_nothing(cast: Cast) -> None:
    make_run(make_benchmark(cast.owner), make_model(cast.owner), cast.owner)
    late = leases.claim_run(worker=make_worker())
    assert late is not None
    leases.start_job(run=late)
    later = timezone.now() + timedelta(seconds=settings.RUN_LEASE_S + 1)
    assert leases.requeue_expired_runs(now=later) == 1
    Run.objects.update(not_before=timezone.now())
    new = leases.claim_run(worker=make_worker())
    assert new is not None
    assert new.attempt == 2
    for write in (
        lambda: leases.heartbeat_run(run=late),
        lambda: leases.start_job(run=late),
        lambda: leases.finish_run(run=late, outcome=outcome()),
        lambda: leases.fail_run(run=late, family="user", code="x", message="x"),
        lambda: leases.release_run(run=late),
    ):
        with pytest.raises(LeaseLost):
            write()
    assert Score.objects.count() == 0
    run = Run.objects.get()
    assert (run.state, run.lease_token) == (RunState.PREPARING, new.lease_token)


def test_reaper_leaves_living_runs_alone(cast: Cast) -> None:
    make_run(make_benchmark(cast.owner), make_model(cast.owner), cast.owner)
    held = leases.claim_run(worker=make_worker())
    assert held is not None
    later = timezone.now() + timedelta(seconds=settings.RUN_LEASE_S - 5)
    assert leases.requeue_expired_runs(now=later) == 0
    assert Run.objects.get().state == RunState.PREPARING


def test_lost_workers_end_in_a_verdict_after_the_last_try(cast: Cast) -> None:
    make_run(make_benchmark(cast.owner), make_model(cast.owner), cast.owner)
    for _ in range(settings.RUN_MAX_ATTEMPTS):
        Run.objects.update(not_before=timezone.now())
        assert leases.claim_run(worker=make_worker()) is not None
        later = timezone.now() + timedelta(seconds=settings.RUN_LEASE_S + 1)
        assert leases.requeue_expired_runs(now=later) == 1
    run = Run.objects.get()
    assert (run.state, run.error_family, run.error_code) == ("failed", "system", "worker_lost")


@pytest.mark.parametrize(
    ("family", "state", "is_retried"),
    [
        ("user", "failed", False),
        ("timeout", "failed", False),
        ("cancelled", "cancelled", False),
        ("system", "queued", True),
    ],
)
def test_only_faults_of_ours_are_tried_again(
    cast: Cast, family: str, state: str, is_retried: bool
) -> None:
    make_run(make_benchmark(cast.owner), make_model(cast.owner), cast.owner)
    held = leases.claim_run(worker=make_worker())
    assert held is not None
    leases.fail_run(run=held, family=family, code="some_code", message="Because.")
    run = Run.objects.get()
    assert (run.state, run.error_family, run.error_code) == (state, family, "some_code")
    assert (run.not_before > timezone.now()) == is_retried
    assert (run.finished_at is None) == is_retried
    assert leases.claim_run(worker=make_worker()) is None


def test_back_off_grows(cast: Cast) -> None:
    make_run(make_benchmark(cast.owner), make_model(cast.owner), cast.owner)
    pauses = []
    for _ in range(settings.RUN_MAX_ATTEMPTS - 1):
        held = leases.claim_run(worker=make_worker())
        assert held is not None
        leases.fail_run(run=held, family="system", code="hub_unreachable", message="")
        pauses.append((Run.objects.get().not_before - timezone.now()).total_seconds())
        Run.objects.update(not_before=timezone.now())
    assert pauses == sorted(pauses)
    assert pauses[0] > 3
    assert pauses[-1] > 20


def test_cancel_stops_a_waiting_run_at_once(cast: Cast) -> None:
    run = make_run(make_benchmark(cast.owner), make_model(cast.owner), cast.owner)
    runs.cancel_run(run=run, acting_user=cast.owner)
    assert run.state == RunState.CANCELLED
    assert leases.claim_run(worker=make_worker()) is None
    with pytest.raises(RunClosed):
        runs.cancel_run(run=run, acting_user=cast.owner)


def test_cancel_of_a_held_run_reaches_its_worker(cast: Cast) -> None:
    make_run(make_benchmark(cast.owner), make_model(cast.owner), cast.owner)
    held = leases.claim_run(worker=make_worker())
    assert held is not None
    runs.cancel_run(run=held, acting_user=cast.owner)
    assert leases.heartbeat_run(run=held).is_cancel_requested
    leases.fail_run(run=held, family="system", code="child_killed", message="")
    assert Run.objects.get().state == RunState.CANCELLED


def test_cancelled_run_of_a_lost_worker_is_not_tried_again(cast: Cast) -> None:
    make_run(make_benchmark(cast.owner), make_model(cast.owner), cast.owner)
    held = leases.claim_run(worker=make_worker())
    assert held is not None
    runs.cancel_run(run=held, acting_user=cast.owner)
    leases.requeue_expired_runs(now=timezone.now() + timedelta(seconds=settings.RUN_LEASE_S + 1))
    assert Run.objects.get().state == RunState.CANCELLED


def test_stopping_worker_hands_its_run_back_at_no_cost(cast: Cast) -> None:
    make_run(make_benchmark(cast.owner), make_model(cast.owner), cast.owner)
    held = leases.claim_run(worker=make_worker())
    assert held is not None
    leases.issue_token(run=held)
    leases.release_run(run=held)
    run = Run.objects.get()
    assert (run.state, run.attempt, run.worker) == (RunState.QUEUED, 0, None)
    assert not AccessToken.objects.exists()


def test_token_of_a_run_reaches_its_two_repositories_and_dies_with_the_lease(cast: Cast) -> None:
    benchmark, model = make_benchmark(cast.owner), make_model(cast.owner)
    make_run(benchmark, model, cast.owner)
    held = leases.claim_run(worker=make_worker())
    assert held is not None
    leases.issue_token(run=held)
    token = AccessToken.objects.get()
    assert token.is_internal
    assert token.expires_at is not None
    grants = {(grant.repo, grant.can_write) for grant in token.grants.all()}
    assert grants == {(model, False), (benchmark.dataset, False)}
    leases.start_job(run=held)
    leases.finish_run(run=held, outcome=outcome())
    assert not AccessToken.objects.exists()


def test_failed_run_can_be_queued_again_by_an_operator(cast: Cast) -> None:
    make_run(make_benchmark(cast.owner), make_model(cast.owner), cast.owner)
    held = leases.claim_run(worker=make_worker())
    assert held is not None
    leases.fail_run(run=held, family="user", code="x", message="x")
    run = runs.requeue_run(run=held, acting_user=cast.admin)
    assert (run.state, run.attempt, run.error_code) == (RunState.QUEUED, 0, "")
    with pytest.raises(RunClosed):
        runs.requeue_run(run=run, acting_user=cast.admin)


def test_faults_of_ours_and_cancellations_never_count_against_the_limit(
    cast: Cast, settings: pytest.FixtureRequest
) -> None:
    settings.RUN_DAILY_LIMIT = 2  # type: ignore[attr-defined]
    settings.RUN_MAX_ATTEMPTS = 1  # type: ignore[attr-defined]
    benchmark, user = make_benchmark(cast.owner), cast.stranger
    for family in ("system", "cancelled", "user"):
        make_run(benchmark, make_model(cast.owner), user)
        held = leases.claim_run(worker=make_worker())
        assert held is not None
        leases.fail_run(run=held, family=family, code="x", message="x")
    assert runs_counted_against(user).count() == 1
    runs_counted_against(user).update(queued_at=timezone.now() - timedelta(hours=23))
    make_run(benchmark, make_model(cast.owner), user)
    with pytest.raises(RunLimitReached) as refusal:
        make_run(benchmark, make_model(cast.owner), user)
    assert 3590 <= refusal.value.details["retry_after_s"] <= 3600
    assert Run.objects.filter(owner=user).count() == 4


def test_time_lost_by_our_fault_is_not_charged(cast: Cast) -> None:
    benchmark = make_benchmark(cast.owner)
    make_run(benchmark, make_model(cast.owner), cast.stranger)
    held = leases.claim_run(worker=make_worker())
    assert held is not None
    Run.objects.update(claimed_at=timezone.now() - timedelta(minutes=10))
    leases.fail_run(run=held, family="user", code="x", message="x")
    assert used_s_by_owner()[cast.stranger.pk] == pytest.approx(600, abs=5)
    Run.objects.update(error_family="system")
    assert used_s_by_owner() == {}


def test_owners_take_turns_whatever_was_queued_first(cast: Cast) -> None:
    benchmark = make_benchmark(cast.owner)
    busy, late = make_user(), make_user()
    many = [make_run(benchmark, make_model(cast.owner), busy) for _ in range(5)]
    one = make_run(benchmark, make_model(cast.owner), late)
    assert list(next_run_ids(["cpu"]))[:2] == [many[0].pk, one.pk]
    assert list(next_run_ids(["gpu"])) == []


def test_deleting_the_model_ends_the_work_on_it(cast: Cast) -> None:
    model = make_model(cast.owner)
    make_run(make_benchmark(cast.owner), model, cast.owner)
    held = leases.claim_run(worker=make_worker())
    assert held is not None
    model.delete()
    with pytest.raises(LeaseLost):
        leases.heartbeat_run(run=held)
