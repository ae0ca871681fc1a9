"""Whether probabilities mean what they say. Lower is better for all of it.

Takes `probabilities` of shape `(n, n_labels)` and the number of the true label of each item. Items
without probabilities (NaN) are left out and counted; None where no item is left.
"""

import math

import numpy as np
from numpy.typing import NDArray

from ml_core.arrays import Bools, Floats, Ints
from ml_core.results import Bin, Calibration, TemperatureFit
from ml_core.statistics.estimates import estimate_mean
from ml_core.statistics.intervals import wilson_interval

N_BINS = 15
MIN_PROBABILITY = float(np.finfo(np.float32).tiny)
TEMPERATURE_BOUNDS = (0.01, 100.0)

Probabilities = NDArray[np.float32] | Floats


def calibration(probabilities: Probabilities, truth: Ints) -> Calibration:
    """Every measure of this module."""
    present = _present(probabilities, truth)
    rows, labels = np.asarray(probabilities, np.float64)[present], truth[present]
    brier, nll = brier_per_item(probabilities, truth), nll_per_item(probabilities, truth)
    return Calibration(
        ece=expected_calibration_error(probabilities, truth),
        adaptive_ece=adaptive_calibration_error(probabilities, truth),
        brier=estimate_mean(brier),
        nll=estimate_mean(nll),
        bins=reliability_bins(probabilities, truth),
        temperature=fit_temperature(rows, labels) if len(rows) else None,
        n=int(present.sum()),
        n_missing=int((~present).sum()),
    )


def reliability_bins(
    probabilities: Probabilities, truth: Ints, n_bins: int = N_BINS
) -> tuple[Bin, ...]:
    """Accuracy against confidence in bins (low, high] of equal width; 0 is in the first.

    Confidence is the largest probability; of equal ones the first label is the answer.
    """
    confidence, right = _answers(probabilities, truth)
    at = np.clip(np.ceil(confidence * n_bins).astype(np.int64) - 1, 0, n_bins - 1)
    sizes = np.bincount(at, minlength=n_bins)
    hits = np.bincount(at, weights=right, minlength=n_bins)
    sums = np.bincount(at, weights=confidence, minlength=n_bins)
    return tuple(
        _bin(number / n_bins, (number + 1) / n_bins, int(n), float(total), float(hit))
        for number, (n, total, hit) in enumerate(zip(sizes, sums, hits, strict=True))
    )


def expected_calibration_error(
    probabilities: Probabilities, truth: Ints, n_bins: int = N_BINS
) -> float | None:
    """ECE: mean over items of |accuracy - confidence| of their bin of equal width.

    Source: Guo, Pleiss, Sun and Weinberger, ICML 2017; Naeini, Cooper and Hauskrecht, AAAI 2015.
    """
    bins = [b for b in reliability_bins(probabilities, truth, n_bins) if b.n]
    n = sum(b.n for b in bins)
    gaps = [b.n * abs((b.accuracy or 0.0) - (b.confidence or 0.0)) for b in bins]
    return math.fsum(gaps) / n if n else None


def adaptive_calibration_error(
    probabilities: Probabilities, truth: Ints, n_bins: int = N_BINS
) -> float | None:
    """ECE with bins of equal size: items ordered by confidence, cut in `n_bins` runs.

    Runs differ by at most one item. Items of equal confidence are exchanged for their mean
    accuracy, so that the order among them does not matter.

    Source: Nixon et al., CVPR Workshops 2019; Nguyen and O'Connor, EMNLP 2015.
    """
    confidence, right = _answers(probabilities, truth)
    if len(confidence) == 0:
        return None
    levels, level, sizes = np.unique(confidence, return_inverse=True, return_counts=True)
    accuracy = np.bincount(level, weights=right) / sizes
    order = np.argsort(level, kind="stable")
    excess = (accuracy - levels)[level][order]
    runs = [run for run in np.array_split(excess, n_bins) if len(run)]
    return math.fsum(abs(float(run.sum())) for run in runs) / len(confidence)


