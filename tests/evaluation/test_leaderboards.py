"""What stands on a board, for whom."""

from __future__ import annotations

import csv
import io

import pytest
from django.test import Client

from contributions.actions.pull_requests import open_pull_request
from evaluation.actions.leaderboards import rebuild_board
from evaluation.boards import board_csv
from evaluation.models import LeaderboardEntry
from evaluation.portal.boards import detectable_difference
from evaluation.queries import leaderboard, standings
from hub.auth import Actor
from hub.models import AccessToken, TokenScope
from hub.site import git_of
from tests.support.benchmarks import finish, finished_run, make_benchmark, make_model, make_run
from tests.support.cast import ROLES, Cast
from tests.support.factories import commit, make_token

pytestmark = pytest.mark.django_db


def names(actor: Actor, version: object) -> list[tuple[str, int | None, int | None]]:
    rows = leaderboard(actor, version)  # type: ignore[arg-type]
    return [(r.entry.model_repo.name, r.placed.best, r.placed.worst) for r in rows]


def test_newest_commit_stands_for_a_model_whatever_it_scores(cast: Cast) -> None:
    benchmark, model = make_benchmark(cast.owner), make_model(cast.owner, "m")
    finished_run(benchmark, model, cast.owner, 0.9)
    commit(model, {"note.txt": "trained more"})
    model.refresh_from_db()
    second = finished_run(benchmark, model, cast.owner, 0.8)
    entry = LeaderboardEntry.objects.get()
    assert (entry.run, entry.value) == (second, 0.8)


def test_late_run_of_an_older_commit_does_not_take_the_place(cast: Cast) -> None:
    benchmark, model = make_benchmark(cast.owner), make_model(cast.owner, "m")
    old = git_of(model).resolve("main")
    commit(model, {"note.txt": "trained more"})
    model.refresh_from_db()
    newest = finished_run(benchmark, model, cast.owner, 0.8)
    finished_run(benchmark, model, cast.owner, 0.9, revision=old)
    assert LeaderboardEntry.objects.get().run == newest


def test_commit_of_an_open_pull_request_is_on_no_board(cast: Cast) -> None:
    benchmark, model = make_benchmark(cast.owner), make_model(cast.owner, "m")
    pull = open_pull_request(repo=model, title="Better", description="", acting_user=cast.owner)
    commit(model, {"note.txt": "proposal"}, ref=pull.head_ref)
    run = finished_run(benchmark, model, cast.owner, 0.9, revision=pull.head_ref)
    assert run.model_height is None
    assert not LeaderboardEntry.objects.exists()


@pytest.mark.parametrize("role", ROLES)
def test_private_model_neither_shows_nor_shifts_ranks(cast: Cast, role: str) -> None:
    benchmark = make_benchmark(cast.organization, "bench", is_private=False)
    best = cast.private_repo("secret")
    commit(best, {"config.json": "{}"})
    finished_run(benchmark, best, cast.owner, 0.99, half_width=0.001)
    finished_run(benchmark, make_model(cast.stranger, "open"), cast.stranger, 0.5)
    found = names(cast.actor(role), benchmark.current)
    if role in ("stranger", "anonymous"):
        assert found == [("open", 1, 1)]
    else:
        assert found == [("secret", 1, 1), ("open", 2, 2)]


@pytest.mark.parametrize("role", ROLES)
def test_private_data_set_has_its_board_for_readers_only(cast: Cast, role: str) -> None:
    benchmark = make_benchmark(cast.organization, "hidden", is_private=True)
    model = make_model(cast.owner, "open")
    run = finished_run(benchmark, model, cast.owner, 0.5)
    may_read = role not in ("stranger", "anonymous")
    missing = 401 if role == "anonymous" else 404
    api, web = cast.api_client(role), cast.web_client(role)
    assert api.get(f"/api/v1/leaderboards/{benchmark.full_id}").status_code == (
        200 if may_read else missing
    )
    listed = [b["id"] for b in api.get("/api/v1/benchmarks").json()["items"]]
    assert (benchmark.full_id in listed) == may_read
    runs = [r["id"] for r in api.get("/api/v1/runs").json()["items"]]
    assert (str(run.pk) in runs) == may_read
    for address in ("/benchmarks", f"/{model.full_name}/evaluations", "/runs?of=all", "/"):
        page = web.get(address).content.decode()
        assert (benchmark.current.benchmark.name in page) == may_read, address  # type: ignore[union-attr]


