"""Pages of benchmarks and runs, by role and by state."""

from __future__ import annotations

import re

import pytest
from django.test import Client

from evaluation.actions import leases
from evaluation.actions.benchmarks import refresh_benchmarks
from evaluation.actions.leases import Progress
from evaluation.models import Run
from hub.models import Repo
from tests.support.benchmarks import (
    EVAL_YAML,
    finished_run,
    make_benchmark,
    make_model,
    make_run,
    make_worker,
    measured_run,
)
from tests.support.cast import ROLES, Cast
from tests.support.factories import commit, make_repo

pytestmark = pytest.mark.django_db
INLINE = re.compile(
    r"<script(?![^>]*(src=|application/json))|<style|\sstyle=|\son\w+=", re.IGNORECASE
)


def text_of(client: Client, address: str, status: int = 200) -> str:
    answer = client.get(address)
    assert answer.status_code == status, address
    text = answer.content.decode()
    assert not INLINE.search(text), address
    return text


def held_run(cast: Cast) -> Run:
    make_run(make_benchmark(cast.owner), make_model(cast.owner, "m"), cast.owner)
    held = leases.claim_run(worker=make_worker())
    assert held is not None
    return held


@pytest.mark.parametrize("role", ROLES)
def test_pages_open_for_everybody(cast: Cast, role: str) -> None:
    benchmark, model = make_benchmark(cast.owner, "reviews"), make_model(cast.owner, "m")
    run = finished_run(benchmark, model, cast.owner)
    client = cast.web_client(role)
    for address in (
        "/benchmarks",
        "/benchmarks?search=film&type=text-classification",
        f"/benchmarks/{benchmark.full_id}",
        f"/benchmarks/{benchmark.full_id}?sort=accuracy&dir=asc",
        f"/benchmarks/{benchmark.full_id}?sort=nonsense&version=1",
        f"/runs/{run.pk}",
        f"/runs/{run.pk}/panel",
        "/runs",
        "/runs?of=all&state=finished",
        f"/{model.full_name}/evaluations",
        "/datasets/olive/reviews/benchmark",
        "/",
    ):
        text_of(client, address)


@pytest.mark.parametrize("version", ["2", "x", "-1", "99999999999"])
def test_unknown_version_is_no_crash(cast: Cast, version: str) -> None:
    benchmark = make_benchmark(cast.owner)
    answer = cast.web_client("owner").get(f"/benchmarks/{benchmark.full_id}?version={version}")
    assert answer.status_code in (400, 404)


def test_waiting_run_says_why_where_and_when(cast: Cast) -> None:
    run = make_run(make_benchmark(cast.owner), make_model(cast.owner, "m"), cast.owner)
    text = text_of(cast.web_client("owner"), f"/runs/{run.pk}")
    assert "No worker is connected" in text
    assert "next in line" in text
    assert "cannot be told yet" in text
    assert "hx-get" in text
    assert "Queued · m" in text


def test_running_run_shows_progress_and_its_percent_in_the_tab(cast: Cast) -> None:
    held = held_run(cast)
    leases.start_job(run=held)
    progress = Progress(phase="running", items_done=41, items_total=100, items_per_s=12.5)
    leases.heartbeat_run(run=held, progress=progress)
    text = text_of(cast.web_client("owner"), f"/runs/{held.pk}/panel")
    assert "<title>41 % · m" in text
    assert "41 / 100" in text
    assert "12.5" in text


def test_failed_run_explains_itself_and_stops_asking(cast: Cast) -> None:
    held = held_run(cast)
    leases.fail_run(
        run=held,
        family="user",
        code="labels_unresolved",
        message="raw message",
        details={"model_labels": ["<b>LABEL_0</b>"], "labels": ["negative"]},
    )
    text = text_of(cast.web_client("stranger"), f"/runs/{held.pk}")
    assert "&lt;b&gt;LABEL_0&lt;/b&gt;" in text
    assert "Set id2label in config.json" in text
    assert 'hx-trigger="every' not in text


