"""The page that holds two runs or more against each other."""

from __future__ import annotations

import math
import uuid
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET

from evaluation.access import get_run_for_predictions, get_run_for_read
from evaluation.comparisons import (
    MAX_MARGIN,
    MAX_RUNS,
    Asked,
    Pair,
    ask,
    changed_of,
    compare_all,
    evaluated_on,
    program_of,
)
from evaluation.item_inputs import inputs_of
from evaluation.metrics import info_of
from evaluation.models import Run
from evaluation.portal.findings import slices_of
from evaluation.queries import standings
from evaluation.slow_comparisons import wait_for
from hub.auth import Actor, actor_of
from hub.errors import GatedRepo, InvalidInput
from ml_core.published import ConfusionChange
from ml_core.statistics.comparison import Comparison

PAGE_ITEMS = 10
CHOICES = 100
BAR = 240
HEAT_STEPS = 8


def runs_asked(actor: Actor, query: QueryDict) -> list[Run]:
    """The runs that an address names, in its order, each once.

    Raises:
        InvalidInput: something there is no id of a run, or too much is.
        RunNotFound: one is not there for `actor`.
    """
    names = list(dict.fromkeys(query.getlist("run")))
    if len(names) > MAX_RUNS:
        raise InvalidInput(_("At most %(n)s runs are compared at once.") % {"n": MAX_RUNS})
    try:
        keys = [uuid.UUID(name) for name in names]
    except ValueError:
        raise InvalidInput(_("“run” must be the id of a run.")) from None
    return [get_run_for_read(actor, key) for key in dict.fromkeys(keys)]


def margin_asked(query: QueryDict) -> float | None:
    """By how much a candidate may be worse; None leaves it to the metric. Raises InvalidInput."""
    text = query.get("margin", "").strip()
    if not text:
        return None
    try:
        margin = float(text)
    except ValueError:
        margin = math.nan
    if not 0 <= margin <= MAX_MARGIN:
        raise InvalidInput(_("“margin” must be a number from 0 up."))
    return margin


@require_GET
def compare_page(request: HttpRequest) -> HttpResponse:
    actor = actor_of(request)
    runs = runs_asked(actor, request.GET)
    if len(runs) < 2:
        return render(request, "evaluation/compare_choose.html", _choice(actor, runs))
    asked = ask(runs, metric=request.GET.get("metric"), margin=margin_asked(request.GET))
    is_poll = bool(request.htmx)  # type: ignore[attr-defined]
    if (waiting := wait_for(asked)) is not None:
        if is_poll:
            return HttpResponse(status=204)
        wait_context = {
            "runs": asked.runs,
            "benchmark": asked.version.benchmark,
            "waiting": waiting,
            "here": request.get_full_path(),
        }
        return render(request, "evaluation/compare_wait.html", wait_context)
    if is_poll:
        return HttpResponse(headers={"HX-Refresh": "true"})
    pairs = compare_all(asked)
    version = asked.version
    shown = [_shown(asked, pair) for pair in pairs]
    context: dict[str, Any] = {
        "asked": asked,
        "runs": asked.runs,
        "benchmark": version.benchmark,
        "version": version,
        "metrics": [info_of(name) for name in version.metrics],
        "info": info_of(asked.metric),
        "pairs": shown,
        "query": _query(asked),
        "groups": _groups(asked, pairs),
    }
    if len(asked.runs) == 2:
        context |= {"pair": shown[0], "swapped": _query(asked, asked.runs[::-1])}
        context["program"] = program_of(asked, pairs[0])
        context["matrix"] = change_matrix(pairs[0].found.confusion)
        context |= _items(actor, asked, request.GET)
    return render(request, "evaluation/compare.html", context)


def _query(asked: Asked, runs: Any = None) -> str:
    named = [("run", str(run.pk)) for run in runs or asked.runs]
    return urlencode([*named, ("metric", asked.metric), ("margin", f"{asked.margin:g}")])


def _choice(actor: Actor, runs: list[Run]) -> dict[str, Any]:
    """With what a run can be compared: the models of its board."""
    run = runs[0] if runs else None
    if run is None:
        return {}
    version = evaluated_on(run)
    ranked = standings(actor, version)[: CHOICES + 1]
    rows = [standing for standing in ranked if standing.run_id != run.pk]
    return {"run": run, "benchmark": version.benchmark, "rows": rows[:CHOICES]}


