"""The evaluation record: everything needed to check a score or to measure it again, signed."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings

from evaluation.models import Run
from evaluation.signing import (
    digest_of,
    is_signed_by,
    key_id_of,
    load_private_key,
    public_bytes,
    sign,
)
from hub.site import base_url, store
from hub.storage.errors import KeyMissing

SCHEMA = "modelguild.evaluation-record/1"
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


@dataclass(frozen=True)
class Signed:
    digest: str
    signature: str


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
        },
        "protocol": {
            "task": task["type"],
            "columns": task["columns"],
            "metrics": task["metrics"],
            **{name: task[name] for name in ("halves",) if name in task},
            "label_map": measured.label_map,
            **{name: task[name] for name in ("generation", "comparison", "asking") if name in task},
            "asked": spec["engine"],
            "limits": spec["limits"],
        },
        "execution": measured.execution,
        "environment": measured.environment,
        "results": measured.results,
        "samples": {
            "sha256": measured.samples.sha256,
            "size_bytes": measured.samples.size_bytes,
            "rows": measured.samples.rows,
            "columns": measured.samples.columns,
        },
    }


def _subject(spec: dict[str, Any], measured: Measured) -> dict[str, Any]:
    """What was measured: a model, or the predictions of a system that nobody ran here."""
    if "predictions" in spec:
        return {"predictions": spec["predictions"]}
    return {
        "model": {
            **spec["model"],
            "files": measured.model_files,
            "format": "safetensors",
            "remote_code": False,
            **measured.model,
            **({"base": {**spec["base"], "files": measured.base_files}} if "base" in spec else {}),
        }
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
    return Signed(digest, sign(digest, load_private_key(settings.INSTANCE_KEY)))


def instance_key() -> dict[str, str]:
    """The public half, for anyone who wants to check a record without asking us."""
    public = public_bytes(load_private_key(settings.INSTANCE_KEY))
    return {
        "key_id": key_id_of(public),
        "algorithm": "Ed25519",
        "public_key": base64.b64encode(public).decode(),
    }


def record_document(*, run: Run) -> dict[str, Any]:
    """What is handed out: the record and, beside it, what vouches for it."""
    return {
        "record": run.record,
        "trust": {
            "digest": run.record_digest,
            "signature": run.signature,
            "algorithm": ALGORITHM,
            **{key: instance_key()[key] for key in ("key_id", "public_key")},
        },
    }


def verify_run(*, run: Run) -> Verification:
    """Checks digest, signature and the stored samples of a finished run."""
    key = instance_key()
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
