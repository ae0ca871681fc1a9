"""The evaluation record: everything needed to check a score or to measure it again, signed."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from django.conf import settings

import ml_core.verify
from evaluation.models import Run, SigningKey
from evaluation.record_parts import (
    cost_facts,
    execution_facts,
    installation_facts,
    model_facts,
    protocol_facts,
    with_baseline,
)
from evaluation.replays import replays_of, summaries
from hub.site import base_url, store
from hub.storage.errors import KeyMissing
from ml_core.verify.signing import (
    digest_of,
    is_signed_by,
    key_id_of,
    load_private_key,
    public_bytes,
    sign,
)

SCHEMA = "modelguild.evaluation-record/2"
SCHEMA_FILE = "evaluation-record-2.schema.json"
DRY_SCHEMA = "modelguild.dry-run/1"
ALGORITHM = "Ed25519 over the SHA-256 of the record in canonical JSON"


@dataclass(frozen=True)
class SampleFile:
    """The parquet of all answers, as it lies in the store."""

    sha256: str
    size_bytes: int
    rows: int
    columns: list[str]


@dataclass(frozen=True)
class Measured:
    """What a worker found, as JSON values: parts of the result of `ml_core`, and digests."""

    model: dict[str, Any]
    model_files: dict[str, str]
    data_files: dict[str, str]
    items_sha256: str
    labels: list[str]
    label_map: dict[str, Any]
    execution: dict[str, Any]
    environment: dict[str, Any]
    results: dict[str, Any]
    """`metrics`, the main one first, `per_class`, `slices` and `calibration`."""
    samples: SampleFile
    worker: dict[str, Any]
    base_files: dict[str, str] = field(default_factory=dict)
    """Of an adapter's base."""
    examples: list[str] = field(default_factory=list)
    """Ids of what was shown with its answers before each question."""


@dataclass(frozen=True)
class Signed:
    digest: str
    signature: str
    key_id: str


@dataclass(frozen=True)
class Verification:
    """Whether a run's record is as it was signed, and its samples as the record says."""

    is_digest_right: bool
    is_signature_right: bool
    are_samples_right: bool
    digest: str
    key_id: str

    @property
    def is_valid(self) -> bool:
        return self.is_digest_right and self.is_signature_right and self.are_samples_right


def build_record(*, run: Run, measured: Measured, created: str) -> dict[str, Any]:
    """The record of `run`. Units: bytes and seconds, as the names say."""
    spec = run.spec
    task = spec["task"]
    metrics = measured.results["metrics"]
    n = metrics[0]["n"] + metrics[0]["n_missing"] if metrics else 0
    return {
        "schema": SCHEMA,
        "record_id": str(run.pk),
        "job_id": f"{run.pk}/{run.attempt}",
        "created": created,
        "kind": "verified" if "model" in spec else "predictions",
        "site": base_url(),
        "runner": {**measured.worker, "attempt": run.attempt},
        **_subject(spec, measured),
        "benchmark": {
            **spec["benchmark"],
            "dataset": spec["dataset"],
            "config": task["config"],
            "split": task["split"],
            "files": measured.data_files,
            "n": n,
            "items_sha256": measured.items_sha256,
            "labels": measured.labels,
            "chance": task["chance"],
            "replay_tolerance": task.get("replay_tolerance"),
        },
        "protocol": {
            **protocol_facts(task, metrics, measured.examples),
            **{name: task[name] for name in ("halves",) if name in task},
            "label_map": measured.label_map,
            "asked": spec["engine"],
            "limits": spec["limits"],
        },
        "execution": execution_facts(measured.execution, task, run.attempt),
        "environment": {**measured.environment, **installation_facts()},
        "results": with_baseline(measured.results, task),
        "cost": cost_facts(measured.execution),
        "samples": {
            "sha256": measured.samples.sha256,
            "size_bytes": measured.samples.size_bytes,
            "rows": measured.samples.rows,
            "columns": measured.samples.columns,
        },
    }


@cache
def record_schema() -> dict[str, Any]:
    """The JSON Schema of the records that `build_record` makes."""
    path = Path(ml_core.verify.__file__).with_name(SCHEMA_FILE)
    return dict(json.loads(path.read_text(encoding="utf-8")))


def _subject(spec: dict[str, Any], measured: Measured) -> dict[str, Any]:
    """What was measured: a model, or the predictions of a system that nobody ran here."""
    if "predictions" in spec:
        return {"predictions": spec["predictions"]}
    return {
        "model": {
            **spec["model"],
            "files": measured.model_files,
            **model_facts(spec["model"]["commit"], measured.model_files),
            **measured.model,
            **_base(spec, measured),
        }
    }


