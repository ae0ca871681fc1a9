"""Benchmarks follow the `eval.yaml` on their data set's default branch."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import yaml
from django.db import transaction

from evaluation.actions.submissions import start_baselines
from evaluation.models import Benchmark, BenchmarkFile, BenchmarkVersion
from hub.actions.metadata import refresh_repo_metadata
from hub.actions.repos import DEFAULT_BRANCH
from hub.models import Repo
from hub.site import git_of
from hub.vcs import Repository
from hub.vcs.errors import EntryNotFound, EntryTooLarge, RevisionNotFound
from ml_core.evalfile import FILE_NAME, MAX_FILE_BYTES, EvalFile, TaskSpec, parse

MAX_CARD_BYTES = 1024 * 1024
OFFICIAL = "benchmark:official"
"""Tag of the data sets that have a leaderboard here."""
NOT_DATA = frozenset({".gitattributes", ".gitignore", "README.md", "LICENSE", FILE_NAME})
"""Files whose change leaves a benchmark as it is (of the card, what defines the data counts)."""


def refresh_benchmarks(*, dataset: Repo) -> BenchmarkFile | None:
    """As `read_benchmarks`; lists of data sets can then be narrowed to those with a leaderboard."""
    note = read_benchmarks(dataset=dataset)
    tagged = dataset.tag_rows.filter(tag=OFFICIAL).exists()
    if tagged != dataset.benchmarks.active().exists():
        dataset.refresh_from_db()
        refresh_repo_metadata(dataset, dataset.head_sha)
    return note


def tags_of_benchmarks(dataset: Repo) -> list[str]:
    """What `list_datasets(benchmark="official")` asks for: a leaderboard that this site keeps."""
    return [OFFICIAL] if dataset.benchmarks.active().exists() else []


def read_benchmarks(*, dataset: Repo) -> BenchmarkFile | None:
    """Makes the data set's benchmarks say what `eval.yaml` on the default branch says.

    A task with a problem keeps its last good version, so that a slip empties no leaderboard. A
    task that is gone from a readable file is retired; its runs stay. Returns None where there is
    no such file. Safe to call twice, and for any commit order: it looks at the branch as it is.
    """
    git = git_of(dataset)
    try:
        commit_sha = git.resolve(DEFAULT_BRANCH)
        content = git.read(commit_sha, FILE_NAME, max_bytes=MAX_FILE_BYTES)
    except (RevisionNotFound, EntryNotFound):
        _retire_all(dataset)
        return None
    except EntryTooLarge:
        content = b"x" * (MAX_FILE_BYTES + 1)
    found = parse(content)
    data_digest = digest_of_data(git, commit_sha) if found.tasks else ""
    with transaction.atomic():
        for task in found.tasks:
            start_baselines(version=_store_task(dataset, task, commit_sha, data_digest))
        if not found.problems:
            names = [task.id for task in found.tasks]
            dataset.benchmarks.exclude(task_id__in=names).update(is_active=False)
        return _note_reading(dataset, commit_sha, found)


def digest_of_data(git: Repository, commit_sha: str) -> str:
    """SHA-256 over what decides which items there are: data files, and the card's data fields."""
    hasher = hashlib.sha256()
    for entry in git.tree(commit_sha, recursive=True):
        if entry.kind == "file" and entry.path not in NOT_DATA:
            oid = entry.lfs.oid if entry.lfs else entry.oid
            hasher.update(f"{entry.path}\0{oid}\n".encode())
    hasher.update(_data_fields(git, commit_sha))
    return hasher.hexdigest()


def _retire_all(dataset: Repo) -> None:
    with transaction.atomic():
        dataset.benchmarks.update(is_active=False)
        BenchmarkFile.objects.filter(dataset=dataset).delete()


def _store_task(
    dataset: Repo, task: TaskSpec, commit_sha: str, data_digest: str
) -> BenchmarkVersion:
    benchmark, _ = Benchmark.objects.update_or_create(
        dataset=dataset,
        task_id=task.id,
        defaults={
            "name": task.name,
            "description": task.description,
            "task_type": task.type,
            "is_active": True,
        },
    )
    spec = task.to_json()
    version = _version_of(benchmark, spec, commit_sha, data_digest)
    if benchmark.current_id != version.pk:
        benchmark.current = version
        benchmark.save(update_fields=["current"])
    return version


def _version_of(
    benchmark: Benchmark, spec: dict[str, Any], commit_sha: str, data_digest: str
) -> BenchmarkVersion:
    """The version with this content, an earlier one or new; words about it may change freely."""
    spec_digest = _digest_of_spec(spec)
    same = benchmark.versions.filter(spec_digest=spec_digest, data_digest=data_digest).first()
    if same is not None:
        if same.spec != spec:
            same.spec = spec
            same.save(update_fields=["spec"])
        return same
    last = benchmark.versions.order_by("-number").first()
    return benchmark.versions.create(
        number=last.number + 1 if last else 1,
        commit_sha=commit_sha,
        spec=spec,
        spec_digest=spec_digest,
        data_digest=data_digest,
    )


def _digest_of_spec(spec: dict[str, Any]) -> str:
    """SHA-256 of what decides a score; names, descriptions and baselines do not."""
    words = {"name", "description", "baselines", "chance", "submissions", "replay_tolerance"}
    measured = {key: value for key, value in spec.items() if key not in words}
    return hashlib.sha256(json.dumps(measured, sort_keys=True).encode()).hexdigest()


def _note_reading(dataset: Repo, commit_sha: str, found: EvalFile) -> BenchmarkFile:
    note, _ = BenchmarkFile.objects.update_or_create(
        dataset=dataset,
        defaults={
            "commit_sha": commit_sha,
            "problems": [problem.to_json() for problem in found.problems],
        },
    )
    return note


def _data_fields(git: Repository, commit_sha: str) -> bytes:
    """`configs` and `dataset_info` of the card, which say what files make which split."""
    try:
        card = git.read(commit_sha, "README.md", max_bytes=MAX_CARD_BYTES).decode("utf-8")
        head = card.split("---", 2)[1] if card.startswith("---") else ""
        fields = yaml.safe_load(head)
    except (EntryNotFound, EntryTooLarge, UnicodeDecodeError, yaml.YAMLError, IndexError):
        return b""
    except (RecursionError, ValueError):
        return b""
    if not isinstance(fields, dict):
        return b""
    kept = {key: fields[key] for key in ("configs", "dataset_info") if key in fields}
    return json.dumps(kept, sort_keys=True, default=str).encode()
