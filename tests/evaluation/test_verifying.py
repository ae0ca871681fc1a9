"""A record checked by somebody who has three files and neither this site nor its software's web."""

from __future__ import annotations

import base64
import copy
import hashlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import pyarrow.parquet as pq
import pytest
from django.core.management import call_command
from django.test import Client

from evaluation.actions.records import record_document, record_schema, sign_record, verify_run
from evaluation.models import Run
from hub.site import store
from ml_core.verify import Report, check_document, read_keys
from ml_core.verify.__main__ import main
from tests.support.benchmarks import make_benchmark, make_model, measured_run
from tests.support.cast import Cast

pytestmark = pytest.mark.django_db

RIGHT = ("pos", "neg", "pos", "neg", "pos", "neg", "pos", "neg")
SAID = ("pos", "neg", "neg", "neg", "pos", None, "pos", "pos")
"""Five of seven answers right, one item without."""
CLUSTERS = ("a", "a", "b", "b", "c", "c", "d", "d")


@dataclass(frozen=True)
class Files:
    """What a reader downloads."""

    run: Run
    document: dict[str, Any]
    record: Path
    samples: Path
    keys: Path

    def check(self, document: Any) -> Report:
        return check_document(document, read_keys(str(self.keys)), self.samples)

    def signed_again(self, change: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
        """The document of a record that this instance signed with the change in it."""
        document = copy.deepcopy(self.document)
        change(document["record"])
        signed = sign_record(record=document["record"])
        document["trust"] |= {"digest": signed.digest, "signature": signed.signature}
        return document


@pytest.fixture
def files(cast: Cast, tmp_path: Path) -> Files:
    benchmark = make_benchmark(cast.owner)
    run = measured_run(benchmark, make_model(cast.owner), cast.owner, SAID, RIGHT)
    return downloaded(run, tmp_path)


def downloaded(run: Run, folder: Path) -> Files:
    client = Client()
    named = {
        "record.json": f"/runs/{run.pk}/record",
        "samples.parquet": f"/runs/{run.pk}/predictions",
        "keys.json": "/.well-known/modelguild-keys.json",
    }
    for name, path in named.items():
        answer = client.get(path)
        assert answer.status_code == 200, path
        (folder / name).write_bytes(answer.getvalue())
    document = json.loads((folder / "record.json").read_text())
    return Files(run, document, *(folder / name for name in named))


def wrong(report: Report) -> list[str]:
    return [check.name for check in report.checks if check.answer == "wrong"]


def test_three_files_are_enough_to_believe_a_score(
    files: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [str(files.record), "--key", str(files.keys), "--samples", str(files.samples)]
    assert main([*given, "--json"]) == 0
    checks = {c["name"]: c for c in json.loads(capsys.readouterr().out)["checks"]}
    assert {check["answer"] for check in checks.values()} == {"right"}
    # 5 of 7: standard error sqrt(p (1 - p) / 6) = 0.1844
    assert checks["accuracy"]["words"] == "0.714286 from 7 rows, standard error 0.1844"


def test_clustered_errors_follow_from_the_rows_too(cast: Cast, tmp_path: Path) -> None:
    benchmark = make_benchmark(cast.owner)
    model = make_model(cast.owner)
    run = measured_run(benchmark, model, cast.owner, SAID, RIGHT, clusters=CLUSTERS)
    files = downloaded(run, tmp_path)
    report = files.check(files.document)
    assert report.is_whole, report
    assert files.document["record"]["results"]["metrics"][0]["n_clusters"] == 4


def test_checking_loads_neither_django_nor_torch(files: Files) -> None:
    code = (
        "import sys; from ml_core.verify.__main__ import main; done = main(sys.argv[1:]);"
        "print(sorted({'django', 'torch', 'transformers'} & set(sys.modules)), done)"
    )
    given = [str(files.record), "--key", str(files.keys), "--samples", str(files.samples)]
    found = subprocess.run(
        [sys.executable, "-c", code, *given],
        check=True,
        capture_output=True,
        text=True,
        env={"PATH": os.environ["PATH"]},
    )
    assert found.stdout.splitlines()[-1] == "[] 0"


LIES: dict[str, tuple[Callable[[dict[str, Any]], Any], list[str]]] = {
    "a better value": (lambda r: r["results"]["metrics"][0].update(value=0.9), ["accuracy"]),
    "a smaller error": (lambda r: r["results"]["metrics"][0].update(se=0.01), ["accuracy"]),
    "an unanswered item kept quiet": (
        lambda r: r["results"]["metrics"][0].update(n_missing=0),
        ["accuracy"],
    ),
    "a better value that is drawn": (
        lambda r: r["results"]["metrics"][1].update(value=0.9),
        ["macro_f1"],
    ),
    "other items": (lambda r: r["benchmark"].update(items_sha256="0" * 64), ["items"]),
    "other samples": (lambda r: r["samples"].update(sha256="0" * 64), ["samples"]),
    "no form": (lambda r: r.update(results=[]), ["form"]),
    "no task": (lambda r: r["protocol"].update(task="witchcraft"), ["form"]),
}


@pytest.mark.parametrize("lie", LIES)
def test_signed_lie_is_found_in_the_samples(files: Files, lie: str) -> None:
    change, names = LIES[lie]
    report = files.check(files.signed_again(change))
    assert (wrong(report), report.is_valid) == (names, False)


def test_unsigned_change_is_found_by_digest_and_signature(files: Files) -> None:
    files.document["record"]["results"]["metrics"][0]["value"] = 0.9
    assert {"digest", "signature"} <= set(wrong(files.check(files.document)))


HOSTILE: dict[str, Any] = {
    "a list": [],
    "no trust": {"record": {}},
    "texts": {"record": "x", "trust": "y"},
    "numbers for texts": {"record": {"samples": 1}, "trust": {"key_id": 7, "signature": 3}},
    "not a number": {"record": {"x": float("nan")}, "trust": {}},
    "half a surrogate": {"record": {"x": "\ud800"}, "trust": {}},
    "lists where names belong": {
        "record": {
            "schema": "modelguild.evaluation-record/2",
            "samples": {"sha256": [], "rows": 1},
        },
        "trust": {"key_id": []},
    },
}


@pytest.mark.parametrize("name", HOSTILE)
def test_whatever_the_document_holds_the_answer_is_no(files: Files, name: str) -> None:
    assert not files.check(HOSTILE[name]).is_valid


def test_samples_that_are_no_parquet_are_said_to_be(files: Files) -> None:
    files.samples.write_bytes(b"PAR1 nothing PAR1")
    assert wrong(files.check(files.document)) == ["samples"]
    digest = hashlib.sha256(files.samples.read_bytes()).hexdigest()
    report = files.check(files.signed_again(lambda r: r["samples"].update(sha256=digest)))
    assert wrong(report) == ["rows"]


@pytest.mark.parametrize("key", ["", "AAAA", "{}", '{"keys": []}', '{"keys": [1]}', "[" * 9000])
def test_what_is_no_key_ends_with_words_and_status_2(
    files: Files, key: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(files.record), "--key", key]) == 2
    assert "public key" in capsys.readouterr().err


def test_records_of_a_retired_key_stay_valid(
    files: Files, cast: Cast, settings: Any, tmp_path: Path
) -> None:
    settings.SECRETS_DIR = tmp_path
    before = files.document["trust"]["key_id"]
    call_command("rotate_key", yes=True, stdout=io.StringIO())
    settings.INSTANCE_KEY = (tmp_path / "instance_key").read_text()
    again = downloaded(files.run, tmp_path)
    assert again.document["trust"]["key_id"] == before
    assert again.check(again.document).is_whole
    assert verify_run(run=files.run).is_valid
    keys = json.loads(again.keys.read_text())["keys"]
    assert [(key["key_id"] == before, key["is_current"]) for key in keys] == [
        (False, True),
        (True, False),
    ]
    newer = measured_run(
        make_benchmark(cast.owner), make_model(cast.owner), cast.owner, SAID, RIGHT
    )
    assert newer.key_id == keys[0]["key_id"]
    assert verify_run(run=newer).is_valid
    assert (tmp_path / "instance_key").stat().st_mode & 0o777 == 0o600
    assert len(base64.b64decode(settings.INSTANCE_KEY)) == 32


def test_records_are_of_the_published_form(files: Files) -> None:
    answer = Client().get("/api/v1/record-schema")
    schema = answer.json()
    assert schema["$id"].endswith("/api/v1/record-schema")
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(files.document["record"], schema)
    for group in schema["required"]:
        without = {k: v for k, v in files.document["record"].items() if k != group}
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(without, record_schema())


def test_main_metric_stands_between_chance_and_the_best(files: Files) -> None:
    main_metric, other = files.document["record"]["results"]["metrics"]
    assert main_metric["normalised"] == pytest.approx((5 / 7 - 0.5) / (1 - 0.5))
    assert (main_metric["chance"], other["chance"], other["normalised"]) == (0.5, None, None)


def test_page_offers_the_three_files_and_the_command(files: Files) -> None:
    text = Client().get(files.run.url_path).content.decode()
    assert "python -m ml_core.verify" in text
    assert "/.well-known/modelguild-keys.json" in text


def test_samples_in_the_store_are_those_that_were_checked(files: Files) -> None:
    assert store().read(files.run.predictions_key) == files.samples.read_bytes()
    assert record_document(run=files.run) == files.document
    assert pq.read_table(files.samples).num_rows == len(RIGHT)
