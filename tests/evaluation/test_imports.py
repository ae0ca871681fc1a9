"""Logs of other programs: what is taken from them, what is refused, and that it stays a claim."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from evaluation.actions.claims import refresh_claims
from evaluation.claims import claims_on
from evaluation.imports import LogUnreadable, read_log
from evaluation.models import Benchmark, Claim, ImportedLog
from hub.auth import ANONYMOUS
from hub.models import Repo
from hub.site import git_of, store
from tests.support.benchmarks import make_benchmark, make_model, measured_run
from tests.support.cast import ROLES, Cast

LM_EVAL: dict[str, Any] = {
    "results": {
        "films": {
            "alias": "films",
            "acc,none": 0.8125,
            "acc_stderr,none": 0.02,
            "f1,none": 0.79,
            "f1_stderr,none": "N/A",
        }
    },
    "configs": {"films": {"dataset_path": "olive/reviews"}},
    "versions": {"films": 1.0},
    "n-samples": {"films": {"original": 400, "effective": 396}},
    "config": {"model": "hf", "model_args": "pretrained=me/films"},
    "model_name": "me/films",
    "lm_eval_version": "0.4.13",
    "date": 1763800000.5,
}
"""As `lm_eval` 0.4.13 writes it, cut down to a task."""

INSPECT: dict[str, Any] = {
    "version": 2,
    "status": "success",
    "eval": {
        "task": "films",
        "created": "2026-11-20T10:00:00+00:00",
        "dataset": {"name": "reviews", "samples": 400},
        "model": "hf/me/films",
        "packages": {"inspect_ai": "0.3.285"},
    },
    "results": {
        "total_samples": 400,
        "completed_samples": 398,
        "scores": [
            {
                "name": "match",
                "scorer": "match",
                "metrics": {
                    "accuracy": {"name": "accuracy", "value": 0.75},
                    "stderr": {"name": "stderr", "value": 0.0217},
                },
            }
        ],
    },
}
"""As `inspect_ai` 0.3.285 writes its `EvalLog` as JSON, without samples."""


def packed(content: bytes, name: str = "header.json") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return buffer.getvalue()


def as_bytes(log: Any) -> bytes:
    return json.dumps(log).encode()


def test_lm_eval_tells_scores_errors_and_counts() -> None:
    log = read_log(as_bytes(LM_EVAL))
    assert (log.program, log.version, log.model) == ("lm-eval", "0.4.13", "me/films")
    (task,) = log.tasks
    assert (task.name, task.dataset, task.n) == ("films", "olive/reviews", 396)
    assert [(s.name, s.value, s.se) for s in task.scores] == [
        ("acc,none", 0.8125, 0.02),
        ("f1,none", 0.79, None),
    ]


@pytest.mark.parametrize("pack", [lambda raw: raw, packed], ids=["json", "eval"])
def test_inspect_tells_the_same_in_both_its_forms(pack: Any) -> None:
    log = read_log(pack(as_bytes(INSPECT)))
    assert (log.program, log.version, log.model) == ("inspect-ai", "0.3.285", "hf/me/films")
    (task,) = log.tasks
    assert [(s.name, s.value, s.se) for s in task.scores] == [("match/accuracy", 0.75, 0.0217)]
    assert task.n == 398


def changed(log: dict[str, Any], path: str, value: Any) -> bytes:
    """The log with another value at `a.b.c`."""
    copy = json.loads(json.dumps(log))
    at = copy
    *ways, last = path.split(".")
    for way in ways:
        at = at[way]
    at[last] = value
    return as_bytes(copy)


BOMB = packed(b'{"x": "' + b" " * (9 << 20) + b'"}')
HOSTILE: dict[str, bytes] = {
    "nothing": b"",
    "text": b"hello",
    "a list": b"[]",
    "a number": b"1",
    "a million brackets": b"[" * 1_000_000,
    "deep objects": b'{"results":' * 100_000,
    "not UTF-8": b'{"results": "\xff"}',
    "another program's": as_bytes({"scores": []}),
    "no score": changed(LM_EVAL, "results", {"films": {"alias": "films"}}),
    "results that are a text": changed(LM_EVAL, "results", "0.9"),
    "numbers that are none": b'{"results":{"a":{"acc,none":NaN,"f1,none":-Infinity}},"configs":{}}',
    "a number without end": b'{"results":{"a":{"acc,none":1e999}},"configs":{}}',
    "a number of 400 digits": b'{"results":{"a":{"acc,none":' + b"9" * 400 + b'}},"configs":{}}',
    "a number of 9000 digits": b'{"results":{"a":{"acc,none":' + b"9" * 9000 + b'}},"configs":{}}',
    "true for a number": changed(LM_EVAL, "results", {"films": {"acc,none": True}}),
    "thousands of tasks": changed(
        LM_EVAL, "results", {str(n): {"acc,none": 1} for n in range(999)}
    ),
    "a run that failed": changed(INSPECT, "status", "error"),
    "a status that is a list": changed(INSPECT, "status", [[]]),
    "scores that are an object": changed(INSPECT, "results.scores", {"a": 1}),
    "metrics that are a list": changed(INSPECT, "results.scores", [{"metrics": [1]}]),
    "a zip of nothing": packed(b"", "other.txt"),
    "a zip that is cut": packed(as_bytes(INSPECT))[:60],
    "a zip of rubbish": packed(b"\x00\x01"),
    "a header that unfolds": BOMB,
    "a pickle": b"\x80\x04cos\nsystem\n(S'id'\ntR.",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_file_is_refused_in_words(name: str) -> None:
    with pytest.raises(LogUnreadable) as refusal:
        read_log(HOSTILE[name])
    assert 10 < len(str(refusal.value)) < 300


def test_too_large_a_file_is_refused_before_it_is_read() -> None:
    with pytest.raises(LogUnreadable, match="32 MiB"):
        read_log(b"x" * ((32 << 20) + 1))


def test_long_names_and_control_characters_are_cut() -> None:
    scores = {"acc,none": 0.5, "\x00<script>" + "x" * 9000 + ",none": 0.5}
    log = read_log(changed(LM_EVAL, "results", {"a\nb\ud800" + "y" * 9000: scores}))
    (task,) = log.tasks
    assert len(task.name) == 200
    assert "\n" not in task.name
    assert not any("\x00" in score.name for score in task.scores)
    assert max(len(score.name) for score in task.scores) <= 200


@pytest.fixture
def benchmark(cast: Cast) -> Benchmark:
    return make_benchmark(cast.owner, "reviews")


@pytest.fixture
def model(cast: Cast) -> Repo:
    return make_model(cast.member, "films")


def send(cast: Cast, role: str, model: Repo, benchmark: Benchmark, /, **more: Any) -> Any:
    raw = more.pop("raw", as_bytes(LM_EVAL))
    file = SimpleUploadedFile(more.pop("filename", "results.json"), raw)
    data = {"model": model.full_name, "benchmark": benchmark.full_id, "file": file} | more
    return cast.api_client(role).post("/api/v1/claims", data)


@pytest.mark.django_db
def test_imported_scores_are_claimed_at_a_commit_and_never_measured(
    cast: Cast, benchmark: Benchmark, model: Repo
) -> None:
    answer = send(cast, "member", model, benchmark)
    assert answer.status_code == 201, answer.content
    body = answer.json()
    assert (body["kind"], body["commit"]) == ("claimed", git_of(model).resolve("main"))
    assert [(s["metric"], s["value"], s["se"], s["n"]) for s in body["scores"]] == [
        ("accuracy", 0.8125, 0.02, 396),
        ("macro_f1", 0.79, None, 396),
    ]
    refresh_claims(model=model)  # the branch claims nothing, and takes nothing of this away
    assert benchmark.current is not None
    found = claims_on(ANONYMOUS, benchmark.current)
    assert {(c.metric, c.value) for c in found} == {("accuracy", 0.8125), ("macro_f1", 0.79)}
    rows = cast.api_client("anonymous").get("/api/datasets/olive/reviews/leaderboard").json()
    assert [(row["verified"], row["value"]) for row in rows] == [(False, 0.8125)]
    page = cast.web_client("anonymous").get(benchmark.url_path).content.decode()
    assert f"/api/v1/claims/{body['id']}/source" in page


@pytest.mark.django_db
def test_file_is_kept_as_it_was_sent_and_goes_with_its_claims(
    cast: Cast, benchmark: Benchmark, model: Repo, django_capture_on_commit_callbacks: Any
) -> None:
    raw = as_bytes(LM_EVAL) + b"\n"
    made = send(cast, "member", model, benchmark, raw=raw, filename="../a b;X: y.json").json()
    address = f"/api/v1/claims/{made['id']}"
    answer = cast.api_client("anonymous").get(f"{address}/source")
    assert answer.getvalue() == raw
    assert answer["Content-Disposition"] == 'attachment; filename="a-b-X-y.json"'
    assert answer["Content-Type"] == "application/octet-stream"
    for role, status in (("anonymous", 401), ("stranger", 403), ("owner", 403)):
        assert cast.api_client(role).delete(address).status_code == status
    assert Claim.objects.count() == 2
    key = ImportedLog.objects.get().key
    with django_capture_on_commit_callbacks(execute=True):
        assert cast.api_client("member").delete(address).status_code == 204
    assert not Claim.objects.exists()
    assert key not in [stored.key for stored in store().list("imports/")]


@pytest.mark.django_db
@pytest.mark.parametrize("role", ROLES)
def test_only_who_may_write_to_the_model_imports(
    cast: Cast, benchmark: Benchmark, model: Repo, role: str
) -> None:
    expected = {"member": 201, "admin": 201, "anonymous": 401}.get(role, 403)
    assert send(cast, role, model, benchmark).status_code == expected
    assert ImportedLog.objects.exists() == (expected == 201)


@pytest.mark.django_db
def test_log_on_a_private_data_set_is_hidden_with_it(cast: Cast, model: Repo) -> None:
    hidden = make_benchmark(cast.member, "hidden", is_private=True)
    made = send(cast, "member", model, hidden).json()
    for role in ROLES:
        client = cast.api_client(role)
        seen = role in {"member", "admin"}
        for path in ("", "/source"):
            status = client.get(f"/api/v1/claims/{made['id']}{path}").status_code
            assert status == (200 if seen else 404), (role, path)
        listed = client.get("/api/v1/claims", {"model": model.full_name}).json()["items"]
        assert len(listed) == seen


REFUSED: dict[str, tuple[dict[str, Any], int, str]] = {
    "no such revision": ({"revision": "nowhere"}, 404, "revision"),
    "no such benchmark": ({"benchmark": "olive/none/x"}, 404, "benchmark"),
    "no such task": ({"task": "poems"}, 400, "films"),
    "no such metric here": ({"metrics": '{"acc,none": "bleu"}'}, 400, "accuracy, macro_f1"),
    "no such score there": ({"metrics": '{"bleu,none": "accuracy"}'}, 400, "bleu,none"),
    "a list for a mapping": ({"metrics": "[1]"}, 400, "object"),
    "a broken file": ({"raw": b"PK\x03\x04"}, 400, "damaged"),
}


@pytest.mark.django_db
@pytest.mark.parametrize("name", REFUSED)
def test_refusal_says_why_and_leaves_nothing(
    cast: Cast, benchmark: Benchmark, model: Repo, name: str
) -> None:
    more, status, word = REFUSED[name]
    answer = send(cast, "member", model, benchmark, **more)
    assert answer.status_code == status, answer.content
    assert word in answer.content.decode()
    assert not ImportedLog.objects.exists()
    assert not Claim.objects.exists()
    assert list(store().list("imports/")) == []


@pytest.mark.django_db
def test_same_log_twice_is_a_conflict_and_keeps_the_first(
    cast: Cast, benchmark: Benchmark, model: Repo
) -> None:
    assert send(cast, "member", model, benchmark).status_code == 201
    assert send(cast, "member", model, benchmark).status_code == 409
    assert (ImportedLog.objects.count(), Claim.objects.count()) == (1, 2)
    assert len(list(store().list("imports/"))) == 1


@pytest.mark.django_db
def test_importer_says_which_score_is_which(cast: Cast, benchmark: Benchmark, model: Repo) -> None:
    mapping = json.dumps({"match/accuracy": "macro_f1"})
    body = send(cast, "member", model, benchmark, raw=as_bytes(INSPECT), metrics=mapping).json()
    assert [(s["metric"], s["logged_as"]) for s in body["scores"]] == [
        ("macro_f1", "match/accuracy")
    ]


@pytest.mark.django_db
def test_what_we_export_as_lm_eval_comes_back_as_the_same_numbers(
    cast: Cast, benchmark: Benchmark, model: Repo
) -> None:
    said, right = ("pos", "neg", "neg", "neg"), ("pos", "neg", "pos", "neg")
    run = measured_run(benchmark, make_model(cast.owner), cast.owner, said, right)
    exported = cast.api_client("owner").get(f"/api/v1/runs/{run.pk}/exports/lm-eval").content
    body = send(cast, "member", model, benchmark, raw=exported).json()
    assert {s["metric"]: (s["value"], s["se"]) for s in body["scores"]} == {
        score.metric: (score.value, score.se) for score in run.scores.all()
    }


@pytest.mark.django_db
def test_page_imports_shows_and_removes(cast: Cast, benchmark: Benchmark, model: Repo) -> None:
    client = cast.web_client("member")
    address = f"{model.url_path}/import-results"
    form = {"benchmark": benchmark.full_id, "metrics": "acc,none = accuracy"}
    bad = client.post(address, {**form, "file": SimpleUploadedFile("x.json", b"no")})
    assert "not JSON" in bad.content.decode()
    good = client.post(address, {**form, "file": SimpleUploadedFile("x.json", as_bytes(LM_EVAL))})
    assert good.status_code == 302
    text = client.get(good["Location"]).content.decode()
    assert "0.8125" in text
    log = ImportedLog.objects.get()
    assert f"/claims/{log.pk}/remove" in text
    assert f"/claims/{log.pk}/remove" not in (
        cast.web_client("stranger").get(good["Location"]).content.decode()
    )
    assert client.post(f"/claims/{log.pk}/remove").status_code == 302
    assert not ImportedLog.objects.exists()
