"""Parquet: the footer, then only the columns and row groups that are asked for."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from functools import partial

import pyarrow as pa
import pyarrow.parquet as pq

from hub.viewer.reader.errors import ReadError
from hub.viewer.reader.features import Feature, features_of, media_kind
from hub.viewer.reader.pruning import Bounds, Stretch, stated_bounds
from hub.viewer.reader.source import Budget, Files
from hub.viewer.reader.tables import Batch, Table, check_names

READ_AHEAD_BYTES = 256 * 1024
"""Per column: a page of rows is found in the first pages of its chunks."""
PAGE_ROWS = 128
SCAN_ROWS = 16_384
MAX_COLUMNS = 20_000


class ParquetTable(Table):
    """The rows of parquet files of one schema, in order.

    Bytes of pictures and sounds are left out: of such a column only the path is read, unless
    `with_media`.
    """

    def __init__(self, files: Files, declared: dict[str, Feature], *, with_media: bool) -> None:
        self._files = files
        self._open: dict[int, pq.ParquetFile] = {}
        written = self._file(0).schema_arrow
        check_names(written.names)
        if len(written) > MAX_COLUMNS:
            text = f"The file has {len(written):,} columns, more than the {MAX_COLUMNS:,} shown."
            raise ReadError("TooManyColumns", text)
        self.features = features_of(written, declared)
        self._with_media = with_media
        self.schema = pa.schema([self._shown(field) for field in written])
        self._count_from_footers(files.budget)

    def _count_from_footers(self, budget: Budget) -> None:
        """The number of rows, where all footers can be read within the budget."""
        total = 0
        for number in range(len(self._files.listed)):
            if budget.is_spent():
                return
            total += self._file(number).metadata.num_rows
        self.num_rows = total

    def _file(self, number: int) -> pq.ParquetFile:
        if number not in self._open:
            stream = self._files.open(number)
            self._open[number] = pq.ParquetFile(
                stream, buffer_size=READ_AHEAD_BYTES, pre_buffer=False
            )
        return self._open[number]

    def _shown(self, field: pa.Field) -> pa.Field:
        if not self._is_path_enough(field.name, field.type):
            return field
        return pa.field(field.name, pa.struct([field.type.field("path")]))

    def _is_path_enough(self, name: str, kind: pa.DataType) -> bool:
        is_media = media_kind(self.features[name]) is not None and not self._with_media
        return is_media and pa.types.is_struct(kind) and kind.get_field_index("path") >= 0

    def batches(self, columns: Sequence[str], *, without: Collection[int] = ()) -> Iterator[Batch]:
        start = 0
        for number in range(len(self._files.listed)):
            parts: list[tuple[int | None, int]] = [(None, 0)]
            for group, n_rows in self._groups(number) if without else parts:
                if start in without:
                    start += n_rows
                    continue
                for rows in self._rows_of(number, group, columns, SCAN_ROWS):
                    yield Batch(start, rows)
                    start += len(rows)
        self.num_rows = start

    def _groups(self, number: int) -> list[tuple[int, int]]:
        """The row groups of a file that hold rows, with how many."""
        metadata = self._file(number).metadata
        sizes = ((at, metadata.row_group(at).num_rows) for at in range(metadata.num_row_groups))
        return [(at, n_rows) for at, n_rows in sizes if n_rows]

    def stretches(self) -> list[Stretch]:
        """The row groups; none where not all footers could be read."""
        if self.num_rows is None:
            return []
        found, start = [], 0
        for number in range(len(self._files.listed)):
            for group, n_rows in self._groups(number):
                found.append(Stretch(start, start + n_rows, partial(self._bounds, number, group)))
                start += n_rows
        return found

    def _bounds(self, number: int, group: int, name: str) -> Bounds | None:
        """What a row group says of a column that is no nested one."""
        file = self._file(number)
        kind = self.schema.field(name).type
        if pa.types.is_nested(kind) or name not in file.schema_arrow.names:
            return None
        leaves = [at for at in range(len(file.schema)) if file.schema.column(at).path == name]
        if len(leaves) != 1 or file.schema_arrow.field(name).type != kind:
            return None
        chunk = file.metadata.row_group(group).column(leaves[0])
        return stated_bounds(kind, chunk.statistics)

    def pick(self, wanted: Sequence[int], columns: Sequence[str], budget: Budget) -> pa.Table:
        """Only row groups that hold a wanted row are touched, each up to its last wanted one."""
        found: list[pa.RecordBatch] = []
        start, left = 0, list(wanted)
        for number in range(len(self._files.listed)):
            metadata = self._file(number).metadata
            for group in range(metadata.num_row_groups):
                stop = start + metadata.row_group(group).num_rows
                inside = [row - start for row in left if row < stop]
                left = left[len(inside) :]
                if inside:
                    found += self._pick_of_group(number, group, inside, columns, budget)
                start = stop
            if not left:
                break
        return pa.Table.from_batches(found, self.subschema(columns)) if found else self._no_rows()

    def _pick_of_group(
        self, number: int, group: int, inside: list[int], columns: Sequence[str], budget: Budget
    ) -> list[pa.RecordBatch]:
        found, at = [], 0
        n_rows = PAGE_ROWS if inside[-1] < PAGE_ROWS else SCAN_ROWS // 8
        for rows in self._rows_of(number, group, columns, n_rows):
            stop = at + len(rows)
            here = [row - at for row in inside if at <= row < stop]
            if here:
                found.append(rows.take(pa.array(here, pa.int64())))
            at = stop
            if at > inside[-1]:
                break
            if budget.is_spent():
                raise _too_far(at)
        return found

    def _rows_of(
        self, number: int, group: int | None, columns: Sequence[str], n_rows: int
    ) -> Iterator[pa.RecordBatch]:
        file = self._file(number)
        wanted = self.subschema(columns)
        self._check_same(number, file.schema_arrow)
        batches = file.iter_batches(
            batch_size=n_rows,
            row_groups=None if group is None else [group],
            columns=[self._path(name) for name in columns],
            use_threads=False,
        )
        for rows in batches:
            arrays = [rows.column(name).cast(wanted.field(name).type) for name in columns]
            yield pa.RecordBatch.from_arrays(arrays, schema=wanted)

    def _path(self, name: str) -> str:
        field = self._file(0).schema_arrow.field(name)
        return f"{name}.path" if self._is_path_enough(name, field.type) else name

    def _check_same(self, number: int, schema: pa.Schema) -> None:
        if set(self.schema.names) - set(schema.names):
            gone = next(name for name in self.schema.names if name not in schema.names)
            first, this = self._files.listed[0].path, self._files.listed[number].path
            text = f"{this} has no column “{gone[:80]}”, but {first} of the same split has."
            raise ReadError("ColumnsDiffer", text, path=this)


def _too_far(rows: int) -> ReadError:
    text = (
        f"These rows lie behind the first {rows:,} of a row group, or in too many row groups, to "
        "be fetched in time. Ask for fewer rows or columns."
    )
    return ReadError("RowGroupTooLarge", text, rows=rows)
