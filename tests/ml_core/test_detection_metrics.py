"""Average precision of boxes against pycocotools and against examples worked by hand."""

import contextlib
import dataclasses
import io

import numpy as np
import pytest

from ml_core.errors import UserError
from ml_core.metrics import Setting, detection
from ml_core.metrics.detection import METRICS, BoxScores, Looks, detections_of
from ml_core.metrics.matching import (
    SIZES,
    FoundObjects,
    TrueObjects,
    count_found,
    mean_precision,
    overlaps_of,
)
from ml_core.statistics.comparison import Question


def true(boxes, labels, crowd=None, areas=None):
    boxes = np.array(boxes, dtype=np.float64).reshape(-1, 4)
    crowd = np.array(crowd or [False] * len(boxes), dtype=bool)
    areas = boxes[:, 2] * boxes[:, 3] if areas is None else np.array(areas, dtype=np.float64)
    return TrueObjects(boxes, np.array(labels, dtype=np.int64), crowd, areas)


def found(boxes, labels, scores):
    boxes = np.array(boxes, dtype=np.float64).reshape(-1, 4)
    labels, scores = np.array(labels, dtype=np.int64), np.array(scores, dtype=np.float64)
    return FoundObjects(boxes, labels, scores)


def random_images(seed, n_images, n_labels, most=10, digits=2):
    """Objects of all sizes, some of them crowds, and boxes near and far; scores have ties where
    they have few digits."""
    rng = np.random.default_rng(seed)
    some = lambda n: np.c_[rng.uniform(0, 200, (n, 2)), rng.uniform(4, 150, (n, 2))]  # noqa: E731
    truth, said = [], []
    for _ in range(n_images):
        n, m = rng.integers(0, most), rng.integers(0, 3 * most)
        boxes, labels = some(n), rng.integers(0, n_labels, n)
        areas = boxes[:, 2] * boxes[:, 3] * rng.uniform(0.5, 1, n)
        truth.append(TrueObjects(boxes, labels, rng.random(n) < 0.15, areas))
        near, kinds = some(m), rng.integers(0, n_labels, m)
        if n:
            source = rng.integers(0, n, m)
            near = boxes[source] + rng.normal(0, 6, (m, 4))
            kinds = np.where(rng.random(m) < 0.8, labels[source], kinds)
        near[:, 2:] = np.clip(near[:, 2:], 0, None)
        said.append(FoundObjects(near, kinds, np.round(rng.random(m), digits)))
    return truth, said


def reference(truth, said, n_labels):
    """The first six numbers that pycocotools prints."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    rows = [
        {"image_id": i, "bbox": b, "category_id": c, "iscrowd": int(o), "area": a}
        for i, image in enumerate(truth)
        for b, c, o, a in zip(
            image.boxes.tolist(), image.labels.tolist(), image.is_crowd, image.areas, strict=True
        )
    ]
    answers = [
        {"image_id": i, "bbox": b, "category_id": c, "score": s}
        for i, image in enumerate(said)
        for b, c, s in zip(image.boxes.tolist(), image.labels.tolist(), image.scores, strict=True)
    ]
    right = COCO()
    right.dataset = {
        "images": [{"id": at} for at in range(len(truth))],
        "categories": [{"id": at} for at in range(n_labels)],
        "annotations": [{"id": at, **row} for at, row in enumerate(rows, start=1)],
    }
    with contextlib.redirect_stdout(io.StringIO()):
        right.createIndex()
        evaluation = COCOeval(right, right.loadRes(answers), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation.stats[:6]


def values_of(truth, said, n_labels, n_draws=0):
    detections = detections_of(truth, said, n_labels)
    return [metric.compute(detections, Setting(0, n_draws, 0)) for metric in METRICS.values()]


@pytest.mark.parametrize("seed", range(6))
def test_random_boxes_score_as_pycocotools_says(seed):
    truth, said = random_images(seed, n_images=25, n_labels=1 + seed % 4)
    expected = reference(truth, said, 1 + seed % 4)
    given = [value.value for value in values_of(truth, said, 1 + seed % 4)]
    assert given == pytest.approx(expected, abs=1e-6)
    assert 0 < given[0] < given[1] < 1


@pytest.mark.parametrize("seed", range(3))
def test_draws_are_made_of_the_same_matches(seed):
    """Every image once gives pycocotools' number, an image twice that of two such images."""
    truth, said = random_images(seed, n_images=20, n_labels=3, digits=12)
    twice = [*range(20), 3, 3, 7]
    expected = reference([truth[at] for at in twice], [said[at] for at in twice], 3)
    counts = np.ones((1, 20))
    counts[0, [3, 7]] = 3, 2
    categories = detections_of(truth, said, 3).looks.categories
    every = slice(None)
    drawn = [mean_precision(categories, at, every, counts)[0] for at in range(len(SIZES))]
    assert drawn == pytest.approx(np.delete(expected, [1, 2]), abs=1e-9)


