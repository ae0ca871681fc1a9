"""Who may hand in what, how often and when; and the two halves of the items."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from ml_core.evalfile.values import Values
    from ml_core.evaluate.tasks import Task

COMPUTED = ("majority", "chance")
"""Baselines that need no model: always the most frequent answer (the mean of numbers); any answer
with the same likelihood."""
MAX_PHASES = 20
MAX_SYSTEM_NAME = 96
MAX_COUNT = 1_000_000
MAX_SALT = 100
PUBLIC, PRIVATE = "public", "private"
FIELDS = ("predictions", "per_day", "total", "phases")
PHASE_FIELDS = ("name", "opens", "closes", "per_day", "total")
HALVES_FIELDS = ("public", "salt")

Standing = Literal["open", "before", "between", "after"]


@dataclass(frozen=True)
class Phase:
    """A time in which is handed in, from `opens` up to `closes`: ISO 8601 in UTC, None without end.

    Its limits count what was handed in since it opened; None leaves the task's own.
    """

    name: str
    opens: str | None = None
    closes: str | None = None
    per_day: int | None = None
    total: int | None = None

    def holds(self, now: datetime) -> bool:
        after = self.opens is None or now >= datetime.fromisoformat(self.opens)
        return after and (self.closes is None or now < datetime.fromisoformat(self.closes))


@dataclass(frozen=True)
class Submissions:
    """Limits are per person or organisation; None is no limit. Without phases it is always open."""

    predictions: bool = False
    per_day: int | None = None
    total: int | None = None
    phases: tuple[Phase, ...] = ()

    def phase_at(self, now: datetime) -> Phase | None:
        """The phase that is open; of several the one named first."""
        return next((phase for phase in self.phases if phase.holds(now)), None)

    def next_phase(self, now: datetime) -> Phase | None:
        """The one that opens next."""
        ahead = [p for p in self.phases if p.opens and datetime.fromisoformat(p.opens) > now]
        return min(ahead, key=lambda phase: phase.opens or "", default=None)

    def last_closed(self, now: datetime) -> Phase | None:
        """The one that closed last."""
        behind = [p for p in self.phases if p.closes and datetime.fromisoformat(p.closes) <= now]
        return max(behind, key=lambda phase: phase.closes or "", default=None)


@dataclass(frozen=True)
class Halves:
    """`public` is the share of items in the public half; `salt` draws another division."""

    public: float
    salt: str = ""


def half_of(item_id: str, halves: Halves) -> str:
    """The half an item belongs to: by its id alone, so that it never moves.

    The first 64 bits of SHA-256 over salt, a zero byte and id are a number from 0 to 1; below
    `halves.public` the item is public.
    """
    digest = hashlib.sha256(f"{halves.salt}\0{item_id}".encode()).digest()
    return PUBLIC if int.from_bytes(digest[:8]) < halves.public * 2**64 else PRIVATE


def halves_of(item_ids: Sequence[str], halves: Halves) -> tuple[str, ...]:
    """The half of each item."""
    return tuple(half_of(item_id, halves) for item_id in item_ids)


def check_submissions(
    values: Values, given: Any, where: str, family: Task | None
) -> Submissions | None:
    """What `submissions` says; a family that no model runs takes predictions unasked."""
    only_predictions = family is not None and not family.runner
    if given is None:
        return Submissions(predictions=True) if only_predictions else None
    where = f"{where}.submissions"
    if not isinstance(given, dict):
        values.add(where, "not_mapping_here")
        return None
    values.known(given, FIELDS, where)
    takes = values.flag(given, "predictions", where, default=only_predictions)
    if takes and family is not None and not family.takes_predictions:
        values.add(f"{where}.predictions", "no_predictions_here", type=family.name)
    if not takes and only_predictions and family is not None:
        values.add(f"{where}.predictions", "only_predictions_here", type=family.name)
    phases = given.get("phases")
    if phases is not None and (not isinstance(phases, list) or not 0 < len(phases) <= MAX_PHASES):
        values.add(f"{where}.phases", "bad_phases", limit=MAX_PHASES)
        phases = None
    return Submissions(
        takes,
        values.integer(given, "per_day", where, high=MAX_COUNT),
        values.integer(given, "total", where, high=MAX_COUNT),
        tuple(
            phase
            for at, item in enumerate(phases or [])
            if (phase := _phase(values, item, f"{where}.phases[{at}]")) is not None
        ),
    )


def check_halves(values: Values, given: Any, where: str) -> Halves | None:
    if given is None:
        return None
    if not isinstance(given, dict):
        values.add(where, "not_mapping_here")
        return None
    values.known(given, HALVES_FIELDS, where)
    share = given.get("public")
    is_number = isinstance(share, (int, float)) and not isinstance(share, bool)
    if not is_number or share is None or not 0 < share < 1:
        values.add(f"{where}.public", "not_a_part", value=str(share)[:60])
        return None
    salt = values.text(given, "salt", f"{where}.salt", limit=MAX_SALT) or ""
    return Halves(float(share), salt)


def _phase(values: Values, item: Any, where: str) -> Phase | None:
    if not isinstance(item, dict):
        values.add(where, "not_mapping_here")
        return None
    values.known(item, PHASE_FIELDS, where)
    name = values.text(item, "name", f"{where}.name", limit=100)
    if not name:
        values.add(f"{where}.name", "missing")
        return None
    opens = _moment(values, item.get("opens"), f"{where}.opens")
    closes = _moment(values, item.get("closes"), f"{where}.closes")
    if opens and closes and closes <= opens:
        values.add(f"{where}.closes", "closes_first")
    return Phase(
        name,
        opens,
        closes,
        values.integer(item, "per_day", where, high=MAX_COUNT),
        values.integer(item, "total", where, high=MAX_COUNT),
    )


def _moment(values: Values, given: Any, where: str) -> str | None:
    """A day or a moment as ISO 8601 in UTC; what names no zone is UTC, a day its first moment."""
    if given is None:
        return None
    try:
        if isinstance(given, str):
            given = datetime.fromisoformat(given)
        elif isinstance(given, date) and not isinstance(given, datetime):
            given = datetime(given.year, given.month, given.day, tzinfo=UTC)
        if not isinstance(given, datetime):
            raise ValueError
        moment = given.replace(tzinfo=UTC) if given.tzinfo is None else given.astimezone(UTC)
        return moment.isoformat()
    except (ValueError, OverflowError):
        values.add(where, "bad_moment", value=str(given)[:60])
        return None