def brier_per_item(probabilities: Probabilities, truth: Ints) -> Floats:
    """Sum over labels of (probability - 1 for the true label, 0 for others)², 0 to 2.

    Source: Brier, Monthly Weather Review 78 (1950).
    """
    _present(probabilities, truth)
    rows = np.asarray(probabilities, np.float64)
    own = np.take_along_axis(rows, truth[:, np.newaxis], axis=1)[:, 0] if rows.size else truth
    scores: Floats = np.square(rows).sum(axis=1) - 2.0 * own + 1.0
    return scores


def nll_per_item(probabilities: Probabilities, truth: Ints) -> Floats:
    """-ln of the true label's probability, taken as at least 1.2e-38: at most 87.4."""
    _present(probabilities, truth)
    rows = np.asarray(probabilities, np.float64)
    own = np.take_along_axis(rows, truth[:, np.newaxis], axis=1)[:, 0] if rows.size else truth
    scores: Floats = -np.log(np.clip(own, MIN_PROBABILITY, None))
    return scores


def fit_temperature(probabilities: Floats, truth: Ints) -> TemperatureFit:
    """The T for which softmax(ln p / T) has the least NLL, by Newton's method within bounds.

    In 1 / T the NLL is convex: its slope is the mean of E[z] - z of the true label, its curvature
    the mean variance of z under the tempered probabilities, z = ln p.

    Source: Guo, Pleiss, Sun and Weinberger, ICML 2017, section 4.2.
    """
    logits = np.log(np.clip(probabilities, MIN_PROBABILITY, None))
    logits = logits - logits.max(axis=1, keepdims=True)
    own = np.take_along_axis(logits, truth[:, np.newaxis], axis=1)[:, 0]
    low, high = (1 / bound for bound in reversed(TEMPERATURE_BOUNDS))
    before = float(nll_per_item(probabilities, truth).mean())
    ece = expected_calibration_error(probabilities, truth) or 0.0
    if _slope(logits, own, low)[0] > 0 or _slope(logits, own, high)[0] < 0:
        return TemperatureFit(None, before, None, ece, None)
    inverse = 1.0
    for _ in range(100):
        slope, curvature = _slope(logits, own, inverse)
        low, high = (low, inverse) if slope > 0 else (inverse, high)
        step = inverse - slope / curvature if curvature > 0 else math.nan
        following = step if low < step < high else math.sqrt(low * high)
        if abs(following - inverse) <= 1e-12 * inverse:
            break
        inverse = following
    fitted = _tempered(logits, inverse)
    after = float(nll_per_item(fitted, truth).mean())
    ece_after = expected_calibration_error(fitted, truth)
    return TemperatureFit(1 / inverse, before, after, ece, ece_after)


def _slope(logits: Floats, own: Floats, inverse: float) -> tuple[float, float]:
    """First and second derivative of the NLL by 1 / T."""
    shares = _tempered(logits, inverse)
    mean = (shares * logits).sum(axis=1)
    square = (shares * logits**2).sum(axis=1)
    return float((mean - own).mean()), float((square - mean**2).mean())


def _tempered(logits: Floats, inverse: float) -> Floats:
    weights = np.exp(logits * inverse)
    shares: Floats = weights / weights.sum(axis=1, keepdims=True)
    return shares


def _answers(probabilities: Probabilities, truth: Ints) -> tuple[Floats, Floats]:
    """Confidence, at most 1, and 1 or 0 for right or wrong, of the items that have an answer."""
    present = _present(probabilities, truth)
    rows = np.asarray(probabilities, np.float64)[present]
    if len(rows) == 0:
        return np.empty(0), np.empty(0)
    right = (rows.argmax(axis=1) == truth[present]).astype(np.float64)
    return np.minimum(rows.max(axis=1), 1.0), right


def _present(probabilities: Probabilities, truth: Ints) -> Bools:
    if probabilities.ndim != 2 or len(probabilities) != len(truth):
        raise ValueError("probabilities are one row an item, as many as there are labels")
    if len(truth) and not 0 <= int(truth.min()) <= int(truth.max()) < probabilities.shape[1]:
        raise ValueError("a label number is out of range")
    present: Bools = np.logical_not(np.isnan(probabilities).any(axis=1))
    return present


def _bin(low: float, high: float, n: int, confidence_sum: float, hits: float) -> Bin:
    interval = wilson_interval(hits, n)
    if interval is None:
        return Bin(low, high, 0, None, None, None, None)
    return Bin(low, high, n, confidence_sum / n, hits / n, interval.low, interval.high)