def test_by_hand():
    """Two objects; the better box is right, the worse one overlaps by a third: AP is 51 of 101."""
    truth = [true([[0, 0, 10, 10], [50, 50, 10, 10]], [0, 0])]
    said = [found([[0, 0, 10, 10], [55, 50, 10, 10]], [0, 0], [0.9, 0.8])]
    values = {v.name: v.value for v in values_of(truth, said, 1)}
    assert values["box_ap"] == pytest.approx(51 / 101, abs=1e-12)
    assert values["box_ap_small"] == values["box_ap"]
    assert values["box_ap_medium"] is None
    assert values["box_ap_large"] is None
    assert count_found(truth[0], said[0], 1) == 1


def test_overlaps_by_hand():
    boxes = np.array([[0, 0, 10, 10], [5, 0, 10, 10], [20, 20, 0, 5]], dtype=float)
    objects = np.array([[0, 0, 10, 10], [0, 0, 100, 100]], dtype=float)
    given = overlaps_of(boxes, objects, np.array([False, True]))
    assert given == pytest.approx(np.array([[1, 1], [1 / 3, 1], [0, 0]]))


def test_a_crowd_is_neither_hit_nor_miss():
    truth = [true([[0, 0, 10, 10], [50, 50, 40, 40]], [0, 0], crowd=[False, True])]
    in_crowd = [[50, 50, 10, 10], [60, 60, 10, 10]]
    said = [found([*in_crowd, [0, 0, 10, 10]], [0, 0, 0], [0.9, 0.8, 0.7])]
    assert values_of(truth, said, 1)[0].value == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("truth", "said", "expected"),
    [
        ([true([], [])], [found([], [], [])], None),
        ([true([], [])], [found([[0, 0, 5, 5]], [0], [0.5])], None),
        ([true([[0, 0, 5, 5]], [0])], [found([], [], [])], 0.0),
        ([], [], None),
    ],
)
def test_nothing_true_has_no_value_and_nothing_found_is_zero(truth, said, expected):
    value = values_of(truth, said, 2, n_draws=20)[0]
    assert value.value == expected
    assert value.se is None


def test_the_error_is_that_of_drawing_other_images():
    """Against the spread over samples drawn anew from the same source; each knows it roughly."""
    samples = [random_images(seed, 40, 1) for seed in range(100, 120)]
    values = [values_of(*sample, 1)[0].value for sample in samples]
    given = [values_of(*sample, 1, n_draws=60)[0] for sample in samples[:3]]
    assert np.mean([one.se for one in given]) == pytest.approx(np.std(values, ddof=1), rel=0.4)
    assert all(one.ci_low < one.value < one.ci_high for one in given)
    assert values_of(*samples[0], 1, n_draws=60)[0] == given[0]


def test_two_models_are_compared_on_the_same_images():
    truth, said = random_images(1, 40, 2, digits=12)
    worse = [dataclasses.replace(one, boxes=one.boxes + 8.0) for one in said]
    sides = [BoxScores(Looks(truth, found, 2), slice(None), 0) for found in (said, worse)]
    expected = [reference(truth, found, 2)[0] for found in (said, worse)]
    question = Question(metric="box_ap", n_draws=100)
    found = sides[0].compare(sides[1], question, None)
    assert [found.base, found.candidate] == pytest.approx(expected, abs=1e-9)
    assert found.verdict == "worse"
    assert found.only_base > found.only_candidate
    assert sides[0].compare(sides[0], question, None).difference == 0


def test_an_image_that_was_not_looked_at_counts_nothing():
    truth, said = random_images(2, 20, 2)
    some = BoxScores(Looks(truth, [None, *said[1:]], 2), slice(None), 0)
    rest = BoxScores(Looks(truth[1:], said[1:], 2), slice(None), 0)
    found, expected = some.estimate(n_draws=50), rest.estimate(n_draws=50)
    assert (found.value, found.se) == (expected.value, expected.se)
    assert (found.n, found.n_missing) == (19, 1)
    clusters = np.arange(20) // 2
    assert some.estimate(clusters, n_draws=50).n_clusters == 10


def test_more_boxes_than_a_page_waits_for_are_not_compared(monkeypatch):
    truth, said = random_images(3, 10, 2)
    side = BoxScores(Looks(truth, said, 2), slice(None), 0)
    monkeypatch.setattr(detection, "MAX_COMPARED", 2 * side.looks.n_boxes - 1)
    with pytest.raises(UserError, match="boxes together"):
        side.compare(side, Question(metric="box_ap"), None)
