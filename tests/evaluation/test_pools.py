"""Shares, priorities, pools and draining: who takes which run, and what those who wait are told."""

from __future__ import annotations

from io import StringIO
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.test import Client

from config.env import sizes
from evaluation.actions import leases, sweep
from evaluation.actions.runs import prioritize_run
from evaluation.actions.shares import set_share
from evaluation.actions.workers import drain_worker, register_worker, resume_worker
from evaluation.messages import explain_wait
from evaluation.models import Priority, Run, Share, Worker
from evaluation.pools import GIB, Need, Pool, choose_pool, evaluation_need, training_need
from evaluation.queries import queue_insight, weights_by_owner
from hub.errors import InvalidInput
from hub.models import AuditEntry, Repo
from tests.support.benchmarks import make_benchmark, make_model, make_run, make_worker
from tests.support.cast import Cast

pytestmark = pytest.mark.django_db

POOLS = [Pool("cpu", 8 * GIB), Pool("large", 32 * GIB), Pool("gpu", 64 * GIB)]


def model_of(cast: Cast, parameters: int | None) -> Repo:
    """A model whose weights' headers tell this many parameters."""
    model = make_model(cast.owner)
    model.safetensors = {"total": parameters} if parameters else None
    model.save(update_fields=["safetensors"])
    return model


@pytest.mark.parametrize(
    ("need", "name"),
    [
        (Need(), "cpu"),
        (Need(8 * GIB), "cpu"),
        (Need(8 * GIB + 1), "large"),
        (Need(2 * GIB, is_heavy=True), "gpu"),
        (Need(40 * GIB), "gpu"),
    ],
)
def test_run_goes_to_the_first_pool_that_is_large_enough(need: Need, name: str) -> None:
    assert choose_pool(need, POOLS).name == name


def test_heavy_work_waits_on_cpus_where_there_are_no_gpus() -> None:
    assert choose_pool(Need(2 * GIB, is_heavy=True), POOLS[:2]).name == "cpu"


def test_what_no_pool_can_hold_is_refused_with_both_figures() -> None:
    with pytest.raises(InvalidInput, match=r"about 65\.0 GiB .* gives 64\.0 GiB"):
        choose_pool(Need(65 * GIB), POOLS)


def test_memory_follows_from_size_dtype_and_kind_of_work(cast: Cast) -> None:
    """By hand: a GiB for the job; 1.3 bytes for each byte read; four float32 for each weight
    trained."""
    model = model_of(cast, 1_000_000_000)
    commit = model.head_sha
    plain = {"type": "text-classification"}
    found = evaluation_need(model=model, commit=commit, task=plain)
    assert found == Need(GIB + 5_200_000_000, is_heavy=True)
    half = evaluation_need(model=model, commit=commit, task={**plain, "dtype": "bfloat16"})
    assert half.memory_bytes == GIB + 2_600_000_000
    full = training_need(base=model, commit=commit, method="full")
    assert full.memory_bytes == GIB + 16_000_000_000
    assert evaluation_need(model=model, commit="0" * 40, task=plain) == Need()
    small = model_of(cast, 400_000_000)
    asked = {"model": small, "commit": small.head_sha}
    assert not evaluation_need(**asked, task=plain).is_heavy
    assert evaluation_need(**asked, task={"type": "summarization"}).is_heavy


def test_large_model_waits_for_its_pool_and_is_told_so(cast: Cast, settings: Any) -> None:
    settings.RUN_POOLS = {"cpu": 8 * GIB, "gpu": 64 * GIB}
    benchmark = make_benchmark(cast.owner)
    on_cpu = make_worker()
    run = make_run(benchmark, model_of(cast, 3_000_000_000), cast.owner)
    assert (run.pool, run.spec["limits"]["memory_bytes"]) == ("gpu", 64 * GIB)
    insight = queue_insight(run)
    assert insight is not None
    assert (insight.reason, insight.starts_at) == ("no_worker_of_pool", None)
    assert "“gpu”" in explain_wait(insight.reason, pool=insight.pool)
    assert leases.claim_run(worker=on_cpu) is None
    with_gpu = register_worker(name="g", pools=["gpu"], slots=1, device="", versions={})
    assert queue_insight(run).reason == "starting"  # type: ignore[union-attr]
    assert leases.claim_run(worker=with_gpu) == run


def test_model_too_large_for_every_pool_starts_nothing(cast: Cast, client: Client) -> None:
    benchmark = make_benchmark(cast.owner)
    model = model_of(cast, 70_000_000_000)
    client.force_login(cast.owner)
    body = {"model": model.full_name, "benchmark": benchmark.full_id}
    answer = client.post("/api/v1/runs", body, content_type="application/json")
    assert answer.status_code == 400
    assert "340.0 GiB" in answer.json()["error"]
    assert not Run.objects.exists()


