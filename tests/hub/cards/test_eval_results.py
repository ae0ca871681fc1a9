"""`.eval_results/*.yaml` and `model-index`: what is read, and what is refused in words."""

from __future__ import annotations

import pytest
import yaml
from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml

from hub.cards import CardError
from hub.cards.eval_results import (
    MAX_ENTRIES,
    MAX_FILE_BYTES,
    MAX_FILES,
    parse_eval_results,
    read_eval_results,
    results_of_index,
)
from hub.site import git_of
from tests.support.cast import Cast
from tests.support.factories import make_repo


def test_what_the_client_writes_is_read_whole() -> None:
    entries = [
        EvalResultEntry("cais/hle", "default", 20.9, dataset_revision="a" * 40, notes="no-tools",
                        verify_token="t", date="2026-01-15T10:30:00Z", source_name="Logs",
                        source_url="https://example.org/log", source_user="ada"),
        EvalResultEntry("Idavidrein/gpqa", "gpqa_diamond", 0.412),
    ]  # fmt: skip
    written = eval_result_entries_to_yaml(entries)
    assert parse_eval_results(yaml.dump(written)) == written


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("value: 1", "list of results"),
        ("- 5", "Result 1 needs a dataset"),
        ("- {dataset: {id: a/b}, value: 1}", "task_id"),
        ("- {dataset: {id: nothing, task_id: t}, value: 1}", "owner/name"),
        ("- {dataset: {id: ../b, task_id: t}, value: high}", "a number"),
        ("- {dataset: {id: a/b, task_id: t}, value: true}", "a number"),
        ("- {dataset: {id: a/b, task_id: t}, value: .nan}", "a number"),
        ("- {dataset: {id: a/b, task_id: t}, value: 1, source: {name: x}}", "url"),
        ("- {dataset: {id: a/b, task_id: t}, value: 1, source: {url: 'javascript:x'}}", "url"),
        ("- {dataset: {id: a/b, task_id: t}, value: 1, notes: " + "x" * 1001 + "}", "notes"),
        ("- {dataset: {id: a/b, task_id: t}, value: 1}\n" * (MAX_ENTRIES + 1), "more than"),
        ("- [", "line"),
    ],
)
def test_what_is_wrong_is_named(text: str, words: str) -> None:
    with pytest.raises(CardError, match=words):
        parse_eval_results(text)


@pytest.mark.django_db
def test_files_of_a_commit_each_with_entries_or_a_reason(cast: Cast) -> None:
    good = "- {dataset: {id: a/b, task_id: t}, value: 0.5}\n"
    files = {
        ".eval_results/a.yaml": good,
        ".eval_results/b.yaml": "- nothing",
        ".eval_results/c.yml": "#" * (MAX_FILE_BYTES + 1),
        ".eval_results/d.yaml": b"\xff\xfe",
        ".eval_results/notes.txt": "not looked at",
        ".eval_results/deep/e.yaml": good,
    }
    repo = make_repo(cast.owner, files=files)
    found = read_eval_results(git_of(repo), git_of(repo).resolve("main"))
    assert [(file.filename[14:], len(file.entries), bool(file.error)) for file in found] == [
        ("a.yaml", 1, False), ("b.yaml", 0, True), ("c.yml", 0, True), ("d.yaml", 0, True),
    ]  # fmt: skip
    many = {f".eval_results/{n:03}.yaml": good for n in range(MAX_FILES + 5)}
    repo = make_repo(cast.owner, files=many)
    assert len(read_eval_results(git_of(repo), git_of(repo).resolve("main"))) == MAX_FILES


def test_an_index_gives_what_can_be_read_of_it() -> None:
    metrics = [{"type": "accuracy", "value": 0.9}, {"type": "f1", "value": "high"}, 5]
    dataset = {"type": "olive/reviews", "name": "Reviews", "split": "test"}
    index = [{"results": [{"dataset": dataset, "metrics": metrics}, {"dataset": 5}]}, 7]
    (result,) = results_of_index(index)
    assert (result.dataset_id, result.config, result.split) == ("olive/reviews", "", "test")
    assert (result.metric, result.value) == ("accuracy", 0.9)
    assert results_of_index({"results": []}) == results_of_index(None) == []
