"""Scores of generated texts against right ones: ROUGE, BLEU, chrF++, exact match and F1.

Each item has its own values first: a score where the metric is a mean, counts where it is a metric
of the whole corpus (BLEU, chrF++). A corpus metric is made of the sums of counts, and made again
in each draw of the bootstrap; it is never a mean over items. Higher is better for all.

Source: counts of n-grams by sacrebleu 2.6.0 (Post, arXiv 1804.08771; Popovic, WMT 2017), ROUGE by
rouge_score 0.1.2 with its stemmer and a sentence a line (Lin, 2004). Both are imported where they
are used: only workers have them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from typing import Any

import numpy as np

from ml_core.arrays import Floats
from ml_core.metrics.answers import words_f1
from ml_core.metrics.per_item import Columns, ItemScores, PerItem, Sums
from ml_core.metrics.registry import Metric, Setting
from ml_core.metrics.values import metric_value
from ml_core.results import MetricValue
from ml_core.statistics.bootstrap import SumMetric, estimate_sums
from ml_core.statistics.estimates import estimate, estimate_mean

ROUGE = ("rouge1", "rouge2", "rougeL", "rougeLsum")
BLEU_ORDER = 4
CHRF_ORDERS = 6 + 2
"""Lengths of n-grams: of characters, and of words."""
CHRF_BETA = 2


@dataclass(frozen=True)
class Compared:
    """The statistic: one entry an item that was answered, filters applied.

    `answers` holds None where the filters found nothing; that is never right. `right` has one text
    or more for each. What the libraries count is counted once.
    """

    answers: tuple[str | None, ...]
    right: tuple[tuple[str, ...], ...]
    bleu_tokenizer: str = "13a"

    @cached_property
    def exact(self) -> Floats:
        """1 where the answer is one of the right ones, else 0; shape `(items,)`."""
        pairs = zip(self.answers, self.right, strict=True)
        return np.array([float(said in right) for said, right in pairs], dtype=np.float64)

    @cached_property
    def f1(self) -> Floats:
        """The best F1 of words between white space over the right answers; shape `(items,)`."""
        pairs = zip(self.answers, self.right, strict=True)
        found = [
            0.0 if said is None else max(words_f1(said.split(), one.split()) for one in right)
            for said, right in pairs
        ]
        return np.array(found, dtype=np.float64)

    @cached_property
    def rouge(self) -> Floats:
        """F of each of `ROUGE`, the best over the right answers; shape `(items, 4)`."""
        from rouge_score.rouge_scorer import RougeScorer

        scorer = RougeScorer(list(ROUGE), use_stemmer=True)
        rows = []
        for said, right in zip(self.answers, self.right, strict=True):
            found = scorer.score_multi(list(right), said or "")
            rows.append([found[name].fmeasure for name in ROUGE])
        return np.array(rows, dtype=np.float64).reshape(len(rows), len(ROUGE))

    @cached_property
    def bleu(self) -> "Counts":
        """Words said and right, right n-grams by length, all n-grams; shape `(items, 10)`."""
        from sacrebleu.metrics.bleu import BLEU

        return self._count(BLEU(tokenize=self.bleu_tokenizer, force=True))

    @cached_property
    def chrf(self) -> "Counts":
        """For each length of n-grams those said, right, and in both; shape `(items, 24)`."""
        from sacrebleu.metrics.chrf import CHRF

        return self._count(CHRF(word_order=2))

    def _count(self, metric: Any) -> "Counts":  # sacrebleu has no public name for its counts
        width = max((len(right) for right in self.right), default=1)
        padded = [[*right, *[None] * (width - len(right))] for right in self.right]
        answers = [said or "" for said in self.answers]
        if not answers:
            return Counts(np.empty((0, 3)), "")
        streams = [list(stream) for stream in zip(*padded, strict=True)]
        counts = metric._extract_corpus_statistics(answers, streams)
        signature = metric.get_signature().format()
        return Counts(np.array(counts, dtype=np.float64), signature)


@dataclass(frozen=True)
class Counts:
    """Counts of each item, shape `(items, columns)`, and sacrebleu's signature of how."""

    rows: Floats
    signature: str


def bleu_of(sums: Floats) -> Floats:
    """BLEU from 0 to 100 of rows as in `Compared.bleu`, with sacrebleu's smoothing `exp`."""
    said, right = sums[:, 0], sums[:, 1]
    correct, total = sums[:, 2 : 2 + BLEU_ORDER], sums[:, 2 + BLEU_ORDER :]
    n_empty = np.cumsum(correct == 0, axis=1)
    is_possible = (correct.sum(axis=1) > 0) & (total > 0).all(axis=1)
    safe = np.where(total > 0, total, 1.0)
    precision = np.where(correct > 0, correct / safe, 1 / (2.0**n_empty * safe))
    brevity = np.minimum(0.0, 1 - right / np.where(said > 0, said, 1.0))
    score = 100 * np.exp(np.log(precision).mean(axis=1) + brevity)
    return np.where(is_possible, score, 0.0)


