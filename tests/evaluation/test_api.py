"""`/api/v1/`: who may do what, what a start answers, and what a refusal leaves behind."""

from __future__ import annotations

import uuid

import pytest
from django.test import Client

from evaluation.actions import leases
from evaluation.models import Run
from hub.actions.tokens import Grant
from hub.models import TokenScope
from hub.site import store
from tests.support.benchmarks import (
    finished_run,
    make_benchmark,
    make_model,
    make_run,
    make_worker,
)
from tests.support.cast import ROLES, Cast, client_with
from tests.support.factories import commit, make_token

pytestmark = pytest.mark.django_db


def start(client: Client, model: str, benchmark: str, **more: object) -> object:
    body = {"model": model, "benchmark": benchmark, **more}
    return client.post("/api/v1/runs", body, content_type="application/json")


@pytest.mark.parametrize("role", ROLES)
def test_signed_in_readers_of_both_may_start(cast: Cast, role: str) -> None:
    benchmark = make_benchmark(cast.organization, "bench")
    model = cast.private_repo("secret")
    expected = {"stranger": 404, "anonymous": 401}.get(role, 201)
    answer = start(cast.api_client(role), model.full_name, benchmark.full_id)
    assert answer.status_code == expected  # type: ignore[attr-defined]
    assert Run.objects.count() == (1 if expected == 201 else 0)


@pytest.mark.parametrize("role", ROLES)
def test_private_data_set_can_be_run_on_by_its_readers_only(cast: Cast, role: str) -> None:
    benchmark = make_benchmark(cast.organization, "bench", is_private=True)
    model = make_model(cast.stranger, "open")
    expected = {"stranger": 404, "anonymous": 401}.get(role, 201)
    answer = start(cast.api_client(role), model.full_name, benchmark.full_id)
    assert answer.status_code == expected  # type: ignore[attr-defined]
    assert Run.objects.count() == (1 if expected == 201 else 0)


def test_token_scopes_decide_who_may_start(cast: Cast) -> None:
    benchmark, model = make_benchmark(cast.owner), make_model(cast.owner)
    other = make_model(cast.owner)
    cases = [
        (TokenScope.READ, (), 403),
        (TokenScope.FINE_GRAINED, (Grant(model, can_write=False),), 403),
        (TokenScope.FINE_GRAINED, (Grant(other, can_write=True),), 403),
        (TokenScope.FINE_GRAINED, (Grant(model, can_write=True),), 201),
    ]
    for scope, grants, expected in cases:
        client = client_with(make_token(cast.owner, scope=scope, grants=grants))
        answer = start(client, model.full_name, benchmark.full_id)
        assert answer.status_code == expected, (scope, grants)  # type: ignore[attr-defined]
    assert Run.objects.count() == 1


def test_worker_token_of_a_run_starts_nothing(cast: Cast) -> None:
    benchmark, model = make_benchmark(cast.owner), make_model(cast.owner)
    make_run(benchmark, model, cast.owner)
    held = leases.claim_run(worker=make_worker())
    assert held is not None
    client = client_with(leases.issue_token(run=held))
    assert client.get(f"/api/v1/runs/{held.pk}").status_code == 200
    answer = start(client, make_model(cast.owner).full_name, benchmark.full_id)
    assert answer.status_code == 403  # type: ignore[attr-defined]
    assert client.post(f"/api/v1/runs/{held.pk}/cancel").status_code == 403
    assert Run.objects.count() == 1


def test_session_needs_the_csrf_token(cast: Cast) -> None:
    benchmark, model = make_benchmark(cast.owner), make_model(cast.owner)
    client = Client(enforce_csrf_checks=True)
    client.force_login(cast.owner, backend="django.contrib.auth.backends.ModelBackend")
    answer = start(client, model.full_name, benchmark.full_id)
    assert answer.status_code == 403  # type: ignore[attr-defined]
    assert not Run.objects.exists()


