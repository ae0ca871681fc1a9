"""Results that models claim: read from their files, shown as claims, never taken for measured."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from contributions.actions.discussions import change_status
from contributions.actions.pull_requests import merge_pull_request, open_pull_request
from contributions.models import Discussion
from evaluation.actions.claims import refresh_claims
from evaluation.claims import value_of
from evaluation.models import Benchmark, Claim
from hub.actions.commits import commit_files
from hub.actions.repos import move_repo
from hub.models import Repo
from hub.vcs.operations import DeleteFile
from tests.support.benchmarks import finished_run, make_benchmark, make_model
from tests.support.cast import Cast
from tests.support.factories import commit, gate

pytestmark = pytest.mark.django_db
FILE = ".eval_results/reviews.yaml"


def claim(task: str = "sentiment", value: object = 0.8, dataset: str = "olive/reviews") -> str:
    return f"- {{dataset: {{id: {dataset}, task_id: {task}}}, value: {value}, notes: fast}}\n"


def claiming(
    cast: Cast,
    text: str,
    name: str = "m",
    *,
    files: dict[str, str] | None = None,
    is_private: bool = False,
) -> Repo:
    model = make_model(
        cast.member, name, files={FILE: text, **(files or {})}, is_private=is_private
    )
    refresh_claims(model=model)
    return model


@pytest.fixture
def benchmark(cast: Cast) -> Benchmark:
    return make_benchmark(cast.owner, "reviews")


def board(client: Client, **query: str) -> list[dict[str, Any]]:
    answer = client.get("/api/datasets/olive/reviews/leaderboard", query)
    assert answer.status_code == 200, answer.content
    return list(answer.json())


def test_a_claim_follows_the_branch(cast: Cast) -> None:
    model = claiming(cast, claim())
    commit(model, {FILE: claim(value=0.9)})
    refresh_claims(model=model)
    refresh_claims(model=model)
    assert [each.value for each in Claim.objects.all()] == [0.9]
    commit_files(
        repo=model, ref="refs/heads/main", operations=[DeleteFile(path=FILE)], message="Gone",
        acting_user=cast.member,
    )  # fmt: skip
    refresh_claims(model=model)
    assert not Claim.objects.exists()


def test_a_broken_file_claims_nothing_and_says_why(cast: Cast, client: Client) -> None:
    model = claiming(cast, "- nothing")
    assert not Claim.objects.exists()
    info = client.get(f"/api/models/{model.full_name}?expand=evalResults").json()
    assert info["evalResults"] == [
        {"filename": FILE, "error": "Result 1 needs a dataset with id and task_id."}
    ]


def test_measured_models_are_verified_and_others_claim(
    cast: Cast, client: Client, benchmark: Benchmark
) -> None:
    run = finished_run(benchmark, make_model(cast.member, "measured"), cast.member, 0.75)
    claiming(cast, claim(value=91), "percent")
    claiming(cast, claim(value=0.6), "low")
    rows = board(client)
    assert [(row["rank"], row["modelId"], row["value"], row["verified"]) for row in rows] == [
        (1, "mira/percent", 0.91, False), (2, "mira/measured", 0.75, True),
        (3, "mira/low", 0.6, False),
    ]  # fmt: skip
    assert rows[1]["source"]["url"].endswith(f"/runs/{run.pk}")
    assert rows[0]["source"]["url"].endswith(f"/mira/percent/blob/main/{FILE}")
    assert (rows[0]["filename"], rows[0]["notes"]) == (FILE, "fast")
    page = client.get(benchmark.url_path).content.decode()
    assert page.index("mira/percent") < page.index("mira/measured") < page.index("mira/low")
    assert page.count("claimed by the model") == 2


def test_a_measured_model_claims_nothing_beside_it(
    cast: Cast, client: Client, benchmark: Benchmark
) -> None:
    model = claiming(cast, claim(value=0.99))
    finished_run(benchmark, model, cast.member, 0.5)
    (row,) = board(client)
    assert (row["value"], row["verified"]) == (0.5, True)


@pytest.mark.parametrize(
    "text", [claim(task="other"), claim(value=-3), claim(value=1000), claim(dataset="olive/other")]
)
def test_claims_about_something_else_are_not_on_the_board(
    cast: Cast, client: Client, benchmark: Benchmark, text: str
) -> None:
    claiming(cast, text)
    assert board(client) == []


def test_the_index_of_a_card_claims_by_metric_and_split(
    cast: Cast, client: Client, benchmark: Benchmark
) -> None:
    card = """---