def test_run_taken_back_tells_that_it_starts_again_by_itself(cast: Cast) -> None:
    held = held_run(cast)
    leases.fail_run(run=held, family="system", code="worker_lost", message="")
    text = text_of(cast.web_client("owner"), f"/runs/{held.pk}")
    assert "Our worker stopped answering" in text
    assert "it costs you nothing" in text


def test_finished_run_shows_score_record_and_downloads(cast: Cast) -> None:
    run = finished_run(make_benchmark(cast.owner), make_model(cast.owner, "m"), cast.owner, 0.75)
    text = text_of(cast.web_client("anonymous"), f"/runs/{run.pk}")
    assert "0.750" in text
    assert run.record_digest[:12] in text
    assert f"/runs/{run.pk}/predictions" in text
    assert f"/runs/{run.pk}/record" in text


def test_finished_run_shows_groups_clusters_and_what_its_confidence_is_worth(cast: Cast) -> None:
    right = ["negative", "positive"] * 40
    said = [*right[:60], *("positive" for _ in right[60:])]
    run = measured_run(
        make_benchmark(cast.owner),
        make_model(cast.owner, "m"),
        cast.owner,
        said,
        right,
        clusters=[str(at // 4) for at in range(80)],
        groups=["early"] * 40 + ["<i>late</i>"] * 40,
    )
    text = text_of(cast.web_client("anonymous"), f"/runs/{run.pk}")
    assert "clustered: the items come in 20 clusters" in text
    assert "&lt;i&gt;late&lt;/i&gt;" in text
    assert "0.250" in text, "the gap of 40 of 40 and 30 of 40"
    assert "ECE, 15 bins" in text
    assert "0.075" in text, "always 0.8 sure and 70 of 80 right"
    metrics = run.record["results"]["metrics"]
    assert metrics[0]["n_clusters"] == 20
    assert {"cluster_id", "group"} <= set(run.record["samples"]["columns"])


def test_run_on_a_gpu_shows_what_it_held_there(cast: Cast) -> None:
    run = finished_run(make_benchmark(cast.owner), make_model(cast.owner, "m"), cast.owner)
    address = f"/runs/{run.pk}"
    assert "on the GPU" not in text_of(cast.web_client("anonymous"), address)
    run.record["execution"] = {"peak_device_memory_bytes": 3 << 30}
    run.save(update_fields=["record"])
    text = text_of(cast.web_client("anonymous"), address)
    assert "3.22 GB on the GPU" in text


@pytest.mark.parametrize("role", ROLES)
def test_cancel_button_and_its_effect_belong_to_the_owner(cast: Cast, role: str) -> None:
    run = make_run(make_benchmark(cast.owner), make_model(cast.owner), cast.owner)
    client = cast.web_client(role)
    may = role in ("owner", "admin")
    address = f"/runs/{run.pk}/cancel"
    assert (address in text_of(client, f"/runs/{run.pk}")) == may
    answer = client.post(address)
    assert answer.status_code == (302 if may else 401 if role == "anonymous" else 403)
    run.refresh_from_db()
    assert (run.state == "cancelled") == may


@pytest.mark.parametrize("role", ROLES)
def test_private_runs_are_not_found_by_others(cast: Cast, role: str) -> None:
    model = cast.private_repo("secret")
    commit(model, {"config.json": "{}"})
    run = finished_run(make_benchmark(cast.owner), model, cast.owner)
    may_read = role not in ("stranger", "anonymous")
    client = cast.web_client(role)
    for part in ("", "/panel", "/record"):
        answer = client.get(f"/runs/{run.pk}{part}")
        assert answer.status_code == (200 if may_read else 404)
    for address in ("/", "/runs?of=all", f"/benchmarks/{run.spec['benchmark']['id']}"):
        assert ("secret" in client.get(address).content.decode()) == may_read


def test_evaluate_page_starts_a_run(cast: Cast) -> None:
    benchmark, model = make_benchmark(cast.owner, "reviews"), make_model(cast.owner, "m")
    client = cast.web_client("stranger")
    address = f"/{model.full_name}/evaluate"
    assert benchmark.name in text_of(client, f"{address}?benchmark={benchmark.full_id}")
    answer = client.post(
        address,
        {"benchmark": benchmark.full_id, "revision": "", "label_map": "LABEL_0 = negative\nx ="},
    )
    run = Run.objects.get()
    assert answer["Location"] == f"/runs/{run.pk}"
    assert run.owner == cast.stranger
    assert run.spec["label_map"] == {"LABEL_0": "negative", "x": None}


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ({"benchmark": ""}, "Choose a benchmark"),
        ({"benchmark": "olive/none/x"}, "no such benchmark"),
        ({"revision": "nope"}, "no such revision"),
        ({"label_map": "no equals sign"}, "Line 1 is not of the form"),
    ],
)
def test_evaluate_page_says_what_is_wrong(cast: Cast, form: dict[str, str], words: str) -> None:
    benchmark, model = make_benchmark(cast.owner, "reviews"), make_model(cast.owner, "m")
    data = {"benchmark": benchmark.full_id, "revision": "", "label_map": ""} | form
    answer = cast.web_client("owner").post(f"/{model.full_name}/evaluate", data)
    assert answer.status_code == 200
    assert words in answer.content.decode()
    assert not Run.objects.exists()


