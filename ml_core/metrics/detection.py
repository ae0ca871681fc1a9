"""Average precision of boxes, as the COCO evaluation has it. Higher is better; 0 to 1.

The value is what faster-coco-eval computes, which only a worker has. Its error is that of a
bootstrap over images: boxes are matched with objects once, and each draw ranks them anew. The
interval is a normal one around the value: the AP of draws is on average above the AP they are drawn
from (percentiles of 210 draws of 2000 images in 80 categories did not hold it), since the best
precision at a recall is a maximum and gains by noise.
"""

from collections.abc import Sequence
from dataclasses import astuple, dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from ml_core.arrays import Bools, Floats, Ints
from ml_core.errors import Code, UserError
from ml_core.metrics.matching import (
    NO_BOXES,
    NO_OBJECTS,
    OVERLAPS,
    SIZES,
    FoundObjects,
    Ranked,
    TrueObjects,
    mean_precision,
    rank_categories,
)
from ml_core.metrics.per_item import Columns, ItemScores, PerItem, draws_of
from ml_core.metrics.registry import Metric, Setting
from ml_core.metrics.values import metric_value
from ml_core.results import MetricValue
from ml_core.statistics.bootstrap import DRAWS
from ml_core.statistics.comparison import Comparison, Question
from ml_core.statistics.distributions import normal_quantile
from ml_core.statistics.estimates import Estimate
from ml_core.statistics.intervals import CONFIDENCE
from ml_core.statistics.paired import compare_rows, count_pairs
from ml_core.statistics.paired_tests import PairedRows
from ml_core.statistics.samples import Sample

DRAWN_WORK = 8_000_000
"""Boxes drawn over all draws, a category counting as `CATEGORY_WORK` more."""
CATEGORY_WORK = 300
MAX_COMPARED = 60_000
"""Boxes of two runs that are compared: a page waits for it, some ten seconds."""
MIN_DRAWS, MAX_DRAWS = 100, 400
"""A standard error needs no more; 400 draws have it to 4 %."""


@dataclass(frozen=True)
class Looks:
    """What is in each image and what a model found there, None where it did not look."""

    truth: Sequence[TrueObjects]
    found: Sequence[FoundObjects | None]
    n_labels: int

    @cached_property
    def categories(self) -> list[Ranked]:
        """Boxes matched with objects; an image that was not looked at has neither."""
        pairs = zip(self.truth, self.found, strict=True)
        looked = [(NO_OBJECTS, NO_BOXES) if f is None else (t, f) for t, f in pairs]
        return rank_categories([t for t, _ in looked], [f for _, f in looked], self.n_labels)

    @cached_property
    def present(self) -> Bools:
        return np.array([found is not None for found in self.found], dtype=np.bool_)

    @property
    def n_boxes(self) -> int:
        return sum(len(found.scores) for found in self.found if found is not None)

    def at(self, rows: Ints) -> "Looks":
        numbers = rows.tolist()
        truth, found = [self.truth[at] for at in numbers], [self.found[at] for at in numbers]
        return Looks(truth, found, self.n_labels)


