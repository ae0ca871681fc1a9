"""Specs, results and error reports: JSON both ways, and what is refused."""

import json

import pytest

from ml_core.errors import Code, ErrorReport, UserError
from ml_core.records import RecordError, from_json, to_json
from ml_core.results import MetricValue
from ml_core.specs import DataSpec, EngineSpec, EvaluationSpec, ModelSpec

SPEC = EvaluationSpec(
    task="text-classification",
    model=ModelSpec("/m", repo="me/m", revision="a" * 40),
    data=DataSpec(("/d.parquet",), {"text": "review"}, limit=10, split="test"),
    labels=("no", "yes"),
    label_map={"LABEL_0": "no", "LABEL_1": None},
    metrics=("accuracy",),
    engine=EngineSpec(dtype="bfloat16", token_budget=512),
)


def test_a_spec_survives_json(tmp_path):
    assert EvaluationSpec.from_json(json.loads(json.dumps(SPEC.to_json()))) == SPEC
    SPEC.write(tmp_path / "spec.json")
    assert EvaluationSpec.read(tmp_path / "spec.json") == SPEC


def test_a_short_spec_is_filled_up():
    spec = EvaluationSpec.from_json(
        {"task": "t", "model": {"path": "m"}, "data": {"files": ["d.csv"]}}
    )
    assert spec.engine == EngineSpec()
    assert spec.max_error_share == 0.01


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"task": 1}, "task: expected str"),
        ({"data": {"files": "d.csv"}}, "data.files: expected a list"),
        ({"data": {"files": []}}, "data.files is empty"),
        ({"data": {"files": [None]}}, r"data.files\[0\]: expected str, got null"),
        ({"model": {}}, "model: missing field 'path'"),
        ({"modell": {}}, "unknown field 'modell'"),
        ({"engine": {"dtype": "float8"}}, "engine.dtype: expected one of"),
        ({"engine": {"seed": -1}}, "engine.seed"),
        ({"engine": {"token_budget": 0}}, "token_budget must be above 0"),
        ({"engine": {"threads": True}}, "engine.threads: expected int, got bool"),
        ({"max_error_share": 2}, "max_error_share"),
        ({"max_error_share": float("inf")}, "finite"),
        ({"labels": ["a", "a"]}, "labels holds a name twice"),
        ({"label_map": {"a": 1}}, "label_map.a"),
        ({"version": 2}, "version must be 1"),
    ],
)
def test_a_spec_that_does_not_hold_says_where(change, words):
    with pytest.raises(UserError, match=words) as caught:
        EvaluationSpec.from_json(SPEC.to_json() | change)
    assert caught.value.code == Code.SPEC_INVALID


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b"[" * 100_000])
def test_a_file_that_is_no_spec_is_refused(content, tmp_path):
    (tmp_path / "spec.json").write_bytes(content)
    with pytest.raises(UserError) as caught:
        EvaluationSpec.read(tmp_path / "spec.json")
    assert caught.value.code == Code.SPEC_INVALID


def test_a_missing_spec_is_refused(tmp_path):
    with pytest.raises(UserError) as caught:
        EvaluationSpec.read(tmp_path / "absent.json")
    assert caught.value.code == Code.SPEC_INVALID


def test_whole_numbers_pass_for_floats_and_missing_values_stay_missing():
    value = MetricValue("accuracy", 1.0, "higher", 5, 0, None, None, None, "m")
    assert from_json(MetricValue, to_json(value) | {"value": 1}) == value
    with pytest.raises(RecordError, match="n: expected int"):
        from_json(MetricValue, to_json(value) | {"n": None})


def test_an_error_report_survives_json():
    report = ErrorReport.of(UserError(Code.EMPTY_SPLIT, "Words.", rows=0))
    assert ErrorReport.from_json(json.loads(json.dumps(report.to_json()))) == report


def test_a_child_cannot_claim_to_be_cancelled():
    for family in ("cancelled", "timeout", "admin", None):
        with pytest.raises(ValueError, match="not an error report"):
            ErrorReport.from_json({"family": family, "code": "a", "message": "b"})
