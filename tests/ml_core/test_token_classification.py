"""Tags of words: whole runs of a tiny model, entities as seqeval counts them, hostile data."""

import dataclasses
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ml_core import evaluate
from ml_core.answers.tags import KIND, TagPredictions, TagTruth
from ml_core.data.withhold import withhold_truth
from ml_core.errors import PlatformError, UserError
from ml_core.evaluate import get_task
from ml_core.metrics import Setting
from ml_core.metrics.spans import iob2_scheme
from ml_core.specs import DataSpec, EngineSpec, EvaluationSpec, ModelSpec
from tests.support.tiny_models import SENTENCES, TAGS, save_token_classifier

SETTING = Setting(n_missing=0, n_draws=50, seed=0)
TASK = get_task("token-classification")


def rows_of(n, seed=0):
    """Sentences of 1 to 90 words, some of which no window holds whole, and tags at random."""
    rng = np.random.default_rng(seed)
    words = [*" ".join(SENTENCES).split(), "catsitting", "filmstory"]
    texts = [list(rng.choice(words, rng.integers(1, 90))) for _ in range(n)]
    return texts, [[TAGS[at] for at in rng.integers(0, len(TAGS), len(t))] for t in texts]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return save_token_classifier(tmp_path_factory.mktemp("model") / "m")


def spec_of(model, path, columns, **more):
    pq.write_table(pa.table(columns), path)
    engine = EngineSpec(device="cpu", threads=1)
    data = DataSpec((str(path),))
    return EvaluationSpec(
        "token-classification", ModelSpec(str(model)), data, engine=engine, **more
    )


@pytest.fixture
def spec(model, tmp_path):
    texts, tags = rows_of(30)
    return spec_of(model, tmp_path / "d.parquet", {"tokens": texts, "tags": tags})


def reference(folder, words):
    """Tags by transformers alone, one text at a time; the text must fit in one window."""
    from transformers import AutoModelForTokenClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForTokenClassification.from_pretrained(folder).eval()
    batch = tokenizer(words, is_split_into_words=True, return_tensors="pt")
    with torch.inference_mode():
        numbers = model(**batch).logits[0].argmax(-1).tolist()
    ids = batch.word_ids(0)
    return [model.config.id2label[numbers[ids.index(at)]] for at in range(len(words))]


def test_tags_equal_those_of_transformers_word_by_word(spec, model, tmp_path):
    result = evaluate.run(spec, tmp_path / "out")
    rows = pq.read_table(tmp_path / "out/predictions.parquet").to_pylist()
    texts, tags = rows_of(30)
    whole = [at for at, row in enumerate(rows) if not row["truncated"]]
    assert 5 < len(whole) < 30
    assert all(rows[at]["prediction"] == reference(model, texts[at]) for at in whole)
    assert all(len(row["prediction"]) == len(t) for row, t in zip(rows, texts, strict=True))
    said = [name for row in rows for name in row["prediction"]]
    assert len(set(said)) > 2, "a model that answers always the same tests nothing"
    right = [s == t for s, t in zip(said, [t for row in tags for t in row], strict=True)]
    assert result.metric("tag_accuracy").value == pytest.approx(np.mean(right), abs=1e-12)
    assert result.metric("entity_f1").n == 30
    assert result.label_map == {name: name for name in TAGS}
    assert result.scores.confusion is None


def test_batch_size_does_not_change_the_answer(spec, tmp_path):
    first = evaluate.run(spec, tmp_path / "a").predictions.sha256
    small = dataclasses.replace(spec, engine=dataclasses.replace(spec.engine, token_budget=70))
    assert evaluate.run(small, tmp_path / "b").predictions.sha256 == first


def test_a_word_without_a_token_is_outside(model, tmp_path):
    columns = {"tokens": [["the", "\u200b", "cat"]], "tags": [["O", "O", "B-animal"]]}
    spec = spec_of(model, tmp_path / "d.parquet", columns, labels=TAGS)
    evaluate.run(spec, tmp_path / "out")
    (row,) = pq.read_table(tmp_path / "out/predictions.parquet").to_pylist()
    assert row["prediction"][1] == "O"
    parts = tuple(name.removeprefix("B-") for name in TAGS)
    other = save_token_classifier(tmp_path / "pos", tags=("X", *parts[1:]))
    columns["tags"] = [["X", "X", "animal"]]
    spec = spec_of(other, tmp_path / "d.parquet", columns, metrics=("tag_accuracy",))
    spec = dataclasses.replace(spec, labels=("X", *parts[1:]), max_error_share=1.0)
    evaluate.run(spec, tmp_path / "pos-out")
    (row,) = pq.read_table(tmp_path / "pos-out/predictions.parquet").to_pylist()
    assert (row["prediction"], row["error"]) == (None, "no_token")


