"""Tails and quantiles of the normal, Student and binomial distributions; no scipy needed."""

import math
from functools import lru_cache
from statistics import NormalDist

import numpy as np

from ml_core.arrays import Floats

MAX_TERMS = 20_000
_TINY = 1e-300
_STIRLING_FROM = 10


def normal_quantile(share: float) -> float:
    """Where the standard normal distribution has `share` below it, `share` inside (0, 1)."""
    return NormalDist().inv_cdf(share)


def normal_two_sided_p(z: float) -> float:
    """How often a standard normal number is at least as far from 0 as `z`."""
    return math.erfc(abs(z) / math.sqrt(2))


def student_two_sided_p(t: Floats, df: float) -> Floats:
    """How often Student's t with `df` degrees of freedom is at least as far from 0 as each `t`.

    P(|T| > t) = I(df / (df + t²); df / 2, 1 / 2). Source: DLMF 8.17.
    """
    square = np.square(np.asarray(t, dtype=np.float64))
    square = np.minimum(square, 1e300)
    return incomplete_beta(df / 2, 0.5, df / (df + square), square / (df + square))


@lru_cache(maxsize=1024)
def student_quantile(confidence: float, df: float) -> float:
    """The t of which `confidence` of Student's distribution lies between -t and t.

    Newton's method from the normal quantile: the tail is convex and the start is left of the root,
    so that every step goes towards it and none beyond but by rounding.
    """
    if not 0 < confidence < 1 or df <= 0:
        raise ValueError("confidence is inside (0, 1) and df above 0")
    tail = 1 - confidence
    t = normal_quantile(1 - tail / 2)
    for _ in range(200):
        step = (float(student_two_sided_p(np.array(t), df)) - tail) / (2 * _student_density(t, df))
        if step <= 1e-13 * t:
            break
        t += step
    return t


def binomial_cdf(successes: int, n: int, share: float) -> float:
    """How often at most `successes` of `n` independent tries succeed, each with chance `share`.

    P(X <= k) = I(1 - share; n - k, k + 1). Source: DLMF 8.17.5.
    """
    if successes < 0:
        return 0.0
    if successes >= n:
        return 1.0
    low, high = np.array(1 - share), np.array(share)
    return float(incomplete_beta(n - successes, successes + 1, low, high))


def incomplete_beta(a: float, b: float, x: Floats, complement: Floats) -> Floats:
    """The regularised incomplete beta function I(x; a, b) of each `x` in [0, 1].

    `complement` is 1 - x, asked for because near 1 the difference would lose its digits. Lentz's
    evaluation of the continued fraction. Source: DLMF 8.17.22.
    """
    shape = np.shape(x)
    x, complement = np.atleast_1d(x).astype(float), np.atleast_1d(complement).astype(float)
    direct = x < (a + 1) / (a + b + 2)
    result = np.empty_like(x)
    result[direct] = _beta_tail(a, b, x[direct], complement[direct])
    result[~direct] = 1 - _beta_tail(b, a, complement[~direct], x[~direct])
    return np.clip(result, 0.0, 1.0).reshape(shape)


def _beta_tail(a: float, b: float, x: Floats, complement: Floats) -> Floats:
    with np.errstate(divide="ignore"):
        front = np.exp(_log_power(a, b, x, complement)) / a
    return np.where(front > 0, front * _beta_fraction(a, b, x), 0.0)


def _log_power(a: float, b: float, x: Floats, complement: Floats) -> Floats:
    """ln(x^a (1 - x)^b / B(a, b)), without the large terms that would cancel.

    For large a and b around the mode, as Loader, Fast and Accurate Computation of Binomial
    Probabilities (2000).
    """
    total = a + b
    if min(a, b) >= _STIRLING_FROM:
        near = np.log1p(np.maximum((x * total - a) / a, -1.0))
        far = np.log1p(np.maximum((complement * total - b) / b, -1.0))
        rest = _stirling_error(total) - _stirling_error(a) - _stirling_error(b)
        return a * near + b * far + 0.5 * math.log(a * (b / total) / (2 * math.pi)) + rest
    small, large = min(a, b), max(a, b)
    if large < _STIRLING_FROM:
        log_beta = math.lgamma(a) + math.lgamma(b) - math.lgamma(total)
    else:
        fall = small - (large - 0.5) * math.log1p(small / large) - small * math.log(total)
        rest = _stirling_error(large) - _stirling_error(total)
        log_beta = math.lgamma(small) + fall + rest
    return a * np.log(x) + b * np.log(complement) - log_beta


def _stirling_error(x: float) -> float:
    """ln Gamma(x) less Stirling's (x - 1/2) ln x - x + ln(2 pi) / 2, for x from 10. DLMF 5.11.1."""
    square = 1 / (x * x)
    terms = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156)
    return sum(term * square**power for power, term in enumerate(terms)) / x


def _beta_fraction(a: float, b: float, x: Floats) -> Floats:
    upper = np.ones_like(x)
    lower = 1 / _off_zero(1 - (a + b) * x / (a + 1))
    value = lower.copy()
    for m in range(1, MAX_TERMS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            lower = 1 / _off_zero(1 + term * lower)
            upper = _off_zero(1 + term / upper)
            change = upper * lower
            value *= change
        if np.all(np.abs(change - 1) < 1e-15):
            break
    return value


def _off_zero(values: Floats) -> Floats:
    return np.where(np.abs(values) < _TINY, _TINY, values)


def _student_density(t: float, df: float) -> float:
    front = math.lgamma((df + 1) / 2) - math.lgamma(df / 2) - 0.5 * math.log(df * math.pi)
    return math.exp(front - (df + 1) / 2 * math.log1p(t * t / df))
