"""Handing in predictions: who may, how often, when; and what others see of it."""

from __future__ import annotations

import io
from datetime import timedelta
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone, translation

from evaluation.actions import leases
from evaluation.actions.benchmarks import refresh_benchmarks
from evaluation.actions.replays import start_replay
from evaluation.actions.runs import cancel_run, start_run
from evaluation.actions.submissions import Handed, submit_predictions
from evaluation.errors import SubmissionLimitReached, SubmissionsClosed
from evaluation.models import Benchmark, LeaderboardEntry, Run, RunKind, System
from evaluation.submitted_files import file_key
from evaluation.worker import execution
from hub.errors import HubError
from hub.models import AccessToken, Namespace, Repo, TokenScope, User
from hub.site import store
from tests.support.benchmarks import (
    EVAL_YAML,
    claim_after,
    finish,
    finished_run,
    make_benchmark,
    make_model,
    make_worker,
    outcome,
)
from tests.support.cast import ROLES, Cast
from tests.support.factories import commit, gate, make_organization

pytestmark = pytest.mark.django_db
FILE = b"item_id,prediction\na,positive\nb,negative\nc,positive\nd,negative\n"


def rules(more: str = "") -> str:
    return EVAL_YAML + f"    submissions: {{predictions: true{more}}}\n"


def hand_in(benchmark: Benchmark, user: User, *, system: str = "mine", **more: Any) -> Run:
    """A queued run of `FILE`."""
    assert benchmark.current is not None
    whose: Namespace = more.pop("namespace", user.namespace)
    return submit_predictions(
        version=benchmark.current,
        handed=Handed(system, more.pop("filename", "p.csv"), whose, **more),
        stream=io.BytesIO(FILE),
        size_bytes=len(FILE),
        acting_user=user,
    )


def url(benchmark: Benchmark, **query: str) -> str:
    asked = "&".join(f"{key}={value}" for key, value in query.items())
    return f"/api/v1/benchmarks/{benchmark.full_id}/predictions?{asked}"


def post(client: Client, benchmark: Benchmark, body: bytes = FILE, **query: str) -> Any:
    query = {"system": "mine", "filename": "p.csv"} | query
    return client.post(url(benchmark, **query), body, content_type="application/octet-stream")


def test_a_file_becomes_a_run_without_a_model(cast: Cast) -> None:
    benchmark = make_benchmark(cast.owner, eval_yaml=rules())
    answer = post(cast.api_client("stranger"), benchmark)
    assert answer.status_code == 201, answer.content
    body = answer.json()
    assert (body["kind"], body["model"], body["system"]) == ("predictions", None, "sten/mine")
    run = Run.objects.get(pk=body["id"])
    assert store().read(file_key(run)) == FILE
    assert run.spec["predictions"]["size_bytes"] == len(FILE)
    held = claim_after(run)
    leases.finish_run(run=held, outcome=outcome(0.75))
    board = Client().get(f"/api/v1/leaderboards/{benchmark.full_id}").json()
    assert [(row["model"], row["kind"]) for row in board["rows"]] == [("sten/mine", "predictions")]
    page = Client().get(benchmark.url_path).content.decode()
    assert "sten/mine" in page
    assert "scored them, and ran no model" in page
    assert "sten/mine" in Client().get(run.url_path).content.decode()


def test_a_newer_file_of_a_system_takes_its_line(cast: Cast) -> None:
    benchmark = make_benchmark(cast.owner, eval_yaml=rules())
    first = finish(hand_in(benchmark, cast.stranger), 0.9)
    assert first.board_entry.value == 0.9
    second = finish(hand_in(benchmark, cast.stranger, system="Mine"), 0.5)
    assert [entry.run for entry in LeaderboardEntry.objects.all()] == [second]
    finish(hand_in(benchmark, cast.stranger, system="other"), 0.4)
    assert LeaderboardEntry.objects.count() == 2
    assert System.objects.count() == 2


REFUSED = [
    ({"filename": "p.exe"}, FILE, 415),
    ({"system": "%3Cb%3E"}, FILE, 400),
    ({"system": ""}, FILE, 400),
    ({"namespace": "guild"}, FILE, 403),
    ({"model": "sten/none"}, FILE, 404),
    ({"filename": "p.csv"}, b"x" * 3000, 413),
]


