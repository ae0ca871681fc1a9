"""Runs that measure no benchmark live the same life and are seen by the same rule."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.test import Client

from evaluation.actions import leases
from evaluation.actions.runs import cancel_run
from evaluation.models import Run, RunKind
from evaluation.queries import queue_insight, typical_duration_s
from hub.models import AccessToken, Repo, User
from tests.support.benchmarks import (
    finished_run,
    make_benchmark,
    make_model,
    make_run,
    make_worker,
    outcome,
)
from tests.support.cast import Cast
from tests.support.factories import make_repo

pytestmark = pytest.mark.django_db


def make_tuning(model: Repo, dataset: Repo, owner: User, **more: Any) -> Run:
    """A queued row of another kind than evaluation."""
    spec = {"limits": {"wall_s": 60, "memory_bytes": 1 << 30}}
    return Run.objects.create(
        kind=RunKind.FINETUNE,
        model_repo=model,
        model_commit="a" * 40,
        dataset=dataset,
        owner=owner,
        spec=spec,
        **more,
    )


def make_data(owner: User, **more: Any) -> Repo:
    return make_repo(
        owner, "texts", repo_type="dataset", files={"train.csv": "text,label\n"}, **more
    )


def test_only_evaluations_have_a_benchmark_and_they_always_have_one(cast: Cast) -> None:
    benchmark, model = make_benchmark(cast.owner), make_model(cast.owner)
    evaluation = make_run(benchmark, model, cast.owner)
    assert evaluation.dataset == benchmark.dataset
    tuning = make_tuning(model, benchmark.dataset, cast.owner)
    for run, changes in (
        (evaluation, {"benchmark_version": None}),
        (evaluation, {"dataset": None}),
        (tuning, {"benchmark_version": benchmark.current}),
    ):
        with pytest.raises(IntegrityError), transaction.atomic():
            Run.objects.filter(pk=run.pk).update(**changes)


@pytest.mark.parametrize("private", ["model", "data"])
def test_run_is_seen_by_those_who_may_read_all_that_it_reads(
    cast: Cast, client: Client, private: str
) -> None:
    model = make_model(cast.owner, is_private=private == "model")
    run = make_tuning(model, make_data(cast.owner, is_private=private == "data"), cast.owner)
    for user, seen in ((cast.owner, True), (cast.stranger, False)):
        client.force_login(user)
        for path in (f"/runs/{run.pk}", f"/runs/{run.pk}/panel", f"/api/v1/runs/{run.pk}"):
            assert client.get(path).status_code == (200 if seen else 404)
        listed = client.get("/api/v1/runs?kind=finetune").json()["items"]
        assert [item["id"] for item in listed] == ([str(run.pk)] if seen else [])
        page = client.get("/runs?of=all").content.decode()
        assert (str(run.pk) in page) is seen


def test_api_tells_the_data_set_and_no_benchmark(cast: Cast, client: Client) -> None:
    run = make_tuning(make_model(cast.owner), make_data(cast.owner), cast.owner)
    body = client.get(f"/api/v1/runs/{run.pk}").json()
    assert (body["kind"], body["dataset"]) == ("finetune", "olive/texts")
    assert (body["benchmark"], body["benchmark_version"]) == (None, None)
    assert client.get("/api/v1/runs?kind=dance").status_code == 400


def test_admin_lists_and_shows_it(cast: Cast, client: Client) -> None:
    run = make_tuning(make_model(cast.owner), make_data(cast.owner), cast.owner)
    client.force_login(cast.admin)
    assert "olive/texts" in client.get("/admin/evaluation/run/").content.decode()
    assert client.get(f"/admin/evaluation/run/{run.pk}/change/").status_code == 200


def test_claimed_finished_cancelled_like_any_other(cast: Cast) -> None:
    model, data = make_model(cast.owner), make_data(cast.owner)
    run, other = make_tuning(model, data, cast.owner), make_tuning(model, data, cast.owner)
    cancel_run(run=other, acting_user=cast.owner)
    held = leases.claim_run(worker=make_worker())
    assert held == run
    leases.issue_token(run=held)
    granted = AccessToken.objects.get().grants.values_list("repo", flat=True)
    assert set(granted) == {model.pk, data.pk}
    leases.start_job(run=held)
    leases.finish_run(run=held, outcome=outcome())
    assert set(Run.objects.values_list("state", flat=True)) == {"finished", "cancelled"}
    assert not model.board_entries.exists()


def test_wait_is_told_by_kind_or_by_what_was_promised(cast: Cast) -> None:
    benchmark, model = make_benchmark(cast.owner), make_model(cast.owner)
    worker = make_worker()
    done = finished_run(benchmark, model, cast.owner)
    tuning = make_tuning(model, make_data(cast.owner), cast.owner, estimate_s=120.0)
    last = make_run(benchmark, make_model(cast.owner), cast.owner)
    assert typical_duration_s("evaluate", benchmark.current_id) == done.duration_s
    assert typical_duration_s("finetune", None) is None
    leases.claim_run(worker=worker)
    tuning.refresh_from_db()
    assert tuning.state == "preparing"
    insight = queue_insight(last)
    assert insight is not None
    assert insight.starts_in_s == pytest.approx(120, abs=5)
