"""Clusters, groups and calibration of a run's answers: by hand, against scipy and scikit-learn."""

import math

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy import stats
from sklearn.metrics import f1_score

from ml_core.answers.label import KIND
from ml_core.assessment import assess, items_of
from ml_core.data.labels import Truth
from ml_core.data.marks import MAX_GROUPS, Marks, read_marks
from ml_core.data.predictions import MISSING, Predictions
from ml_core.data.withhold import withhold_truth
from ml_core.errors import UserError
from ml_core.evaluate.tasks import get_task
from ml_core.metrics import Setting
from ml_core.metrics.by_group import slices_of
from ml_core.metrics.per_item import Correlations, Labels
from ml_core.metrics.similarity import METRICS as SIMILARITY
from ml_core.records import from_json, to_json
from ml_core.results import Scores
from ml_core.specs import DataSpec, EvaluationSpec, ModelSpec

pytestmark = pytest.mark.pure
LABELS = ("no", "yes")
SETTING = Setting(n_missing=0, n_draws=400, seed=0)


def answers(truth, said, sure=0.8):
    """Predictions that give `sure` to their answer; MISSING gives none."""
    said = np.array(said)
    rows = np.where(np.arange(2) == said[:, None], sure, 1 - sure).astype(np.float32)
    rows[said == MISSING] = np.nan
    n = len(said)
    ids = tuple(map(str, range(n)))
    return (
        Predictions(ids, LABELS, said, rows, np.zeros(n, bool), (None,) * n),
        Truth(ids, np.array(truth), LABELS),
    )


def assessed(truth, said, marks, metrics=("accuracy",)):
    predictions, right = answers(truth, said)
    return assess(KIND, predictions, right, marks, metrics=metrics, setting=SETTING)


def test_clustered_error_by_hand():
    # right: 1 1 | 0 0 | 1 0; mean 1/2, residual sums 1, -1, 0, so se = sqrt(3/2 * 2) / 6
    found = assessed([1] * 6, [1, 1, 0, 0, 1, 0], Marks(("a", "a", "b", "b", "c", "c")))
    (value,) = found.scores.metrics
    assert value.value == 0.5
    assert value.se == pytest.approx(math.sqrt(1.5 * 2) / 6)
    assert value.n_clusters == 3
    assert "clustered, 3 clusters" in value.method
    assert found.samples.column("cluster_id").to_pylist() == ["a", "a", "b", "b", "c", "c"]


def test_an_item_without_a_cluster_stands_alone_and_a_missing_answer_counts_nowhere():
    said = [1, MISSING, 0, 1]
    (value,) = assessed([1] * 4, said, Marks(("a", "a", None, None))).scores.metrics
    assert (value.n, value.n_clusters) == (3, 3)
    assert value.se == pytest.approx(np.std([1, 0, 1], ddof=1) / math.sqrt(3))


def test_without_marks_nothing_but_calibration_is_added():
    predictions, truth = answers([1, 0, 1], [1, 0, 0])
    found = assess(KIND, predictions, truth, Marks(), metrics=("accuracy",), setting=SETTING)
    alone = KIND.score(predictions, truth, metrics=("accuracy",), setting=SETTING)
    assert found.scores.metrics == alone.metrics
    assert found.scores.slices == ()
    assert "group" not in found.samples.column_names


def test_calibration_of_three_items_by_hand():
    # always 0.8 sure, two of three right: |2/3 - 0.8|; Brier 2*0.2² twice, 2*0.8² once
    found = assessed([1, 0, 1], [1, 0, 0], Marks()).scores.calibration
    assert found.ece == pytest.approx(0.8 - 2 / 3, abs=1e-6)
    assert found.brier.value == pytest.approx((2 * 2 * 0.04 + 2 * 0.64) / 3, abs=1e-6)
    assert found.nll.value == pytest.approx(-(2 * math.log(0.8) + math.log(0.2)) / 3, abs=1e-6)
    assert [each.n for each in found.bins if each.n] == [3]


def test_scores_by_group_and_their_gap():
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 2, 300)
    groups = (*("xy"[at % 2] for at in range(299)), None)
    is_right = rng.random(300) < np.where(np.arange(300) % 2, 0.6, 0.9)
    said = np.where(is_right, truth, 1 - truth)
    (sliced,) = assessed(truth, said, Marks(None, groups)).scores.slices
    right = {g: is_right[[at for at, own in enumerate(groups) if own == g]] for g in "xy"}
    for group in sliced.slices.groups:
        assert group.score.value == pytest.approx(right[group.group].mean())
    gap = sliced.slices.gap
    assert (gap.best, gap.worst, sliced.slices.n_ungrouped) == ("x", "y", 1)
    squares = sum(r.var(ddof=1) / len(r) for r in right.values())
    half = stats.t.ppf(0.975, min(map(len, right.values())) - 1) * math.sqrt(squares)
    assert gap.high - gap.low == pytest.approx(2 * half, rel=1e-6)