def test_what_cannot_be_handed_in_leaves_nothing(cast: Cast, settings: Any) -> None:
    settings.MAX_PREDICTIONS_BYTES = 2000
    benchmark, client = make_benchmark(cast.owner, eval_yaml=rules()), cast.api_client("stranger")
    before = [stored.key for stored in store().list("runs/")]
    for query, body, status in REFUSED:
        answer = post(client, benchmark, body, **query)
        assert answer.status_code == status, (query, answer.content)
    assert not Run.objects.exists()
    assert [stored.key for stored in store().list("runs/")] == before
    assert post(client, benchmark, filename="../../p.csv").status_code == 201
    assert Run.objects.get().spec["predictions"]["filename"] == "p.csv"


def test_whoever_sees_the_benchmark_may_hand_in(cast: Cast) -> None:
    open_one = make_benchmark(cast.organization, "open", eval_yaml=rules())
    hidden = make_benchmark(cast.organization, "hidden", eval_yaml=rules(), is_private=True)
    for role in ROLES:
        client = cast.api_client(role)
        is_inside = role in ("owner", "member", "reader", "admin")
        assert post(client, open_one).status_code == (401 if role == "anonymous" else 201)
        status = post(client, hidden).status_code
        assert status == (201 if is_inside else 401 if role == "anonymous" else 404), role


def test_a_benchmark_that_takes_none_says_so(cast: Cast) -> None:
    benchmark = make_benchmark(cast.owner)
    assert post(cast.api_client("stranger"), benchmark).status_code == 400
    assert cast.web_client("stranger").get(f"{benchmark.url_path}/predictions").status_code == 400


def test_an_organisation_hands_in_in_its_own_name_and_limit(cast: Cast) -> None:
    benchmark = make_benchmark(cast.stranger, eval_yaml=rules(", per_day: 1"))
    guild = cast.organization.namespace
    hand_in(benchmark, cast.owner, namespace=guild)
    with pytest.raises(SubmissionLimitReached) as caught:
        hand_in(benchmark, cast.member, namespace=guild, system="again")
    assert 0 < caught.value.details["retry_after_s"] <= 24 * 3600
    assert hand_in(benchmark, cast.member).submitter == cast.member.namespace


def test_a_limit_does_not_grow_with_ones_organisations(cast: Cast) -> None:
    benchmark = make_benchmark(cast.owner, eval_yaml=rules(", total: 1"))
    first = make_organization("first", admin=cast.stranger).namespace
    second = make_organization("second", admin=cast.stranger).namespace
    hand_in(benchmark, cast.stranger, namespace=first)
    for whose in (second, cast.stranger.namespace):
        with pytest.raises(SubmissionLimitReached, match="sten has handed in 1 time,"):
            hand_in(benchmark, cast.stranger, namespace=whose, system="again")
    told = cast.api_client("stranger").get(url(benchmark, namespace="second")).json()
    assert (told["namespace"], told["left_in_total"]) == ("second", 0)
    assert hand_in(benchmark, cast.reader, namespace=second).submitter == second


def test_a_token_that_may_only_read_is_told_the_rules(cast: Cast) -> None:
    benchmark = make_benchmark(cast.owner, eval_yaml=rules(", total: 2"))
    client = cast.api_client("stranger", TokenScope.READ)
    told = client.get(url(benchmark))
    assert (told.status_code, told.json()["left_in_total"]) == (200, 2)
    assert post(client, benchmark).status_code == 403


def test_models_of_a_team_count_against_the_same_limit(cast: Cast) -> None:
    benchmark = make_benchmark(cast.stranger, eval_yaml=rules(", total: 1"))
    hand_in(benchmark, cast.owner, namespace=cast.organization.namespace)
    model = make_model(cast.organization)
    assert benchmark.current is not None
    with pytest.raises(SubmissionLimitReached):
        start_run(model_repo=model, version=benchmark.current, acting_user=cast.member)
    other = start_run(model_repo=model, version=benchmark.current, acting_user=cast.admin)
    assert other.run.submitter == cast.admin.namespace


def test_only_what_was_measured_counts(cast: Cast) -> None:
    benchmark = make_benchmark(cast.owner, eval_yaml=rules(", total: 1"))
    hand_in(benchmark, cast.stranger, is_dry_run=True)
    cancelled = hand_in(benchmark, cast.stranger)
    cancel_run(run=cancelled, acting_user=cast.stranger)
    lost = hand_in(benchmark, cast.stranger)
    Run.objects.filter(pk=lost.pk).update(state="failed", error_family="system")
    last = hand_in(benchmark, cast.stranger)
    with pytest.raises(SubmissionLimitReached):
        hand_in(benchmark, cast.stranger)
    assert hand_in(benchmark, cast.owner).owner == cast.owner  # keeps the data set
    told = cast.api_client("stranger").get(url(benchmark)).json()
    assert (told["total"], told["left_in_total"], told["namespace"]) == (1, 0, "sten")
    assert last.state == "queued"


