"""Exact match and F1 of short answers in words, as SQuAD compares them.

Source: the official evaluation scripts of SQuAD 1.1 and 2.0 (Rajpurkar et al., arXiv 1606.05250 and
1806.03822): lower case, no punctuation, no articles, white space as one space.
"""

import re
import string
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from ml_core.arrays import Floats
from ml_core.metrics.registry import Metric, Setting
from ml_core.metrics.values import metric_value
from ml_core.results import MetricValue
from ml_core.statistics.estimates import estimate, estimate_mean

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


@dataclass(frozen=True)
class Agreement:
    """The statistic: one entry a question that was answered, the best over its right answers."""

    exact: Floats
    f1: Floats


def normalised(text: str) -> str:
    """`text` as SQuAD compares it."""
    plain = text.lower().translate(_PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", plain).split())


def exact_of(answer: str, right: Sequence[str]) -> float:
    """1 where `answer` equals one of `right`, else 0; where none is right, silence is."""
    return float(any(normalised(answer) == normalised(one) for one in right or ("",)))


def f1_of(answer: str, right: Sequence[str]) -> float:
    """The best F1 of words shared with one of `right`; of two silences 1, of one 0."""
    return max(
        words_f1(normalised(answer).split(), normalised(one).split()) for one in right or ("",)
    )


def words_f1(said: list[str], right: list[str]) -> float:
    """F1 of two lists of words as bags; 1 where both are empty, 0 where one is."""
    if not said or not right:
        return float(said == right)
    shared = (Counter(said) & Counter(right)).total()
    return 2 * shared / (len(said) + len(right))


def exact_match(agreement: Agreement, setting: Setting) -> MetricValue:
    """Share of questions answered with the very words of a right answer."""
    what = "equal to a right answer after SQuAD's normalisation"
    return metric_value("exact_match", estimate(agreement.exact), setting, what=what)


def answer_f1(agreement: Agreement, setting: Setting) -> MetricValue:
    """Mean over questions of the best F1 of words."""
    what = "F1 of words, best over right answers, SQuAD's normalisation"
    return metric_value("answer_f1", estimate_mean(agreement.f1), setting, what=what)


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("answer_f1", "Answer F1", answer_f1),
        Metric("exact_match", "Exact match", exact_match),
    )
}
