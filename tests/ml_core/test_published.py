"""Published rows of two runs against each other: by hand, against scipy and scikit-learn."""

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import f1_score

from ml_core.errors import UserError
from ml_core.evaluate.tasks import TASKS
from ml_core.metrics.catalogue import METRICS_OF
from ml_core.published import RunsCompared, Samples, changed_items, compare_samples
from ml_core.statistics import Question

pytestmark = pytest.mark.pure
ACCURACY = METRICS_OF["label"]["accuracy"]


def rows(said, right, **more):
    """Rows of a classifier; None is no answer."""
    return {
        "item_id": [f"i{at}" for at in range(len(said))],
        "target": list(right),
        "prediction": list(said),
        "correct": [None if s is None else s == r for s, r in zip(said, right, strict=True)],
    } | more


def compared(base, candidate, metric=ACCURACY, **question):
    sides = (Samples.of(columns, metric) for columns in (base, candidate))
    asked = Question(metric=metric.name, direction=metric.direction, **question)
    return compare_samples(*sides, asked)


def test_accuracy_by_mcnemar():
    right = ["a"] * 100
    base = rows(["a"] * 60 + ["b"] * 40, right)
    candidate = rows(["b"] * 5 + ["a"] * 75 + ["b"] * 20, right)
    found = compared(base, candidate).comparison
    assert (found.only_base, found.only_candidate, found.n) == (5, 20, 100)
    assert found.difference == pytest.approx(0.15)
    assert found.p == pytest.approx(stats.binomtest(5, 25, 0.5).pvalue)
    assert found.correlation == pytest.approx(
        np.corrcoef(base["correct"], candidate["correct"])[0, 1]
    )


def test_runs_are_matched_by_item_and_what_is_apart_is_counted():
    base = rows(["a", "a", "b", None], ["a"] * 4)
    candidate = {
        name: column[::-1] for name, column in rows(["a", "b", "a", "a"], ["a"] * 4).items()
    }
    candidate["item_id"][0] = "other"
    found = compared(base, candidate)
    assert found.n_apart == 2, "i3 of the base, and the other of the candidate"
    assert (found.comparison.n, found.comparison.n_missing) == (3, 0)
    assert (found.comparison.only_base, found.comparison.only_candidate) == (1, 1)


def test_items_without_an_answer_are_left_out_and_counted():
    found = compared(rows([None, "a", "b"], "aaa"), rows(["a", None, "a"], "aaa")).comparison
    assert (found.n, found.n_missing, found.difference) == (1, 2, 1.0)


def test_nothing_in_common_tells_nothing():
    other = rows(["a"], ["a"]) | {"item_id": ["elsewhere"]}
    for name in ("accuracy", "macro_f1"):
        found = compared(rows(["a"], ["a"]), other, METRICS_OF["label"][name])
        assert (found.comparison.n, found.comparison.p, found.comparison.verdict) == (
            0, None, "cannot_tell",
        )  # fmt: skip


def test_macro_f1_of_runs_that_answer_with_other_labels():
    rng = np.random.default_rng(0)
    right = rng.choice(list("abc"), 200)
    base = np.where(rng.random(200) < 0.5, right, "a")
    candidate = np.where(rng.random(200) < 0.8, right, "z")
    found = compared(
        rows(base.tolist(), right.tolist()),
        rows(candidate.tolist(), right.tolist()),
        METRICS_OF["label"]["macro_f1"],
        n_draws=200,
    )
    assert found.comparison.base == pytest.approx(f1_score(right, base, average="macro"))
    assert found.comparison.candidate == pytest.approx(f1_score(right, candidate, average="macro"))


