"""Which boxes found which objects, at every overlap asked for, as the COCO evaluation has it.

In each image and category boxes are taken by falling score, and each finds the free object that it
overlaps most, if by enough. An object outside of the sizes looked at, or a crowd, is ignored: a box
that finds it counts neither as a hit nor as a miss, and so does one of such a size that finds
nothing. Precision at a recall is the best precision at that recall or a higher one, averaged over
101 recalls.

Source: Lin et al., Microsoft COCO, arXiv 1405.0312, and the evaluation its authors publish
(pycocotools), rules of `evaluateImg` and `accumulate`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ml_core.arrays import Bools, Floats, Ints

OVERLAPS: Floats = np.linspace(0.5, 0.95, 10)
RECALLS: Floats = np.linspace(0.0, 1.0, 101)
SIZES: dict[str, tuple[float, float]] = {
    "all": (0.0, 1e10),
    "small": (0.0, 32.0**2),
    "medium": (32.0**2, 96.0**2),
    "large": (96.0**2, 1e10),
}
"""Least and largest area in pixels, both included."""
CHUNK_VALUES = 500_000
MAX_BOXES = 100
"""As many boxes of one image and category take part, those of the highest scores."""
_LOW, _HIGH = np.array(list(SIZES.values())).T[:, :, None]


@dataclass(frozen=True)
class TrueObjects:
    """The objects of one image: boxes of shape `(n, 4)`, the rest of shape `(n,)`.

    Boxes are x, y, width, height in pixels. `areas` are in pixels. A crowd is a region of many,
    that may be found any number of times.
    """

    boxes: Floats
    labels: Ints
    is_crowd: Bools
    areas: Floats


@dataclass(frozen=True)
class FoundObjects:
    """What a model found in one image: boxes of shape `(n, 4)`, the rest of shape `(n,)`."""

    boxes: Floats
    labels: Ints
    scores: Floats


NO_OBJECTS = TrueObjects(np.zeros((0, 4)), *(np.zeros(0, kind) for kind in (int, bool, float)))
NO_BOXES = FoundObjects(np.zeros((0, 4)), np.zeros(0, dtype=np.int64), np.zeros(0))


@dataclass(frozen=True)
class Ranked:
    """The boxes of one category over all images, by falling score.

    `hit` and `ignored` have shape `(sizes, overlaps, boxes)`; `image` is the number of each box's
    image. `true_image` is that of each true object, `counted` says in which sizes it counts.
    """

    image: Ints
    hit: Bools
    ignored: Bools
    true_image: Ints
    counted: Bools

    def average_precision(self, size: int, overlaps: slice, counts: Floats) -> Floats:
        """Mean AP over `overlaps` with images counted as `counts`, `(draws, images)`, says.

        Shape `(draws,)`; NaN where a draw has no object.
        """
        hit, ignored = self.hit[size, overlaps], self.ignored[size, overlaps]
        n_true = counts[:, self.true_image] @ self.counted[size].astype(np.float64)
        hits, misses = hit & ~ignored, ~hit & ~ignored
        n_boxes = int(np.flatnonzero(hits.any(axis=0)).max(initial=-1)) + 1  # later ones are idle
        if n_boxes == 0:
            return np.where(n_true == 0, np.nan, 0.0)
        found = np.empty(len(counts))
        step = max(1, CHUNK_VALUES // (len(hits) * n_boxes))
        for start in range(0, len(counts), step):
            rows = slice(start, start + step)
            weights = counts[rows, None, self.image[:n_boxes]]
            right = np.cumsum(weights * hits[:, :n_boxes], axis=2)
            wrong = np.cumsum(weights * misses[:, :n_boxes], axis=2)
            precision = right / np.maximum(right + wrong, np.spacing(1))
            best = np.maximum.accumulate(precision[:, :, ::-1], axis=2)[:, :, ::-1]
            found[rows] = _at_recalls(right, n_true[rows], best).mean(axis=(1, 2))
        return np.where(n_true == 0, np.nan, found)


def _at_recalls(right: Floats, n_true: Floats, precision: Floats) -> Floats:
    """Precision where each of `RECALLS` is first reached, 0 where it is not.

    `right`, `(draws, overlaps, boxes)`, counts what was found so far. Counts are whole, so all rows
    lie behind each other in one exact search.
    """
    n_draws, n_overlaps, n = right.shape
    wanted = _least_counts(np.maximum(n_true, 1))
    apart = (right.max(initial=0) + wanted.max() + 1) * np.arange(n_draws * n_overlaps)[:, None]
    rows = right.reshape(-1, n) + apart
    asked = np.repeat(wanted, n_overlaps, axis=0) + apart
    places = np.searchsorted(rows.ravel(), asked.ravel(), side="left").reshape(asked.shape)
    places -= n * np.arange(len(rows))[:, None]
    taken = np.take_along_axis(precision.reshape(-1, n), np.minimum(places, n - 1), axis=1)
    found: Floats = np.where(places < n, taken, 0.0)
    return found.reshape(n_draws, n_overlaps, len(RECALLS))


def _least_counts(n_true: Floats) -> Floats:
    """The fewest hits whose share of `n_true` is each of `RECALLS`, as floats compare them."""
    n = n_true[:, None]
    counts = np.ceil(RECALLS * n)
    counts -= (counts - 1) / n >= RECALLS
    counts += counts / n < RECALLS
    return counts


def rank_categories(
    truth: Sequence[TrueObjects], found: Sequence[FoundObjects], n_labels: int
) -> list[Ranked]:
    """The boxes of every category of which there is an object."""
    parts: list[list[_Part]] = [[] for _ in range(n_labels)]
    for image, (right, said) in enumerate(zip(truth, found, strict=True)):
        for label in np.union1d(right.labels, said.labels).tolist():
            parts[label].append(_match(image, label, right, said))
    return [_joined(of) for of in parts if any(len(part.areas) for part in of)]


def count_found(right: TrueObjects, said: FoundObjects, n_labels: int) -> int:
    """How many objects, crowds apart, some box finds at an overlap of a half."""
    categories = rank_categories([right], [said], n_labels)
    return sum(int((of.hit[0, 0] & ~of.ignored[0, 0]).sum()) for of in categories)


def mean_precision(
    categories: Sequence[Ranked], size: int, overlaps: slice, counts: Floats
) -> Floats:
    """Mean AP over the categories that have an object, shape `(draws,)`; NaN for none."""
    total, n_there = np.zeros(len(counts)), np.zeros(len(counts))
    for of in categories:
        values = of.average_precision(size, overlaps, counts)
        is_there = ~np.isnan(values)
        total[is_there] += values[is_there]
        n_there += is_there
    return np.where(n_there == 0, np.nan, total / np.maximum(n_there, 1))


@dataclass(frozen=True)
class _Part:
    """One category in one image: its boxes by falling score, and the objects there."""

    image: int
    scores: Floats
    hit: Bools
    ignored: Bools
    areas: Floats
    counted: Bools


def _match(image: int, label: int, right: TrueObjects, said: FoundObjects) -> _Part:
    wanted, mine = right.labels == label, np.flatnonzero(said.labels == label)
    order = mine[np.argsort(-said.scores[mine], kind="stable")][:MAX_BOXES]
    boxes, crowd, areas = said.boxes[order], right.is_crowd[wanted], right.areas[wanted]
    ignore = (areas < _LOW) | (areas > _HIGH) | crowd  # (sizes, objects)
    overlaps = overlaps_of(boxes, right.boxes[wanted], crowd)
    hit, on_ignored = _greedy(overlaps, ignore, crowd)
    own = boxes[:, 2] * boxes[:, 3]
    is_outside = ((own < _LOW) | (own > _HIGH))[:, None, :]
    ignored = on_ignored | (~hit & is_outside)
    return _Part(image, said.scores[order], hit, ignored, areas, ~ignore)


def _greedy(overlaps: Floats, ignore: Bools, crowd: Bools) -> tuple[Bools, Bools]:
    """Which boxes find an object, and which find an ignored one: `(sizes, overlaps, boxes)`."""
    n_boxes, n_objects = overlaps.shape
    shape = len(SIZES), len(OVERLAPS)
    hit = np.zeros((*shape, n_boxes), dtype=np.bool_)
    on_ignored = np.zeros_like(hit)
    if not n_objects:
        return hit, on_ignored
    least = np.minimum(OVERLAPS, 1 - 1e-10)[:, None]
    is_free = np.ones((*shape, n_objects), dtype=np.bool_)
    preferred = 2.0 * ~ignore[:, None, :]
    sizes, limits = np.indices(shape)
    for box in range(n_boxes):
        enough = is_free & (overlaps[box] >= least)
        is_found = enough.any(axis=2)
        if not is_found.any():
            continue
        value = np.where(enough, overlaps[box] + preferred, -1.0)
        best = n_objects - 1 - value[:, :, ::-1].argmax(axis=2)  # the last of equal ones
        hit[:, :, box] = is_found
        on_ignored[:, :, box] = is_found & ignore[sizes, best]
        is_free[sizes, limits, best] &= ~is_found | crowd[best]
    return hit, on_ignored


def overlaps_of(boxes: Floats, objects: Floats, crowd: Bools) -> Floats:
    """Intersection over union, shape `(boxes, objects)`; over the box alone for a crowd."""
    ends, true_ends = boxes[:, :2] + boxes[:, 2:], objects[:, :2] + objects[:, 2:]
    low = np.maximum(boxes[:, None, :2], objects[None, :, :2])
    high = np.minimum(ends[:, None], true_ends[None])
    common = np.clip(high - low, 0, None).prod(axis=2)
    own, wanted = boxes[:, 2:].prod(axis=1)[:, None], objects[:, 2:].prod(axis=1)
    below = np.where(crowd, own, own + wanted - common)
    found: Floats = common / np.where(below > 0, below, 1.0)
    return found


def _joined(parts: Sequence[_Part]) -> Ranked:
    scores = np.concatenate([part.scores for part in parts])
    order = np.argsort(-scores, kind="stable")
    return Ranked(
        np.array(list(_owners(parts, "scores")), dtype=np.int64)[order],
        np.concatenate([part.hit for part in parts], axis=2)[:, :, order],
        np.concatenate([part.ignored for part in parts], axis=2)[:, :, order],
        np.array(list(_owners(parts, "areas")), dtype=np.int64),
        np.concatenate([part.counted for part in parts], axis=1),
    )


def _owners(parts: Sequence[_Part], of: str) -> Iterator[int]:
    return (part.image for part in parts for _ in getattr(part, of))
