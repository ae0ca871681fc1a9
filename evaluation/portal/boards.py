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

from evaluation.access import get_benchmark_for_read
from evaluation.lists import benchmark_list, version_of
from evaluation.metrics import MetricInfo, info_of
from evaluation.models import BenchmarkVersion, LeaderboardEntry, TaskType
from evaluation.queries import BoardRow, leaderboard
from hub.access import Level, level_of
from hub.auth import actor_of

PLOT_ROWS = 40
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
    """A line of the table: a measured model, or a baseline that somebody claims."""

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
        task_type=task_type if task_type in TaskType.values else "",
    )
    context = {
        "benchmarks": found,
        "search": search,
        "task_type": task_type,
        "task_types": TaskType.choices,
    }
    return render(request, "evaluation/benchmarks.html", context)


@require_GET
def leaderboard_page(request: HttpRequest, namespace: str, name: str, task_id: str) -> HttpResponse:
    actor = actor_of(request)
    benchmark = get_benchmark_for_read(actor, namespace, name, task_id)
    version = version_of(benchmark, request.GET.get("version"))
    rows = leaderboard(actor, version)
    metrics = [info_of(metric) for metric in version.metrics]
    sort, is_down = _sort_of(request, version)
    lines = _lines(_sorted(rows, sort, is_down), version, is_ranked=sort == "rank")
    asked = request.GET.get("p", "1")
    page_number = min(max(int(asked), 1), 10_000) if asked.isdecimal() and len(asked) < 6 else 1
    first = (page_number - 1) * PAGE_ROWS
    context = {
        "benchmark": benchmark,
        "version": version,
        "versions": list(benchmark.versions.order_by("-number")[:20]),
        "is_current": version.pk == benchmark.current_id,
        "metrics": metrics,
        "columns": _columns(metrics, sort, is_down),
        "rows": rows,
        "lines": lines[first : first + PAGE_ROWS],
        "page_before": page_number - 1 if page_number > 1 else None,
        "page_after": page_number + 1 if first + PAGE_ROWS < len(lines) else None,
        "page_query": f"version={version.number}&sort={sort}&dir={'desc' if is_down else 'asc'}",
        "is_ranked": sort == "rank",
        "axis": axis_of(rows),
        "plot": _plot(rows, version, metrics[0]),
        "detectable": detectable_difference(rows),
        "n_items": max((row.main.n for row in rows if row.main), default=None),
        "may_write": level_of(actor, benchmark.dataset) >= Level.WRITE,
    }
    return render(request, "evaluation/leaderboard.html", context)


def axis_of(rows: list[BoardRow]) -> Axis:
    """A scale for the interval bars of all rows that are not far below the better half.

    Its length is at most five times the spread of the better half, and at least 0.1.
    """
    spans = sorted(span for row in rows if (span := _span(row.entry)) is not None)
    if not spans:
        return Axis(0.0, 1.0)
    values = [value for value, _, _ in spans]
    floor = values[-1] - max(5 * (values[-1] - values[len(values) // 2]), 0.1)
    shown = [span for span in spans if span[0] >= floor]
    low, high = min(low for _, low, _ in shown), max(high for _, _, high in shown)
    air = max((high - low) * 0.05, 0.005)
    is_share = values[0] >= 0 and high <= 1
    low, high = low - air, high + air
    if is_share:
        low, high = max(low, 0.0), min(high, 1.0)
    return Axis(low, high, len(values) - len(shown))


def _span(entry: LeaderboardEntry) -> tuple[float, float, float] | None:
    """Value and interval; the value alone where there is none, None without a value."""
    if entry.value is None:
        return None
    low = entry.value if entry.ci_low is None else entry.ci_low
    high = entry.value if entry.ci_high is None else entry.ci_high
    return entry.value, low, high


def detectable_difference(rows: list[BoardRow]) -> float | None:
    """How far apart two models must be for their scores to show it; None without a measure.

    2.8 standard errors of a difference of two scores of like size (80 % power at 5 %), for models
    that were not compared item by item; a paired comparison needs less.
    """
    errors = [row.main.se for row in rows if row.main and row.main.se]
    return 2.8 * math.sqrt(2) * median(errors) if errors else None


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


def _sorted(rows: list[BoardRow], sort: str, is_down: bool) -> list[BoardRow]:
    """In the order asked for; rows without the value come last either way."""
    if sort == "rank":
        return rows
    keyed = [(_sort_value(row, sort), row) for row in rows]
    known = [pair for pair in keyed if pair[0] is not None]
    known.sort(key=lambda pair: pair[0], reverse=is_down)
    return [row for _, row in known] + [row for value, row in keyed if value is None]


def _lines(rows: list[BoardRow], version: BenchmarkVersion, *, is_ranked: bool) -> list[Line]:
    """Rows with the baselines: at their place by the main metric, else at the end."""
    lines = [Line(row=row) for row in rows]
    for baseline in version.spec["baselines"]:
        value = baseline["scores"].get(version.main_metric)
        at = len(lines)
        if is_ranked and value is not None:
            worse = (n for n, line in enumerate(lines) if _is_below(line, value))
            at = next(worse, len(lines))
        lines.insert(at, Line(baseline=baseline))
    return lines


def _is_below(line: Line, value: float) -> bool:
    return line.row is not None and (line.row.entry.value is None or line.row.entry.value < value)


def _sort_value(row: BoardRow, sort: str) -> Any:
    if sort == "model":
        return row.entry.model_repo.full_name.lower()
    if sort == "when":
        return row.entry.run.finished_at
    if sort == "n":
        return row.main.n if row.main else None
    score = row.scores.get(sort)
    return score.value if score else None


def _plot(rows: list[BoardRow], version: BenchmarkVersion, metric: MetricInfo) -> dict[str, Any]:
    """What static/evaluation/interval_plot.js draws."""
    shown = [row for row in rows if row.main and row.main.value is not None][:PLOT_ROWS]
    return {
        "metric": str(metric.title),
        "chance": version.chance,
        "items": [
            {
                "name": row.entry.model_repo.full_name,
                "url": row.entry.run.url_path,
                "value": row.entry.value,
                "low": row.entry.ci_low,
                "high": row.entry.ci_high,
            }
            for row in shown
        ],
        "baselines": [
            {"name": b["name"], "value": b["scores"][version.main_metric]}
            for b in version.spec["baselines"]
            if version.main_metric in b["scores"]
        ],
    }
