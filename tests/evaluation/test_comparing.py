"""The compare page and its JSON: numbers, refusals, gates, who may see it."""

from __future__ import annotations

import time
import uuid
from dataclasses import replace
from typing import Any

import pytest
from django.core.cache import cache
from scipy import stats

from evaluation import comparisons, slow_comparisons
from evaluation.models import Run
from hub.site import store
from ml_core.metrics.catalogue import METRICS_OF
from tests.evaluation.test_pages import text_of
from tests.support.benchmarks import (
    EVAL_YAML,
    finished_run,
    make_benchmark,
    make_model,
    make_run,
    measured_run,
)
from tests.support.cast import ROLES, Cast
from tests.support.factories import commit, gate

pytestmark = pytest.mark.django_db

RIGHT = ["negative", "positive"] * 20
CSV = "item_id,text,label,group\n" + "".join(
    f"item-{at},a film number {at} <b>,{label},{'new' if at < 20 else 'old'}\n"
    for at, label in enumerate(RIGHT)
)


def answers(*wrong: int, missing: int | None = None) -> list[str | None]:
    said: list[str | None] = [*RIGHT]
    for at in wrong:
        said[at] = "negative" if said[at] == "positive" else "positive"
    if missing is not None:
        said[missing] = None
    return said


@pytest.fixture
def pair(cast: Cast) -> tuple[Run, Run]:
    """The base is wrong on 0 to 11, the candidate on 11 and 12 alone."""
    cache.clear()
    benchmark = make_benchmark(cast.owner, "compared", csv=CSV)
    groups = ["new"] * 20 + ["old"] * 20
    base, candidate = (
        measured_run(
            benchmark, make_model(cast.owner, name), cast.owner, said, RIGHT, groups=groups
        )
        for name, said in (("base", answers(*range(12))), ("better", answers(11, 12)))
    )
    return base, candidate


def address(*runs: Run, **more: Any) -> str:
    named = [f"run={run.pk}" for run in runs] + [f"{name}={value}" for name, value in more.items()]
    return "/compare?" + "&".join(named)


def test_page_says_the_verdict_with_its_evidence(cast: Cast, pair: tuple[Run, Run]) -> None:
    text = text_of(cast.web_client("anonymous"), address(*pair))
    assert "Is olive/better better than olive/base?" in text
    assert "+0.250" in text
    assert "Better" in text
    assert "exact McNemar" in text
    assert "11 better, 1 worse" in text
    assert "a film number 0 &lt;b&gt;" in text, "the input of an item that changed"
    assert "item-12" not in text
    lost = text_of(cast.web_client("anonymous"), address(*pair, changed="lost"))
    assert "item-12" in lost
    assert "a film number 12" in lost
    second = text_of(cast.web_client("anonymous"), address(*pair, p=2))
    assert "item-10" in second
    assert "11 to 11 of 11" in second


def test_json_gives_the_same_numbers(cast: Cast, pair: tuple[Run, Run]) -> None:
    answer = cast.web_client("anonymous").get("/api/v1" + address(*pair, margin=0.02))
    assert answer.status_code == 200, answer.content
    body = answer.json()
    (found,) = body["pairs"]
    assert found["p"] == pytest.approx(stats.binomtest(1, 12, 0.5).pvalue)
    assert found["difference"] == pytest.approx(0.25)
    assert (found["only_base"], found["only_candidate"], found["n"]) == (1, 11, 40)
    assert (found["verdict"], body["margin"], body["metric"]) == ("better", 0.02, "accuracy")
    assert found["confusion_change"]["labels"] == ["negative", "positive"]
    groups = {each["group"]: each["difference"] for each in found["groups"]}
    assert groups == {"new": pytest.approx(0.5), "old": 0.0}
    assert [run["record_digest"] for run in body["runs"]] == [run.record_digest for run in pair]


def test_swapped_sides_turn_the_sign_and_the_verdict(cast: Cast, pair: tuple[Run, Run]) -> None:
    body = cast.web_client("anonymous").get("/api/v1" + address(*pair[::-1])).json()
    assert body["pairs"][0]["difference"] == pytest.approx(-0.25)
    assert body["pairs"][0]["verdict"] == "worse"


