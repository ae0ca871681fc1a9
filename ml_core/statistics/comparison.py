"""What a paired comparison of two models answers: a difference, its doubt, and a verdict."""

from dataclasses import asdict, dataclass, replace
from typing import Literal

from ml_core.directions import Direction
from ml_core.records import from_json
from ml_core.statistics.intervals import Interval
from ml_core.statistics.power import (
    detectable_in_errors,
    items_needed,
    minimum_detectable_effect,
)

Verdict = Literal["better", "not_worse", "worse", "cannot_tell"]


@dataclass(frozen=True)
class Question:
    """What is asked of a comparison.

    Args:
        margin: by how much the candidate may be worse and still pass, in the metric's unit.
        direction: whether a higher or a lower value is better.
        confidence: of the interval; p is held against 1 - confidence.
        seed, n_draws: of whatever is drawn at random.
    """

    metric: str = "accuracy"
    direction: Direction = "higher"
    margin: float = 0.0
    confidence: float = 0.95
    seed: int = 0
    n_draws: int = 2000

    def __post_init__(self) -> None:
        if not 0 <= self.margin < float("inf"):
            raise ValueError("the margin is a number from 0 up")
        if not 0 < self.confidence < 1:
            raise ValueError("the confidence is inside (0, 1)")


@dataclass(frozen=True)
class Measured:
    """The numbers of a comparison before anybody asks what they mean.

    `planning_se` is the error with which to plan a larger comparison: never 0 for want of
    disagreement. `base_higher` and `candidate_higher` count the items on which just that one is.
    """

    base: float | None
    candidate: float | None
    se: float | None
    planning_se: float | None
    interval: Interval | None
    p: float | None
    n: int
    n_missing: int
    n_clusters: int | None
    base_higher: int
    candidate_higher: int
    correlation: float | None
    method: str


@dataclass(frozen=True)
class Comparison:
    """A candidate against a base on the same items. What does not exist is None, never 0.

    `difference` is candidate minus base in the metric's own unit, `low` and `high` its interval at
    `confidence`. `n` items have an answer of both; `n_missing` lack one and are in none of the
    numbers. `only_base` and `only_candidate` count items on which just that one is better (for
    right and wrong: is right). `correlation` is that of the two models' items. `detectable` is the
    smallest difference such a comparison finds with 80 % power.

    `n_for_seen` items would show a true difference as large as the one seen, `n_for_margin` would
    show that equal models are within `margin` of each other, each with 80 % power. Where the
    verdict is "cannot_tell", `n_to_tell` items would bring one if the true difference is the one
    seen.
    """

    metric: str
    direction: Direction
    base: float | None
    candidate: float | None
    difference: float | None
    se: float | None
    low: float | None
    high: float | None
    p: float | None
    confidence: float
    method: str
    n: int
    n_missing: int
    n_clusters: int | None
    only_base: int
    only_candidate: int
    correlation: float | None
    margin: float
    detectable: float | None
    n_for_seen: int | None
    n_for_margin: int | None
    n_to_tell: int | None
    verdict: Verdict

    def to_json(self) -> dict[str, object]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: object) -> "Comparison":
        """Raises RecordError (a ValueError) for a value that is no comparison."""
        return from_json(cls, value)


def conclude(measured: Measured, question: Question) -> Comparison:
    """The comparison that these numbers make, with its verdict."""
    base, candidate, interval = measured.base, measured.candidate, measured.interval
    difference = None if base is None or candidate is None else candidate - base
    se, n = measured.planning_se, measured.n
    answer = _answer(n, se, difference, interval, measured.p, question)
    better = (measured.base_higher, measured.candidate_higher)
    only_base, only_candidate = better if question.direction == "higher" else better[::-1]
    return Comparison(
        metric=question.metric,
        direction=question.direction,
        base=base,
        candidate=candidate,
        difference=difference,
        se=measured.se,
        low=interval.low if interval else None,
        high=interval.high if interval else None,
        p=measured.p,
        confidence=question.confidence,
        method=measured.method,
        n=measured.n,
        n_missing=measured.n_missing,
        n_clusters=measured.n_clusters,
        only_base=only_base,
        only_candidate=only_candidate,
        correlation=measured.correlation,
        margin=question.margin,
        detectable=minimum_detectable_effect(se, question.confidence),
        n_for_seen=_needed(n, se, difference, question),
        n_for_margin=answer.n_for_margin,
        n_to_tell=answer.n_to_tell,
        verdict=answer.verdict,
    )


def with_margin(found: Comparison, margin: float) -> Comparison:
    """The same numbers, asked with another margin."""
    question = Question(found.metric, found.direction, margin, found.confidence)
    interval = None
    if found.low is not None and found.high is not None:
        interval = Interval(found.low, found.high)
    se = None
    if found.detectable is not None:
        se = found.detectable / detectable_in_errors(found.confidence)
    answer = _answer(found.n, se, found.difference, interval, found.p, question)
    return replace(
        found,
        margin=margin,
        n_for_margin=answer.n_for_margin,
        n_to_tell=answer.n_to_tell,
        verdict=answer.verdict,
    )


@dataclass(frozen=True)
class _Answer:
    """What of a comparison depends on the margin."""

    verdict: Verdict
    n_for_margin: int | None
    n_to_tell: int | None


def _answer(
    n: int,
    planning_se: float | None,
    difference: float | None,
    interval: Interval | None,
    p: float | None,
    question: Question,
) -> _Answer:
    verdict = judge(interval, p, question)
    gain = None if difference is None else _gain(difference, question)
    n_to_tell = None
    if verdict == "cannot_tell":
        n_to_tell = _needed(n, planning_se, _effect_to_tell(gain, question), question)
    return _Answer(
        verdict,
        _needed(n, planning_se, question.margin, question),
        None if n_to_tell is None else max(n_to_tell, n + 1),
    )


def _needed(
    n: int, planning_se: float | None, effect: float | None, question: Question
) -> int | None:
    return None if effect is None else items_needed(n, planning_se, effect, question.confidence)


def judge(interval: Interval | None, p: float | None, question: Question) -> Verdict:
    """The verdict of an interval of candidate minus base and of the test's p.

    better: the interval is on the good side of 0 and the test agrees. not_worse: the interval is on
    the good side of -margin. worse: the interval is on the bad side of 0 and the test agrees.
    cannot_tell: else, or nothing was measured. The first that holds is given, so that a loss that
    is certain but within the margin is not_worse.
    """
    if interval is None or p is None:
        return "cannot_tell"
    ends = sorted((_gain(interval.low, question), _gain(interval.high, question)))
    is_told = p <= 1 - question.confidence
    if ends[0] > 0 and is_told:
        return "better"
    if question.margin > 0 and ends[0] > -question.margin:
        return "not_worse"
    return "worse" if ends[1] < 0 and is_told else "cannot_tell"


def _gain(difference: float, question: Question) -> float:
    return difference if question.direction == "higher" else -difference


def _effect_to_tell(gain: float | None, question: Question) -> float | None:
    """How far the gain seen is from the border that is told first: -margin from above, 0 from
    below."""
    return None if gain is None else max(gain + question.margin, -gain)