def test_anonymous_reader_is_asked_to_sign_in_before_evaluating(cast: Cast) -> None:
    benchmark, model = make_benchmark(cast.owner), make_model(cast.owner)
    client = Client()
    for address in (
        f"/{model.full_name}/evaluate",
        f"/benchmarks/{benchmark.full_id}/evaluate",
    ):
        answer = client.get(address)
        assert answer.status_code == 302
        assert "/accounts/login" in answer["Location"]


def test_choosing_a_model_leads_to_its_evaluate_page(cast: Cast) -> None:
    benchmark = make_benchmark(cast.owner)
    make_model(cast.organization, "team-model")
    client = cast.web_client("member")
    address = f"/benchmarks/{benchmark.full_id}/evaluate"
    assert "/guild/team-model/evaluate" in text_of(client, address)
    answer = client.get(address, {"model": "guild/team-model"})
    assert answer["Location"] == f"/guild/team-model/evaluate?benchmark={benchmark.full_id}"
    elsewhere = client.get(address, {"model": "//evil.example/x"})["Location"]
    assert elsewhere.startswith("/evil.example/x/evaluate")
    assert client.get(address, {"model": "a/b?c=//d"}).status_code == 200


@pytest.mark.parametrize("role", ["owner", "reader", "anonymous"])
def test_problems_of_eval_yaml_are_shown_to_its_keepers_only(cast: Cast, role: str) -> None:
    dataset = make_repo(
        cast.organization,
        "broken",
        repo_type="dataset",
        files={"eval.yaml": EVAL_YAML.replace("split: test", "<b>splt</b>: test")},
    )
    refresh_benchmarks(dataset=dataset)
    text = text_of(cast.web_client(role), "/datasets/guild/broken/benchmark")
    assert ("&lt;b&gt;splt&lt;/b&gt;" in text) == (role == "owner")
    assert "<b>splt" not in text


def test_tabs_stand_on_repository_pages(cast: Cast) -> None:
    benchmark = make_benchmark(cast.owner, "reviews")
    make_model(cast.owner, "m")
    client = cast.web_client("owner")
    assert "/olive/m/evaluations" in text_of(client, "/olive/m")
    assert f"{benchmark.dataset.url_path}/benchmark" in text_of(client, "/datasets/olive/reviews")


