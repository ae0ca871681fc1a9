"""How sure a score is, and whether two differ: pure functions on numpy arrays.

    estimates    one score: error and interval, plain or clustered, of means, shares and repeats
    bootstrap    the same for metrics that are no means, from sums and counts
    paired       two models on the same items, with a verdict
    ranking      many models: ranges of ranks, tie groups
    slices       groups of items: scores, the worst, the gap
    aggregate    several tasks in one number
    power        what n items can show, how many a difference needs
    corrections  many questions at once

Everywhere NaN in an array is a missing item, None a number that does not exist.
"""

from ml_core.statistics.aggregate import MacroMean, TaskScore, macro_mean
from ml_core.statistics.bootstrap import bootstrap_sums, estimate_sums, ratio_of_sums
from ml_core.statistics.comparison import Comparison, Question, Verdict
from ml_core.statistics.corrections import holm, simultaneous_confidence
from ml_core.statistics.estimates import (
    Estimate,
    RepeatedEstimate,
    estimate,
    estimate_mean,
    estimate_repeats,
    estimate_share,
)
from ml_core.statistics.intervals import CONFIDENCE, Interval, interval_error
from ml_core.statistics.paired import compare_means, compare_shares, compare_sums
from ml_core.statistics.power import items_needed, minimum_detectable_effect
from ml_core.statistics.ranking import Ranked, rank_draws, rank_models
from ml_core.statistics.slices import Gap, GroupScore, Slices, score_slices

__all__ = [
    "CONFIDENCE",
    "Comparison",
    "Estimate",
    "Gap",
    "GroupScore",
    "Interval",
    "MacroMean",
    "Question",
    "Ranked",
    "RepeatedEstimate",
    "Slices",
    "TaskScore",
    "Verdict",
    "bootstrap_sums",
    "compare_means",
    "compare_shares",
    "compare_sums",
    "estimate",
    "estimate_mean",
    "estimate_repeats",
    "estimate_share",
    "estimate_sums",
    "holm",
    "interval_error",
    "items_needed",
    "macro_mean",
    "minimum_detectable_effect",
    "rank_draws",
    "rank_models",
    "ratio_of_sums",
    "score_slices",
    "simultaneous_confidence",
]