def test_fine_grained_token_narrows_the_board(cast: Cast) -> None:
    benchmark, secret = make_benchmark(cast.owner), make_model(cast.owner, "s", is_private=True)
    finished_run(benchmark, secret, cast.owner, 0.9)
    from hub.actions.tokens import Grant

    text = make_token(cast.owner, scope=TokenScope.FINE_GRAINED, grants=(Grant(benchmark.dataset),))
    token = AccessToken.objects.get()
    assert text
    assert names(Actor(cast.owner, token), benchmark.current) == []
    assert names(Actor(cast.owner), benchmark.current) == [("s", 1, 1)]


def test_missing_score_stands_last_without_a_rank(cast: Cast) -> None:
    benchmark = make_benchmark(cast.owner)
    finished_run(benchmark, make_model(cast.owner, "none"), cast.owner, None)
    finished_run(benchmark, make_model(cast.owner, "zero"), cast.owner, 0.0)
    assert names(cast.actor("owner"), benchmark.current) == [("zero", 1, 1), ("none", None, None)]


def test_pages_open_where_a_run_has_no_score_for_the_main_metric(
    cast: Cast, client: Client
) -> None:
    benchmark = make_benchmark(cast.owner)
    run = finished_run(benchmark, make_model(cast.member, "odd"), cast.member)
    run.scores.all().delete()
    for path in (benchmark.url_path, "/mira/odd/evaluations", "/mira/odd", "/"):
        answer = client.get(path)
        assert answer.status_code == 200, path
    assert b"mira/odd" in client.get(benchmark.url_path).content


def test_board_can_be_rebuilt_from_its_runs(cast: Cast) -> None:
    benchmark, model = make_benchmark(cast.owner), make_model(cast.owner)
    run = finished_run(benchmark, model, cast.owner, 0.7)
    LeaderboardEntry.objects.all().delete()
    assert benchmark.current is not None
    assert rebuild_board(version=benchmark.current) == 1
    assert LeaderboardEntry.objects.get().run == run


def test_csv_has_full_precision_and_no_formulas(cast: Cast) -> None:
    benchmark = make_benchmark(cast.owner)
    finished_run(benchmark, make_model(cast.owner, "m"), cast.owner, 1 / 3)
    assert benchmark.current is not None
    text = board_csv(benchmark.current, leaderboard(cast.actor("owner"), benchmark.current))
    (row,) = csv.DictReader(io.StringIO(text))
    assert float(row["accuracy"]) == 1 / 3
    assert row["macro_f1"] == ""
    assert row["model"] == "olive/m"


def test_board_says_which_difference_it_can_show(cast: Cast) -> None:
    benchmark = make_benchmark(cast.owner)
    assert benchmark.current is not None
    assert detectable_difference(standings(cast.actor("owner"), benchmark.current)) is None
    for half_width in (0.0588, 0.098, 0.196):
        finished_run(benchmark, make_model(cast.owner), cast.owner, 0.5, half_width=half_width)
    found = detectable_difference(standings(cast.actor("owner"), benchmark.current))
    assert found is not None
    # The usual error is 0.098 / 1.96 = 0.05; (1.96 + 0.8416) errors are seen four times in five.
    assert found.paired == pytest.approx(2.8016 * 0.05, rel=1e-3)
    assert found.unpaired == pytest.approx(2.8016 * 0.05 * 2**0.5, rel=1e-3)
    text = cast.web_client("anonymous").get(benchmark.url_path).content.decode()
    assert "from about 0.140" in text
    assert "correlate by 0.5" in text


def test_queries_of_a_board_do_not_grow_with_its_rows(
    cast: Cast, django_assert_max_num_queries: object
) -> None:
    benchmark = make_benchmark(cast.owner)
    for n in range(5):
        finish(make_run(benchmark, make_model(cast.owner, f"m{n}"), cast.owner), 0.5 + n / 10)
    with django_assert_max_num_queries(4):  # type: ignore[operator]
        assert len(leaderboard(cast.actor("owner"), benchmark.current)) == 5  # type: ignore[arg-type]