def test_clusters_of_the_rows_widen_the_interval():
    rng = np.random.default_rng(1)
    right = ["a"] * 200
    by_cluster = np.repeat(rng.random((20, 2)) < 0.5, 10, axis=0)
    sides = [rows(np.where(side, "a", "b").tolist(), right) for side in by_cluster.T]
    marks = {"cluster_id": [str(at // 10) for at in range(200)]}
    alone = compared(*sides).comparison
    together = compared(*(side | marks for side in sides)).comparison
    assert together.n_clusters == 20
    assert together.high - together.low > 2 * (alone.high - alone.low)


def test_each_group_is_compared_alone():
    groups = {"group": ["x"] * 4 + ["y"] * 4 + [None]}
    base = rows("aaaabbbba", "a" * 9, **groups)
    candidate = rows("aaaaaaaba", "a" * 9, **groups)
    found = {each.group: each.comparison for each in compared(base, candidate).groups}
    assert {name: (one.n, one.difference) for name, one in found.items()} == {
        "x": (4, 0.0),
        "y": (4, 0.75),
    }


def test_confusion_change_is_the_difference_of_two_matrices():
    change = compared(rows("aab", "aaa"), rows("abc", "aaa")).confusion
    assert change.labels == ("a", "b", "c")
    assert change.counts == ((-1, 0, 1), (0, 0, 0), (0, 0, 0))
    numbers = {"target": [0, 1], "prediction": [1, 1], "item_id": ["a", "b"], "correct": [True] * 2}
    assert compared(numbers, numbers).confusion is None, "numbers of choices are no labels"


def test_changed_items_say_which_way_and_the_widest_first():
    metric = METRICS_OF["span"]["answer_f1"]
    base, candidate = (
        {
            "item_id": list("abcd"),
            "target": [["t"]] * 4,
            "prediction": list("wxyz"),
            "answer_f1": f1,
        }
        for f1 in ([0.0, 0.5, 1.0, None], [0.2, 1.0, 0.0, 1.0])
    )
    sides = [Samples.of(columns, metric) for columns in (base, candidate)]
    gained = changed_items(*sides, "higher", is_gain=True)
    assert [(each.item_id, each.row) for each in gained] == [("b", 1), ("a", 0)]
    assert [each.item_id for each in changed_items(*sides, "higher", is_gain=False)] == ["c"]
    assert [each.item_id for each in changed_items(*sides, "lower", is_gain=True)] == ["c"]


def test_perplexity_is_recomputed_from_sums_and_lower_is_better():
    metric = METRICS_OF["likelihood"]["byte_perplexity"]
    rng = np.random.default_rng(2)
    n_bytes = rng.integers(5, 50, 80)
    base, candidate = (
        {
            "item_id": [str(at) for at in range(80)],
            "log_likelihood": (-n_bytes * rng.uniform(low, low + 0.4, 80)).tolist(),
            "n_bytes": n_bytes.tolist(),
        }
        for low in (1.0, 0.5)
    )
    found = compared(base, candidate, metric).comparison
    totals = [np.exp(-sum(side["log_likelihood"]) / n_bytes.sum()) for side in (base, candidate)]
    assert [found.base, found.candidate] == pytest.approx(totals)
    assert found.verdict == "better"
    assert found.only_candidate > found.only_base


def test_spearman_is_compared_in_the_same_draws():
    rng = np.random.default_rng(3)
    truth = rng.normal(size=60)
    sides = [
        {
            "item_id": [str(at) for at in range(60)],
            "target": truth.tolist(),
            "prediction": (truth + noise * rng.normal(size=60)).tolist(),
        }
        for noise in (3.0, 0.3)
    ]
    found = compared(*sides, METRICS_OF["similarity"]["spearman"], n_draws=300).comparison
    expected = [stats.spearmanr(side["prediction"], truth).statistic for side in sides]
    assert [found.base, found.candidate] == pytest.approx(expected)
    assert found.verdict == "better"


@pytest.mark.parametrize("margin", [0.0, 0.01, 0.2])
@pytest.mark.parametrize("n_wrong", [(30, 28), (10, 40), (40, 10)])
def test_another_margin_changes_the_answer_as_asking_anew_would(margin, n_wrong):
    sides = [rows(["b"] * n + ["a"] * (100 - n), ["a"] * 100, group=["x"] * 100) for n in n_wrong]
    anew = compared(*sides, margin=margin)
    found = compared(*sides).with_margin(margin)
    for one, other in (
        (found.comparison, anew.comparison),
        (found.groups[0].comparison, anew.groups[0].comparison),
    ):
        assert one.verdict == other.verdict
        assert one.margin == margin
        for n in ("n_for_margin", "n_to_tell", "n_for_seen"):
            assert getattr(one, n) == pytest.approx(getattr(other, n), abs=1)


def test_a_comparison_survives_json():
    found = compared(rows("aab", "aaa", group=["x"] * 3), rows("abc", "aaa", group=["x"] * 3))
    assert RunsCompared.from_json(found.to_json()) == found


def test_a_metric_that_the_rows_do_not_tell_is_refused():
    metric = METRICS_OF["tags"]["entity_macro_f1"]
    with pytest.raises(UserError, match="item by item"):
        Samples.of({"item_id": ["a"]}, metric)


@pytest.mark.parametrize("task", sorted(TASKS))
def test_the_main_metric_of_a_family_says_how_it_is_read_or_has_its_own_column(task):
    family = TASKS[task]
    assert family.known_metrics[family.metrics[0]].of_items.columns