def test_start_answers_with_the_run_and_why_it_waits(cast: Cast) -> None:
    benchmark, model = make_benchmark(cast.owner), make_model(cast.owner)
    client = cast.api_client("owner")
    answer = start(client, model.full_name, benchmark.full_id)
    body = answer.json()  # type: ignore[attr-defined]
    assert answer["Location"] == f"/api/v1/runs/{body['id']}"  # type: ignore[index]
    assert (body["state"], body["commit"]) == ("queued", Run.objects.get().model_commit)
    expected = {"reason": "no_worker", "pool": "cpu", "position": 1, "starts_at": None}
    assert body["queue"] == expected
    again = start(client, model.full_name, benchmark.dataset.full_name)
    assert again.status_code == 200  # type: ignore[attr-defined]
    assert again.json()["id"] == body["id"]  # type: ignore[attr-defined]


def test_queue_says_place_reason_and_time(cast: Cast) -> None:
    benchmark = make_benchmark(cast.owner)
    finished_run(benchmark, make_model(cast.owner), cast.owner)
    make_run(benchmark, make_model(cast.owner), cast.owner)
    assert leases.claim_run(worker=make_worker()) is not None
    for _ in range(2):
        waits = make_run(benchmark, make_model(cast.owner), cast.owner)
    queue = cast.api_client("stranger").get(f"/api/v1/runs/{waits.pk}").json()["queue"]
    assert (queue["reason"], queue["position"]) == ("behind_others", 2)
    assert queue["starts_at"] is not None


BAD_STARTS = [
    ({}, 400, "InvalidInput"),
    ({"model": "olive/m"}, 400, "InvalidInput"),
    ({"model": "m", "benchmark": "olive/bench"}, 400, "InvalidInput"),
    ({"model": "a/b/c", "benchmark": "olive/bench"}, 400, "InvalidInput"),
    ({"model": "olive/none", "benchmark": "olive/bench"}, 404, "RepoNotFound"),
    ({"model": "olive/m", "benchmark": "olive/none"}, 404, "BenchmarkNotFound"),
    ({"model": "olive/m", "benchmark": "olive/bench/none"}, 404, "BenchmarkNotFound"),
    ({"model": "olive/m", "benchmark": "bench"}, 400, "InvalidInput"),
    ({"model": "olive/m", "benchmark": "olive/bench", "revision": "no"}, 404, "RevisionNotFound"),
    ({"model": "olive/m", "benchmark": "olive/bench", "label_map": [1]}, 400, "InvalidInput"),
    ({"model": "olive/m", "benchmark": "olive/bench", "label_map": {}}, 400, "InvalidInput"),
    ({"model": ["x"], "benchmark": {"y": 1}}, 400, "InvalidInput"),
]


