"""Runs held against each other by their published rows. Numbers are kept, as no record changes."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import numpy as np
from django.core.cache import cache
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from evaluation.errors import NotFinished
from evaluation.metrics import info_of
from evaluation.models import BenchmarkVersion, Run, RunState
from hub.errors import Conflict, HubError, InvalidInput
from hub.site import base_url, store
from hub.storage.errors import KeyMissing
from ml_core.errors import Code, UserError
from ml_core.evaluate.tasks import get_task
from ml_core.metrics.registry import Metric
from ml_core.published import (
    Changed,
    RunsCompared,
    Samples,
    changed_items,
    compare_samples,
)
from ml_core.statistics import Question, holm, simultaneous_confidence
from ml_core.statistics.comparison import Comparison, Verdict, judge
from ml_core.statistics.intervals import Interval

MAX_RUNS = 6
MAX_SAMPLES_BYTES = 256 << 20
MAX_ITEMS = 500_000
MANY_ITEMS = 20_000
FORM = 1
"""Raised when kept comparisons change their form or their numbers."""
KEPT_S = 30 * 24 * 3600
BUSY_S = 120
POLL_S = 5
MARGIN_OF_SHARES = 0.01
MAX_MARGIN = 1e6


class SamplesGone(Conflict):
    """The rows of a run are not as its record says."""

    code = "SamplesGone"


class ComparisonUnderWay(HubError):
    """The same comparison is being computed for somebody else."""

    code = "ComparisonUnderWay"
    status = 503
    message = gettext_noop(
        "These runs are being compared just now. The numbers will be here in a few seconds; please"
        " try again."
    )


@dataclass(frozen=True)
class Asked:
    """What is compared: the runs, the first of them the base, one metric, and a margin.

    `margin` is by how much a candidate may be worse and still pass, in the metric's unit.
    """

    runs: tuple[Run, ...]
    version: BenchmarkVersion
    metric: str
    margin: float

    @property
    def direction(self) -> Any:
        return info_of(self.metric).direction

    def question(self, n_items: int) -> Question:
        """What is asked of each pair, but for the margin; many items or pairs get fewer draws."""
        n_pairs = len(self.runs) * (len(self.runs) - 1) // 2
        return Question(
            metric=self.metric,
            direction=self.direction,
            confidence=simultaneous_confidence(n_pairs),
            n_draws=2000 if n_items <= MANY_ITEMS and n_pairs == 1 else 500,
        )


@dataclass(frozen=True)
class Pair:
    """One pair of several. Intervals hold for all pairs together, `p` is Holm's."""

    base: Run
    candidate: Run
    found: RunsCompared
    p: float | None
    verdict: Verdict


def ask(runs: Sequence[Run], *, metric: str | None, margin: float | None) -> Asked:
    """The question, if it makes sense.

    Raises:
        InvalidInput: too few or too many runs, of other benchmarks or versions, or another metric.
        NotFinished: one of the runs has no result.
    """
    kept = tuple({run.pk: run for run in runs}.values())
    if len(kept) < 2:
        raise InvalidInput(_("A comparison needs two different runs or more."))
    if len(kept) > MAX_RUNS:
        raise InvalidInput(_("At most %(n)s runs are compared at once.") % {"n": MAX_RUNS})
    versions = [evaluated_on(run) for run in kept]
    version = versions[0]
    if any(other.pk != version.pk for other in versions):
        raise InvalidInput(_why_apart(versions))
    if any(run.state != RunState.FINISHED or run.is_dry_run for run in kept):
        raise NotFinished(_("Only finished runs can be compared."))
    chosen = metric or version.main_metric
    if chosen not in version.metrics:
        known = ", ".join(version.metrics)
        raise InvalidInput(_("This benchmark measures %(known)s.") % {"known": known})
    if margin is None:
        margin = MARGIN_OF_SHARES if info_of(chosen).is_share else 0.0
    return Asked(kept, version, chosen, margin)


def evaluated_on(run: Run) -> BenchmarkVersion:
    """The benchmark version of a run. Raises InvalidInput for a run that is no evaluation."""
    if run.benchmark_version is None:
        raise InvalidInput(_("Only evaluations can be compared."))
    return run.benchmark_version


def _why_apart(versions: Sequence[BenchmarkVersion]) -> str:
    if len({version.benchmark_id for version in versions}) > 1:
        return _("These runs are of different benchmarks. Only the same items can be compared.")
    numbers = sorted({version.number for version in versions})
    words = _(
        "These runs are of different versions of the benchmark (%(versions)s), which may ask other"
        " items. Run the older one again on the current version."
    )
    return words % {"versions": ", ".join(map(str, numbers))}


def compare_all(asked: Asked) -> list[Pair]:
    """Every pair, those with the base first; for two runs the plain comparison.

    Raises:
        InvalidInput: the metric cannot be compared item by item.
        SamplesGone: the rows of a run are lost or damaged.
    """
    couples = list(combinations(asked.runs, 2))
    found = [compare_pair(asked, base, other) for base, other in couples]
    known = [at for at, each in enumerate(found) if each.comparison.p is not None]
    adjusted = holm(np.array([found[at].comparison.p for at in known]))
    p_values = dict(zip(known, adjusted.tolist(), strict=True))
    return [
        Pair(base, other, each, p_values.get(at), _verdict(each, p_values.get(at), asked))
        for at, ((base, other), each) in enumerate(zip(couples, found, strict=True))
    ]


