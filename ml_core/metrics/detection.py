"""Average precision of boxes, as the COCO evaluation has it. Higher is better; 0 to 1.

The value is what faster-coco-eval computes, which only a worker has. Its error is that of a
bootstrap over images: boxes are matched with objects once, and each draw ranks them anew. The
interval is a normal one around the value: the AP of draws is on average above the AP they are drawn
from (percentiles of 210 draws of 2000 images in 80 categories did not hold it), since the best
precision at a recall is a maximum and gains by noise.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ml_core.arrays import Floats
from ml_core.metrics.matching import (
    OVERLAPS,
    SIZES,
    FoundObjects,
    Ranked,
    TrueObjects,
    drawn_precision,
    rank_categories,
)
from ml_core.metrics.registry import Metric, Setting
from ml_core.metrics.values import metric_value
from ml_core.results import MetricValue
from ml_core.seeding import generator
from ml_core.statistics.distributions import normal_quantile
from ml_core.statistics.estimates import Estimate
from ml_core.statistics.intervals import CONFIDENCE

DRAWN_WORK = 8_000_000
"""Boxes drawn for a size over all draws, a category counting as `CATEGORY_WORK` more."""
CATEGORY_WORK = 300
MIN_DRAWS, MAX_DRAWS = 100, 400
"""A standard error needs no more; 400 draws have it to 4 %."""


@dataclass(frozen=True)
class Detections:
    """The statistic: `precision` is of shape `(overlaps, recalls, categories, sizes)`, -1 where
    there is no object; `categories` is what draws are made of."""

    precision: Floats
    categories: Sequence[Ranked]
    n_images: int
    _drawn: dict[tuple[int, int, int], Floats] = field(default_factory=dict)

    def value(self, overlaps: slice, size: int) -> float | None:
        """Mean precision; None where no object has such a size."""
        there = self.precision[overlaps, :, :, size]
        there = there[there > -1]
        return float(there.mean()) if there.size else None

    def draws(self, overlaps: slice, size: int, setting: Setting) -> Floats:
        """Its values in resamples of the images, those that there are."""
        work = sum(len(of.image) + CATEGORY_WORK for of in self.categories)
        most = min(setting.n_draws, MAX_DRAWS)
        n_draws = min(most, max(MIN_DRAWS, DRAWN_WORK // max(work, 1)))
        n_draws = n_draws if self.n_images >= 2 else 0
        key = size, n_draws, setting.seed
        if key not in self._drawn:
            rng = generator(setting.seed)
            self._drawn[key] = drawn_precision(
                self.categories, size, self.n_images, n_draws=n_draws, rng=rng
            )
        values: Floats = self._drawn[key][:, overlaps].mean(axis=1)
        return values[~np.isnan(values)]


def detections_of(
    truth: Sequence[TrueObjects], found: Sequence[FoundObjects], n_labels: int
) -> Detections:
    """The statistic of images that were answered."""
    precision = coco_precision(truth, found, n_labels)
    return Detections(precision, rank_categories(truth, found, n_labels), len(truth))


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


def _precision(
    name: str, overlaps: slice, size: str, what: str
) -> Callable[[Detections, Setting], MetricValue]:
    at = list(SIZES).index(size)

    def compute(found: Detections, setting: Setting) -> MetricValue:
        value = found.value(overlaps, at)
        draws = found.draws(overlaps, at, setting) if value is not None else np.empty(0)
        se = float(np.std(draws, ddof=1)) if len(draws) >= 2 else None
        low, high = (None, None) if value is None or se is None else _interval(value, se)
        method = f"se of a bootstrap over images, {len(draws)} draws, seed {setting.seed}; normal"
        n = found.n_images
        estimate = Estimate(value, se, low, high, n, 0, None, method)
        return metric_value(name, estimate, setting, what=what)

    return compute


def _interval(value: float, se: float) -> tuple[float, float]:
    reach = normal_quantile((1 + CONFIDENCE) / 2) * se
    return max(0.0, value - reach), min(1.0, value + reach)


_EVERY, _FIRST, _MIDDLE = slice(None), slice(0, 1), slice(5, 6)
assert np.isclose(OVERLAPS[_MIDDLE], 0.75)

METRICS: dict[str, Metric] = {
    name: Metric(name, title, _precision(name, overlaps, size, what))
    for name, title, overlaps, size, what in (
        ("box_ap", "Box AP", _EVERY, "all", "COCO AP, IoU .50 to .95"),
        ("box_ap50", "Box AP50", _FIRST, "all", "COCO AP, IoU .50"),
        ("box_ap75", "Box AP75", _MIDDLE, "all", "COCO AP, IoU .75"),
        ("box_ap_small", "Box AP small", _EVERY, "small", "COCO AP, objects under 32² pixels"),
        ("box_ap_medium", "Box AP medium", _EVERY, "medium", "COCO AP, objects of 32² to 96²"),
        ("box_ap_large", "Box AP large", _EVERY, "large", "COCO AP, objects over 96² pixels"),
    )
}