def test_truth_stays_behind_and_the_parent_scores_what_it_reads(spec, tmp_path):
    (tmp_path / "in").mkdir()
    withheld = withhold_truth(spec, TASK, tmp_path / "in")
    assert pq.read_schema(tmp_path / "in/inputs.parquet").names == ["tokens", "item_id"]
    blind = evaluate.run(withheld.spec, tmp_path / "out")
    assert blind.scores is None
    read = KIND.read(tmp_path / "out/predictions.parquet", withheld.truth)
    scores = KIND.score(
        read, withheld.truth, metrics=TASK.metrics, setting=Setting(0, spec.bootstrap_draws, 0)
    )
    assert (
        scores
        == evaluate.run(dataclasses.replace(spec, labels=blind.labels), tmp_path / "open").scores
    )
    samples = KIND.samples(read, withheld.truth).to_pylist()
    found, true, answered = (sum(s[n] for s in samples) for n in ("found", "true", "answered"))
    assert scores.metrics[0].value == pytest.approx(2 * found / (true + answered), abs=1e-12)


NO_TAGS = pa.array([None], pa.list_(pa.string()))
BROKEN = [
    ({"tokens": ["a b"], "tags": [["O", "O"]]}, "dataset_broken_row", "not a list of texts"),
    ({"tokens": [["a"], []], "tags": [["O"], []]}, "dataset_broken_row", "no texts"),
    ({"tokens": [["a", ""]], "tags": [["O", "O"]]}, "dataset_broken_row", "empty text"),
    ({"tokens": [["a", None]], "tags": [["O", "O"]]}, "dataset_broken_row", "empty text"),
    ({"tokens": [["a"]], "tags": [["O", "O"]]}, "dataset_broken_row", "number of tags"),
    (
        {"tokens": [["a"]], "tags": NO_TAGS},
        "dataset_broken_row",
        "no tags",
    ),
    ({"tokens": [["a", "b"]], "tags": [["O", None]]}, "dataset_broken_row", "without tag"),
    ({"tokens": [["a"]], "tags": ["O"]}, "dataset_broken_row", "needs a list"),
    ({"tokens": [["a"]], "tags": [["B-city"]]}, "dataset_unknown_label", "B-city"),
    ({"tokens": [["a"]], "tags": [[9]]}, "dataset_unknown_label", "9"),
    ({"words": [["a"]], "tags": [["O"]]}, "dataset_missing_column", "tokens"),
]


@pytest.mark.parametrize(("columns", "code", "words"), BROKEN)
def test_broken_data_is_named(columns, code, words, tmp_path):
    spec = spec_of("/m", tmp_path / "d.parquet", columns, labels=TAGS)
    with pytest.raises(UserError, match=words) as caught:
        withhold_truth(spec, TASK, tmp_path)
    assert caught.value.code == code


def test_entities_need_iob2(tmp_path):
    columns = {"tokens": [["a"]], "tags": [["NOUN"]]}
    spec = spec_of("/m", tmp_path / "d.parquet", columns, labels=("NOUN", "VERB"))
    asked = dataclasses.replace(spec, metrics=("entity_f1",))
    with pytest.raises(UserError, match="IOB2") as caught:
        withhold_truth(asked, TASK, tmp_path)
    assert caught.value.code == "spec_invalid"
    plain = dataclasses.replace(spec, metrics=("tag_accuracy",))
    assert withhold_truth(plain, TASK, tmp_path).truth.labels == ("NOUN", "VERB")


def truth_of(*rows):
    tags = tuple(np.array([TAGS.index(name) for name in row], dtype=np.int64) for row in rows)
    return TagTruth(tuple(str(at) for at in range(len(rows))), tags, TAGS)


def answered(truth, *rows):
    tags = tuple(None if r is None else np.array([TAGS.index(n) for n in r]) for r in rows)
    errors = tuple("not_finite" if row is None else None for row in rows)
    return TagPredictions(truth.item_ids, tags, TAGS, np.zeros(len(rows), dtype=np.bool_), errors)


HOSTILE = [
    ({"prediction": [["O"], ["O"]]}, "another number of tags"),
    ({"prediction": [["O", "B-city"], ["O"]]}, "no label"),
    ({"prediction": [["O", None], ["O"]]}, "no label"),
    ({"prediction": ["O", "O"]}, "cannot be used"),
    ({"item_id": ["0", "0"], "prediction": [["O", "O"], ["O"]]}, "item ids"),
    ({"prediction": [["O", "O"], ["O"]], "more": [1, 2]}, "other columns"),
]


