"""What record, pages and API tell of how texts were written and compared."""

from __future__ import annotations

from dataclasses import replace

import pytest

from evaluation.actions.leases import finish_run
from evaluation.actions.records import Measured, SampleFile, build_record, sign_record
from evaluation.models import Score
from ml_core.generation import GenerationFacts, GenerationSpec
from ml_core.records import from_json, to_json
from tests.support.benchmarks import claim_after, make_benchmark, make_model, make_run, outcome
from tests.support.cast import Cast

WRITTEN = """\
name: Headlines
evaluation_framework: modelguild
tasks:
  - id: headlines
    type: summarization
    split: test
    generation: {max_new_tokens: 48, temperature: 0.5, prompt: "<b>{document}</b> TL;DR:"}
    comparison: {filters: [strip, first_line]}
"""


@pytest.mark.django_db
def test_how_texts_were_written_is_in_record_page_and_api(cast: Cast) -> None:
    benchmark = make_benchmark(cast.owner, eval_yaml=WRITTEN, csv="document,summary\na b,a\n")
    assert benchmark.current is not None
    declared = benchmark.current.spec["generation"]
    run = claim_after(make_run(benchmark, make_model(cast.owner), cast.owner))
    facts = GenerationFacts(
        from_json(GenerationSpec, declared), "", 9, 1234, 7, 7, {"end": 3, "stop": 2, "length": 1}
    )
    measured = Measured(
        model={}, model_files={}, data_files={}, items_sha256="", labels=[], label_map={},
        execution={"generation": to_json(facts)}, environment={}, results={"metrics": []},
        samples=SampleFile("0" * 64, 1, 1, []), worker={},
    )  # fmt: skip
    record = build_record(run=run, measured=measured, created="")
    assert record["protocol"]["generation"] == declared
    assert record["protocol"]["comparison"] == benchmark.current.spec["comparison"]
    signed = sign_record(record=record)
    score = Score(metric="rouge1", position=0, value=0.5, direction="higher", n=6)
    given = replace(outcome(0.5), scores=[score], record=record, record_digest=signed.digest)
    finish_run(run=run, outcome=given)
    client = cast.web_client("owner")
    page = client.get(run.url_path).content.decode()
    assert "1,234 tokens" in page
    assert "3 texts ended by themselves, 2 at a stop string, 1 at the limit" in page
    page = client.get(benchmark.url_path).content.decode()
    assert "up to 48 tokens, drawn at temperature 0.5" in page
    assert "&lt;b&gt;{document}&lt;/b&gt; TL;DR:" in page
    body = client.get(f"/api/v1/benchmarks/{benchmark.full_id}").json()
    assert body["generation"] == declared
    assert [one["name"] for one in body["comparison"]["filters"]] == ["strip", "first_line"]
