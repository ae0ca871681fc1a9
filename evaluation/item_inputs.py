"""What single items of a benchmark ask: their input columns, as the viewer of data sets shows them.

For readers who may read what is in the data set; the caller has asked.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from evaluation.models import BenchmarkVersion, Run
from hub.viewer.errors import ConfigNotFound, DataError, NoData, SplitNotFound, ViewerBusy
from hub.viewer.portal.cells import Cell, shown_rows
from hub.viewer.portal.words import explain
from hub.viewer.queries import DataSet, Part
from hub.viewer.reader.jobs import Limits
from ml_core.data.roles import ID_ROLE
from ml_core.evaluate.tasks import get_task

LIMITS = Limits(cell_chars=4_000, answer_bytes=3_000_000)
PATIENCE_S = 4.0
_UNREADABLE = (DataError, NoData, ConfigNotFound, SplitNotFound, ViewerBusy)


@dataclass(frozen=True)
class Inputs:
    """Cells by item id, one a column. An item is lacking where it was not found for certain, or
    where reading took too long; `problem` says why nothing can be shown."""

    columns: list[str] = field(default_factory=list)
    cells: dict[str, list[Cell]] = field(default_factory=dict)
    problem: str = ""


def inputs_of(run: Run, version: BenchmarkVersion, items: Sequence[tuple[int, str]]) -> Inputs:
    """The inputs of items, given by row of the split and id.

    A row is believed to be the item's where the data's own id says so, or where the split has no
    ids and is made of just the files that the run's record names.
    """
    spec = version.spec
    data = DataSet(version.benchmark.dataset, version.commit_sha)
    try:
        part = data.part(spec["config"], spec["split"])
        there = part.rows(length=1, limits=LIMITS)["columns"]
        roles = get_task(spec["type"]).inputs
        named = [spec["columns"].get(role.name, role.name) for role in roles]
        columns = [name for name in named if name in there]
        id_column = spec["columns"].get(ID_ROLE, ID_ROLE)
        has_ids = id_column in there
        if not columns or not (has_ids or _is_same_split(run, part)):
            return Inputs()
        return _read(part, columns, id_column if has_ids else None, items)
    except _UNREADABLE as error:
        return Inputs(problem=explain(error).what)


def _read(
    part: Part, columns: list[str], id_column: str | None, items: Sequence[tuple[int, str]]
) -> Inputs:
    asked = [*columns, id_column] if id_column and id_column not in columns else columns
    until = time.monotonic() + PATIENCE_S
    cells: dict[str, list[Cell]] = {}
    for row, item_id in items:
        if time.monotonic() > until:
            break
        found = part.rows(offset=row, length=1, columns=asked, limits=LIMITS)
        if not found["rows"]:
            continue
        if id_column is None or str(found["rows"][0]["row"][id_column]) == item_id:
            cells[item_id] = shown_rows(part, found)[0].cells[: len(columns)]
    return Inputs(columns, cells)


def _is_same_split(run: Run, part: Part) -> bool:
    files = (run.record or {}).get("benchmark", {}).get("files", {})
    return set(files) == set(part.split.paths)