def test_each_pool_is_rung_by_its_own_queue(
    cast: Cast, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.RUN_POOLS = {"cpu": 8 * GIB, "gpu": 64 * GIB}
    benchmark = make_benchmark(cast.owner)
    make_worker()
    register_worker(name="g", pools=["gpu"], slots=2, device="", versions={})
    for parameters in (None, None, 3_000_000_000):
        make_run(benchmark, model_of(cast, parameters), cast.owner)
    rung: list[str] = []
    monkeypatch.setattr(sweep, "ring", lambda task, run_id, queue: rung.append(queue))
    assert sweep.ring_idle_workers() == 2
    assert sorted(rung) == ["evaluate.cpu", "evaluate.gpu"]


def test_own_priority_moves_only_own_runs_and_urgent_ones_go_first(cast: Cast) -> None:
    benchmark = make_benchmark(cast.owner)
    first, second = (make_run(benchmark, make_model(cast.owner), cast.owner) for _ in range(2))
    others = make_run(benchmark, make_model(cast.stranger), cast.stranger)
    urged = make_run(benchmark, make_model(cast.stranger), cast.stranger)
    prioritize_run(run=second, priority=Priority.HIGH, acting_user=cast.owner)
    prioritize_run(run=urged, priority=Priority.URGENT, acting_user=cast.admin)
    worker = make_worker(slots=4)
    taken = [leases.claim_run(worker=worker) for _ in range(4)]
    assert taken == [urged, second, first, others]


def test_asking_with_priority_is_for_ones_own_order(cast: Cast, client: Client) -> None:
    benchmark, model = make_benchmark(cast.owner), make_model(cast.owner)
    client.force_login(cast.owner)
    body = {"model": model.full_name, "benchmark": benchmark.full_id}
    for word, status in (("urgent", 400), ("low", 201)):
        asked = client.post(
            "/api/v1/runs", {**body, "priority": word}, content_type="application/json"
        )
        assert asked.status_code == status
    assert Run.objects.get().priority == Priority.LOW


def test_weight_is_ones_own_or_that_of_the_organisation(cast: Cast, client: Client) -> None:
    set_share(namespace=cast.organization.namespace, weight=4, acting_user=cast.admin)
    assert weights_by_owner()[cast.member.pk] == 4
    assert cast.stranger.pk not in weights_by_owner()
    set_share(namespace=cast.member.namespace, weight=0.5, acting_user=cast.admin)
    assert weights_by_owner()[cast.member.pk] == 0.5
    with pytest.raises(InvalidInput):
        set_share(namespace=cast.member.namespace, weight=0, acting_user=cast.admin)
    client.force_login(cast.admin)
    share = Share.objects.get(namespace=cast.member.namespace)
    address = f"/admin/evaluation/share/{share.pk}/change/"
    assert client.post(address, {"weight": "2", "note": "course"}).status_code == 302
    assert weights_by_owner()[cast.member.pk] == 2
    assert AuditEntry.objects.filter(verb="share.set", actor=cast.admin).count() == 3
    client.post(f"/admin/evaluation/share/{share.pk}/delete/", {"post": "yes"})
    assert weights_by_owner()[cast.member.pk] == 4


def test_draining_worker_finishes_what_it_holds_and_takes_nothing_new(cast: Cast) -> None:
    benchmark = make_benchmark(cast.owner)
    held_run, waiting = (make_run(benchmark, make_model(cast.owner), cast.owner) for _ in range(2))
    worker = make_worker(slots=2)
    held = leases.claim_run(worker=worker)
    assert held == held_run
    drain_worker(worker=worker, acting_user=cast.admin)
    assert leases.claim_run(worker=worker) is None
    assert not leases.heartbeat_run(run=held).is_worker_stopping
    assert queue_insight(waiting).reason == "draining"  # type: ignore[union-attr]
    resume_worker(worker=worker, acting_user=cast.admin)
    assert leases.claim_run(worker=worker) == waiting


def test_draining_worker_that_hands_back_is_told_and_starts_afresh(cast: Cast) -> None:
    make_run(make_benchmark(cast.owner), make_model(cast.owner), cast.owner)
    worker = make_worker("w")
    held = leases.claim_run(worker=worker)
    assert held is not None
    call_command("worker", "drain", "--all", "--hand-back", stdout=StringIO())
    assert leases.heartbeat_run(run=held).is_worker_stopping
    leases.release_run(run=held)
    assert (Run.objects.get().state, Run.objects.get().attempt) == ("queued", 0)
    again = register_worker(name="w", pools=["cpu"], slots=1, device="", versions={})
    assert leases.claim_run(worker=again) is not None


def test_operator_drains_and_resumes_by_command_and_in_the_admin(
    cast: Cast, client: Client
) -> None:
    worker = make_worker("w")
    client.force_login(cast.admin)
    for action, is_draining in (("drain_chosen", True), ("resume_chosen", False)):
        body = {"action": action, "_selected_action": [worker.pk]}
        client.post("/admin/evaluation/worker/", body)
        assert (Worker.objects.get().draining_at is not None) is is_draining
    out = StringIO()
    call_command("worker", "drain", "w", stdout=out)
    call_command("worker", "list", stdout=out)
    assert "draining" in out.getvalue()
    assert "draining" in client.get("/admin/").content.decode()
    call_command("worker", "resume", "w", stdout=out)
    assert Worker.objects.get().draining_at is None
    with pytest.raises(CommandError, match="no worker 'x'"):
        call_command("worker", "drain", "x")


def test_pools_are_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIZES", "cpu=8G, gpu=512M")
    assert sizes("SIZES", default={}) == {"cpu": 8 << 30, "gpu": 512 << 20}
    for text in ("cpu", "cpu=8", "cpu=8G,cpu=9G", "CPU=1G"):
        monkeypatch.setenv("SIZES", text)
        with pytest.raises(ImproperlyConfigured):
            sizes("SIZES", default={})
