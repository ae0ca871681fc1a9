"""The list of benchmarks, and one leaderboard."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import median
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.functional import Promise
from django.views.decorators.http import require_GET

from evaluation import task_types
from evaluation.access import get_benchmark_for_read
from evaluation.claims import claims_on, file_url, pull_url
from evaluation.lists import benchmark_list, version_of
from evaluation.metrics import MetricInfo, info_of
from evaluation.models import BenchmarkVersion, Run, RunState, Score
from evaluation.portal.submissions import standing
from evaluation.queries import BoardRow, Standing, board_rows, standings
from hub.access import Level, level_of
from hub.auth import Actor, actor_of
from ml_core.directions import Direction
from ml_core.evaluate.tasks import TASKS, get_task
from ml_core.statistics import interval_error, minimum_detectable_effect

PLOT_ROWS = 40
ASSUMED_CORRELATION = 0.5
"""Of two models' scores over the items: of similar models mostly more, of unlike ones less."""
PAGE_ROWS = 100
TEXT_COLUMNS = ("model", "when", "n")


@dataclass(frozen=True)
class Axis:
    """Common scale of the interval bars."""

    low: float
    high: float
    n_outside: int = 0
    """Rows below the scale: one hopeless model must not squeeze all others into a corner."""


@dataclass(frozen=True)
class Line:
    """A line of the table: a measured model, or what somebody claims (`baseline`)."""

    row: BoardRow | None = None
    baseline: dict[str, Any] | None = None


@dataclass(frozen=True)
class Column:
    """A sortable column; `aria` is the value of aria-sort, `query` what a click asks for."""

    key: str
    title: str | Promise
    hint: str | Promise
    aria: str
    query: str


@require_GET
def benchmarks(request: HttpRequest) -> HttpResponse:
    search = request.GET.get("search", "")[:200]
    task_type = request.GET.get("type", "")
    found = benchmark_list(
        actor_of(request),
        search=search,
        task_type=task_type if task_type in TASKS else "",
    )
    context = {
        "benchmarks": found,
        "search": search,
        "task_type": task_type,
        "task_types": task_types.choices(),
    }
    return render(request, "evaluation/benchmarks.html", context)


@require_GET
def leaderboard_page(request: HttpRequest, namespace: str, name: str, task_id: str) -> HttpResponse:
    actor = actor_of(request)
    benchmark = get_benchmark_for_read(actor, namespace, name, task_id)
    version = version_of(benchmark, request.GET.get("version"))
    ranked = standings(actor, version)
    metrics = [info_of(metric) for metric in version.metrics]
    sort, is_down = _sort_of(request, version)
    places = _with_claims(
        _sorted(ranked, version, sort, is_down),
        _claims(actor, version),
        version,
        actor,
        is_ranked=sort == "rank",
    )
    asked = request.GET.get("p", "1")
    page_number = min(max(int(asked), 1), 10_000) if asked.isdecimal() and len(asked) < 6 else 1
    first = (page_number - 1) * PAGE_ROWS
    lines = _lines(version, places[first : first + PAGE_ROWS])
    context = {
        "benchmark": benchmark,
        "version": version,
        "versions": list(benchmark.versions.order_by("-number")[:20]),
        "is_current": version.pk == benchmark.current_id,
        "metrics": metrics,
        "columns": _columns(metrics, sort, is_down),
        "n_models": len(ranked),
        "lines": lines,
        "page_before": page_number - 1 if page_number > 1 else None,
        "page_after": page_number + 1 if first + PAGE_ROWS < len(places) else None,
        "page_query": f"version={version.number}&sort={sort}&dir={'desc' if is_down else 'asc'}",
        "is_ranked": sort == "rank",
        "axis": axis_of(ranked, metrics[0].direction),
        "plot": _plot(ranked, version, metrics[0]),
        "detectable": detectable_difference(ranked),
        "n_items": max((row.main.n for row in rows_of(lines) if row.main), default=None),
        "takes_models": bool(get_task(benchmark.task_type).runner),
        **standing(benchmark, actor.user),
        "may_write": level_of(actor, benchmark.dataset) >= Level.WRITE,
    }
    return render(request, "evaluation/leaderboard.html", context)


