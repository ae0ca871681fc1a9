"""`.eval_results/*.yaml` of a model repository, as the Hub and its clients read it.

Source: huggingface/hub-docs `eval_results.yaml`; `huggingface_hub.EvalResultEntry`. The format
knows one value a task, so this is the main metric; all else is in the record behind `source`.
"""

from __future__ import annotations

import re

import yaml
from django.conf import settings
from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml

from evaluation.exports.told import Told
from hub.cards.eval_results import FOLDER
from ml_core.verify.signing import load_private_key, sign_token


def write(told: Told) -> str:
    return yaml.safe_dump(
        eval_result_entries_to_yaml(entries(told)), sort_keys=False, allow_unicode=True, width=100
    )


def entries(told: Told) -> list[EvalResultEntry]:
    """The main metric, none where it has no value."""
    main = next(iter(told.record["results"]["metrics"]), None)
    if main is None or main["value"] is None:
        return []
    return [
        EvalResultEntry(
            dataset_id=told.dataset["repo"],
            task_id=told.task_id,
            value=main["value"],
            dataset_revision=told.dataset["commit"],
            verify_token=token(told),
            date=told.record["created"],
            source_url=told.url,
            source_name=settings.SITE_NAME,
            source_user=told.user or None,
            notes=_notes(told),
        )
    ]


def token(told: Told) -> str:
    """What proves that this instance made the record: its digest, signed as a JWT."""
    payload = {
        "record": told.record["record_id"],
        "digest": told.digest,
        "schema": told.record["schema"],
        "iss": told.site,
    }
    return sign_token(payload, load_private_key(settings.INSTANCE_KEY))


def path_of(told: Told) -> str:
    """Where the file belongs in the model repository: one a benchmark, so that a new run of it
    replaces the old."""
    name = f"{told.dataset['repo']}-{told.task_id}".lower()
    return f"{FOLDER}/{re.sub(r'[^a-z0-9._-]+', '-', name)}.yaml"


def _notes(told: Told) -> str:
    main = told.record["results"]["metrics"][0]
    error = "" if main["se"] is None else f", standard error {main['se']:.4g}"
    commit = told.model["commit"]
    return f"{main['name']}{error}, n {main['n']}, model commit {commit}, record {told.digest}"