def test_measuring_again_counts_against_no_limit_of_the_benchmark(cast: Cast) -> None:
    benchmark = make_benchmark(cast.owner, eval_yaml=rules(", total: 1"))
    first = finished_run(benchmark, make_model(cast.owner), cast.owner)
    start_replay(run=first, acting_user=cast.stranger)
    assert hand_in(benchmark, cast.stranger).state == "queued"


def phases(*spans: tuple[int, int]) -> str:
    now = timezone.now()
    said = ", ".join(
        f"{{name: P{at}, opens: '{(now + timedelta(hours=a)).isoformat()}',"
        f" closes: '{(now + timedelta(hours=b)).isoformat()}', total: 1}}"
        for at, (a, b) in enumerate(spans)
    )
    return rules(f", phases: [{said}]")


def test_a_closed_phase_refuses_in_the_visitors_language(cast: Cast) -> None:
    over = make_benchmark(cast.owner, eval_yaml=phases((-9, -2)))
    ahead = make_benchmark(cast.owner, eval_yaml=phases((2, 9)))
    with pytest.raises(SubmissionsClosed, match="The phase “P0” closed at"):
        hand_in(over, cast.stranger)
    with pytest.raises(SubmissionsClosed, match="“P0” opens at"):
        hand_in(ahead, cast.stranger)
    with translation.override("zh-hans"), pytest.raises(SubmissionsClosed, match="年"):
        hand_in(over, cast.stranger)
    assert hand_in(over, cast.stranger, is_dry_run=True).is_dry_run
    assert not cast.api_client("stranger").get(url(over)).json()["is_open"]


def test_each_phase_counts_from_its_opening(cast: Cast) -> None:
    benchmark = make_benchmark(cast.owner, eval_yaml=phases((-9, -5), (-5, 5)))
    old = hand_in(benchmark, cast.stranger)
    Run.objects.filter(pk=old.pk).update(queued_at=timezone.now() - timedelta(hours=6))
    hand_in(benchmark, cast.stranger)
    with pytest.raises(SubmissionLimitReached):
        hand_in(benchmark, cast.stranger)


def test_changed_rules_make_no_new_version_and_changed_halves_do(cast: Cast) -> None:
    benchmark = make_benchmark(cast.owner, eval_yaml=rules())
    for text, number in ((rules(", per_day: 3"), 1), (rules() + "    halves: {public: 0.5}\n", 2)):
        commit(benchmark.dataset, {"eval.yaml": text})
        refresh_benchmarks(dataset=benchmark.dataset)
        benchmark.refresh_from_db()
        assert benchmark.current is not None
        assert benchmark.current.number == number


def test_a_dry_run_is_its_owners_alone_and_scores_nothing(cast: Cast) -> None:
    benchmark = make_benchmark(cast.owner, eval_yaml=rules())
    answer = post(cast.api_client("stranger"), benchmark, dry_run="true")
    run = Run.objects.get(pk=answer.json()["id"])
    held = claim_after(run)
    leases.finish_run(run=held, outcome=leases.Outcome([], {"is_accepted": True}, "d" * 64, "s"))
    assert not LeaderboardEntry.objects.exists()
    assert Client().get(run.url_path).status_code == 404
    assert cast.web_client("owner").get(run.url_path).status_code == 404
    assert "would be accepted" in cast.web_client("stranger").get(run.url_path).content.decode()
    assert Client().get("/api/v1/runs").json()["items"] == []
    assert len(cast.api_client("stranger").get("/api/v1/runs").json()["items"]) == 1


def test_a_dry_run_changes_nothing_that_others_see(cast: Cast) -> None:
    benchmark = make_benchmark(cast.owner, eval_yaml=rules())
    model, other = make_model(cast.stranger), make_model(cast.stranger)
    hand_in(benchmark, cast.stranger, model_link=model)
    hand_in(benchmark, cast.stranger, model_link=other, is_dry_run=True)
    assert System.objects.get().model_link == model


