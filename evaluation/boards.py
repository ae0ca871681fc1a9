"""A leaderboard as rows of plain text, for CSV."""

from __future__ import annotations

import csv
import io

from evaluation.models import BenchmarkVersion
from evaluation.queries import BoardRow
from hub.spreadsheets import plain_text


def board_csv(version: BenchmarkVersion, rows: list[BoardRow]) -> str:
    """The board with one column a metric's value and two its interval; full precision."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    head = [
        "rank_best",
        "rank_worst",
        "model",
        "kind",
        "commit",
        "run",
        "finished_at",
        "worker",
        "n",
    ]
    for metric in version.metrics:
        head += [metric, f"{metric}_ci_low", f"{metric}_ci_high"]
    writer.writerow(head)
    for row in rows:
        cells = _cells(version, row)
        writer.writerow([plain_text(cell) if isinstance(cell, str) else cell for cell in cells])
    return out.getvalue()


def _cells(version: BenchmarkVersion, row: BoardRow) -> list[object]:
    run, main = row.entry.run, row.main
    cells: list[object] = [
        row.placed.best,
        row.placed.worst,
        row.entry.name,
        row.kind,
        run.model_commit,
        run.pk,
        run.finished_at.isoformat() if run.finished_at else None,
        run.worker.name if run.worker else None,
        main.n if main else None,
    ]
    for metric in version.metrics:
        score = row.scores.get(metric)
        cells += [score.value, score.ci_low, score.ci_high] if score else [None] * 3
    return cells