@pytest.mark.parametrize(("change", "words"), HOSTILE)
def test_predictions_that_were_not_asked_for_are_refused(change, words, tmp_path):
    columns = {"item_id": ["0", "1"], "prediction": None, "truncated": [False] * 2}
    columns |= {"error": pa.array([None, None], pa.string())} | change
    pq.write_table(pa.table(columns), tmp_path / "p.parquet")
    with pytest.raises(PlatformError, match=words):
        KIND.read(tmp_path / "p.parquet", truth_of(["O", "O"], ["O"]))


def test_missing_answers_are_counted_and_in_no_number(tmp_path):
    truth = truth_of(["B-animal", "O"], ["B-thing"])
    given = answered(truth, ["B-animal", "O"], None)
    KIND.write(given, tmp_path / "p.parquet")
    read = KIND.read(tmp_path / "p.parquet", truth)
    assert read.n_missing == 1
    assert read.errors == (None, "not_finite")
    scores = KIND.score(read, truth, metrics=("entity_f1",), setting=Setting(1, 50, 0))
    (value,) = scores.metrics
    assert (value.value, value.n, value.n_missing, value.se) == (1.0, 1, 1, None)
    assert [row["n_correct"] for row in KIND.samples(read, truth).to_pylist()] == [2, None]


def test_no_entity_anywhere_is_no_score_and_not_zero():
    truth = truth_of(["O", "O"])
    names = ("entity_f1", "entity_precision", "entity_recall", "entity_macro_f1")
    scores = KIND.score(answered(truth, ["O", "O"]), truth, metrics=names, setting=SETTING)
    assert [value.value for value in scores.metrics] == [None] * 4
    assert scores.per_class == ()


# Made with seqeval 1.2.2: classification_report(truth, answers, mode="strict", scheme=IOB2), over
# the tags that the test draws.
SEQEVAL = [
    (
        0,
        [0.64, 0.64, 0.64, 0.63837012],
        [0.6, 0.66666667, 0.63157895],
        [0.66666667, 0.625, 0.64516129],
    ),
    (
        1,
        [0.5483871, 0.5483871, 0.5483871, 0.52804233],
        [0.66666667, 0.70588235, 0.68571429],
        [0.38461538, 0.35714286, 0.37037037],
    ),
    (
        2,
        [0.55, 0.42307692, 0.47826087, 0.47826087],
        [0.6, 0.46153846, 0.52173913],
        [0.5, 0.38461538, 0.43478261],
    ),
    (
        3,
        [0.60869565, 0.53846154, 0.57142857, 0.57744108],
        [0.63636364, 0.63636364, 0.63636364],
        [0.58333333, 0.46666667, 0.51851852],
    ),
]
"""Seed; micro precision, recall and F1, macro F1; precision, recall and F1 of each type."""


@pytest.mark.parametrize(("seed", "wanted", "animal", "thing"), SEQEVAL)
def test_entities_are_those_of_seqeval(seed, wanted, animal, thing):
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 12, 12)
    truth = truth_of(*[[TAGS[at] for at in rng.integers(0, 5, n)] for n in sizes])
    noise = [rng.random(n) < 0.4 for n in sizes]
    rows = [
        [TAGS[at] for at in np.where(wrong, rng.integers(0, 5, len(right)), right)]
        for right, wrong in zip(truth.tags, noise, strict=True)
    ]
    names = ("entity_precision", "entity_recall", "entity_f1", "entity_macro_f1")
    scores = KIND.score(answered(truth, *rows), truth, metrics=names, setting=SETTING)
    found = [value.value for value in scores.metrics]
    assert found == pytest.approx(wanted, abs=1e-6)
    types = {entry.label: [entry.precision, entry.recall, entry.f1] for entry in scores.per_class}
    assert types["animal"] == pytest.approx(animal, abs=1e-6)
    assert types["thing"] == pytest.approx(thing, abs=1e-6)


@given(st.lists(st.integers(0, 4), max_size=12))
def test_spans_neither_overlap_nor_begin_inside(tags):
    scheme = iob2_scheme(TAGS)
    spans = sorted(scheme.spans(tags), key=lambda span: span[1])
    assert len(spans) == sum(TAGS[at].startswith("B-") for at in tags)
    for (_, _, end), (_, start, _) in pairwise(spans):
        assert end <= start