def test_a_file_stays_only_where_it_counts(
    cast: Cast, django_capture_on_commit_callbacks: Any
) -> None:
    benchmark = make_benchmark(cast.owner, eval_yaml=rules())
    done = leases.Outcome([], {"is_accepted": True}, "d" * 64, "s")
    ends = {
        "cancelled": lambda run: cancel_run(run=run, acting_user=cast.stranger),
        "checked": lambda run: leases.finish_run(run=claim_after(run), outcome=done),
        "refused": lambda run: leases.fail_run(
            run=claim_after(run), family="user", code="predictions_value", message="no"
        ),
        "scored": finish,
    }
    for how, end in ends.items():
        run = hand_in(benchmark, cast.stranger, is_dry_run=how in ("checked", "refused"))
        assert store().read(file_key(run)) == FILE
        with django_capture_on_commit_callbacks(execute=True):
            end(run)
        kept = [stored.key for stored in store().list(f"runs/{run.pk}")]
        assert (file_key(run) in kept) == (how == "scored"), how


def test_a_second_try_clears_what_the_first_stored_and_not_what_was_handed_in(cast: Cast) -> None:
    run = hand_in(make_benchmark(cast.owner, eval_yaml=rules()), cast.stranger)
    Run.objects.filter(pk=run.pk).update(attempt=2)
    run.refresh_from_db()
    for claim in ("first", "second"):
        store().put_bytes(f"runs/{run.pk}/{claim}/predictions.parquet", b"rows")
    execution._forget_lost_claims(run, but=f"runs/{run.pk}/second")
    kept = {stored.key for stored in store().list(f"runs/{run.pk}")}
    assert kept == {file_key(run), f"runs/{run.pk}/second/predictions.parquet"}


def test_dry_runs_are_not_compared(cast: Cast) -> None:
    benchmark = make_benchmark(cast.owner, eval_yaml=rules())
    runs = [hand_in(benchmark, cast.stranger, is_dry_run=True) for _ in range(2)]
    for run in runs:
        done = leases.Outcome([], {"is_accepted": True}, "d" * 64, "s")
        leases.finish_run(run=claim_after(run), outcome=done)
    named = "&".join(f"run={run.pk}" for run in runs)
    answer = cast.web_client("stranger").get(f"/compare?{named}")
    assert answer.status_code == 409


def test_a_model_can_be_tried_beside_its_run(cast: Cast) -> None:
    benchmark, model = make_benchmark(cast.owner), make_model(cast.stranger)
    ask = {"model": model.full_name, "benchmark": benchmark.full_id}
    client = cast.api_client("stranger")
    for is_dry in (True, False):
        body = {**ask, "dry_run": is_dry}
        answer = client.post("/api/v1/runs", body, content_type="application/json")
        assert (answer.status_code, answer.json()["is_dry_run"]) == (201, is_dry)
    assert Run.objects.filter(kind=RunKind.EVALUATE).count() == 2


def test_gated_data_takes_predictions_of_those_outside(cast: Cast) -> None:
    benchmark = make_benchmark(cast.organization, eval_yaml=rules())
    gate(benchmark.dataset)
    run = hand_in(benchmark, cast.stranger)
    held = leases.claim_run(worker=make_worker())
    assert held is not None
    leases.issue_token(run=held)
    token = AccessToken.objects.get(pk=Run.objects.get(pk=run.pk).access_token_id)
    assert token.user == cast.owner
    assert [grant.repo for grant in token.grants.all()] == [benchmark.dataset]
    leases.start_job(run=held)
    leases.finish_run(run=held, outcome=outcome())
    client = cast.api_client("stranger")
    assert client.get(f"/api/v1/runs/{run.pk}").status_code == 200
    assert client.get(f"/api/v1/runs/{run.pk}/predictions").status_code == 403


def test_whom_the_gate_keeps_out_is_told_of_their_file_and_not_of_the_data(cast: Cast) -> None:
    benchmark = make_benchmark(cast.organization, eval_yaml=rules())
    gate(benchmark.dataset)
    for code, is_told in (("dataset_unknown_label", False), ("predictions_value", True)):
        run = claim_after(hand_in(benchmark, cast.stranger, system=code))
        words = {"message": "The label 'secret' is odd.", "details": {"label": "secret"}}
        leases.fail_run(run=run, family="user", code=code, **words)
        for role, is_shown in (("stranger", is_told), ("owner", True)):
            told = cast.api_client(role).get(f"/api/v1/runs/{run.pk}").json()["error"]
            assert (told["code"], "secret" in str(told)) == (code, is_shown), role
        page = cast.web_client("stranger").get(run.url_path).content.decode()
        assert is_told or "secret" not in page