@dataclass(frozen=True)
class BoxScores(ItemScores):
    """AP over some overlaps, on objects of a size."""

    looks: Looks
    overlaps: slice
    size: int

    @cached_property
    def values(self) -> Floats:  # type: ignore[override]
        """AP of each image alone, 0 where it has no such object."""
        found = np.zeros(len(self.looks.truth))
        for at in range(len(found)):
            alone = self.at(np.array([at])).of_counts(np.ones((1, 1)))[0]
            found[at] = np.nan_to_num(alone)
        return np.where(self.looks.present, found, np.nan)

    def at(self, rows: Ints) -> "BoxScores":
        return BoxScores(self.looks.at(rows), self.overlaps, self.size)

    def of_counts(self, counts: Floats) -> Floats:
        return mean_precision(self.looks.categories, self.size, self.overlaps, counts)

    def estimate(
        self, clusters: Ints | None = None, *, n_draws: int = DRAWS, seed: int = 0
    ) -> Estimate:
        """The error of a bootstrap over images or clusters, and a normal interval of it."""
        sample = Sample.of(np.where(self.looks.present, 0.0, np.nan), clusters)
        there = self.at(np.flatnonzero(self.looks.present))
        value = float(there.of_counts(np.ones((1, sample.n)))[0]) if sample.n else np.nan
        draws = draws_of(there.of_counts, sample, n_draws=self._enough(n_draws), seed=seed)
        is_known = len(draws) >= 2 and not np.isnan(value)
        se = float(np.std(draws, ddof=1)) if is_known else None
        reach = normal_quantile(0.5 + CONFIDENCE / 2) * se if se is not None else np.nan
        of = "images" if sample.n_clusters is None else f"{sample.n_clusters} clusters"
        return Estimate(
            None if np.isnan(value) else value,
            se,
            max(0.0, value - reach) if se is not None else None,
            min(1.0, value + reach) if se is not None else None,
            sample.n,
            sample.n_missing,
            sample.n_clusters,
            f"se of a bootstrap over {of}, {len(draws)} draws, seed {seed}; normal interval",
        )

    def compare(
        self, candidate: ItemScores, question: Question, clusters: Ints | None
    ) -> Comparison:
        """Raises UserError `metric_unknown` for more boxes than `MAX_COMPARED`."""
        assert isinstance(candidate, BoxScores)
        n_boxes = self.looks.n_boxes + candidate.looks.n_boxes
        if n_boxes > MAX_COMPARED:
            raise UserError(
                Code.METRIC_UNKNOWN,
                f"The two runs have {n_boxes:,} boxes together; at most {MAX_COMPARED:,} are "
                "compared.",
            )
        kept = np.flatnonzero(self.looks.present & candidate.looks.present)
        base, other = self.looks.at(kept), candidate.looks.at(kept)
        both = Looks(
            [*base.truth, *other.truth],
            [*base.found, *other.found],
            max(base.n_labels, other.n_labels),
        )
        joined = BoxScores(both, self.overlaps, self.size)

        def of_both(base_rows: Floats | None, candidate_rows: Floats | None) -> Floats:
            given = candidate_rows if base_rows is None else base_rows
            none = np.zeros_like(given)
            sides = [none if side is None else side for side in (base_rows, candidate_rows)]
            return joined.of_counts(np.hstack(sides))

        counted = count_pairs(self.values, candidate.values, clusters)
        codes = None if clusters is None else np.unique(clusters[kept], return_inverse=True)[1]
        rows = PairedRows(of_both, np.ones(len(kept), dtype=np.int64), codes)
        is_equal = all(map(_is_same, base.found, other.found))
        asked = replace(question, n_draws=self._enough(question.n_draws))
        return compare_rows(rows, counted, asked, is_equal=is_equal)

    def _enough(self, n_draws: int) -> int:
        """Fewer draws of large splits, which take longer and need fewer."""
        work = sum(len(of.image) + CATEGORY_WORK for of in self.looks.categories)
        return min(n_draws, MAX_DRAWS, max(MIN_DRAWS, DRAWN_WORK // max(work, 1)))


@dataclass(frozen=True)
class Detections:
    """The statistic of images that were looked at.

    `precision` is of shape `(overlaps, recalls, categories, sizes)`, -1 where there is no object.
    """

    precision: Floats
    looks: Looks

    def value(self, overlaps: slice, size: int) -> float | None:
        """Mean precision; None where no object has such a size."""
        there = self.precision[overlaps, :, :, size]
        there = there[there > -1]
        return float(there.mean()) if there.size else None


def detections_of(
    truth: Sequence[TrueObjects], found: Sequence[FoundObjects], n_labels: int
) -> Detections:
    """The statistic, its `precision` by faster-coco-eval."""
    return Detections(coco_precision(truth, found, n_labels), Looks(truth, found, n_labels))


def coco_precision(
    truth: Sequence[TrueObjects], found: Sequence[FoundObjects], n_labels: int
) -> Floats:
    """Precision by faster-coco-eval, shape `(overlaps, recalls, categories, sizes)`."""
    from faster_coco_eval import COCO, COCOeval_faster

    right = [
        {"bbox": box, "category_id": label, "iscrowd": int(crowd), "area": area, "image_id": at}
        for at, image in enumerate(truth)
        for box, label, crowd, area in zip(
            image.boxes.tolist(),
            image.labels.tolist(),
            image.is_crowd.tolist(),
            image.areas.tolist(),
            strict=True,
        )
    ]
    said = [
        {"bbox": box, "category_id": label, "score": score, "area": box[2] * box[3], "image_id": at}
        for at, image in enumerate(found)
        for box, label, score in zip(
            image.boxes.tolist(), image.labels.tolist(), image.scores.tolist(), strict=True
        )
    ]
    sides = [COCO(_coco_file(rows, len(truth), n_labels)) for rows in (right, said)]
    evaluation: Any = COCOeval_faster(*sides, iouType="bbox", print_function=_silent)
    evaluation.evaluate()
    evaluation.accumulate()
    precision: Floats = np.asarray(evaluation.eval["precision"])[..., -1]
    return precision


def _coco_file(rows: list[dict[str, Any]], n_images: int, n_labels: int) -> dict[str, Any]:
    return {
        "images": [{"id": at} for at in range(n_images)],
        "categories": [{"id": at, "name": str(at)} for at in range(n_labels)],
        "annotations": [{"id": at, **row} for at, row in enumerate(rows, start=1)],
    }


def _silent(*_words: object) -> None:
    """Stands for the library's printing."""


def _is_same(base: FoundObjects | None, candidate: FoundObjects | None) -> bool:
    if base is None or candidate is None:
        return base is candidate
    pairs = zip(astuple(base), astuple(candidate), strict=True)
    return all(np.array_equal(a, b) for a, b in pairs)


COLUMNS = (
    "target",
    "target_boxes",
    "target_crowd",
    "target_areas",
    "prediction",
    "boxes",
    "scores",
)
"""Of the published rows: what is there, and what was found."""


def looks_of(columns: Columns) -> Looks:
    """What is in the published rows."""
    places: dict[str, int] = {}
    truth: list[TrueObjects] = []
    found: list[FoundObjects | None] = []
    for row in zip(*(columns[name] for name in COLUMNS), strict=True):
        names, boxes, crowd, areas, said, said_boxes, scores = row
        labels = _numbered(names, places)
        truth.append(TrueObjects(_boxes(boxes), labels, np.array(crowd, bool), _floats(areas)))
        if said is None:
            found.append(None)
        else:
            labels = _numbered(said, places)
            found.append(FoundObjects(_boxes(said_boxes), labels, _floats(scores)))
    return Looks(truth, found, len(places))


def _numbered(names: Sequence[str], places: dict[str, int]) -> Ints:
    return np.array([places.setdefault(name, len(places)) for name in names], dtype=np.int64)


def _boxes(values: Sequence[Sequence[float]]) -> Floats:
    return _floats(values).reshape(-1, 4)


def _floats(values: Sequence[object]) -> Floats:
    return np.array(values, dtype=np.float64)


def _metric(name: str, title: str, overlaps: slice, size: str, what: str) -> Metric:
    at = list(SIZES).index(size)

    def compute(found: Detections, setting: Setting) -> MetricValue:
        items = BoxScores(found.looks, overlaps, at)
        estimate = items.estimate(n_draws=setting.n_draws, seed=setting.seed)
        estimate = replace(estimate, value=found.value(overlaps, at))
        return metric_value(name, estimate, setting, what=what)

    def read(columns: Columns) -> ItemScores:
        return BoxScores(looks_of(columns), overlaps, at)

    return Metric(name, title, compute, per_item=PerItem(COLUMNS, read), is_slow=True)


_EVERY, _FIRST, _MIDDLE = slice(None), slice(0, 1), slice(5, 6)
assert np.isclose(OVERLAPS[_MIDDLE], 0.75)

METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        _metric("box_ap", "Box AP", _EVERY, "all", "COCO AP, IoU .50 to .95"),
        _metric("box_ap50", "Box AP50", _FIRST, "all", "COCO AP, IoU .50"),
        _metric("box_ap75", "Box AP75", _MIDDLE, "all", "COCO AP, IoU .75"),
        _metric("box_ap_small", "Box AP small", _EVERY, "small", "COCO AP, objects up to 32²"),
        _metric("box_ap_medium", "Box AP medium", _EVERY, "medium", "COCO AP, 32² to 96²"),
        _metric("box_ap_large", "Box AP large", _EVERY, "large", "COCO AP, objects from 96²"),
    )
}