def _base(spec: dict[str, Any], measured: Measured) -> dict[str, Any]:
    """Of a model that is an adapter: its own digest, and what it was put on."""
    if "base" not in spec:
        return {}
    found = measured.model.get("adapter") or {}
    return {
        "adapter": {**found, "sha256": digest_of(measured.model_files)},
        "base": {**spec["base"], "files": measured.base_files},
    }


def build_dry_record(*, run: Run, created: str) -> dict[str, Any]:
    """What is kept of a dry run: that this would have been accepted, and no score."""
    kept = ("model", "base", "predictions", "benchmark", "dataset")
    return {
        "schema": DRY_SCHEMA,
        "record_id": str(run.pk),
        "created": created,
        "site": base_url(),
        "is_accepted": True,
        **{name: run.spec[name] for name in kept if name in run.spec},
    }


def sign_record(*, record: dict[str, Any]) -> Signed:
    """Digest and signature by this instance. Raises ValueError for NaN or infinity."""
    digest = digest_of(record)
    key = load_private_key(settings.INSTANCE_KEY)
    return Signed(digest, sign(digest, key), key_id_of(public_bytes(key)))


def instance_key() -> dict[str, str]:
    """The public half, for anyone who wants to check a record without asking us."""
    public = public_bytes(load_private_key(settings.INSTANCE_KEY))
    return {
        "key_id": key_id_of(public),
        "algorithm": "Ed25519",
        "public_key": base64.b64encode(public).decode(),
    }


def all_keys() -> list[dict[str, Any]]:
    """The key of today first, then those that signed earlier records and sign no more."""
    current = instance_key()
    known = {key.key_id: key for key in SigningKey.objects.order_by("-first_used_at")}
    today = known.pop(current["key_id"], None)
    return [
        {
            **current,
            "is_current": True,
            "first_used_at": today.first_used_at.isoformat() if today else None,
        },
        *(
            {
                "key_id": key.key_id,
                "algorithm": "Ed25519",
                "public_key": key.public_key,
                "is_current": False,
                "first_used_at": key.first_used_at.isoformat(),
            }
            for key in known.values()
        ),
    ]


def keep_key(*, key_id: str) -> None:
    """Keeps the public key under which a record is about to be committed, for as long as there are
    records. Part of the caller's transaction."""
    current = instance_key()
    if current["key_id"] == key_id:
        SigningKey.objects.get_or_create(
            key_id=key_id, defaults={"public_key": current["public_key"]}
        )


def key_of(run: Run) -> dict[str, str]:
    """The public key that signed the record of `run`, also once another signs."""
    current = instance_key()
    kept = SigningKey.objects.filter(key_id=run.key_id).first()
    if kept is None or kept.key_id == current["key_id"]:
        return current
    return {**current, "key_id": kept.key_id, "public_key": kept.public_key}


def record_document(*, run: Run) -> dict[str, Any]:
    """What is handed out: the record and, beside it, what vouches for it, and what later runs of
    the same found, each of which has a record of its own."""
    key = key_of(run)
    return {
        "record": run.record,
        "trust": {
            "digest": run.record_digest,
            "signature": run.signature,
            "algorithm": ALGORITHM,
            "key_id": key["key_id"],
            "public_key": key["public_key"],
        },
        "replays": summaries(replays_of(run)),
    }


def verify_run(*, run: Run) -> Verification:
    """Checks digest, signature and the stored samples of a finished run."""
    key = key_of(run)
    public = base64.b64decode(key["public_key"])
    digest = digest_of(run.record)
    return Verification(
        is_digest_right=digest == run.record_digest,
        is_signature_right=is_signed_by(digest, run.signature, public),
        are_samples_right=_are_samples_right(run),
        digest=digest,
        key_id=key["key_id"],
    )


def _are_samples_right(run: Run) -> bool:
    """A record without a file of samples, as of a training, promises none."""
    promised = (run.record or {}).get("samples")
    return promised is None or _sha256_of_samples(run) == promised["sha256"]


def _sha256_of_samples(run: Run) -> str | None:
    hasher = hashlib.sha256()
    try:
        for chunk in store().stream(run.predictions_key):
            hasher.update(chunk)
    except KeyMissing:
        return None
    return hasher.hexdigest()
