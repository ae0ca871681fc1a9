"""Benchmarks follow their data set's `eval.yaml`."""

from __future__ import annotations

import pytest

from evaluation.actions.benchmarks import refresh_benchmarks
from evaluation.actions.sweep import refresh_stale_benchmarks
from evaluation.models import Benchmark, BenchmarkFile, BenchmarkVersion
from hub.actions.commits import commit_files
from hub.models import Repo
from hub.vcs.operations import DeleteFile
from tests.support.benchmarks import EVAL_YAML, make_benchmark, make_model, make_run
from tests.support.cast import Cast, client_with
from tests.support.factories import commit, make_repo

pytestmark = pytest.mark.django_db


def edited(dataset: Repo, old: str, new: str) -> Benchmark:
    commit(dataset, {"eval.yaml": EVAL_YAML.replace(old, new)})
    refresh_benchmarks(dataset=dataset)
    return Benchmark.objects.select_related("current").get(dataset=dataset)


def test_data_set_with_eval_yaml_becomes_a_benchmark(cast: Cast) -> None:
    benchmark = make_benchmark(cast.owner, "reviews")
    assert benchmark.full_id == "olive/reviews/sentiment"
    assert benchmark.current is not None
    assert (benchmark.current.number, benchmark.current.main_metric) == (1, "accuracy")
    assert BenchmarkFile.objects.get().problems == []


def test_data_set_without_one_has_no_benchmark(cast: Cast) -> None:
    dataset = make_repo(cast.owner, repo_type="dataset", files={"a.csv": "x"})
    assert refresh_benchmarks(dataset=dataset) is None
    assert not Benchmark.objects.exists()


def test_reading_twice_changes_nothing(cast: Cast) -> None:
    benchmark = make_benchmark(cast.owner)
    refresh_benchmarks(dataset=benchmark.dataset)
    assert BenchmarkVersion.objects.count() == 1


def test_readme_and_words_make_no_new_version(cast: Cast) -> None:
    benchmark = make_benchmark(cast.owner)
    commit(benchmark.dataset, {"README.md": "# Better words"})
    changed = edited(benchmark.dataset, "Film reviews", "Reviews of films")
    assert changed.name == "Reviews of films"
    assert changed.current == benchmark.current


@pytest.mark.parametrize(
    "change",
    [
        {"test.csv": "item_id,text,label\na,new,positive\n"},
        {"README.md": "---\nconfigs:\n- config_name: default\n  data_files: test.csv\n---\n"},
        {"eval.yaml": EVAL_YAML.replace("[accuracy, macro_f1]", "[macro_f1, accuracy]")},
        {"eval.yaml": EVAL_YAML.replace("split: test", "split: validation")},
    ],
    ids=["data", "card's data fields", "main metric", "split"],
)
def test_what_decides_a_score_makes_a_new_version(cast: Cast, change: dict[str, str]) -> None:
    benchmark = make_benchmark(cast.owner)
    sha = commit(benchmark.dataset, change)
    refresh_benchmarks(dataset=benchmark.dataset)
    benchmark.refresh_from_db()
    assert benchmark.current is not None
    assert (benchmark.current.number, benchmark.current.commit_sha) == (2, sha)


def test_going_back_finds_the_old_version_again(cast: Cast) -> None:
    benchmark = make_benchmark(cast.owner)
    edited(benchmark.dataset, "split: test", "split: other")
    again = edited(benchmark.dataset, "", "")
    assert again.current == benchmark.current
    assert BenchmarkVersion.objects.count() == 2


def test_a_slip_keeps_the_last_good_version(cast: Cast) -> None:
    benchmark = make_benchmark(cast.owner)
    run = make_run(benchmark, make_model(cast.owner), cast.owner)
    broken = edited(benchmark.dataset, "split: test", "splt: test")
    assert (broken.is_active, broken.current) == (True, benchmark.current)
    codes = {problem["code"] for problem in BenchmarkFile.objects.get().problems}
    assert codes == {"unknown_field", "missing"}
    run.refresh_from_db()
    assert run.state == "queued"