def test_numbers_are_computed_once(
    cast: Cast, pair: tuple[Run, Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    client = cast.web_client("anonymous")
    first = client.get("/api/v1" + address(*pair)).json()

    def refuse(*args: Any) -> None:
        raise AssertionError("read again")

    monkeypatch.setattr(comparisons, "read_samples", refuse)
    assert client.get("/api/v1" + address(*pair)).json() == first
    assert client.get("/api/v1" + address(*pair, margin=0.5)).json()["margin"] == 0.5


def test_of_several_who_ask_at_once_one_computes(
    cast: Cast, pair: tuple[Run, Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    client, inner = cast.web_client("anonymous"), []
    read = comparisons.read_samples

    def ask_again(*args: Any) -> Any:
        if not inner:
            inner.append(0)
            inner[0] = client.get(address(*pair)).status_code
        return read(*args)

    monkeypatch.setattr(comparisons, "read_samples", ask_again)
    assert client.get(address(*pair)).status_code == 200
    assert inner == [503]
    assert "+0.250" in text_of(client, address(*pair))


def test_a_missing_answer_is_told(cast: Cast, pair: tuple[Run, Run]) -> None:
    benchmark = pair[0].benchmark_version.benchmark
    partial = measured_run(
        benchmark, make_model(cast.owner, "partial"), cast.owner, answers(missing=3), RIGHT
    )
    text = text_of(cast.web_client("anonymous"), address(pair[0], partial))
    assert "1 item that one of the two did not answer is left out." in text


def test_three_runs_are_compared_in_all_pairs_with_holm(cast: Cast, pair: tuple[Run, Run]) -> None:
    benchmark = pair[0].benchmark_version.benchmark
    third = measured_run(
        benchmark, make_model(cast.owner, "third"), cast.owner, answers(1, 30), RIGHT
    )
    body = cast.web_client("anonymous").get("/api/v1" + address(*pair, third)).json()
    p_values = [each["p"] for each in body["pairs"]]
    low, middle, high = sorted(p_values)
    by_hand = [3 * low, max(3 * low, 2 * middle), max(3 * low, 2 * middle, high)]
    adjusted = [each["p_adjusted"] for each in body["pairs"]]
    assert sorted(adjusted) == pytest.approx([min(1.0, p) for p in by_hand])
    assert adjusted.index(min(adjusted)) == p_values.index(low)
    assert body["pairs"][0]["confidence"] == pytest.approx(1 - 0.05 / 3)
    text = text_of(cast.web_client("anonymous"), address(*pair, third))
    assert "All pairs" in text
    assert "Holm" in text
    assert "third" in text


def refusals(cast: Cast, base: Run) -> list[tuple[str, int, str]]:
    other = finished_run(make_benchmark(cast.owner), make_model(cast.owner), cast.owner)
    benchmark = base.benchmark_version.benchmark
    commit(benchmark.dataset, {"eval.yaml": EVAL_YAML.replace("macro_f1]", "macro_f1] # x")})
    waiting = make_run(benchmark, make_model(cast.owner), cast.owner)
    nobody = uuid.uuid4()
    return [
        (address(base, other), 400, "different benchmarks"),
        (address(base, waiting), 409, "Only finished runs"),
        (f"/compare?run={base.pk}&run={nobody}", 404, "no such run"),
        (f"/compare?run={base.pk}&run=../etc", 400, "id of a run"),
        (f"{address(base, other)}&run=" + "&run=".join(map(str, range(9))), 400, "At most 6"),
    ]


def test_what_cannot_be_compared_is_refused_in_plain_words(
    cast: Cast, pair: tuple[Run, Run]
) -> None:
    client = cast.web_client("owner")
    for path, status, words in refusals(cast, pair[0]):
        assert words in text_of(client, path, status), path
    for more, words in (
        ({"metric": "bleu"}, "accuracy, macro_f1"),
        ({"margin": "-1"}, "number from 0"),
        ({"margin": "nan"}, "number from 0"),
        ({"margin": "x" * 500}, "number from 0"),
    ):
        assert words in text_of(client, address(*pair, **more), 400)
    assert "ticked" in text_of(client, pair[0].benchmark_version.benchmark.url_path)
    for page in ("0", "-3", "9" * 30, "x"):
        text_of(client, address(*pair, p=page))


def test_runs_of_two_versions_are_refused(cast: Cast, pair: tuple[Run, Run]) -> None:
    from evaluation.actions.benchmarks import refresh_benchmarks

    benchmark = pair[0].benchmark_version.benchmark
    commit(benchmark.dataset, {"test.csv": CSV + "item-40,more,positive,new\n"})
    refresh_benchmarks(dataset=benchmark.dataset)
    benchmark.refresh_from_db()
    later = measured_run(benchmark, make_model(cast.owner), cast.owner, answers(), RIGHT)
    text = text_of(cast.web_client("owner"), address(pair[0], later), 400)
    assert "different versions of the benchmark (1, 2)" in text


@pytest.mark.parametrize("damage", ["gone", "other"])
def test_rows_that_are_not_as_signed_are_not_compared(
    cast: Cast, pair: tuple[Run, Run], damage: str
) -> None:
    key = pair[1].predictions_key
    store().delete(key) if damage == "gone" else store().put_bytes(key, b"PAR1 something else")
    text = text_of(cast.web_client("owner"), address(*pair), 409)
    assert "olive/better are no longer as they were signed" in text


def test_one_run_chooses_what_to_compare_with(cast: Cast, pair: tuple[Run, Run]) -> None:
    client = cast.web_client("anonymous")
    text = text_of(client, address(pair[0]))
    assert f'value="{pair[1].pk}"' in text
    assert "Is A better than B?" in text_of(client, "/compare")
    assert address(pair[0]) in text_of(client, f"/runs/{pair[0].pk}")


def test_a_gate_holds_back_items_but_not_numbers(cast: Cast, pair: tuple[Run, Run]) -> None:
    gate(pair[0].benchmark_version.benchmark.dataset, let_in=[cast.reader])
    kept_out = text_of(cast.web_client("stranger"), address(*pair))
    assert "+0.250" in kept_out
    assert "a film number" not in kept_out
    assert "item-0" not in kept_out
    assert "Ask for access" in kept_out
    assert "a film number 0" in text_of(cast.web_client("reader"), address(*pair))


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("hidden", ["model", "dataset"])
def test_private_runs_are_compared_for_those_who_may_read_them(
    cast: Cast, role: str, hidden: str
) -> None:
    cache.clear()
    benchmark = make_benchmark(cast.organization, csv=CSV, is_private=hidden == "dataset")
    runs = [
        measured_run(
            benchmark,
            make_model(cast.organization, is_private=hidden == "model"),
            cast.owner,
            said,
            RIGHT,
        )
        for said in (answers(1), answers(2))
    ]
    client = cast.web_client(role)
    answer = client.get(address(*runs))
    may = role in ("owner", "member", "reader", "admin")
    assert answer.status_code == (200 if may else 404), role
    assert client.get("/api/v1" + address(*runs)).status_code == answer.status_code
    if not may:
        nobody = uuid.uuid4()
        other = client.get(f"/compare?run={nobody}&run={uuid.uuid4()}")
        assert other.status_code == 404
        assert runs[0].model_repo.name not in answer.content.decode()


# --- Comparisons that take long --------------------------------------------------------------


@pytest.fixture
def rung(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """What workers were rung for, with every metric a slow one."""
    found: list[tuple[Any, ...]] = []
    slow = slow_comparisons.metric_of
    monkeypatch.setattr(
        slow_comparisons, "metric_of", lambda asked: replace(slow(asked), is_slow=True)
    )
    monkeypatch.setattr(slow_comparisons, "ring", lambda _task, *ids: found.append(ids))
    return found


def test_a_slow_comparison_is_made_by_a_worker_while_the_page_waits(
    cast: Cast, pair: tuple[Run, Run], rung: list[tuple[Any, ...]]
) -> None:
    client, poll = cast.web_client("anonymous"), {"HX-Request": "true"}
    for _ in range(2):
        page = client.get(address(*pair))
        assert page.status_code == 200
        assert b"being computed" in page.content
        assert b"olive/better" in page.content
    assert client.get(address(*pair), headers=poll).status_code == 204
    refused = client.get("/api/v1" + address(*pair))
    assert (refused.status_code, refused["Retry-After"]) == (503, "5")
    ((run_ids, metric),) = rung
    slow_comparisons.compare_runs(run_ids=run_ids, metric=metric)
    assert client.get(address(*pair), headers=poll)["HX-Refresh"] == "true"
    assert "+0.250" in text_of(client, address(*pair))
    assert client.get("/api/v1" + address(*pair, margin=0.5)).json()["margin"] == 0.5
    assert len(rung) == 1


def test_the_request_compares_where_no_worker_comes(
    cast: Cast, pair: tuple[Run, Run], rung: list[tuple[Any, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    client = cast.web_client("anonymous")
    client.get(address(*pair))
    now = time.time()
    monkeypatch.setattr(slow_comparisons.time, "time", lambda: now + 31)
    assert "+0.250" in text_of(client, address(*pair))


def test_what_a_worker_cannot_compare_is_said_by_the_page(
    cast: Cast, pair: tuple[Run, Run], rung: list[tuple[Any, ...]]
) -> None:
    client = cast.web_client("anonymous")
    client.get(address(*pair))
    store().delete(pair[0].predictions_key)
    slow_comparisons.compare_runs(run_ids=rung[0][0], metric=rung[0][1])
    answer = client.get(address(*pair))
    assert answer.status_code == 409
    assert "run it again" in answer.content.decode()


def test_boxes_are_compared_by_workers() -> None:
    known = [metric for metrics in METRICS_OF.values() for metric in metrics.values()]
    slow = {metric.name for metric in known if metric.is_slow}
    assert {"box_ap", "box_ap50", "box_ap_small"} <= slow
    assert all(name.startswith("box_ap") for name in slow)
