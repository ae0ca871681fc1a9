"""Each family from its eval.yaml to published rows: what a worker does but for the cage."""

from __future__ import annotations

import contextlib
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from evaluation.actions.leases import claim_run, finish_run, start_job
from evaluation.models import LeaderboardEntry, Score
from evaluation.queries import leaderboard
from evaluation.recompute import recompute_code
from evaluation.worker import fetch, inputs, splits
from evaluation.worker.fetch import Source
from evaluation.worker.inputs import prepare_job
from evaluation.worker.samples import write_samples
from hub.auth import Actor
from ml_core import evaluate
from ml_core.assessment import items_of
from ml_core.evalfile import parse
from ml_core.evaluate.evaluation import PREDICTIONS_FILE, setting_of
from ml_core.evaluate.tasks import TASKS
from ml_core.specs import EngineSpec
from tests.support import tiny_models
from tests.support.benchmarks import make_benchmark, make_model, make_run, make_worker, outcome
from tests.support.cast import Cast
from tests.support.data_files import png, segmented
from tests.support.folder_hub import FolderHub

SOURCE = Source("me/data", "dataset", "c" * 40, "http://hub", "token", Path("cache"))
TAGGED = [
    {"words": ["the", "cat", "sat"], "tags": ["O", "B-animal", "O"]},
    {"words": ["dogs", "and", "the", "mat"], "tags": ["B-animal", "O", "O", "B-thing"]},
]
TEXTS = [{"text": text} for text in tiny_models.SENTENCES]
CHOICES = [
    {"question": "the cat sat on", "choices": ["the mat", "a film"], "answer": 0},
    {"question": "a good film with", "choices": ["the end", "a fine story"], "answer": 1},
]
ANSWERS = [
    {"question": "who sat", "context": "the cat sat on the mat", "answers": ["the cat"]},
    {"question": "who ran", "context": "the cat sat on the mat", "answers": []},
]
LABELS = {
    "token-classification": "[O, B-animal, I-animal, B-thing, I-thing]",
    "image-segmentation": "[sky, road, car]",
    "zero-shot-image-classification": "[cat, dog, film, day, story, mat]",
}
PAIRS = [
    {"sentence1": a, "sentence2": b, "score": float(at)}
    for at, (a, b) in enumerate(zip(tiny_models.SENTENCES, "abcdef", strict=True))
]
OBJECTS = [
    {"image": png(40, 30), "objects": {"bbox": [[1, 2, 9, 9]], "category": ["cat"]}},
    {"image": png(30, 40), "objects": {"bbox": [[1, 2, 9, 9]] * 2, "category": ["cat", "dog"]}},
    {"image": png(40, 30), "objects": {"bbox": [], "category": []}},
]
MASKS = [{"image": png(40, 30), "mask": segmented(40, 30)} for _ in range(3)]
NAMED = [{"image": png(40, 30), "label": at} for at in range(6)]
DOCUMENTS = [
    {"text": "the cat sat on the mat", "short": "the cat sat"},
    {"text": "a good film with a fine story", "short": "a good film"},
]
SOURCES = [
    {"source": "the cat", "references": ["le chat", "un chat"]},
    {"source": "a good film", "references": ["un bon film"]},
]
PROMPTS = [{"prompt": "one and one is", "targets": ["2", "two"]}]
FAMILIES = [
    ("token-classification", "{tokens: words}", TAGGED, tiny_models.save_token_classifier),
    ("perplexity", "{}", TEXTS, tiny_models.save_causal_lm),
    ("fill-mask", "{}", TEXTS, tiny_models.save_masked_lm),
    ("multiple-choice", "{}", CHOICES, tiny_models.save_causal_lm),
    ("question-answering", "{}", ANSWERS, tiny_models.save_question_answerer),
    ("sentence-similarity", "{}", PAIRS, tiny_models.save_masked_lm),
    ("object-detection", "{}", OBJECTS, tiny_models.save_detector),
    ("image-segmentation", "{}", MASKS, tiny_models.save_segmenter),
    ("zero-shot-image-classification", "{}", NAMED, tiny_models.save_clip),
    ("summarization", "{document: text, summary: short}", DOCUMENTS, tiny_models.save_writer),
    ("translation", "{}", SOURCES, tiny_models.save_translator),
    ("text-generation", "{}", PROMPTS, tiny_models.save_writer),
]


