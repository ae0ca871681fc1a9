"""Curves of a training as plots and tables want them."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from evaluation.models import Run, Series

SHOWN_ROWS = 30


def curves_of(run: Run) -> list[dict[str, Any]]:
    """Each series with its points in the order of steps."""
    points: dict[tuple[str, str], list[list[float | None]]] = defaultdict(list)
    for series, name, step, value in run.points.order_by("step").values_list(
        "series", "name", "step", "value"
    ):
        points[series, name].append([step, value])
    return [
        {"series": series, "name": name, "points": values}
        for (series, name), values in sorted(points.items())
    ]


def measured_rows(run: Run) -> dict[str, Any] | None:
    """The newest measurements by step, each beside the training loss up to there; None: none."""
    by_name = {(one["series"], one["name"]): one["points"] for one in curves_of(run)}
    losses = by_name.get((Series.TRAIN, "loss"), [])
    names = [name for series, name in by_name if series == Series.VALIDATION]
    if not names:
        return None
    steps = sorted({point[0] for name in names for point in by_name[Series.VALIDATION, name]})
    values = {name: dict(map(tuple, by_name[Series.VALIDATION, name])) for name in names}
    return {
        "names": names,
        "rows": [
            {
                "step": step,
                "values": [values[name].get(step) for name in names],
                "loss": next((loss for at, loss in reversed(losses) if at <= step), None),
            }
            for step in steps[-SHOWN_ROWS:]
        ],
    }
