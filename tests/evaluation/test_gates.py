"""Gated models and data: who may start a run on them, and who reads its answers item by item."""

from __future__ import annotations

from typing import Any

import pytest

from evaluation.actions import leases
from evaluation.models import Run
from hub.actions.gates import decide_request
from tests.support.benchmarks import (
    finished_run,
    make_benchmark,
    make_model,
    make_run,
    make_worker,
)
from tests.support.cast import ROLES, Cast, client_with
from tests.support.factories import gate

pytestmark = pytest.mark.django_db
INSIDE = {"owner", "member", "reader", "admin"}


def start(cast: Cast, role: str, model: str, benchmark: str) -> Any:
    body = {"model": model, "benchmark": benchmark}
    return cast.api_client(role).post("/api/v1/runs", body, content_type="application/json")


@pytest.mark.parametrize("gated", ["model", "data set"])
@pytest.mark.parametrize("role", ROLES)
def test_runs_are_for_whom_both_gates_let_in(cast: Cast, role: str, gated: str) -> None:
    benchmark = make_benchmark(cast.organization, "bench")
    model = make_model(cast.organization, "model")
    repo = gate(model if gated == "model" else benchmark.dataset)
    answer = start(cast, role, model.full_name, benchmark.full_id)
    if role in INSIDE:
        assert answer.status_code == 201
        return
    assert answer.status_code == (401 if role == "anonymous" else 403)
    assert Run.objects.count() == 0
    if role == "stranger":
        assert answer["X-Error-Code"] == "GatedRepo"
        page = cast.web_client(role).post("/guild/model/evaluate", {"benchmark": benchmark.full_id})
        assert "restricted" in page.content.decode() or page.status_code == 403
        gate(repo, let_in=[cast.stranger])
        assert start(cast, role, model.full_name, benchmark.full_id).status_code == 201


def test_the_token_of_a_run_reads_what_its_starter_may(cast: Cast) -> None:
    benchmark = make_benchmark(cast.organization, "bench")
    model = gate(make_model(cast.organization, "model"), let_in=[cast.stranger])
    gate(benchmark.dataset, let_in=[cast.stranger])
    make_run(benchmark, model, cast.stranger)
    held = leases.claim_run(worker=make_worker())
    assert held is not None
    client = client_with(leases.issue_token(run=held))
    paths = [f"{model.url_path}/resolve/main/config.json",
             f"{benchmark.dataset.url_path}/resolve/main/test.csv"]  # fmt: skip
    assert [client.get(path).status_code for path in paths] == [200, 200]
    other = gate(make_model(cast.organization, "other"), let_in=[cast.stranger])
    assert client.get(f"{other.api_path}/auth-check").status_code == 403
    decide_request(repo=model, user=cast.stranger, status="rejected", acting_user=cast.owner)
    assert [client.get(path).status_code for path in paths] == [403, 200]


@pytest.mark.parametrize("role", ROLES)
def test_answers_item_by_item_are_as_closed_as_the_data(cast: Cast, role: str) -> None:
    benchmark = make_benchmark(cast.organization, "bench")
    run = finished_run(benchmark, make_model(cast.organization), cast.owner)
    gate(benchmark.dataset)
    client = cast.web_client(role)
    for path in (f"/api/v1/runs/{run.pk}/predictions", f"/runs/{run.pk}/predictions"):
        answer = client.get(path)
        if role in INSIDE:
            assert answer.headers.get("X-Error-Code") != "GatedRepo"
        else:
            assert answer.status_code == (401 if role == "anonymous" else 403)
            assert answer["X-Error-Code"] == "GatedRepo"
    assert client.get(f"/runs/{run.pk}").status_code == 200
    assert client.get(f"/api/v1/runs/{run.pk}/record").status_code == 200


@pytest.mark.parametrize("gated", ["model", "data set"])
@pytest.mark.parametrize("role", ROLES)
def test_errors_that_quote_gated_files_are_for_whom_the_gate_lets_in(
    cast: Cast, role: str, gated: str
) -> None:
    benchmark = make_benchmark(cast.organization, "bench")
    model = make_model(cast.organization, "model")
    run = make_run(benchmark, model, cast.owner)
    held = leases.claim_run(worker=make_worker())
    assert held is not None
    leases.fail_run(
        run=held, family="user", code="dataset_unknown_label",
        message="The label 'zanzibarium' is none.", details={"label": "zanzibarium", "labels": []},
    )  # fmt: skip
    gate(model if gated == "model" else benchmark.dataset)
    said = cast.api_client(role).get(f"/api/v1/runs/{run.pk}")
    assert said.json()["error"]["code"] == "dataset_unknown_label"
    pages = [cast.web_client(role).get(path) for path in (run.url_path, "/runs")]
    answers = [said, cast.api_client(role).get("/api/v1/runs"), pages[0]]
    told = [b"zanzibarium" in answer.content for answer in answers]
    assert told == [role in INSIDE] * 3
    assert b"zanzibarium" not in pages[1].content
