"""Comparisons that take too long for a request: a worker makes them, and the page waits for it."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from django.core.cache import cache

from evaluation import tasks
from evaluation.comparisons import Asked, ComparisonUnderWay, ask, compare_pair, key_of, metric_of
from evaluation.models import Run
from hub.doorbell import ring
from hub.errors import HubError

PATIENCE_S = 30
"""A worker that has not begun by then will not come, and the request does the work itself."""
ASKED_S = 15 * 60

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Waiting:
    """How many pairs of a comparison are there already."""

    n_done: int
    n_pairs: int


def wait_for(asked: Asked) -> Waiting | None:
    """None where the numbers are at hand or quickly made; else a worker is rung, once."""
    if not metric_of(asked).is_slow:
        return None
    keys = [key_of(asked, base, other) for base, other in combinations(asked.runs, 2)]
    n_done = len(cache.get_many(keys))
    if n_done == len(keys):
        return None
    note = _note_of(keys)
    if cache.add(note, time.time(), ASKED_S):
        ring(tasks.compare_runs, [str(run.pk) for run in asked.runs], asked.metric)
    elif _is_given_up(note, keys):
        return None
    return Waiting(n_done, len(keys))


def compare_runs(*, run_ids: Sequence[str], metric: str) -> None:
    """Makes and keeps the numbers of all pairs; those that others are at are left to them.

    What cannot be compared is left to the request, which says why.
    """
    found = {str(run.pk): run for run in Run.objects.with_names().filter(pk__in=run_ids)}
    try:
        asked = ask([found[key] for key in run_ids if key in found], metric=metric, margin=None)
    except HubError:
        return
    couples = list(combinations(asked.runs, 2))
    note = _note_of([key_of(asked, base, other) for base, other in couples])
    for base, other in couples:
        cache.set(note, time.time(), ASKED_S)
        try:
            compare_pair(asked, base, other)
        except ComparisonUnderWay:
            continue
        except HubError as error:
            logger.info("no comparison of %s and %s: %s", base.pk, other.pk, error)
            cache.set(note, 0.0, ASKED_S)
            return


def _note_of(keys: Sequence[str]) -> str:
    """Names when the comparison was asked for or last went on; 0 where a worker gave it up."""
    return f"{keys[0]}:{len(keys)}:asked"


def _is_given_up(note: str, keys: Sequence[str]) -> bool:
    """Whether nobody is at it, though somebody should be."""
    if cache.get_many([f"{key}:busy" for key in keys]):
        return False
    since: float | None = cache.get(note)
    return since is not None and time.time() - since > PATIENCE_S
