"""One record and what vouches for it, step by step."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ml_core.data.roles import ID_ROLE
from ml_core.verify.recomputing import (
    RowsUnreadable,
    columns_for,
    items_digest,
    judge_metric,
    metrics_of,
    read_rows,
)
from ml_core.verify.signing import digest_of, is_signed_by

Answer = Literal["right", "wrong", "unknown"]
CHUNK_BYTES = 1 << 20
_SCORES = re.compile(r"modelguild\.evaluation-record/\d+\Z")


@dataclass(frozen=True)
class Check:
    """One thing looked at: `right`, `wrong`, or `unknown` where it could not be told."""

    name: str
    answer: Answer
    words: str


@dataclass(frozen=True)
class Report:
    """All checks. It is valid where the signature holds and nothing is wrong."""

    checks: tuple[Check, ...]

    @property
    def is_valid(self) -> bool:
        answers = {check.name: check.answer for check in self.checks}
        is_signed = answers.get("digest") == answers.get("signature") == "right"
        return is_signed and "wrong" not in answers.values()

    @property
    def is_whole(self) -> bool:
        """Whether nothing was left unlooked at, either."""
        return self.is_valid and all(check.answer == "right" for check in self.checks)


def check_document(
    document: Any,  # JSON of anyone's
    keys: Mapping[str, bytes],
    samples: Path | None = None,
) -> Report:
    """What the record says of itself, against `keys`, and against its samples where they are given.

    Never raises for anything in the document or the file.
    """
    record = document.get("record") if isinstance(document, dict) else None
    trust = document.get("trust") if isinstance(document, dict) else None
    if not isinstance(record, dict) or not isinstance(trust, dict):
        return Report((Check("form", "wrong", "this is no record of an evaluation"),))
    checks = [*_signature(record, trust, keys)]
    try:
        checks += _samples(record, samples)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        words = f"the record is not of the form it names: {type(error).__name__} {error}"
        checks.append(Check("form", "wrong", words[:300]))
    return Report(tuple(checks))


def _signature(
    record: dict[str, Any], trust: dict[str, Any], keys: Mapping[str, bytes]
) -> list[Check]:
    try:
        digest = digest_of(record)
    except (ValueError, RecursionError, UnicodeError):
        return [Check("digest", "wrong", "the record holds what canonical JSON cannot")]
    is_right = digest == trust.get("digest")
    words = f"SHA-256 {digest}"
    checks = [
        Check("digest", "right", words)
        if is_right
        else Check("digest", "wrong", f"{words}, but the record claims {trust.get('digest')}")
    ]
    key_id, signature = trust.get("key_id"), trust.get("signature")
    key = keys.get(key_id) if isinstance(key_id, str) else None
    if key is None:
        words = f"it is signed with key {key_id}, which is not among those given"
        return [*checks, Check("signature", "wrong", words)]
    is_signed = isinstance(signature, str) and is_signed_by(digest, signature, key)
    words = f"Ed25519, key {key_id}"
    answer: Answer = "right" if is_signed else "wrong"
    return [*checks, Check("signature", answer, words if is_signed else f"{words} did not sign it")]


def _samples(record: dict[str, Any], path: Path | None) -> list[Check]:
    promised = record.get("samples")
    if promised is None:
        return []
    if path is None:
        return [Check("samples", "unknown", "not given: scores are not looked at")]
    try:
        digest = _sha256(path)
    except OSError as error:
        return [Check("samples", "wrong", f"they cannot be read: {error}"[:300])]
    if digest != promised["sha256"]:
        words = f"SHA-256 {digest}, but the record says {promised['sha256']}"
        return [Check("samples", "wrong", words)]
    checks = [Check("samples", "right", f"SHA-256 {digest}, {promised['rows']} rows")]
    if not _SCORES.match(str(record.get("schema"))):
        return checks
    return [*checks, *_scores(record, path)]


def _scores(record: dict[str, Any], path: Path) -> list[Check]:
    metrics = metrics_of(record)
    try:
        rows = read_rows(path, columns_for(metrics))
    except RowsUnreadable as error:
        return [Check("rows", "wrong", f"they cannot be read: {error}")]
    ids = rows.get(ID_ROLE, [])
    is_right = items_digest([str(one) for one in ids]) == record["benchmark"]["items_sha256"]
    words = f"{len(ids)} ids in the record's order" if is_right else "not the record's items"
    checks = [Check("items", "right" if is_right else "wrong", words)]
    for value in record["results"]["metrics"]:
        metric = metrics.get(value["name"])
        if metric is None:
            checks.append(Check(value["name"], "unknown", "this program knows no such metric"))
            continue
        holds, words = judge_metric(value, metric, rows)
        answer: Answer = "unknown" if holds is None else "right" if holds else "wrong"
        checks.append(Check(value["name"], answer, words))
    return checks


def _sha256(path: Path) -> str:
    hasher = hashlib.sha256()
    with path.open("rb") as stream:
        while data := stream.read(CHUNK_BYTES):
            hasher.update(data)
    return hasher.hexdigest()