def axis_of(ranked: list[Standing], direction: Direction = "higher") -> Axis:
    """A scale for the interval bars of all models that are not far behind the better half.

    Its length is at most five times the spread of the better half, and at least 0.1.
    """
    sign = 1.0 if direction == "higher" else -1.0
    spans = [span for standing in ranked if (span := _span(standing)) is not None]
    spans.sort(key=lambda span: (sign * span[0], span))
    if not spans:
        return Axis(0.0, 1.0)
    values = [sign * value for value, _, _ in spans]
    floor = values[-1] - max(5 * (values[-1] - values[(len(values) - 1) // 2]), 0.1)
    shown = [span for span in spans if sign * span[0] >= floor]
    low, high = min(low for _, low, _ in shown), max(high for _, _, high in shown)
    air = max((high - low) * 0.05, 0.005)
    is_share = min(value for value, _, _ in spans) >= 0 and high <= 1
    low, high = low - air, high + air
    if is_share:
        low, high = max(low, 0.0), min(high, 1.0)
    return Axis(low, high, len(values) - len(shown))


@dataclass(frozen=True)
class Detectable:
    """How far apart two models must be for it to show, four times out of five at 5 %.

    For two models of the board's usual error: item by item, where their scores of the items
    correlate by `ASSUMED_CORRELATION`, and by their two scores alone.
    """

    paired: float
    unpaired: float
    correlation: float


def detectable_difference(ranked: list[Standing]) -> Detectable | None:
    """The smallest differences that the board's items can show; None without a measure.

    The error of a difference is that of one score times sqrt(2 (1 - correlation)). A standard
    error is taken from the 95 % interval's length, so that it knows of clusters.
    """
    lengths = [s.high - s.low for s in ranked if s.low is not None and s.high is not None]
    if not any(lengths):
        return None
    se = interval_error(median(lengths))
    paired, unpaired = (
        minimum_detectable_effect(se * math.sqrt(2 * (1 - correlation))) or 0.0
        for correlation in (ASSUMED_CORRELATION, 0.0)
    )
    return Detectable(paired, unpaired, ASSUMED_CORRELATION)


def rows_of(lines: list[Line]) -> list[BoardRow]:
    return [line.row for line in lines if line.row is not None]


def _span(standing: Standing) -> tuple[float, float, float] | None:
    """Value and interval; the value alone where there is none, None without a value."""
    if standing.value is None:
        return None
    low = standing.value if standing.low is None else standing.low
    high = standing.value if standing.high is None else standing.high
    return standing.value, low, high


def _sort_of(request: HttpRequest, version: BenchmarkVersion) -> tuple[str, bool]:
    sort = request.GET.get("sort", "rank")
    if sort not in (*TEXT_COLUMNS, *version.metrics):
        sort = "rank"
    return sort, request.GET.get("dir") == "desc"


def _columns(metrics: list[MetricInfo], sort: str, is_down: bool) -> dict[str, Column]:
    titled = {
        "rank": ("", ""),
        "model": ("", ""),
        "when": ("", ""),
        "n": ("", ""),
        **{m.name: (m.title, m.explanation) for m in metrics},
    }
    return {key: _column(key, *words, sort, is_down) for key, words in titled.items()}


def _column(
    key: str, title: str | Promise, hint: str | Promise, sort: str, is_down: bool
) -> Column:
    is_sorted = sort == key
    starts_down = key not in ("rank", "model")
    goes_down = not is_down if is_sorted else starts_down
    if key == "rank":
        return Column(key, title, hint, "ascending" if is_sorted else "none", "sort=rank")
    aria = ("descending" if is_down else "ascending") if is_sorted else "none"
    return Column(key, title, hint, aria, f"sort={key}&dir={'desc' if goes_down else 'asc'}")


def _sorted(
    ranked: list[Standing], version: BenchmarkVersion, sort: str, is_down: bool
) -> list[Standing]:
    """In the order asked for; models without the value come last either way."""
    if sort == "rank":
        return ranked
    values = _sort_values(ranked, version, sort)
    known = [standing for standing in ranked if values.get(standing.entry_id) is not None]
    known.sort(key=lambda standing: values[standing.entry_id], reverse=is_down)
    return known + [standing for standing in ranked if values.get(standing.entry_id) is None]


def _sort_values(ranked: list[Standing], version: BenchmarkVersion, sort: str) -> dict[int, Any]:
    """What to sort by, for each entry."""
    if sort == "model":
        return {standing.entry_id: standing.model.lower() for standing in ranked}
    if sort == "when":
        return {standing.entry_id: standing.finished_at for standing in ranked}
    scores = Score.objects.filter(run__board_entry__benchmark_version=version)
    if sort == "n":
        scores = scores.filter(position=0)
        return dict(scores.values_list("run__board_entry__pk", "n"))
    return dict(scores.filter(metric=sort).values_list("run__board_entry__pk", "value"))


Place = Standing | dict[str, Any]


def _claims(actor: Actor, version: BenchmarkVersion) -> list[dict[str, Any]]:
    """What models claim, in the form of baselines; `is_claim` tells them apart."""
    lines: dict[int, dict[str, Any]] = {}
    for claimed in claims_on(actor, version):
        claim = claimed.claim
        line = {"name": claimed.model.full_name, "url": file_url(claim), "is_claim": True}
        line |= {"pull_request": claim.pull_request, "pull_url": pull_url(claim)}
        lines.setdefault(claimed.model.pk, {**line, "scores": {}})
        lines[claimed.model.pk]["scores"][claimed.metric] = claimed.value
    return list(lines.values())


def baselines_of(actor: Actor, version: BenchmarkVersion) -> list[dict[str, Any]]:
    """The baselines with numbers of their own: claimed ones, and those of a run of this version
    that the caller may see. Computed ones are runs, and stand among the models."""
    found = []
    for baseline in version.spec["baselines"]:
        if baseline.get("computed"):
            continue
        if run_id := baseline.get("run"):
            runs = Run.objects.visible_to(actor).filter(pk=run_id, benchmark_version=version)
            run = runs.filter(state=RunState.FINISHED).first()
            if run is None:
                continue
            scores = dict(run.scores.values_list("metric", "value"))
            found.append({**baseline, "scores": scores, "url": run.url_path})
        else:
            found.append(baseline)
    return found


def _with_claims(
    ranked: list[Standing],
    claims: list[dict[str, Any]],
    version: BenchmarkVersion,
    actor: Actor,
    *,
    is_ranked: bool,
) -> list[Place]:
    """Models with what is claimed: at its place by the main metric, else at the end."""
    places: list[Place] = [*ranked]
    for baseline in [*baselines_of(actor, version), *claims]:
        value = baseline["scores"].get(version.main_metric)
        at = len(places)
        if is_ranked and value is not None:
            sign = 1.0 if info_of(version.main_metric).direction == "higher" else -1.0
            worse = (n for n, place in enumerate(places) if _is_behind(place, value, sign))
            at = next(worse, len(places))
        places.insert(at, baseline)
    return places


def _is_behind(place: Place, value: float, sign: float) -> bool:
    return isinstance(place, Standing) and (
        place.value is None or sign * place.value < sign * value
    )


def _lines(version: BenchmarkVersion, places: list[Place]) -> list[Line]:
    """What the table shows of these places."""
    models = [place for place in places if isinstance(place, Standing)]
    rows = {row.entry.pk: row for row in board_rows(version, models)}
    return [
        Line(row=rows.get(place.entry_id)) if isinstance(place, Standing) else Line(baseline=place)
        for place in places
        if not isinstance(place, Standing) or place.entry_id in rows
    ]


def _plot(ranked: list[Standing], version: BenchmarkVersion, metric: MetricInfo) -> dict[str, Any]:
    """What static/evaluation/interval_plot.js draws: the best models, and the baselines."""
    shown = [standing for standing in ranked if standing.value is not None][:PLOT_ROWS]
    return {
        "metric": str(metric.title),
        "chance": version.chance,
        "items": [
            {
                "name": standing.model,
                "url": f"/runs/{standing.run_id}",
                "value": standing.value,
                "low": standing.low,
                "high": standing.high,
            }
            for standing in shown
        ],
        "baselines": [
            {"name": b["name"], "value": b["scores"][version.main_metric]}
            for b in version.spec["baselines"]
            if version.main_metric in b["scores"]
        ],
    }