def test_scores_survive_json():
    scores = assessed(
        [1, 0] * 30, [1, 1] * 30, Marks(("c",) * 60, ("a", "b", "b") * 20), ("accuracy", "macro_f1")
    ).scores
    assert from_json(Scores, to_json(scores)) == scores


def test_clustered_macro_f1_spreads_as_resampled_clusters_do():
    rng = np.random.default_rng(2)
    truth, clusters = rng.integers(0, 3, 120), np.repeat(np.arange(24), 5)
    said = np.where(np.repeat(rng.random(24) < 0.7, 5), truth, (truth + 1) % 3)
    found = Labels(truth, said, ("a", "b", "c")).estimate(clusters, n_draws=600, seed=0)
    assert found.value == pytest.approx(f1_score(truth, said, average="macro"))
    draws = []
    for _ in range(300):
        rows = np.concatenate([np.flatnonzero(clusters == c) for c in rng.integers(0, 24, 24)])
        draws.append(f1_score(truth[rows], said[rows], average="macro"))
    assert found.se == pytest.approx(np.std(draws, ddof=1), rel=0.15)


@pytest.mark.parametrize("name", ["spearman", "pearson"])
def test_correlations_of_counts_are_those_of_repeated_pairs(name):
    rng = np.random.default_rng(3)
    x, y = rng.integers(0, 9, (2, 40)).astype(float)
    counts = rng.integers(0, 4, (5, 40)).astype(float)
    found = Correlations(x, y, name == "spearman").of_counts(counts)
    library = stats.spearmanr if name == "spearman" else stats.pearsonr
    for row, value in zip(counts.astype(int), found, strict=True):
        assert value == pytest.approx(library(np.repeat(x, row), np.repeat(y, row)).statistic)


def test_a_metric_that_is_no_mean_has_groups_too():
    truth = np.array([0, 1] * 40)
    said = np.where(np.arange(80) < 40, truth, 0)
    groups = ["good"] * 40 + ["bad"] * 40
    found = slices_of(Labels(truth, said, LABELS), groups, n_draws=300)
    values = {each.group: each.score.value for each in found.groups}
    assert values == {
        "good": 1.0,
        "bad": pytest.approx(f1_score(truth[40:], said[40:], average="macro")),
    }
    assert found.gap.worst == "bad"
    assert found.gap.low < found.gap.difference < found.gap.high


def test_rows_that_do_not_tell_a_metric_leave_it_out():
    assert items_of(pa.table({"item_id": ["a"]}), SIMILARITY, ["pearson"]) == {}


def split(tmp_path, **columns):
    table = pa.table({"text": ["a", "b", "c"], "label": ["no", "yes", "no"]} | columns)
    pq.write_table(table, tmp_path / "d.parquet")
    return DataSpec((str(tmp_path / "d.parquet"),), columns={})


def test_marks_stay_outside_the_cage(tmp_path):
    data = split(tmp_path, cluster_id=[1, 1, 2], group=["m", None, "f"])
    spec = EvaluationSpec("text-classification", ModelSpec("m"), data, labels=LABELS)
    (tmp_path / "in").mkdir()
    withheld = withhold_truth(spec, get_task(spec.task), tmp_path / "in")
    assert withheld.marks == Marks(("1", "1", "2"), ("m", None, "f"))
    assert pq.read_table(tmp_path / "in/inputs.parquet").column_names == ["text", "item_id"]


MANY = [f"g{at}" for at in range(MAX_GROUPS + 1)]
UNFIT = [
    ("group", [0.5, 1.5]),
    ("group", [["a"], ["b"]]),
    ("cluster_id", [b"a", b"b"]),
    ("group", MANY),
]


@pytest.mark.parametrize(("role", "values"), UNFIT)
def test_a_column_that_cannot_be_a_mark(role, values):
    table = pa.table({role: values})
    assert read_marks(table, {}) == Marks(), "nobody named it: it is called so by chance"
    with pytest.raises(UserError, match=r"holds|names"):
        read_marks(table, {role: role})


def test_groups_are_called_as_the_data_file_calls_their_numbers():
    table = pa.table({"group": [0, 1, None, 7]})
    found = read_marks(table, {}, {"group": ("women", "men")})
    assert found.groups == ("women", "men", None, "7")


@pytest.mark.parametrize("values", [["", ""], [None, None]])
def test_empty_marks_are_none(values):
    assert read_marks(pa.table({"group": pa.array(values, pa.string())}), {}) == Marks()