model-index:
- name: m
  results:
  - task: {type: text-classification}
    dataset: {type: Olive/Reviews, name: Reviews, split: %s}
    metrics: [{type: accuracy, value: 0.7}, {type: bleu, value: 0.1}]
---
"""
    for name, split in (("right", "test"), ("wrong", "train")):
        refresh_claims(model=make_model(cast.member, name, files={"README.md": card % split}))
    assert [(row["modelId"], row["value"]) for row in board(client)] == [("mira/right", 0.7)]


def test_children_of_other_models_come_only_when_asked_for(
    cast: Cast, client: Client, benchmark: Benchmark
) -> None:
    card = {"README.md": "---\nbase_model: olive/base\n---\n"}
    claiming(cast, claim(), "child", files=card)
    assert board(client) == []
    assert [row["modelId"] for row in board(client, base_model="false")] == ["mira/child"]


@pytest.mark.parametrize(
    ("metric", "claimed", "shown"),
    [
        ("accuracy", 0.91, 0.91),
        ("accuracy", 91, 0.91),
        ("accuracy", 191, None),
        ("bleu", 27.3, 27.3),
        ("bleu", 0.4, 0.4),
        ("bleu", 101, None),
        ("word_perplexity", 140.5, 140.5),
        ("word_perplexity", -0.5, None),
        ("rmse", 7.5, 7.5),
        ("rmse", -1, None),
    ],
)
def test_a_claim_is_read_on_the_scale_of_its_metric(
    metric: str, claimed: float, shown: float | None
) -> None:
    assert value_of(claimed, metric) == shown


def test_a_private_model_claims_to_its_readers_alone(
    cast: Cast, client: Client, benchmark: Benchmark
) -> None:
    claiming(cast, claim(), "secret", is_private=True)
    assert board(client) == []
    client.force_login(cast.stranger)
    assert board(client) == []
    assert b"secret" not in client.get(benchmark.url_path).content
    client.force_login(cast.member)
    assert [row["modelId"] for row in board(client)] == ["mira/secret"]


def test_a_renamed_data_set_keeps_what_was_claimed_of_it(
    cast: Cast, client: Client, benchmark: Benchmark
) -> None:
    claiming(cast, claim())
    move_repo(
        repo=benchmark.dataset, namespace=benchmark.dataset.namespace, name="films",
        acting_user=cast.owner,
    )  # fmt: skip
    answer = client.get("/api/datasets/olive/films/leaderboard")
    assert len(answer.json()) == 1


def test_data_sets_without_a_board_say_so(cast: Cast, client: Client) -> None:
    answer = client.get("/api/datasets/olive/nothing/leaderboard")
    assert (answer.status_code, answer["X-Error-Code"]) == (401, "RepoNotFound")
    make_model(cast.owner, "data", repo_type="dataset")
    answer = client.get("/api/datasets/olive/data/leaderboard")
    assert (answer.status_code, answer["X-Error-Code"]) == (404, "BenchmarkNotFound")


def proposed(model: Repo, cast: Cast, text: str) -> Discussion:
    """A pull request of the stranger's that claims `text`, open for review."""
    pull = open_pull_request(
        repo=model, title="A result", description="", acting_user=cast.stranger
    )
    commit(model, {FILE: text}, ref=pull.head_ref, user=cast.stranger)
    change_status(discussion=pull, status="open", acting_user=cast.stranger)
    return pull


def test_an_open_pull_request_claims_for_the_community(
    cast: Cast,
    client: Client,
    benchmark: Benchmark,
    monkeypatch: pytest.MonkeyPatch,
    django_capture_on_commit_callbacks: Any,
) -> None:
    """From opening to closing and reopening to merging, with nothing but the news of each."""
    monkeypatch.setattr("evaluation.receivers.ring", lambda task, repo_id: task(repo_id))
    model = make_model(cast.member, "m")
    with django_capture_on_commit_callbacks(execute=True):
        pull = proposed(model, cast, claim(value=0.6))
    (row,) = board(client)
    assert (row["value"], row["pullRequest"], row["verified"]) == (0.6, 1, False)
    assert row["source"]["url"].endswith(f"/mira/m/blob/refs%2Fpr%2F1/{FILE}")
    path = f"/mira/m/blob/refs%2Fpr%2F1/{FILE}"
    assert client.get(path, RAW_URI=path).status_code == 200
    (told,) = client.get("/api/models/mira/m?expand=evalResults").json()["evalResults"]
    assert (told["pullRequest"], told["data"]["value"]) == (1, 0.6)
    for path in (benchmark.url_path, "/mira/m/evaluations"):
        page = client.get(path).content.decode()
        assert "community, pull request #1" in page
        assert "/mira/m/discussions/1" in page
    with django_capture_on_commit_callbacks(execute=True):
        change_status(discussion=pull, status="closed", acting_user=cast.member)
    assert board(client) == []
    assert "evalResults" not in client.get("/api/models/mira/m?expand=evalResults").json()
    with django_capture_on_commit_callbacks(execute=True):
        change_status(discussion=pull, status="open", acting_user=cast.stranger)
    assert len(board(client)) == 1
    pull.refresh_from_db()
    with django_capture_on_commit_callbacks(execute=True):
        merge_pull_request(pull=pull, acting_user=cast.member)
    (row,) = board(client)
    assert "pullRequest" not in row
    assert "community, pull" not in client.get("/mira/m/evaluations").content.decode()


