"""What a person or organisation may still hand in on a benchmark, and when.

`eval.yaml` says it (`ml_core.evalfile.Submissions`). Runs of all versions of the benchmark count;
dry runs, cancellations and what was lost by our fault do not. Who keeps the data set is not bound.
What somebody hands in for an organisation counts against both, so that nobody multiplies a limit by
founding organisations.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from evaluation.errors import SubmissionLimitReached, SubmissionsClosed
from evaluation.models import BenchmarkVersion, Run
from evaluation.queries import counted
from hub.access import Level, level_of
from hub.auth import Actor
from hub.models import Namespace, Repo, User
from ml_core.evalfile.submissions import Phase, Submissions
from ml_core.records import from_json

DAY = timedelta(days=1)


@dataclass(frozen=True)
class Allowance:
    """How it stands now. `per_day` and `total` are limits, None for none; `left_*` what remains of
    them. `phase` is the one that is open, `next_phase` the one to come."""

    submissions: Submissions
    phase: Phase | None
    next_phase: Phase | None
    is_open: bool
    per_day: int | None = None
    total: int | None = None
    left_today: int | None = None
    left_in_total: int | None = None
    retry_at: datetime | None = None
    """When one of today's limit is free again."""
    used_by: str = ""
    """Who has used most of them: the namespace asked about, or the person who acts for it."""

    @property
    def has_limits(self) -> bool:
        return self.per_day is not None or self.total is not None


def rules_of(version: BenchmarkVersion) -> Submissions | None:
    """What the benchmark says of submissions; None where it says nothing."""
    given = version.spec.get("submissions")
    return from_json(Submissions, given) if given else None


def allowance(
    version: BenchmarkVersion,
    namespace: Namespace | None,
    user: User | None = None,
    now: datetime | None = None,
) -> Allowance | None:
    """What may still be handed in for `namespace` by `user`; None where there are no rules."""
    rules = rules_of(version)
    if rules is None:
        return None
    now = now or timezone.now()
    phase = rules.phase_at(now)
    is_open = phase is not None or not rules.phases
    per_day = phase.per_day if phase and phase.per_day else rules.per_day
    total = phase.total if phase and phase.total else rules.total
    found = Allowance(rules, phase, rules.next_phase(now), is_open, per_day, total, per_day, total)
    if namespace is None or not is_open or not found.has_limits:
        return found
    since = datetime.fromisoformat(phase.opens) if phase and phase.total and phase.opens else None
    standings = [
        _standing(found, name, runs.filter(queued_at__gte=since) if since else runs, now)
        for name, runs in _runs_by_who(version, namespace, user).items()
    ]
    return min(standings, key=_what_is_left)


def _standing(rules: Allowance, name: str, runs: QuerySet[Run], now: datetime) -> Allowance:
    times = sorted(runs.values_list("queued_at", flat=True), reverse=True)
    today = [when for when in times if when > now - DAY]
    per_day, total = rules.per_day, rules.total
    return replace(
        rules,
        left_today=None if per_day is None else max(0, per_day - len(today)),
        left_in_total=None if total is None else max(0, total - len(times)),
        retry_at=today[per_day - 1] + DAY if per_day and len(today) >= per_day else None,
        used_by=name,
    )


def _what_is_left(found: Allowance) -> tuple[float, float, float]:
    """Less is stricter; of two who have none left today, who waits longer."""
    total = math.inf if found.left_in_total is None else found.left_in_total
    today = math.inf if found.left_today is None else found.left_today
    wait = 0.0 if found.retry_at is None else -found.retry_at.timestamp()
    return (min(total, today), total, wait)


def submitter_of(user: User, model: Repo) -> Namespace:
    """Against whom a run of `model` counts: its organisation or owner, for those who may write
    there; else the person who starts it."""
    is_theirs = level_of(Actor(user=user), model) >= Level.WRITE
    return model.namespace if is_theirs and not user.is_superuser else user.namespace


def require_allowance(version: BenchmarkVersion, namespace: Namespace, user: User) -> None:
    """Lets pass what may be handed in now; within the transaction that makes the run.

    The rows of namespace and person are locked, so that of two at once only one takes the last
    place.

    Raises: SubmissionsClosed, SubmissionLimitReached.
    """
    if level_of(Actor(user=user), version.benchmark.dataset) >= Level.WRITE:
        return
    if rules_of(version) is None:
        return
    both = Namespace.objects.filter(pk__in={namespace.pk, user.namespace.pk}).order_by("pk")
    list(both.select_for_update(no_key=True))
    found = allowance(version, namespace, user)
    assert found is not None
    if not found.is_open:
        raise SubmissionsClosed(closed_words(found))
    if found.left_in_total == 0:
        words = ngettext(
            "%(who)s has handed in %(n)s time, which is the limit of this benchmark.",
            "%(who)s has handed in %(n)s times, which is the limit of this benchmark.",
            found.total or 0,
        )
        raise SubmissionLimitReached(words % {"who": found.used_by, "n": found.total})
    if found.left_today == 0 and found.retry_at is not None:
        wait = math.ceil((found.retry_at - timezone.now()).total_seconds())
        words = ngettext(
            "%(who)s has handed in %(n)s time within a day, which is the limit of this benchmark."
            " The next is possible at %(when)s.",
            "%(who)s has handed in %(n)s times within a day, which is the limit of this benchmark."
            " The next is possible at %(when)s.",
            found.per_day or 0,
        )
        values = {"who": found.used_by, "n": found.per_day, "when": moment(found.retry_at)}
        raise SubmissionLimitReached(words % values, retry_after_s=max(1, wait))


def closed_words(found: Allowance) -> str:
    """Why nothing can be handed in now, in the reader's language."""
    if found.next_phase is not None and found.next_phase.opens is not None:
        opens = moment(datetime.fromisoformat(found.next_phase.opens))
        words = _("Nothing can be handed in now. The phase “%(phase)s” opens at %(when)s.")
        return words % {"phase": found.next_phase.name, "when": opens}
    last = found.submissions.last_closed(timezone.now())
    if last is None or last.closes is None:
        return _("Nothing can be handed in now.")
    closed = moment(datetime.fromisoformat(last.closes))
    words = _("The phase “%(phase)s” closed at %(when)s; nothing more can be handed in.")
    return words % {"phase": last.name, "when": closed}


def moment(when: datetime) -> str:
    return date_format(timezone.localtime(when), "DATETIME_FORMAT") + " " + when.strftime("%Z")


def _runs_by_who(
    version: BenchmarkVersion, namespace: Namespace, user: User | None
) -> dict[str, QuerySet[Run]]:
    """Runs that count, by whose they are: the namespace's, and those that `user` handed in for
    whomever."""
    ours = Run.objects.filter(benchmark_version__benchmark_id=version.benchmark_id)
    runs = counted(ours.filter(replay_of__isnull=True))
    found = {namespace.name: runs.filter(submitter=namespace)}
    if user is None:
        return found
    own = runs.filter(Q(owner=user) | Q(submitter=user.namespace))
    return found | {user.namespace.name: own.exclude(system__is_baseline=True)}