def chrf_of(sums: Floats) -> Floats:
    """chrF++ from 0 to 100 of rows as in `Compared.chrf`: F2 of mean precision and mean recall.

    Lengths of which one side has no n-grams are left out of the means.
    """
    counts = sums.reshape(len(sums), CHRF_ORDERS, 3)
    said, right, both = counts[:, :, 0], counts[:, :, 1], counts[:, :, 2]
    counts_here = (said > 0) & (right > 0)
    n = np.maximum(counts_here.sum(axis=1), 1)
    precision = np.where(counts_here, both / np.where(said > 0, said, 1), 0.0).sum(axis=1) / n
    recall = np.where(counts_here, both / np.where(right > 0, right, 1), 0.0).sum(axis=1) / n
    below = CHRF_BETA**2 * precision + recall
    above = (1 + CHRF_BETA**2) * precision * recall
    return 100 * np.where(below > 0, above / np.where(below > 0, below, 1.0), 0.0)


def bleu(compared: Compared, setting: Setting) -> MetricValue:
    """BLEU of the whole, from 0 to 100."""
    return _of_counts("bleu", compared.bleu, bleu_of, setting)


def chrf(compared: Compared, setting: Setting) -> MetricValue:
    """chrF++ of the whole, from 0 to 100."""
    return _of_counts("chrf", compared.chrf, chrf_of, setting)


def exact_match(compared: Compared, setting: Setting) -> MetricValue:
    """Share of answers that are one of the right ones, after the filters."""
    what = "equal to a right answer after the filters"
    return metric_value("exact_match", estimate(compared.exact), setting, what=what)


def answer_f1(compared: Compared, setting: Setting) -> MetricValue:
    """Mean over items of the best F1 of words."""
    what = "F1 of words, best over right answers, after the filters"
    return metric_value("answer_f1", estimate_mean(compared.f1), setting, what=what)


def _rouge(name: str) -> Callable[[Compared, Setting], MetricValue]:
    def compute(compared: Compared, setting: Setting) -> MetricValue:
        values = compared.rouge[:, ROUGE.index(name)]
        library = f"rouge_score {version('rouge-score')} with stemmer"
        what = f"mean F of {name}, {library}, best over right answers"
        return metric_value(name, estimate_mean(values), setting, what=what)

    return compute


def _from_counts(name: str, metric: SumMetric) -> PerItem:
    """A corpus metric, from the published counts of each item."""
    column = f"{name}_counts"

    def read(columns: Columns) -> ItemScores:
        rows = columns[column]
        width = next((len(row) for row in rows if row is not None), 1)
        nothing = [np.nan] * width
        return Sums(np.array([nothing if row is None else row for row in rows]), metric)

    return PerItem((column,), read)


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("rouge1", "ROUGE-1", _rouge("rouge1")),
        Metric("rouge2", "ROUGE-2", _rouge("rouge2")),
        Metric("rougeL", "ROUGE-L", _rouge("rougeL")),
        Metric("rougeLsum", "ROUGE-Lsum", _rouge("rougeLsum")),
        Metric("bleu", "BLEU", bleu, high=100.0, per_item=_from_counts("bleu", bleu_of)),
        Metric("chrf", "chrF++", chrf, high=100.0, per_item=_from_counts("chrf", chrf_of)),
        Metric("exact_match", "Exact match", exact_match),
        Metric("answer_f1", "Answer F1", answer_f1),
    )
}


def item_values(compared: Compared, metrics: Sequence[str]) -> dict[str, Floats]:
    """By column of the published rows: the value of each item, for the metrics asked for.

    A corpus metric gives what it is for each item alone, and the counts of which the sums make it.
    """
    columns: dict[str, Floats] = {}
    for name in metrics:
        if name in ROUGE:
            columns[name] = compared.rouge[:, ROUGE.index(name)]
        elif name == "exact_match":
            columns[name] = compared.exact
        elif name == "answer_f1":
            columns[name] = compared.f1
        else:
            counts, of_sums = CORPUS[name](compared)
            columns[name] = of_sums(counts.rows) if len(counts.rows) else np.empty(0)
            columns[f"{name}_counts"] = counts.rows
    return columns


CORPUS: dict[str, Callable[[Compared], tuple[Counts, SumMetric]]] = {
    "bleu": lambda compared: (compared.bleu, bleu_of),
    "chrf": lambda compared: (compared.chrf, chrf_of),
}
"""Metrics of the whole corpus, by name."""


def _of_counts(name: str, counts: Counts, metric: SumMetric, setting: Setting) -> MetricValue:
    estimated = estimate_sums(counts.rows, metric, n_draws=setting.n_draws, seed=setting.seed)
    return metric_value(name, estimated, setting, what=counts.signature)
