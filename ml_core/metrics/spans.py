"""Scores of tagged words: entities as spans in strict IOB2, and single words.

A span starts at `B-TYPE` and goes on over `I-TYPE` of the same type; an `I-` that continues
nothing is no entity. An entity counts as found where type, start and end are all right. Every
number is a function of sums over sentences, so errors come from a bootstrap over sentences.

Source: the strict mode of seqeval 1.2.2 with the scheme IOB2 (Ramshaw and Marcus, 1995; Tjong Kim
Sang and Veenstra, 1999).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ml_core.arrays import Floats, Ints
from ml_core.metrics.per_item import PerItem, sums_of
from ml_core.metrics.registry import Metric, Setting
from ml_core.metrics.values import metric_value
from ml_core.results import MetricValue
from ml_core.statistics.bootstrap import SumMetric, estimate_sums, ratio_of_sums

OUTSIDE = "O"
_TAG = re.compile(r"([BI])-(.+)", re.DOTALL)

Span = tuple[int, int, int]
"""Number of the type, first word, word behind the last."""


@dataclass(frozen=True)
class Scheme:
    """Tags in IOB2: for each label its prefix (`B`, `I` or `O`) and the number of its type."""

    prefixes: tuple[str, ...]
    type_index: tuple[int, ...]
    types: tuple[str, ...]

    def spans(self, tags: Sequence[int]) -> set[Span]:
        """The entities of a sentence whose words have these label numbers."""
        found: set[Span] = set()
        start, kind = -1, -1
        for at, label in enumerate(tags):
            goes_on = self.prefixes[label] == "I" and kind == self.type_index[label]
            if kind >= 0 and not goes_on:
                found.add((kind, start, at))
                kind = -1
            if self.prefixes[label] == "B":
                start, kind = at, self.type_index[label]
        if kind >= 0:
            found.add((kind, start, len(tags)))
        return found


def iob2_scheme(labels: Sequence[str]) -> Scheme | None:
    """The scheme of `labels`; None where one of them is neither `O` nor `B-…` nor `I-…`."""
    matches = [_TAG.fullmatch(label) for label in labels]
    if any(not m and label != OUTSIDE for m, label in zip(matches, labels, strict=True)):
        return None
    types = tuple(sorted({m.group(2) for m in matches if m}))
    places = {name: at for at, name in enumerate(types)}
    if not types:
        return None
    return Scheme(
        tuple(m.group(1) if m else OUTSIDE for m in matches),
        tuple(places[m.group(2)] if m else -1 for m in matches),
        types,
    )


@dataclass(frozen=True)
class TagCounts:
    """The sufficient statistic: one row a sentence that was answered.

    `entities` has shape `(sentences, types, 3)`: found rightly, true, answered; it is None where
    the tags are no IOB2. `words` has shape `(sentences, 2)`: tagged rightly, all.
    """

    entities: Floats | None
    words: Floats
    types: tuple[str, ...]


def count_tags(
    truth: Sequence[Ints], predicted: Sequence[Ints], scheme: Scheme | None
) -> TagCounts:
    """The counts of sentences, each an array of label numbers of one length in both."""
    pairs = list(zip(truth, predicted, strict=True))
    rows = [[float((t == p).sum()), float(len(t))] for t, p in pairs]
    words = np.array(rows, dtype=np.float64).reshape(len(pairs), 2)
    if scheme is None:
        return TagCounts(None, words, ())
    entities = np.zeros((len(pairs), len(scheme.types), 3))
    for row, (right, said) in enumerate(pairs):
        true_spans, said_spans = scheme.spans(right.tolist()), scheme.spans(said.tolist())
        for place, spans in enumerate((true_spans & said_spans, true_spans, said_spans)):
            for kind, _, _ in spans:
                entities[row, kind, place] += 1
    return TagCounts(entities, words, scheme.types)


def f1_of(sums: Floats) -> Floats:
    """2 found / (true + answered) of rows (found, true, answered); NaN over nothing."""
    return _ratio(2 * sums[..., 0], sums[..., 1] + sums[..., 2])


def precision_of(sums: Floats) -> Floats:
    """Found / answered; NaN where nothing was answered."""
    return _ratio(sums[..., 0], sums[..., 2])


def recall_of(sums: Floats) -> Floats:
    """Found / true; NaN where nothing is true."""
    return _ratio(sums[..., 0], sums[..., 1])


def entity_f1(counts: TagCounts, setting: Setting) -> MetricValue:
    """Micro-averaged F1 of entities; None where no entity is true or answered."""
    what = "micro F1 of entities, strict IOB2"
    return _of_sums("entity_f1", _all_types(counts), f1_of, setting, what)


def entity_precision(counts: TagCounts, setting: Setting) -> MetricValue:
    """Share of the answered entities that are right; None where none is answered."""
    what = "micro precision of entities, strict IOB2"
    return _of_sums("entity_precision", _all_types(counts), precision_of, setting, what)


def entity_recall(counts: TagCounts, setting: Setting) -> MetricValue:
    """Share of the true entities that were found; None where none is true."""
    what = "micro recall of entities, strict IOB2"
    return _of_sums("entity_recall", _all_types(counts), recall_of, setting, what)


def entity_macro_f1(counts: TagCounts, setting: Setting) -> MetricValue:
    """Mean F1 over the types that are true or answered at least once; None for none."""
    rows = _entities(counts)
    n_types = rows.shape[1]

    def macro(sums: Floats) -> Floats:
        scores = f1_of(sums.reshape(-1, n_types, 3))
        there = ~np.isnan(scores)
        return _ratio(np.where(there, scores, 0.0).sum(axis=1), there.sum(axis=1).astype(float))

    what = "mean F1 over entity types, strict IOB2"
    return _of_sums("entity_macro_f1", rows.reshape(len(rows), -1), macro, setting, what)


def tag_accuracy(counts: TagCounts, setting: Setting) -> MetricValue:
    """Share of the words tagged rightly; None for no words."""

    what = "share of words tagged rightly"
    return _of_sums("tag_accuracy", counts.words, ratio_of_sums, setting, what)


def _of_entities(metric: SumMetric) -> PerItem:
    return sums_of("found", "true", "answered", metric=metric)


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("entity_f1", "Entity F1", entity_f1, per_item=_of_entities(f1_of)),
        Metric(
            "entity_precision",
            "Entity precision",
            entity_precision,
            per_item=_of_entities(precision_of),
        ),
        Metric("entity_recall", "Entity recall", entity_recall, per_item=_of_entities(recall_of)),
        Metric("entity_macro_f1", "Entity macro F1", entity_macro_f1),
        Metric(
            "tag_accuracy",
            "Tag accuracy",
            tag_accuracy,
            per_item=sums_of("n_correct", "n_words", metric=ratio_of_sums),
        ),
    )
}
NEED_IOB2 = frozenset(METRICS) - {"tag_accuracy"}
"""Metrics that there are only where the tags are IOB2."""


def _of_sums(
    name: str, rows: Floats, metric: SumMetric, setting: Setting, what: str
) -> MetricValue:
    estimate = estimate_sums(rows, metric, n_draws=setting.n_draws, seed=setting.seed)
    return metric_value(name, estimate, setting, what=what)


def _entities(counts: TagCounts) -> Floats:
    if counts.entities is None:
        raise ValueError("tags that are no IOB2 have no entities")
    return counts.entities


def _all_types(counts: TagCounts) -> Floats:
    totals: Floats = _entities(counts).sum(axis=1)
    return totals


def _ratio(above: Floats, below: Floats) -> Floats:
    return np.where(below == 0, np.nan, above / np.where(below == 0, 1.0, below))