@pytest.mark.parametrize(("body", "status", "code"), BAD_STARTS)
def test_malformed_start_says_why_and_starts_nothing(
    cast: Cast, body: dict[str, object], status: int, code: str
) -> None:
    make_benchmark(cast.owner, "bench")
    make_model(cast.owner, "m")
    client = cast.api_client("owner")
    answer = client.post("/api/v1/runs", body, content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer["X-Error-Code"] == code
    assert answer.json()["error"]
    assert not Run.objects.exists()


def test_body_that_is_no_json_is_refused(cast: Cast) -> None:
    client = cast.api_client("owner")
    answer = client.post("/api/v1/runs", b"{", content_type="application/json")
    assert answer.status_code == 400


@pytest.mark.parametrize("role", ROLES)
def test_only_who_started_a_run_may_cancel_it(cast: Cast, role: str) -> None:
    run = make_run(make_benchmark(cast.owner), make_model(cast.owner), cast.member)
    expected = {"member": 200, "admin": 200, "anonymous": 401}.get(role, 403)
    answer = cast.api_client(role).post(f"/api/v1/runs/{run.pk}/cancel")
    assert answer.status_code == expected
    run.refresh_from_db()
    assert run.state == ("cancelled" if expected == 200 else "queued")


def test_read_token_may_not_cancel(cast: Cast) -> None:
    run = make_run(make_benchmark(cast.owner), make_model(cast.owner), cast.owner)
    client = cast.api_client("owner", TokenScope.READ)
    assert client.post(f"/api/v1/runs/{run.pk}/cancel").status_code == 403
    run.refresh_from_db()
    assert run.state == "queued"


@pytest.mark.parametrize("role", ROLES)
def test_run_of_a_private_model_is_for_its_readers(cast: Cast, role: str) -> None:
    benchmark, model = make_benchmark(cast.owner), cast.private_repo("secret")
    commit(model, {"config.json": "{}"})
    run = finished_run(benchmark, model, cast.owner)
    store().put_bytes(run.predictions_key, b"PAR1")
    client = cast.api_client(role)
    may_read = role not in ("stranger", "anonymous")
    for part in ("", "/record", "/predictions", "/verify"):
        answer = client.get(f"/api/v1/runs/{run.pk}{part}")
        assert answer.status_code == (200 if may_read else 404), part
        b"".join(answer)
    listed = [row["id"] for row in client.get("/api/v1/runs").json()["items"]]
    assert listed == ([str(run.pk)] if may_read else [])


def test_unfinished_run_has_no_results_yet(cast: Cast) -> None:
    run = make_run(make_benchmark(cast.owner), make_model(cast.owner), cast.owner)
    client = cast.api_client("owner")
    for part in ("record", "predictions", "verify"):
        answer = client.get(f"/api/v1/runs/{run.pk}/{part}")
        assert (answer.status_code, answer.json()["code"]) == (409, "RunNotFinished")


def test_downloads_come_as_files_that_no_browser_runs(cast: Cast) -> None:
    run = finished_run(make_benchmark(cast.owner), make_model(cast.owner), cast.owner)
    store().put_bytes(run.predictions_key, b"PAR1....PAR1")
    answer = cast.api_client("owner").get(f"/api/v1/runs/{run.pk}/predictions")
    assert b"".join(answer.streaming_content) == b"PAR1....PAR1"
    assert answer["Content-Type"] == "application/vnd.apache.parquet"
    assert answer["Content-Disposition"].startswith("attachment")
    assert answer["X-Content-Type-Options"] == "nosniff"


def test_unknown_run_is_not_found(cast: Cast) -> None:
    client = cast.api_client("owner")
    assert client.get(f"/api/v1/runs/{uuid.uuid4()}").status_code == 404
    assert client.get("/api/v1/runs/not-an-id").status_code == 404


def test_list_pages_through_everything_once(cast: Cast) -> None:
    benchmark = make_benchmark(cast.owner)
    runs = {str(make_run(benchmark, make_model(cast.owner), cast.owner).pk) for _ in range(5)}
    client, seen, cursor = cast.api_client("owner"), [], ""
    while cursor is not None:
        page = client.get("/api/v1/runs", {"limit": 2, "cursor": cursor}).json()
        seen += [row["id"] for row in page["items"]]
        cursor = page["next_cursor"]
    assert len(seen) == 5
    assert set(seen) == runs


@pytest.mark.parametrize(
    "query", ["cursor=x", "cursor=2026-01-01~y", "limit=0", "limit=x", "state=done"]
)
def test_malformed_filters_are_refused(cast: Cast, query: str) -> None:
    assert cast.api_client("owner").get(f"/api/v1/runs?{query}").status_code == 400


def test_filters_narrow_the_list(cast: Cast) -> None:
    benchmark, model = make_benchmark(cast.owner, "bench"), make_model(cast.owner, "m")
    run = make_run(benchmark, model, cast.owner)
    make_run(benchmark, make_model(cast.stranger, "other"), cast.stranger)
    client = cast.api_client("reader")
    for query in ("model=olive/m", "owner=olive", "benchmark=olive/bench&model=olive/m"):
        found = client.get(f"/api/v1/runs?{query}").json()["items"]
        assert [row["id"] for row in found] == [str(run.pk)]
    assert client.get("/api/v1/runs?state=finished").json()["items"] == []


def test_description_and_its_page_are_served(cast: Cast) -> None:
    schema = Client().get("/api/v1/schema")
    assert schema.status_code == 200
    page = Client().get("/api/v1/docs")
    assert page.status_code == 200
    text = page.content.decode()
    assert "<script>" not in text
    assert "<style" not in text
    assert "unsafe-inline" not in page["Content-Security-Policy"]
