"""A result in other people's forms: each is read back by who defined it, with the same numbers."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from huggingface_hub import parse_eval_result_entries
from huggingface_hub.repocard_data import model_index_to_eval_results

from evaluation.actions.claims import refresh_claims
from evaluation.actions.records import instance_key
from evaluation.exports import FORMS
from evaluation.models import Claim, Run, Score
from hub.site import git_of
from tests.support.benchmarks import finished_run, make_benchmark, make_model, measured_run
from tests.support.cast import Cast

pytestmark = pytest.mark.django_db

EEE_SCHEMA = Path(__file__).parents[1] / "data" / "every-eval-ever-0.3.0.schema.json"
RIGHT = ("pos", "neg", "pos", "neg", "pos", "neg", "pos", "neg")
SAID = ("pos", "neg", "neg", "neg", "pos", None, "pos", "pos")
ROLES = ("owner", "member", "reader", "stranger", "admin", "anonymous")


@pytest.fixture
def run(cast: Cast) -> Run:
    benchmark, model = make_benchmark(cast.owner), make_model(cast.owner)
    return measured_run(benchmark, model, cast.owner, SAID, RIGHT)


def exported(cast: Cast, run: Run, form: str) -> str:
    answer = cast.api_client("anonymous").get(f"/api/v1/runs/{run.pk}/exports/{form}")
    assert answer.status_code == 200, answer.content
    assert f'filename="{run.pk}-' in answer["Content-Disposition"]
    return str(answer.content.decode())


def score(run: Run, metric: str) -> Score:
    return run.scores.get(metric=metric)


def test_hub_client_reads_the_results_file_back(cast: Cast, run: Run) -> None:
    (entry,) = parse_eval_result_entries(yaml.safe_load(exported(cast, run, "eval-results")))
    assert run.benchmark_version is not None
    assert entry.dataset_id == run.benchmark_version.benchmark.dataset.full_name
    assert (entry.task_id, entry.value) == ("sentiment", score(run, "accuracy").value)
    assert entry.dataset_revision == run.benchmark_version.commit_sha
    assert entry.source_url is not None
    assert entry.source_url.endswith(run.url_path)
    assert run.record_digest in (entry.notes or "")


def test_token_of_the_results_file_is_signed_by_this_instance(cast: Cast, run: Run) -> None:
    (entry,) = parse_eval_result_entries(yaml.safe_load(exported(cast, run, "eval-results")))
    head, body, signature = (entry.verify_token or "").split(".")
    key = Ed25519PublicKey.from_public_bytes(base64.b64decode(instance_key()["public_key"]))
    key.verify(_bytes(signature), f"{head}.{body}".encode())
    assert json.loads(_bytes(head)) == {
        "alg": "EdDSA",
        "typ": "JWT",
        "kid": instance_key()["key_id"],
    }
    assert json.loads(_bytes(body))["digest"] == run.record_digest


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def test_hub_client_reads_the_card_block_back(cast: Cast, run: Run) -> None:
    data = yaml.safe_load(exported(cast, run, "model-index"))
    name, results = model_index_to_eval_results(data["model-index"])
    assert name == run.model_repo.name
    assert {r.metric_type: r.metric_value for r in results} == {
        found.metric: found.value for found in run.scores.all()
    }
    assert {r.task_type for r in results} == {"text-classification"}
    assert {r.dataset_split for r in results} == {"test"}
    assert results[0].metric_args["se"] == score(run, "accuracy").se


def test_every_eval_ever_is_of_its_own_schema(cast: Cast, run: Run) -> None:
    document = json.loads(exported(cast, run, "every-eval-ever"))
    schema = json.loads(EEE_SCHEMA.read_text())
    jsonschema.Draft7Validator(schema).validate(document)
    first = document["evaluation_results"][0]
    accuracy = score(run, "accuracy")
    assert first["score_details"]["score"] == accuracy.value
    error = first["score_details"]["uncertainty"]
    assert error["standard_error"]["value"] == accuracy.se
    assert (error["confidence_interval"]["lower"], error["num_samples"]) == (accuracy.ci_low, 7)
    del document["model_info"]["id"]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft7Validator(schema).validate(document)


def test_table_printer_of_lm_eval_takes_the_results(cast: Cast, run: Run) -> None:
    from lm_eval.utils import make_table

    results = json.loads(exported(cast, run, "lm-eval"))
    found = results["results"]["sentiment"]
    accuracy = score(run, "accuracy")
    assert (found["acc,none"], found["acc_stderr,none"]) == (accuracy.value, accuracy.se)
    table = [line for line in make_table(results).splitlines() if "acc" in line]
    assert len(table) == 1
    assert "0.7143" in table[0]
    assert "0.1844" in table[0]


def test_unknown_form_and_unfinished_run_are_said_in_words(cast: Cast, run: Run) -> None:
    answer = cast.api_client("owner").get(f"/api/v1/runs/{run.pk}/exports/csv")
    assert answer.status_code == 404
    assert "eval-results" in answer["X-Error-Message"]


@pytest.mark.parametrize("form", FORMS)
def test_stranger_to_a_private_model_exports_nothing(cast: Cast, form: str) -> None:
    model = make_model(cast.owner, is_private=True)
    run = measured_run(make_benchmark(cast.owner), model, cast.owner, SAID, RIGHT)
    path = f"/api/v1/runs/{run.pk}/exports/{form}"
    allowed = {role: cast.api_client(role).get(path).status_code for role in ROLES}
    missing = {"member", "reader", "stranger", "anonymous"}
    assert {role for role, status in allowed.items() if status == 404} == missing
    assert {allowed["owner"], allowed["admin"]} == {200}


def publish(cast: Cast, role: str, run: Run, how: str) -> Any:
    path = f"/api/v1/runs/{run.pk}/results"
    return cast.api_client(role).post(path, {"as": how}, content_type="application/json")


@pytest.mark.parametrize(
    ("role", "commit", "pull_request"),
    [
        ("owner", 201, 201),
        ("admin", 201, 201),
        ("member", 403, 201),
        ("stranger", 403, 201),
        ("anonymous", 401, 401),
    ],
)
def test_who_may_write_commits_and_any_reader_proposes(
    cast: Cast, run: Run, role: str, commit: int, pull_request: int
) -> None:
    head = git_of(run.model_repo).resolve("main")
    assert publish(cast, role, run, "commit").status_code == commit
    assert (git_of(run.model_repo).resolve("main") != head) == (commit == 201)
    answer = publish(cast, role, run, "pull_request")
    assert answer.status_code == pull_request
    if pull_request == 201:
        body = answer.json()
        git = git_of(run.model_repo)
        proposed = git.read(git.resolve(f"refs/pr/{body['pull_request']}"), body["path"])
        assert yaml.safe_load(proposed)[0]["value"] == score(run, "accuracy").value


def test_committed_result_is_claimed_by_the_model_and_replaced_by_the_next(
    cast: Cast, run: Run
) -> None:
    body = publish(cast, "owner", run, "commit").json()
    path = body["path"]
    assert path.startswith(".eval_results/")
    refresh_claims(model=run.model_repo)
    claim = Claim.objects.get(model_repo=run.model_repo)
    assert (claim.value, claim.task_id) == (score(run, "accuracy").value, "sentiment")
    assert publish(cast, "owner", run, "commit").status_code in {201, 409}
    git = git_of(run.model_repo)
    folder = git.tree(git.resolve("main"), ".eval_results")
    assert [entry.path for entry in folder] == [path]


@pytest.mark.parametrize("how", ["", "email", None, ["commit"]])
def test_other_ways_than_two_are_refused_in_words(cast: Cast, run: Run, how: Any) -> None:
    answer = publish(cast, "owner", run, how)
    assert answer.status_code == 400


def test_run_without_a_value_publishes_nothing(cast: Cast) -> None:
    benchmark, model = make_benchmark(cast.owner), make_model(cast.owner)
    run = measured_run(benchmark, model, cast.owner, (None,) * 2, ("pos", "neg"))
    assert publish(cast, "owner", run, "commit").status_code == 400
    assert yaml.safe_load(exported(cast, run, "eval-results")) == []


def test_page_offers_every_form_and_what_the_reader_may(cast: Cast, run: Run) -> None:
    for role, ways in (("owner", 2), ("stranger", 1), ("anonymous", 0)):
        text = cast.web_client(role).get(run.url_path).content.decode()
        assert all(f"/exports/{form}" in text for form in FORMS)
        assert text.count(f"{run.url_path}/results") == ways


def test_page_leads_to_the_pull_request_it_opened(cast: Cast, run: Run) -> None:
    answer = cast.web_client("stranger").post(f"{run.url_path}/results", {"as": "pull_request"})
    assert answer.status_code == 302
    assert answer["Location"] == f"{run.model_repo.url_path}/discussions/1"


def test_old_kinds_of_record_are_not_exported_half(cast: Cast) -> None:
    run = finished_run(make_benchmark(cast.owner), make_model(cast.owner), cast.owner)
    answer = cast.api_client("owner").get(f"/api/v1/runs/{run.pk}/exports/lm-eval")
    assert answer.status_code == 400