def test_what_a_file_says_is_stored_whatever_characters_it_has(cast: Cast) -> None:
    run = claim_after(hand_in(make_benchmark(cast.owner, eval_yaml=rules()), cast.stranger))
    leases.fail_run(
        run=run,
        family="user",
        code="predictions_unknown_item",
        message="no item a\x00b\ud800",
        details={"item_id": "a\x00b\ud800"},
    )
    run.refresh_from_db()
    assert (run.error_message, run.error_details) == ("no item ab?", {"item_id": "ab?"})


def test_a_linked_model_is_shown_to_its_readers_alone(cast: Cast) -> None:
    benchmark = make_benchmark(cast.stranger, eval_yaml=rules())
    secret: Repo = cast.private_repo("hidden-model")
    run = finish(hand_in(benchmark, cast.owner, model_link=secret))
    assert "hidden-model" in cast.web_client("member").get(run.url_path).content.decode()
    for client in (Client(), cast.web_client("stranger")):
        assert "hidden-model" not in client.get(run.url_path).content.decode()


def test_the_page_hands_in_and_checks(cast: Cast) -> None:
    benchmark = make_benchmark(cast.owner, eval_yaml=rules(", per_day: 3"))
    make_organization("club", admin=cast.stranger)
    client = cast.web_client("stranger")
    address = f"{benchmark.url_path}/predictions"
    page = client.get(address).content.decode()
    assert "3 of 3 left" in page
    assert "prediction" in page
    sent = {"system": "mine", "namespace": "club", "file": SimpleUploadedFile("p.csv", FILE)}
    assert client.post(address, {**sent, "dry_run": "1"}).status_code == 302
    sent["file"] = SimpleUploadedFile("p.csv", FILE)
    assert client.post(address, sent).status_code == 302
    runs = Run.objects.order_by("queued_at")
    assert [(r.name, r.is_dry_run) for r in runs] == [("club/mine", True), ("club/mine", False)]
    bad = client.post(address, {**sent, "file": SimpleUploadedFile("p.exe", FILE)})
    assert bad.status_code == 415
    assert ".jsonl" in bad.content.decode()


def test_computed_baselines_start_by_themselves_once(cast: Cast) -> None:
    text = rules().replace(
        "      - name: Always positive\n        accuracy: 0.5\n",
        "      - {name: Majority, computed: majority}\n",
    )
    benchmark = make_benchmark(cast.organization, eval_yaml=text)
    refresh_benchmarks(dataset=benchmark.dataset)
    run = Run.objects.get()
    assert (run.name, run.owner, run.submitter) == ("guild/Majority", cast.owner, None)
    finish(run, 0.5)
    board = Client().get(f"/api/v1/leaderboards/{benchmark.full_id}").json()
    assert [row["kind"] for row in board["rows"]] == ["baseline"]
    assert "baseline, computed" in Client().get(benchmark.url_path).content.decode()
    with pytest.raises(HubError):
        hand_in(benchmark, cast.owner, namespace=cast.organization.namespace, system="majority")


def test_a_taken_name_costs_the_baseline_and_not_the_benchmark(cast: Cast) -> None:
    benchmark = make_benchmark(cast.organization, eval_yaml=rules())
    hand_in(benchmark, cast.owner, namespace=cast.organization.namespace, system="majority")
    line = "      - {name: Majority, computed: majority}\n      - {name: Dice, computed: chance}\n"
    text = rules().replace("      - name: Always positive\n        accuracy: 0.5\n", line)
    commit(benchmark.dataset, {"eval.yaml": text})
    refresh_benchmarks(dataset=benchmark.dataset)
    benchmark.refresh_from_db()
    assert benchmark.current is not None
    assert [each["name"] for each in benchmark.current.spec["baselines"]] == ["Majority", "Dice"]
    started = Run.objects.filter(system__is_baseline=True)
    assert [run.name for run in started] == ["guild/Dice"]


def test_a_baseline_may_be_a_run(cast: Cast) -> None:
    benchmark = make_benchmark(cast.owner, eval_yaml=rules())
    run = finish(hand_in(benchmark, cast.stranger), 0.625)
    line = f"      - {{name: Last year, run: {run.pk}}}\n"
    text = rules().replace("      - name: Always positive\n        accuracy: 0.5\n", line)
    commit(benchmark.dataset, {"eval.yaml": text})
    refresh_benchmarks(dataset=benchmark.dataset)
    page = Client().get(benchmark.url_path).content.decode()
    assert "Last year" in page
    assert page.count("0.625") >= 2
