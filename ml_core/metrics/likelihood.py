"""How well a model foretells text, by byte and by word, so that tokenizers do not matter.

Every number is a function of sums over texts, so errors come from a bootstrap over texts. Lower is
better for all. Source: bits per byte as in Gao et al., The Pile, arXiv 2101.00027, section 3.1, and
lm-evaluation-harness 0.4.13 (`bits_per_byte`, `byte_perplexity`, `word_perplexity`).
"""

import math
from dataclasses import dataclass

import numpy as np

from ml_core.arrays import Floats
from ml_core.metrics.per_item import PerItem, sums_of
from ml_core.metrics.registry import Metric, Setting
from ml_core.metrics.values import metric_value
from ml_core.results import MetricValue
from ml_core.statistics.bootstrap import estimate_sums, ratio_of_sums


@dataclass(frozen=True)
class Foretold:
    """The sufficient statistic: one entry a text that was scored."""

    log_likelihood: Floats
    n_bytes: Floats
    n_words: Floats


def bits_per_byte(texts: Foretold, setting: Setting) -> MetricValue:
    """Minus log2 likelihood over bytes of UTF-8; None for no bytes."""
    rows = np.stack([-texts.log_likelihood / math.log(2), texts.n_bytes], axis=1)
    estimate = estimate_sums(rows, ratio_of_sums, n_draws=setting.n_draws, seed=setting.seed)
    what = "-log2 likelihood / bytes of UTF-8"
    return metric_value("bits_per_byte", estimate, setting, what=what, direction="lower")


def byte_perplexity(texts: Foretold, setting: Setting) -> MetricValue:
    """exp(-log likelihood / bytes); None for no bytes."""
    what = "exp(-log likelihood / bytes of UTF-8)"
    return _perplexity("byte_perplexity", texts, texts.n_bytes, setting, what)


def word_perplexity(texts: Foretold, setting: Setting) -> MetricValue:
    """exp(-log likelihood / words), words being what white space parts; None for no words."""
    what = "exp(-log likelihood / words between white space)"
    return _perplexity("word_perplexity", texts, texts.n_words, setting, what)


def _bits(sums: Floats) -> Floats:
    return ratio_of_sums(-sums / np.array([math.log(2), -1.0]))


def _perplexity_of(units: str) -> PerItem:
    return sums_of("log_likelihood", units, metric=lambda sums: _exp(sums * np.array([-1.0, 1.0])))


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric(
            "bits_per_byte",
            "Bits per byte",
            bits_per_byte,
            "lower",
            None,
            per_item=sums_of("log_likelihood", "n_bytes", metric=_bits),
        ),
        Metric(
            "byte_perplexity",
            "Byte perplexity",
            byte_perplexity,
            "lower",
            None,
            per_item=_perplexity_of("n_bytes"),
        ),
        Metric(
            "word_perplexity",
            "Word perplexity",
            word_perplexity,
            "lower",
            None,
            per_item=_perplexity_of("n_words"),
        ),
    )
}


def _perplexity(
    name: str, texts: Foretold, units: Floats, setting: Setting, what: str
) -> MetricValue:
    rows = np.stack([-texts.log_likelihood, units], axis=1)
    estimate = estimate_sums(rows, _exp, n_draws=setting.n_draws, seed=setting.seed)
    return metric_value(name, estimate, setting, what=what, direction="lower")


def _exp(sums: Floats) -> Floats:
    with np.errstate(over="ignore"):
        return np.exp(ratio_of_sums(sums))