def _verdict(found: RunsCompared, p: float | None, asked: Asked) -> Verdict:
    """The verdict of an interval that holds for all pairs and of Holm's p."""
    low, high = found.comparison.low, found.comparison.high
    interval = None if low is None or high is None else Interval(low, high)
    return judge(interval, p, Question(asked.metric, asked.direction, asked.margin))


def compare_pair(asked: Asked, base: Run, candidate: Run) -> RunsCompared:
    """The numbers of one pair, kept by the digests of their records. Raises as `compare_all`.

    The margin is put in afterwards, so that asking for many costs nothing; of several who ask at
    once, one computes: the average precision of boxes takes many seconds.

    Raises:
        ComparisonUnderWay: that is somebody else.
    """
    key = key_of(asked, base, candidate)
    kept = cache.get(key)
    if kept is not None:
        return RunsCompared.from_json(json.loads(kept)).with_margin(asked.margin)
    if not cache.add(f"{key}:busy", 1, BUSY_S):
        raise ComparisonUnderWay
    try:
        sides = read_samples(asked, base), read_samples(asked, candidate)
        try:
            found = compare_samples(*sides, asked.question(len(sides[0].ids)))
        except UserError:
            words = _("This benchmark has too many answers to compare on a page.")
            raise InvalidInput(words) from None
        cache.set(key, json.dumps(found.to_json()), KEPT_S)
    finally:
        cache.delete(f"{key}:busy")
    return found.with_margin(asked.margin)


def key_of(asked: Asked, base: Run, candidate: Run) -> str:
    """Under which the numbers of a pair are kept."""
    facts = [FORM, base.record_digest, candidate.record_digest, asked.metric, len(asked.runs)]
    return f"comparison:{hashlib.sha256(json.dumps(facts).encode()).hexdigest()}"


def changed_of(asked: Asked, *, is_gain: bool) -> list[Changed]:
    """Items on which the second run is better than the first, or worse. Raises as `compare_all`."""
    base, candidate = (read_samples(asked, run) for run in asked.runs[:2])
    return changed_items(base, candidate, asked.direction, is_gain=is_gain)


def read_samples(asked: Asked, run: Run) -> Samples:
    """The published rows of a run, as its record has signed them. Raises as `compare_all`."""
    from ml_core.compare import read_samples as read_file

    if (run.predictions_size_bytes or 0) > MAX_SAMPLES_BYTES:
        raise InvalidInput(_("This benchmark has too many answers to compare on a page."))
    try:
        data = store().read(run.predictions_key)
    except KeyMissing:
        raise SamplesGone(_gone(run)) from None
    if hashlib.sha256(data).hexdigest() != run.predictions_sha256:
        raise SamplesGone(_gone(run))
    try:
        return read_file(io.BytesIO(data), metric_of(asked), max_rows=MAX_ITEMS)
    except UserError as error:
        if error.code == Code.METRIC_UNKNOWN:
            words = _("%(metric)s cannot be compared item by item; choose another metric.")
            raise InvalidInput(words % {"metric": info_of(asked.metric).title}) from None
        words = _("This benchmark has too many answers to compare on a page.")
        raise InvalidInput(words) from None


def _gone(run: Run) -> str:
    words = _("The answers of %(model)s are no longer as they were signed; run it again.")
    return words % {"model": run.name}


def program_of(asked: Asked, pair: Pair) -> str:
    """Shell lines that make the numbers of a pair again from the files of its runs."""
    question = asked.question(pair.found.comparison.n + pair.found.comparison.n_missing)
    files = [f"{run.pk}-predictions.parquet" for run in (pair.base, pair.candidate)]
    spec = {
        "base": files[0],
        "candidate": files[1],
        "task": asked.version.spec["type"],
        "metric": asked.metric,
        "margin": asked.margin,
        "n_draws": question.n_draws,
    }
    lines = [
        f"curl -L -o {file} {base_url()}/runs/{run.pk}/predictions"
        for file, run in zip(files, (pair.base, pair.candidate), strict=True)
    ]
    lines.append(f"echo '{json.dumps(spec)}' > spec.json")
    return "\n".join([*lines, "python -m ml_core.compare spec.json out"])


def metric_of(asked: Asked) -> Metric:
    return get_task(asked.version.spec["type"]).known_metrics[asked.metric]


def pair_facts(pair: Pair) -> dict[str, Any]:
    """A pair as JSON values, with Holm's p and the verdict that goes with it."""
    found = pair.found
    return {
        **_facts(found.comparison),
        "base": str(pair.base.pk),
        "candidate": str(pair.candidate.pk),
        "p_adjusted": pair.p,
        "verdict": pair.verdict,
        "n_apart": found.n_apart,
        "groups": [{"group": g.group, **_facts(g.comparison)} for g in found.groups],
        "confusion_change": None if found.confusion is None else asdict(found.confusion),
    }


def _facts(found: Comparison) -> dict[str, Any]:
    return {**asdict(found), "base_value": found.base, "candidate_value": found.candidate}