def eval_yaml(task: str, columns: str = "{}", more: str = "") -> str:
    labels = f"labels: {LABELS[task]}, " if task in LABELS else ""
    if task in ("summarization", "translation", "text-generation"):
        more = "generation: {max_new_tokens: 8, stop: [the]}"
    fields = f"{{id: a, type: {task}, split: test, columns: {columns}, {labels}{more}}}"
    return f"name: A benchmark\nevaluation_framework: modelguild\ntasks:\n  - {fields}\n"


def test_every_family_is_here_or_has_tests_of_its_own() -> None:
    elsewhere = {"text-classification", "image-classification"}
    of_files = {"tabular-classification", "tabular-regression"}  # tests/ml_core
    assert {name for name, *_ in FAMILIES} | elsewhere | of_files == set(TASKS)


def write_split(folder: Path, rows: list[dict[str, Any]]) -> None:
    """The rows as the split `test`, in a form that can hold them."""
    if "image" in rows[0]:
        pq.write_table(pa.Table.from_pylist(rows), folder / "test.parquet")
    else:
        (folder / "test.jsonl").write_text("\n".join(json.dumps(row) for row in rows))


@pytest.mark.parametrize(("task", "columns", "rows", "save"), FAMILIES)
def test_from_eval_yaml_to_published_rows(
    task: str,
    columns: str,
    rows: list[dict[str, Any]],
    save: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hub = FolderHub(tmp_path / "hub")
    hub.root.mkdir()
    for module in (inputs, splits):
        monkeypatch.setattr(module, "list_files", hub.list_files)
        monkeypatch.setattr(module, "fetch_files", hub.fetch_files)
    write_split(hub.root, rows)
    (found,) = parse(eval_yaml(task, columns).encode()).tasks
    spec = {
        "model": {"repo": "me/model", "commit": "a" * 40},
        "dataset": {"repo": "me/data", "commit": "c" * 40},
        "task": found.to_json(),
        "label_map": None,
        "engine": {"dtype": "float32", "device": "cpu", "seed": 0},
    }
    folders = {name: tmp_path / name for name in ("inputs", "hidden")}
    for folder in folders.values():
        folder.mkdir()
    model = save(tmp_path / "model")
    job = prepare_job(spec, dataset=SOURCE, model=model, memory=tmp_path / "memory", **folders)
    engine = EngineSpec(device="cpu", threads=1)
    told = replace(job.withheld.spec, engine=engine, metrics=())
    evaluate.run(told, tmp_path / "out")
    truth = job.withheld.truth
    read = job.kind.read(tmp_path / "out" / PREDICTIONS_FILE, truth)
    setting = setting_of(job.spec, read)
    scores = job.kind.score(read, truth, metrics=job.spec.metrics, setting=setting)
    assert tuple(metric.name for metric in scores.metrics) == TASKS[task].metrics
    assert all(metric.n == len(rows) for metric in scores.metrics)
    file = write_samples(job.kind.samples(read, truth), tmp_path / "samples.parquet")
    assert file.rows == len(rows)
    assert file.columns[0] == "item_id"
    assert file.columns[-2:] == ["truncated", "error"]
    items = items_of(job.kind.samples(read, truth), job.kind.metrics, TASKS[task].metrics)
    assert set(items) == set(TASKS[task].metrics), "a comparison reads these from the rows"
    for metric in scores.metrics:
        whole = items[metric.name].of_counts(np.ones((1, len(rows))))[0]
        assert whole == pytest.approx(
            metric.value if metric.value is not None else np.nan, nan_ok=True
        )
        again = recomputed(tmp_path / "samples.parquet", metric.name)
        assert again is None or again == pytest.approx(metric.value)


def recomputed(path: Path, metric: str) -> float | None:
    """What the code that a run's page shows prints; None where it shows none for this metric."""
    code = recompute_code(str(path), metric, 0.5)
    if "# 0.5" not in code:
        return None
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.suppress(ZeroDivisionError):
        exec(code, {})
    return float(printed.getvalue()) if printed.getvalue() else None


def test_how_a_model_pools_is_fetched_and_nothing_else_below_its_top(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = FolderHub(tmp_path / "hub")
    for name in ("config.json", "1_Pooling/config.json", "2_Dense/config.json", "notes/a.txt"):
        (hub.root / name).parent.mkdir(parents=True, exist_ok=True)
        (hub.root / name).write_text("{}")
    monkeypatch.setattr(fetch, "list_files", hub.list_files)
    monkeypatch.setattr(fetch, "fetch_files", hub.fetch_files)
    (tmp_path / "model").mkdir()
    assert fetch.fetch_model(SOURCE, tmp_path / "model") == ["config.json", "1_Pooling/config.json"]
    assert (tmp_path / "model/1_Pooling/config.json").read_text() == "{}"


def test_examples_come_from_their_split_and_are_shown_to_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = FolderHub(tmp_path / "hub")
    hub.root.mkdir()
    for module in (inputs, splits):
        monkeypatch.setattr(module, "list_files", hub.list_files)
        monkeypatch.setattr(module, "fetch_files", hub.fetch_files)
    write_split(hub.root, CHOICES)
    lines = [json.dumps(row) for row in CHOICES]
    (hub.root / "dev.jsonl").write_text("\n".join(lines))
    (hub.root / "README.md").write_text(CARD)
    asking = (
        "asking: {template: '{question} {choices}', answers: letters, "
        "few_shot: {split: dev, ids: ['1']}}, dtype: bfloat16"
    )
    (found,) = parse(eval_yaml("multiple-choice", more=asking).encode()).tasks
    spec = {
        "model": {"repo": "me/model", "commit": "a" * 40},
        "dataset": {"repo": "me/data", "commit": "c" * 40},
        "task": found.to_json(),
        "engine": {"dtype": found.dtype, "device": "cpu", "seed": 0},
    }
    folders = {name: tmp_path / name for name in ("inputs", "hidden")}
    for folder in folders.values():
        folder.mkdir()
    model = tiny_models.save_causal_lm(tmp_path / "model")
    job = prepare_job(spec, dataset=SOURCE, model=model, memory=tmp_path / "memory", **folders)
    (example,) = job.withheld.spec.examples
    assert (example.question, example.answer) == ("a good film with", 1)
    result = evaluate.run(replace(job.withheld.spec, metrics=()), tmp_path / "out")
    assert result.execution.dtype == "bfloat16"
    assert result.spec.asking.few_shot == found.asking.few_shot  # type: ignore[union-attr]
    rows = pq.read_table(tmp_path / "out" / PREDICTIONS_FILE).to_pylist()
    assert all(len(row["log_likelihoods"]) == 2 for row in rows)


CARD = """---
configs:
- config_name: default
  data_files: [{split: test, path: test.jsonl}, {split: dev, path: dev.jsonl}]
---
"""
UNFIT = [
    ("perplexity", "labels: [a, b]", "no_labels_here"),
    ("perplexity", "metrics: [accuracy]", "not_a_choice"),
    ("perplexity", "metrics: [bits_per_byte], chance: -1", "not_a_value"),
    ("perplexity", "columns: {label: x}", "unknown_field"),
    ("sentence-similarity", "chance: -2", "not_a_value"),
    ("token-classification", "chance: 2", "not_a_share"),
    ("object-detection", "templates: ['a {}']", "no_templates_here"),
    ("zero-shot-image-classification", "templates: ['a cat']", "bad_templates"),
    ("zero-shot-image-classification", "templates: ['a {} or {}']", "bad_templates"),
    ("zero-shot-image-classification", "templates: [1]", "bad_templates"),
    ("zero-shot-image-classification", "templates: []", "bad_templates"),
    ("perplexity", "generation: {max_new_tokens: 5}", "no_texts_here"),
    ("perplexity", "comparison: {filters: [strip]}", "no_texts_here"),
    ("translation", "chance: 101", "not_a_value"),
    ("perplexity", "asking: {template: '{question}'}", "no_choices_here"),
    ("perplexity", "dtype: float8", "not_a_choice"),
    ("multiple-choice", "asking: {template: 'no place'}", "bad_setting"),
    ("multiple-choice", "asking: {jinja: '{{x}}'}", "bad_setting"),
    ("multiple-choice", "asking: [a]", "bad_setting"),
    ("multiple-choice", "asking: {few_shot: {split: dev}}", "bad_setting"),
    ("multiple-choice", "asking: {few_shot: {split: t, n: 2}}", "same_split"),
]


@pytest.mark.parametrize(("task", "more", "code"), UNFIT)
def test_what_a_family_does_not_have_is_a_problem(task: str, more: str, code: str) -> None:
    text = (
        f"evaluation_framework: modelguild\ntasks:\n  - {{id: a, type: {task}, split: t, {more}}}"
    )
    found = parse(text.encode())
    assert found.tasks == ()
    assert code in [problem.code for problem in found.problems]


def test_templates_reach_the_job_and_are_left_out_where_there_are_none() -> None:
    text = eval_yaml("zero-shot-image-classification", more="templates: ['a {}.', 'the {}']")
    (task,) = parse(text.encode()).tasks
    spec = {"task": task.to_json(), "engine": {"dtype": "float32", "device": "cpu", "seed": 0}}
    spec |= {"model": {"repo": "m", "commit": "a"}, "dataset": {"repo": "d", "commit": "c"}}
    found = inputs.core_spec(spec, model=Path("m"), files=[Path("f")], labels=("a", "b"))
    assert found.templates == ("a {}.", "the {}")
    (plain,) = parse(eval_yaml("perplexity").encode()).tasks
    assert "templates" not in plain.to_json()


@pytest.mark.django_db
def test_a_board_where_lower_is_better_has_the_lowest_first(cast: Cast) -> None:
    baseline = "baselines: [{name: Uniform, bits_per_byte: 8.0}], chance: 8.0"
    yaml = eval_yaml("perplexity", more=baseline)
    benchmark = make_benchmark(cast.owner, eval_yaml=yaml, csv="text\na\n")
    worker = make_worker()
    for name, value in (("worse", 4.0), ("best", 1.5), ("hopeless", 40.0)):
        run = make_run(benchmark, make_model(cast.owner, name), cast.owner)
        held = claim_run(worker=worker)
        assert held is not None
        assert held.pk == run.pk
        start_job(run=held)
        given = outcome(value)
        score = Score(metric="bits_per_byte", position=0, value=value, direction="lower", n=3)
        score.ci_low, score.ci_high = value - 0.1, value + 0.1
        finish_run(run=held, outcome=replace(given, scores=[score]))
    assert LeaderboardEntry.objects.count() == 3
    assert benchmark.current is not None
    rows = leaderboard(Actor(), benchmark.current)
    assert [row.entry.model_repo.name for row in rows] == ["best", "worse", "hopeless"]
    assert [row.placed.best for row in rows] == [1, 2, 3]
    page = cast.web_client("owner").get(benchmark.url_path).content.decode()
    places = [page.index(name) for name in (">olive/best<", ">olive/worse<", "Uniform")]
    assert "lower is better" in page
    assert places == sorted(places)
