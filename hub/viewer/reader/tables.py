"""What every format gives: a schema, batches of rows in order, and single rows by number."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

import pyarrow as pa

from hub.viewer.reader.errors import ReadError
from hub.viewer.reader.pruning import Stretch
from hub.viewer.reader.source import Budget

Kinds = dict[str, str]
"""Columns that hold more than their first rows promised: "float" or "text" by name."""


class Batch(NamedTuple):
    """Rows of a split; `start` is the number of the first."""

    start: int
    rows: pa.RecordBatch


class Table(ABC):
    """The rows of one split, over all its files.

    `num_rows` is None as long as it takes more reading to know.
    """

    schema: pa.Schema
    num_rows: int | None = None

    @abstractmethod
    def batches(self, columns: Sequence[str], *, without: Collection[int] = ()) -> Iterator[Batch]:
        """All rows in order, with these columns. At the end `num_rows` is known.

        Args:
            without: starts of `stretches` that need not be read, and are not where that is easy.
        """

    def stretches(self) -> list[Stretch]:
        """Parts of the table of which something is known before they are read."""
        return []

    def pick(self, wanted: Sequence[int], columns: Sequence[str], budget: Budget) -> pa.Table:
        """The rows with these numbers, which ascend; those behind the end are left out.

        Raises:
            ReadError: `OutOfReach`, where the budget does not go that far.
        """
        found: list[pa.RecordBatch] = []
        for start, rows in self.batches(columns):
            stop = start + len(rows)
            inside = [number - start for number in wanted if start <= number < stop]
            if inside:
                found.append(rows.take(pa.array(inside, pa.int64())))
            if not wanted or stop > wanted[-1]:
                break
            if budget.is_spent():
                raise out_of_reach(stop)
        return pa.Table.from_batches(found, self.subschema(columns)) if found else self._no_rows()

    def subschema(self, columns: Sequence[str]) -> pa.Schema:
        return pa.schema([self.schema.field(name) for name in columns])

    def _no_rows(self) -> pa.Table:
        return self.schema.empty_table()


class MemoryTable(Table):
    """Rows that are all there."""

    def __init__(self, rows: pa.Table) -> None:
        self._rows = rows
        self.schema = rows.schema
        self.num_rows = rows.num_rows

    def batches(self, columns: Sequence[str], *, without: Collection[int] = ()) -> Iterator[Batch]:
        start = 0
        for rows in self._rows.select(list(columns)).to_batches(max_chunksize=10_000):
            yield Batch(start, rows)
            start += len(rows)


def check_names(names: Sequence[str]) -> None:
    """Raises `ReadError` where two columns share a name, which no answer could tell apart."""
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        text = f"Two columns are called “{twice[:80]}”."
        raise ReadError("ColumnTwice", text, column=twice[:80])


def out_of_reach(rows: int) -> ReadError:
    return ReadError(
        "OutOfReach",
        f"Only the first {rows:,} rows can be reached: what lies behind them would take too long "
        "to read in this format.",
        rows=rows,
    )
