"""Results that a model's files claim: `.eval_results/*.yaml`, and `model-index` in the card.

Source: Hub protocol, section 4.3 and "Evaluation files"; huggingface/hub-docs `eval_results.yaml`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from hub.cards.front_matter import CardError, load_yaml
from hub.vcs import Repository
from hub.vcs.errors import EntryNotFound, EntryTooLarge

FOLDER = ".eval_results"
MAX_FILES = 50
MAX_FILE_BYTES = 256 * 1024
MAX_ENTRIES = 500
_REPO_ID = re.compile(r"[\w.-]{1,96}/[\w.-]{1,96}\Z", re.ASCII)
_TEXTS = {"verifyToken": 4000, "date": 40, "notes": 1000}
_SOURCE_TEXTS = {"url": 500, "name": 200, "user": 96, "org": 96}


@dataclass(frozen=True)
class ResultsFile:
    """What one file claims: entries in the form of `evalResults`, or why it cannot be read."""

    filename: str
    entries: tuple[dict[str, Any], ...] = ()
    error: str = ""

    def rows(self, *, pull_request: int | None = None) -> Iterator[dict[str, Any]]:
        """As the Hub API gives them; what a pull request claims is marked with its number."""
        mark = {} if pull_request is None else {"pullRequest": pull_request}
        if self.error:
            yield {"filename": self.filename, "error": self.error}
        for entry in self.entries:
            yield {"filename": self.filename, "data": entry, **mark}


def read_eval_results(git: Repository, commit_sha: str) -> list[ResultsFile]:
    """The files of a commit, by name; those beyond `MAX_FILES` are left out."""
    return [_read(git, commit_sha, path) for path in list(_files(git, commit_sha))[:MAX_FILES]]


def read_new_results(git: Repository, commit_sha: str, *, since_sha: str) -> list[ResultsFile]:
    """What the files of a commit claim that the same files did not claim at an earlier one.

    Files that cannot be read, and those with nothing new, are left out.
    """
    before = _files(git, since_sha)
    after = _files(git, commit_sha)
    changed = [path for path, oid in after.items() if before.get(path) != oid]
    found = []
    for path in changed[:MAX_FILES]:
        known = _read(git, since_sha, path).entries if path in before else ()
        entries = _read(git, commit_sha, path).entries
        found.append(ResultsFile(path, tuple(each for each in entries if each not in known)))
    return [file for file in found if file.entries]


def _files(git: Repository, commit_sha: str) -> dict[str, str]:
    """Paths of a commit's files of results, with their git ids."""
    try:
        entries = list(git.tree(commit_sha, FOLDER))
    except EntryNotFound:
        return {}
    files = (entry for entry in entries if entry.kind == "file")
    return {file.path: file.oid for file in files if file.path.endswith((".yaml", ".yml"))}


def _read(git: Repository, commit_sha: str, path: str) -> ResultsFile:
    try:
        text = git.read(commit_sha, path, max_bytes=MAX_FILE_BYTES).decode("utf-8")
        return ResultsFile(path, tuple(parse_eval_results(text)))
    except EntryTooLarge:
        return ResultsFile(path, error=f"The file is larger than {MAX_FILE_BYTES:,} bytes.")
    except UnicodeDecodeError:
        return ResultsFile(path, error="The file is not UTF-8.")
    except CardError as error:
        return ResultsFile(path, error=str(error))


def parse_eval_results(text: str) -> list[dict[str, Any]]:
    """The entries of a file, with the fields that the format has and no others.

    Raises:
        CardError: it is no list of entries; the first that is wrong is named.
    """
    data = load_yaml(text)
    if not isinstance(data, list):
        raise CardError("The file must be a list of results.")
    if len(data) > MAX_ENTRIES:
        raise CardError(f"The file has more than {MAX_ENTRIES} results.")
    return [_entry(item, number) for number, item in enumerate(data, start=1)]


def _entry(item: Any, number: int) -> dict[str, Any]:
    where = f"Result {number}"
    if not isinstance(item, dict) or not isinstance(item.get("dataset"), dict):
        raise CardError(f"{where} needs a dataset with id and task_id.")
    given = item["dataset"]
    dataset = {"id": _text(given, "id", f"{where}, dataset", 193, required=True)}
    if not _REPO_ID.match(dataset["id"] or ""):
        raise CardError(f"{where}: the dataset's id is written owner/name.")
    dataset["task_id"] = _text(given, "task_id", f"{where}, dataset", 100, required=True)
    if revision := _text(given, "revision", f"{where}, dataset", 100):
        dataset["revision"] = revision
    entry: dict[str, Any] = {"dataset": dataset, "value": _value(item, where)}
    for name, limit in _TEXTS.items():
        if text := _text(item, name, where, limit):
            entry[name] = text
    if source := _source(item.get("source"), where):
        entry["source"] = source
    return entry


def _value(item: dict[str, Any], where: str) -> float:
    value = item.get("value")
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not math.isfinite(float(value or 0)):
        raise CardError(f"{where} needs a value that is a number.")
    return float(value or 0)


def _source(given: Any, where: str) -> dict[str, str] | None:
    if given is None:
        return None
    if not isinstance(given, dict):
        raise CardError(f"{where}: source is a mapping with a url.")
    found = {name: _text(given, name, where, limit) for name, limit in _SOURCE_TEXTS.items()}
    if not re.match(r"https?://[^\s\"'<>]+\Z", found["url"] or ""):
        raise CardError(f"{where}: source needs a url that begins with http:// or https://.")
    return {name: text for name, text in found.items() if text}


def _text(
    given: dict[str, Any], name: str, where: str, limit: int, *, required: bool = False
) -> str | None:
    value = given.get(name)
    if value is None and not required:
        return None
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        value = str(value)  # what YAML reads as a number may be meant as a name
    if not isinstance(value, str) or not value or len(value) > limit:
        raise CardError(f"{where}: {name} must be a text of at most {limit} characters.")
    return value


@dataclass(frozen=True)
class IndexedResult:
    """One metric of one result of a card's `model-index`."""

    dataset_id: str
    config: str
    split: str
    metric: str
    value: float
    source_url: str = ""


def results_of_index(index: Any) -> list[IndexedResult]:
    """The results that can be read; what is malformed is passed over, as the card's checks say."""
    found: list[IndexedResult] = []
    for model in index if isinstance(index, list) else []:
        results = model.get("results") if isinstance(model, dict) else None
        for result in results if isinstance(results, list) else []:
            found += _indexed(result)
    return found[:MAX_ENTRIES]


def _indexed(result: Any) -> Iterator[IndexedResult]:
    dataset = result.get("dataset") if isinstance(result, dict) else None
    if not isinstance(dataset, dict) or not _REPO_ID.match(str(dataset.get("type", ""))):
        return
    source = result.get("source")
    url = str(source.get("url", ""))[:500] if isinstance(source, dict) else ""
    metrics = result.get("metrics")
    for metric in metrics if isinstance(metrics, list) else []:
        value = metric.get("value") if isinstance(metric, dict) else None
        if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
            yield IndexedResult(
                dataset_id=str(dataset["type"]),
                config=str(dataset.get("config") or "")[:100],
                split=str(dataset.get("split") or "")[:100],
                metric=str(metric.get("type") or "")[:100],
                value=float(value),
                source_url=url if re.match(r"https?://[^\s\"'<>]+\Z", url) else "",
            )
