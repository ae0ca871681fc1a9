"""Records: canonical form, digest, signature, and what tampering does to them."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from evaluation.actions.records import instance_key, record_document, sign_record, verify_run
from evaluation.models import Run
from hub.site import store
from ml_core.verify.signing import canonical_json, digest_of, is_signed_by
from tests.support.benchmarks import finished_run, make_benchmark, make_model
from tests.support.cast import Cast

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=20,
)


def test_canonical_form_by_hand() -> None:
    value = {"b": [1, 0.1, None, True], "a": "ü", "c": {"z": 1.0, "y": 1e22}}
    text = '{"a":"ü","b":[1,0.1,null,true],"c":{"y":1e+22,"z":1.0}}'
    assert canonical_json(value) == text.encode("utf-8")
    assert digest_of(value) == hashlib.sha256(text.encode("utf-8")).hexdigest()


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_numbers_that_json_cannot_hold_are_refused(number: float) -> None:
    with pytest.raises(ValueError, match="Out of range"):
        canonical_json({"value": number})


@given(st.dictionaries(st.text(max_size=8), JSON, max_size=6))
def test_form_survives_a_trip_through_json_and_another_order(value: dict[str, Any]) -> None:
    again = json.loads(json.dumps(dict(reversed(list(value.items())))))
    assert canonical_json(again) == canonical_json(value)


def test_anyone_can_check_a_record_with_the_public_key_alone() -> None:
    record = {"value": 0.75, "n": 400}
    signed = sign_record(record=record)
    public = Ed25519PublicKey.from_public_bytes(base64.b64decode(instance_key()["public_key"]))
    digest = hashlib.sha256(b'{"n":400,"value":0.75}').digest()
    public.verify(base64.b64decode(signed.signature), digest)


@pytest.mark.parametrize(
    "signature", ["", "AAAA", "not base64!", base64.b64encode(bytes(64)).decode()]
)
def test_foreign_or_malformed_signatures_do_not_count(signature: str) -> None:
    public = base64.b64decode(instance_key()["public_key"])
    assert not is_signed_by("00" * 32, signature, public)
    assert not is_signed_by("xx", signature, public)


@pytest.fixture
def run(cast: Cast) -> Run:
    run = finished_run(make_benchmark(cast.owner), make_model(cast.owner), cast.owner)
    content = b"samples"
    run.record = {"samples": {"sha256": hashlib.sha256(content).hexdigest()}, "value": 0.75}
    signed = sign_record(record=run.record)
    run.record_digest, run.signature = signed.digest, signed.signature
    store().put_bytes(run.predictions_key, content)
    run.save()
    return run


def test_untouched_record_is_valid(run: Run) -> None:
    assert verify_run(run=run).is_valid


def test_changed_score_breaks_the_digest(run: Run) -> None:
    assert run.record is not None
    run.record["value"] = 0.99
    found = verify_run(run=run)
    assert (found.is_digest_right, found.is_signature_right, found.is_valid) == (
        False,
        False,
        False,
    )


def test_changed_score_with_a_fitting_digest_breaks_the_signature(run: Run) -> None:
    assert run.record is not None
    run.record["value"] = 0.99
    run.record_digest = digest_of(run.record)
    found = verify_run(run=run)
    assert (found.is_digest_right, found.is_signature_right) == (True, False)


def test_changed_or_lost_samples_are_noticed(run: Run) -> None:
    store().put_bytes(run.predictions_key, b"other samples")
    assert not verify_run(run=run).are_samples_right
    store().delete(run.predictions_key)
    assert not verify_run(run=run).are_samples_right


@pytest.mark.django_db
def test_key_is_served_to_anyone_and_is_no_secret() -> None:
    body = Client().get("/api/v1/instance-key").json()
    assert body == instance_key()
    assert len(base64.b64decode(body["public_key"])) == 32


def test_document_carries_what_vouches_for_it(run: Run) -> None:
    document = record_document(run=run)
    trust = document["trust"]
    assert document["record"] == run.record
    assert is_signed_by(trust["digest"], trust["signature"], base64.b64decode(trust["public_key"]))