def test_task_that_is_gone_is_retired_and_comes_back(cast: Cast) -> None:
    benchmark = make_benchmark(cast.owner)
    other = EVAL_YAML.replace("id: sentiment", "id: other")
    commit(benchmark.dataset, {"eval.yaml": other})
    refresh_benchmarks(dataset=benchmark.dataset)
    benchmark.refresh_from_db()
    assert not benchmark.is_active
    assert Benchmark.objects.active().get().task_id == "other"
    commit(benchmark.dataset, {"eval.yaml": EVAL_YAML})
    refresh_benchmarks(dataset=benchmark.dataset)
    benchmark.refresh_from_db()
    assert benchmark.is_active


def test_file_that_is_gone_retires_all(cast: Cast) -> None:
    from hub.actions.commits import commit_files

    benchmark = make_benchmark(cast.owner)
    commit_files(
        repo=benchmark.dataset,
        ref="refs/heads/main",
        operations=[DeleteFile(path="eval.yaml")],
        message="Remove",
        acting_user=cast.owner,
    )
    refresh_benchmarks(dataset=benchmark.dataset)
    benchmark.refresh_from_db()
    assert not benchmark.is_active
    assert not BenchmarkFile.objects.exists()


def test_news_that_was_lost_is_caught_up(cast: Cast) -> None:
    benchmark = make_benchmark(cast.owner)
    commit(benchmark.dataset, {"eval.yaml": EVAL_YAML.replace("split: test", "split: other")})
    assert refresh_stale_benchmarks() == 1
    benchmark.refresh_from_db()
    assert benchmark.current is not None
    assert benchmark.current.number == 2
    assert refresh_stale_benchmarks() == 0


def test_push_rings_the_reader(cast: Cast, django_capture_on_commit_callbacks: object) -> None:
    from evaluation import receivers
    from hub.events import RefUpdated

    rung: list[tuple[object, ...]] = []
    original = receivers.ring
    receivers.ring = lambda task, *ids: rung.append((task.name, *ids))  # type: ignore[assignment]
    try:
        for ref in ("refs/heads/main", "refs/heads/other", "refs/pr/1"):
            receivers.read_benchmarks(RefUpdated(7, ref, None, "a" * 40, None))
        receivers.read_benchmarks(RefUpdated(7, "refs/heads/main", "a" * 40, None, None))
    finally:
        receivers.ring = original
    assert rung == [("evaluation.tasks.refresh_benchmarks", 7)]


def official(cast: Cast, **query: str) -> list[str]:
    rows = client_with(None).get("/api/datasets", {"filter": "benchmark:official", **query}).json()
    return [row["id"] for row in rows]


def test_lists_narrow_to_data_sets_with_a_leaderboard(cast: Cast) -> None:
    """What `list_datasets(benchmark="official")` asks; a card cannot say so by itself."""
    liar = {"README.md": "---\ntags: ['benchmark:official', BENCHMARK:official, plain]\n---\n"}
    dataset = make_repo(cast.owner, "liar", repo_type="dataset", files=liar)
    benchmark = make_benchmark(cast.owner, "reviews")
    assert official(cast) == ["olive/reviews"]
    dataset.refresh_from_db()
    assert dataset.tags == ["plain"]
    commit(benchmark.dataset, {"README.md": "---\nlicense: mit\n---\n"})
    assert official(cast, search="reviews") == ["olive/reviews"]
    (row,) = client_with(None).get("/api/datasets?search=reviews").json()
    assert {"benchmark:official", "license:mit"} <= set(row["tags"])
    commit_files(
        repo=benchmark.dataset, ref="refs/heads/main", message="Retire",
        operations=[DeleteFile(path="eval.yaml")], acting_user=cast.owner,
    )  # fmt: skip
    refresh_benchmarks(dataset=benchmark.dataset)
    assert official(cast) == []


def test_a_leaderboard_that_no_list_tells_of_is_found_by_the_sweep(cast: Cast) -> None:
    """As after an upgrade from a version without the tag."""
    dataset = make_benchmark(cast.owner, "reviews").dataset
    dataset.tag_rows.filter(tag="benchmark:official").delete()
    assert refresh_stale_benchmarks() == 1
    assert dataset.tag_rows.filter(tag="benchmark:official").exists()
    assert refresh_stale_benchmarks() == 0