def test_hostile_names_are_escaped_everywhere(cast: Cast) -> None:
    hostile = EVAL_YAML.replace("Film reviews", "<script>alert(1)</script>")
    hostile = hostile.replace("Always positive", "</script><img src=x>")
    benchmark = make_benchmark(cast.owner, "reviews", eval_yaml=hostile)
    for n in range(2):
        finished_run(benchmark, make_model(cast.owner, f"m{n}"), cast.owner, 0.5)
    client = cast.web_client("owner")
    for address in ("/benchmarks", f"/benchmarks/{benchmark.full_id}", "/runs", "/"):
        text = text_of(client, address)
        assert "<script>alert" not in text
        assert "<img src=x>" not in text


def test_empty_places_say_what_to_do(cast: Cast) -> None:
    client = cast.web_client("owner")
    assert "eval.yaml" in text_of(client, "/benchmarks")
    assert "Choose a benchmark" in text_of(client, "/runs")
    model: Repo = make_model(cast.owner, "m")
    assert "Not evaluated yet" in text_of(client, f"/{model.full_name}/evaluations")


@pytest.mark.parametrize("role", ["admin", "owner"])
def test_admin_pages_open_for_maintainers(cast: Cast, role: str) -> None:
    run = finished_run(make_benchmark(cast.owner), make_model(cast.owner), cast.owner)
    client = cast.web_client(role)
    status = 200 if role == "admin" else 302
    for page in ("run", "worker", "benchmark", "benchmarkfile", "leaderboardentry", "score"):
        assert client.get(f"/admin/evaluation/{page}/").status_code == status, page
    assert client.get(f"/admin/evaluation/run/{run.pk}/change/").status_code == status


def test_maintainer_cancels_and_requeues_from_the_admin(cast: Cast) -> None:
    held = held_run(cast)
    leases.fail_run(run=held, family="user", code="x", message="x")
    client = cast.web_client("admin")
    for action, state in (("requeue_chosen", "queued"), ("cancel_chosen", "cancelled")):
        data = {"action": action, "_selected_action": [str(held.pk)]}
        client.post("/admin/evaluation/run/", data)
        held.refresh_from_db()
        assert held.state == state


def test_long_board_comes_in_pages(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    from evaluation.portal import boards

    monkeypatch.setattr(boards, "PAGE_ROWS", 2)
    benchmark = make_benchmark(cast.owner, "reviews")
    for n in range(3):
        finished_run(benchmark, make_model(cast.owner, f"m{n}"), cast.owner, 0.9 - n / 10)
    client, address = cast.web_client("stranger"), f"/benchmarks/{benchmark.full_id}"
    first = text_of(client, address)
    assert "olive/m1<" in first
    assert "olive/m2<" not in first
    second = text_of(client, f"{address}?p=2")
    assert "olive/m2<" in second
    assert "Always positive" in second
    for odd in ("0", "x", "99999", "-1"):
        text_of(client, f"{address}?p={odd}")


@pytest.mark.parametrize("sort", ["accuracy", "macro_f1", "n", "when", "model"])
def test_columns_sort_both_ways_with_missing_values_last(cast: Cast, sort: str) -> None:
    benchmark = make_benchmark(cast.owner, "reviews")
    for name, value in (("mb", 0.5), ("ma", 0.9), ("mc", None)):
        finished_run(benchmark, make_model(cast.owner, name), cast.owner, value)
    client, address = cast.web_client("owner"), f"/benchmarks/{benchmark.full_id}"
    up, down = (
        re.findall(r">olive/(m\w)</a>", text_of(client, f"{address}?sort={sort}&dir={way}"))
        for way in ("asc", "desc")
    )
    if sort == "accuracy":
        assert (up, down) == (["mb", "ma", "mc"], ["ma", "mb", "mc"])
    if sort == "model":
        assert (up, down) == (["ma", "mb", "mc"], ["mc", "mb", "ma"])
    assert sorted(up) == sorted(down) == ["ma", "mb", "mc"]