def _shown(asked: Asked, pair: Pair) -> dict[str, Any]:
    """A pair with what the template says of it."""
    found = pair.found.comparison
    return {
        "base": pair.base,
        "candidate": pair.candidate,
        "found": found,
        "n_apart": pair.found.n_apart,
        "verdict": pair.verdict,
        "p": p_text(pair.p),
        "bar": difference_bar(found, asked),
        **_texts(found),
        "query": _query(asked, (pair.base, pair.candidate)),
        "confidence": f"{100 * found.confidence:.3g}",
    }


def _texts(found: Comparison) -> dict[str, str]:
    return {
        "difference": signed_text(found.difference),
        "low": signed_text(found.low),
        "high": signed_text(found.high),
    }


def _groups(asked: Asked, pairs: list[Pair]) -> list[dict[str, Any]]:
    """Groups side by side: each run's score of the metric, and for two the difference."""
    sliced = []
    for run in asked.runs:
        entries = [e for e in slices_of(run.record or {}) if e["info"].name == asked.metric]
        sliced.append({g["group"]: g["score"] for e in entries for g in e["groups"]})
    compared = {each.group: each.comparison for each in pairs[0].found.groups}
    shown = []
    for name in sorted({name for side in sliced for name in side}):
        found = compared.get(name) if len(asked.runs) == 2 else None
        line: dict[str, Any] = {"group": name, "scores": [side.get(name) for side in sliced]}
        if found is not None:
            bar = difference_bar(found, asked)
            line |= {"found": found, "bar": bar, **_texts(found)}
        shown.append(line)
    return shown


def _items(actor: Actor, asked: Asked, query: QueryDict) -> dict[str, Any]:
    """The items on which the two differ, a page of them; nothing for whom a gate keeps out."""
    try:
        for run in asked.runs:
            get_run_for_predictions(actor, run.pk)
    except GatedRepo:
        return {"is_gated": True}
    is_gain = query.get("changed", "gained") != "lost"
    found = changed_of(asked, is_gain=is_gain)
    asked_page = query.get("p", "1")
    page = max(1, int(asked_page)) if asked_page.isdecimal() and len(asked_page) < 7 else 1
    first = (page - 1) * PAGE_ITEMS
    shown = found[first : first + PAGE_ITEMS]
    inputs = inputs_of(asked.runs[0], asked.version, [(each.row, each.item_id) for each in shown])
    side = "gained" if is_gain else "lost"
    return {
        "is_gain": is_gain,
        "is_graded": any({each.base_value, each.candidate_value} - {0.0, 1.0} for each in found),
        "n_changed": len(found),
        "first_shown": first + 1,
        "last_shown": first + len(shown),
        "inputs": inputs,
        "items": [
            {"changed": each, "cells": inputs.cells.get(each.item_id), "number": each.row}
            for each in shown
        ],
        "items_query": f"{_query(asked)}&changed={side}",
        "page_before": page - 1 if page > 1 else None,
        "page_after": page + 1 if first + PAGE_ITEMS < len(found) else None,
    }


def change_matrix(change: ConfusionChange | None) -> dict[str, Any] | None:
    """Rows of signed cells; `tone` says whether a cell that grew is good news."""
    if change is None:
        return None
    most = max((abs(n) for row in change.counts for n in row), default=0) or 1
    rows = []
    for at, counts in enumerate(change.counts):
        cells = [
            {
                "text": f"{n:+d}".replace("-", "−") if n else "0",
                "is_right": at == column,
                "tone": "" if not n else "good" if (n > 0) == (at == column) else "bad",
                "heat": math.ceil(HEAT_STEPS * abs(n) / most),
            }
            for column, n in enumerate(counts)
        ]
        rows.append({"label": change.labels[at], "cells": cells})
    return {"labels": change.labels, "rows": rows}


def difference_bar(found: Comparison, asked: Asked) -> dict[str, Any] | None:
    """Places of a difference and its interval on a line with 0 in the middle."""
    value, low, high, margin = found.difference, found.low, found.high, asked.margin
    if value is None or low is None or high is None:
        return None
    reach = 1.1 * max(abs(low), abs(high), abs(value), margin, 1e-9)
    border = -margin if asked.direction == "higher" else margin

    def at(x: float) -> float:
        return round(4 + (BAR - 8) * (x + reach) / (2 * reach), 1)

    places = {"x": at(value), "low": at(low), "high": at(high), "zero": at(0.0), "width": BAR}
    return {**places, "margin": at(border) if margin else None}


def signed_text(value: float | None) -> str:
    return "–" if value is None else f"{value:+.3f}".replace("-", "−")


def p_text(p: float | None) -> str:
    if p is None:
        return "–"
    return "< 0.0001" if p < 0.0001 else f"{p:.2g}" if p < 0.1 else f"{p:.2f}"