def test_a_draft_claims_nothing(cast: Cast) -> None:
    model = make_model(cast.member, "m")
    pull = open_pull_request(repo=model, title="T", description="", acting_user=cast.stranger)
    commit(model, {FILE: claim()}, ref=pull.head_ref, user=cast.stranger)
    refresh_claims(model=model)
    assert not Claim.objects.exists()


def test_a_pull_request_claims_only_what_it_adds(
    cast: Cast, client: Client, benchmark: Benchmark
) -> None:
    """What was there before, and what the branch says since, stay the model's own."""
    card = "---\nmodel-index:\n- name: m\n  results:\n  - task: {type: text-classification}\n"
    card += "    dataset: {type: olive/other, name: o}\n"
    card += "    metrics: [{type: accuracy, value: 0.5}]\n"
    more = card + "    \n  - task: {type: text-classification}\n"
    more += "    dataset: {type: olive/third, name: t}\n"
    more += "    metrics: [{type: accuracy, value: 0.4}]\n---\n"
    model = make_model(cast.member, "m", files={FILE: claim(), "README.md": card + "---\n"})
    pull = proposed(model, cast, claim() + claim(value=0.95) + claim("second", 0.3))
    commit(model, {"README.md": more}, ref=pull.head_ref, user=cast.stranger)
    commit(model, {FILE: claim(value=0.7)})
    refresh_claims(model=model)
    rows = Claim.objects.order_by("pull_request", "value")
    found = {(each.pull_request, each.dataset_name, each.value) for each in rows}
    assert found == {
        (None, "olive/reviews", 0.7), (None, "olive/other", 0.5), (1, "olive/reviews", 0.95),
        (1, "olive/reviews", 0.3), (1, "olive/third", 0.4),
    }  # fmt: skip
    (row,) = board(client)
    assert row["value"] == 0.7


def test_what_is_proposed_behind_a_gate_is_for_those_let_in(
    cast: Cast, client: Client, benchmark: Benchmark
) -> None:
    model = claiming(cast, "[]")
    gate(model, let_in=[cast.stranger])
    proposed(model, cast, claim())
    refresh_claims(model=model)
    info = "/api/models/mira/m?expand=evalResults"
    assert board(client) == []
    assert "evalResults" not in client.get(info).json()
    assert "community, pull" not in client.get("/mira/m/evaluations").content.decode()
    client.force_login(cast.stranger)
    assert len(board(client)) == len(client.get(info).json()["evalResults"]) == 1


def test_a_page_shows_claims_apart_from_runs(
    cast: Cast, client: Client, benchmark: Benchmark
) -> None:
    """A claim about a board of this site has its name and unit; another stands as written."""
    other = "- {dataset: {id: far/away, task_id: x}, value: 12.5, date: '2026-01-31',\n"
    other += "   source: {url: 'https://example.org/log', name: Log}}\n"
    model = claiming(cast, claim(value=91) + other)
    run = finished_run(benchmark, model, cast.member, 0.75)
    page = client.get(f"{model.url_path}/evaluations").content.decode()
    runs, _, claims = page.partition("Claimed results")
    assert str(run.pk) in runs
    assert str(run.pk) not in claims
    assert [claims.count(text) for text in ("0.910", "12.500", "2026-01-31", "far/away")] == [1] * 4
    assert 'href="https://example.org/log"' in claims
    assert f'href="{benchmark.url_path}"' in claims
    assert claims.count("claimed by the model") == 2


def test_a_claim_follows_a_renamed_data_set_on_the_model_page(
    cast: Cast, client: Client, benchmark: Benchmark
) -> None:
    model = claiming(cast, claim())
    move_repo(
        repo=benchmark.dataset, namespace=benchmark.dataset.namespace, name="films",
        acting_user=cast.owner,
    )  # fmt: skip
    page = client.get(f"{model.url_path}/evaluations").content.decode()
    assert 'href="/benchmarks/olive/films/sentiment"' in page
