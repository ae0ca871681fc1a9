"""A finished run measured again: what is frozen, what it costs, and the verdict."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from evaluation.actions.replays import start_replay
from evaluation.actions.runs import start_run
from evaluation.models import LeaderboardEntry, Run
from hub.actions.commits import commit_files
from hub.site import store
from hub.vcs import AddFile
from ml_core.metrics.catalogue import METRICS_OF
from ml_core.replaying import Terms, replayed
from tests.support.benchmarks import finish, make_benchmark, make_model, measure, measured_run
from tests.support.cast import Cast

RIGHT = ("pos", "neg") * 50
SAID = ("pos", "neg", "neg", "neg") * 25
"""Three of four answers right."""
FLOAT32 = {"dtype": "float32", "device": "cpu", "device_name": "a CPU"}


@pytest.fixture
def first(cast: Cast) -> Run:
    benchmark, model = make_benchmark(cast.owner), make_model(cast.owner)
    run = measured_run(benchmark, model, cast.owner, SAID, RIGHT)
    assert run.replay_of is None
    return run


def again(run: Run, user: Any, said: tuple[str | None, ...], **more: Any) -> Run:
    """The run measured a second time with these answers."""
    return measure(start_replay(run=run, acting_user=user).run, said, RIGHT, **more)


@pytest.fixture
def exact(cast: Cast) -> Run:
    """A run whose engine is known to the last bit."""
    model = make_model(cast.owner)
    return measured_run(
        make_benchmark(cast.owner), model, cast.owner, SAID, RIGHT, execution=FLOAT32
    )


def facts_of(run: Run) -> dict[str, Any]:
    assert run.record is not None
    return dict(run.record["replay"])


@pytest.mark.django_db
def test_same_answers_agree_whoever_gives_them(exact: Run, cast: Cast) -> None:
    run = again(exact, cast.member, SAID, execution=FLOAT32)
    facts = facts_of(run)
    assert (run.replay_verdict, facts["rule"], facts["n_changed"]) == ("agree", "equal", 0)
    assert (facts["max_difference"], facts["difference"]) == (0.0, 0.0)
    assert (facts["of"], facts["record_digest"]) == (str(exact.pk), exact.record_digest)
    assert facts["is_same_person"] is False


@pytest.mark.django_db
def test_one_other_answer_differs_where_the_engine_is_the_same(exact: Run, cast: Cast) -> None:
    run = again(exact, cast.owner, ("neg", *SAID[1:]), execution=FLOAT32)
    facts = facts_of(run)
    assert (run.replay_verdict, facts["reason"], facts["n_changed"]) == (
        "differ",
        "items_changed",
        1,
    )
    assert facts["difference"] == pytest.approx(-0.01)
    assert facts["low"] < -0.01 < facts["high"]


@pytest.mark.django_db
def test_another_engine_may_turn_one_item_of_a_hundred_and_no_more(first: Run, cast: Cast) -> None:
    one = again(first, cast.owner, ("neg", *SAID[1:]))
    assert (one.replay_verdict, facts_of(one)["rule"]) == ("agree", "within")
    two = again(first, cast.owner, ("neg", "pos", *SAID[2:]))
    assert (two.replay_verdict, facts_of(two)["share_changed"]) == ("differ", 0.02)


@pytest.mark.django_db
def test_lost_rows_leave_the_question_open(first: Run, cast: Cast) -> None:
    store().delete(first.predictions_key)
    run = again(first, cast.owner, SAID)
    assert (run.replay_verdict, facts_of(run)["reason"]) == ("cannot_tell", "samples_lost")


@pytest.mark.django_db
def test_replay_is_of_the_frozen_commit_and_takes_no_place_on_the_board(
    first: Run, cast: Cast
) -> None:
    commit_files(
        repo=first.model_repo,
        ref="main",
        operations=[AddFile("README.md", b"newer")],
        message="newer",
        acting_user=cast.owner,
    )
    run = again(first, cast.owner, RIGHT)
    assert (run.model_commit, run.spec) == (first.model_commit, first.spec)
    assert LeaderboardEntry.objects.get().run == first


@pytest.mark.django_db
def test_asking_twice_measures_once_and_an_ordinary_run_goes_beside_it(
    first: Run, cast: Cast
) -> None:
    started = start_replay(run=first, acting_user=cast.owner)
    joined = start_replay(run=first, acting_user=cast.member)
    assert (started.is_new, joined.is_new, joined.run) == (True, False, started.run)
    assert first.benchmark_version is not None
    plain = start_run(
        model_repo=first.model_repo, version=first.benchmark_version, acting_user=cast.owner
    )
    assert (plain.is_new, plain.run.replay_of) == (True, None)


@pytest.mark.django_db
def test_replay_counts_against_the_daily_limit(first: Run, cast: Cast, settings: Any) -> None:
    settings.RUN_DAILY_LIMIT = 1
    answer = cast.api_client("owner").post(f"/api/v1/runs/{first.pk}/replays")
    assert (answer.status_code, answer["X-Error-Code"]) == (429, "RunLimitReached")
    assert not Run.objects.filter(replay_of=first).exists()


@pytest.mark.django_db
def test_unfinished_run_is_not_measured_again(first: Run, cast: Cast) -> None:
    waiting = start_replay(run=first, acting_user=cast.owner).run
    answer = cast.api_client("owner").post(f"/api/v1/runs/{waiting.pk}/replays")
    assert (answer.status_code, answer["X-Error-Code"]) == (409, "RunNotFinished")
    assert finish(waiting).replay_of == first


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("role", "status"),
    [("owner", 201), ("member", 201), ("stranger", 201), ("admin", 201), ("anonymous", 401)],
)
def test_any_signed_in_reader_may_measure_a_public_model_again(
    first: Run, cast: Cast, role: str, status: int
) -> None:
    answer = cast.api_client(role).post(f"/api/v1/runs/{first.pk}/replays")
    assert answer.status_code == status
    assert Run.objects.filter(replay_of=first).exists() == (status == 201)
    if status == 201:
        body = answer.json()
        assert (body["replay_of"], body["state"]) == (str(first.pk), "queued")


@pytest.mark.django_db
def test_both_pages_the_api_and_the_document_tell_the_difference(first: Run, cast: Cast) -> None:
    run = again(first, cast.member, ("neg", *SAID[1:]))
    listed = cast.api_client("anonymous").get(f"/api/v1/runs/{first.pk}/replays").json()["items"]
    assert [(r["record_id"], r["verdict"], r["n_changed"]) for r in listed] == [
        (str(run.pk), "agree", 1)
    ]
    document = cast.api_client("anonymous").get(f"/api/v1/runs/{first.pk}/record").json()
    assert json.loads(json.dumps(listed)) == document["replays"]
    web = cast.web_client("owner")
    for page, link in ((first, run), (run, first)):
        text = web.get(page.url_path).content.decode()
        assert link.url_path in text
        assert "Items that changed" in text
    detail = cast.api_client("anonymous").get(f"/api/v1/runs/{run.pk}").json()
    assert (detail["replay_of"], detail["replay_verdict"]) == (str(first.pk), "agree")


def columns(values: list[float | None], ids: list[str] | None = None) -> dict[str, Any]:
    ids = ids or [str(at) for at in range(len(values))]
    return {"item_id": ids, "answer_f1": values}


F1 = {"answer_f1": METRICS_OF["span"]["answer_f1"]}


def told(base: list[float | None], other: list[float | None], **terms: Any) -> Any:
    means = [
        float(np.nanmean([np.nan if v is None else v for v in side])) for side in (base, other)
    ]
    wanted = Terms(**{"is_same_engine": True} | terms)
    return replayed(columns(base), columns(other), F1, wanted, {"answer_f1": (means[0], means[1])})


def test_last_bits_are_no_difference_and_an_answer_that_vanished_is() -> None:
    base = [0.5, 0.25, 1.0, 0.0]
    bits = told(base, [0.5 + 1e-9, *base[1:]])
    assert (bits.verdict, bits.n_changed) == ("agree", 0)
    assert bits.max_difference == pytest.approx(1e-9)
    gone = told(base, [None, *base[1:]])
    assert (gone.verdict, gone.n_changed, gone.max_difference) == ("differ", 1, 0.0)


def test_score_outside_the_first_interval_differs_though_few_items_changed() -> None:
    base = [0.5] * 99 + [0.0]
    other = [0.5] * 99 + [1.0]
    near = told(base, other, is_same_engine=False, tolerance=0.02, low=0.4, high=0.6)
    far = told(base, other, is_same_engine=False, tolerance=0.02, low=0.49, high=0.5)
    assert (near.verdict, far.verdict, far.reason) == ("agree", "differ", "outside_interval")


def test_other_items_are_another_measurement() -> None:
    base, other = columns([1.0, 0.0]), columns([1.0, 0.0], ["b", "a"])
    found = replayed(base, other, F1, Terms(True), {"answer_f1": (0.5, 0.5)})
    assert (found.verdict, found.reason) == ("differ", "other_items")
