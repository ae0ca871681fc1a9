"""Two models' predictions compared: accuracy, macro-F1, clusters, missing answers."""

import math

import numpy as np
import pytest

from ml_core.comparing import compare, hits
from ml_core.data.labels import Truth
from ml_core.data.predictions import MISSING, Predictions
from ml_core.errors import UserError
from ml_core.statistics import Question

LABELS = ("a", "b", "c")


def truth_of(labels):
    ids = tuple(f"item-{at}" for at in range(len(labels)))
    return Truth(ids, np.array(labels, np.int64), LABELS)


def predictions_of(truth, labels):
    n = len(labels)
    return Predictions(
        truth.item_ids,
        LABELS,
        np.array(labels, np.int64),
        np.zeros((n, 3), np.float32),
        np.zeros(n, np.bool_),
        (None,) * n,
    )


@pytest.fixture
def two_models():
    rng = np.random.default_rng(0)
    truth = truth_of(rng.integers(0, 3, 400))
    guess = rng.integers(0, 3, (2, 400))
    sides = [
        np.where(rng.random(400) < share, truth.label_index, guess[at])
        for at, share in enumerate((0.6, 0.75))
    ]
    return truth, *(predictions_of(truth, side) for side in sides)


def test_accuracy_is_compared_item_by_item(two_models):
    truth, base, candidate = two_models
    found = compare(base, candidate, truth, Question(margin=0.01))
    assert found.verdict == "better"
    assert found.difference == pytest.approx(
        hits(candidate, truth).mean() - hits(base, truth).mean()
    )
    assert "McNemar" in found.method


def test_macro_f1_is_compared_in_the_same_draws(two_models):
    from sklearn.metrics import f1_score

    truth, base, candidate = two_models
    question = Question(metric="macro_f1", n_draws=1000)
    found = compare(base, candidate, truth, question)
    for value, side in ((found.base, base), (found.candidate, candidate)):
        expected = f1_score(truth.label_index, side.label_index, average="macro")
        assert value == pytest.approx(expected, abs=1e-12)
    assert found.low < found.difference < found.high
    assert found.verdict == "better"
    accuracy = compare(base, candidate, truth, Question())
    assert found.se == pytest.approx(accuracy.se, rel=0.2)
    assert (found.only_base, found.only_candidate) == (accuracy.only_base, accuracy.only_candidate)
    assert compare(base, candidate, truth, question) == found
    back = compare(candidate, base, truth, question)
    assert back.verdict == "worse"
    assert back.difference == pytest.approx(-found.difference)


def test_clusters_of_copies_are_as_good_as_one(two_models):
    truth, base, candidate = two_models
    copies = np.tile(np.arange(400), 2)
    doubled = truth_of(truth.label_index[copies])
    sides = [predictions_of(doubled, side.label_index[copies]) for side in (base, candidate)]
    for metric in ("accuracy", "macro_f1"):
        question = Question(metric=metric, n_draws=1000)
        once = compare(base, candidate, truth, question)
        twice = compare(*sides, doubled, question, clusters=copies.tolist())
        assert twice.n_clusters == 400
        assert twice.difference == pytest.approx(once.difference)
        assert twice.se == pytest.approx(once.se, rel=0.1)
        assert compare(*sides, doubled, question).se < 0.8 * twice.se


def test_missing_answers_are_left_out_and_counted(two_models):
    truth, base, candidate = two_models
    index = candidate.label_index.copy()
    index[:30] = MISSING
    partly = predictions_of(truth, index)
    assert np.isnan(hits(partly, truth)).sum() == 30
    for metric in ("accuracy", "macro_f1"):
        found = compare(base, partly, truth, Question(metric=metric, n_draws=50))
        assert (found.n, found.n_missing) == (370, 30)
        assert not math.isnan(found.base)
    nobody = predictions_of(truth, np.full(400, MISSING))
    for metric in ("accuracy", "macro_f1"):
        found = compare(base, nobody, truth, Question(metric=metric))
        assert (found.n, found.n_missing, found.verdict) == (0, 400, "cannot_tell")
        assert found.base is None


def test_a_model_against_itself_is_as_good_where_items_are_enough(two_models):
    truth, base, _ = two_models
    for metric in ("accuracy", "macro_f1"):
        found = compare(base, base, truth, Question(metric=metric, margin=0.02))
        assert (found.difference, found.p, found.verdict) == (0.0, 1.0, "not_worse")


def test_predictions_of_other_items_and_unknown_metrics_are_refused(two_models):
    truth, base, candidate = two_models
    other = truth_of(truth.label_index[:10])
    with pytest.raises(ValueError, match="same items"):
        compare(base, candidate, other, Question())
    with pytest.raises(UserError, match="no metric"):
        compare(base, candidate, truth, Question(metric="bleu"))
