"""The columns a task needs, and the check that a split has them, whole."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ml_core.data.marks import Marks, read_marks
from ml_core.data.roles import ID_ROLE, ITEM_ID, MARKS, Role
from ml_core.data.tables import Source, open_source, read_columns
from ml_core.errors import Code, UserError
from ml_core.specs import DataSpec

MAX_SHOWN = 5


@dataclass(frozen=True)
class Items:
    """A checked split: ids (unique), input columns by role, and the raw columns of the truth.

    `truth` has the columns that are there; a job in the cage has none. `names` are those that the
    file itself gives to the integers of such a column, by role. `marks` never enter the cage.
    """

    item_ids: tuple[str, ...]
    inputs: pa.Table
    truth: pa.Table
    names: Mapping[str, tuple[str, ...]]
    marks: Marks = Marks()

    def __len__(self) -> int:
        return len(self.item_ids)

    def truth_column(self, role: str) -> pa.ChunkedArray | None:
        """The raw column of a role of the truth, None where the data has none."""
        return self.truth.column(role) if role in self.truth.column_names else None


def read_items(data: DataSpec, inputs: Sequence[Role], truth: Sequence[Role]) -> Items:
    """The split of `data`, checked against the roles of a task.

    The columns of the truth may be absent, and what they hold is checked by the answer kind.

    Raises:
        UserError: `data_unreadable`, `dataset_missing_column`, `dataset_empty`,
            `dataset_broken_row`, `dataset_duplicate_id`.
    """
    sources = [open_source(Path(file)) for file in data.files]
    answers = [replace(role, required=False) for role in truth]
    roles = (*inputs, ITEM_ID, *MARKS, *answers)
    columns = match_columns(roles, data.columns, sources)
    texts = frozenset(role.name for role in roles if role.kind == "text" or role in MARKS)
    table = read_columns(sources, columns, text_roles=texts, limit=data.limit)
    if table.num_rows == 0:
        raise UserError(Code.EMPTY_SPLIT, "The split has no rows; there is nothing to evaluate.")
    item_ids = _item_ids(table)
    given = [role for role in inputs if role.name in columns]
    for role in given:
        _check_column(role, table.column(role.name), columns[role.name], item_ids)
    known = [role.name for role in answers if role.name in columns]
    found = {role: sources[0].label_names.get(columns[role]) for role in known}
    names = {role: name for role, name in found.items() if name is not None}
    inputs_table = table.select([role.name for role in given])
    given_names = {
        role.name: sources[0].label_names[columns[role.name]]
        for role in MARKS
        if columns.get(role.name) in sources[0].label_names
    }
    marks = read_marks(table, data.columns, given_names)
    return Items(item_ids, inputs_table, table.select(known), names, marks)


def match_columns(
    roles: Sequence[Role], named: dict[str, str], sources: Sequence[Source]
) -> dict[str, str]:
    """Column by role: the one named, else the one of the role's own name.

    Raises:
        UserError: `dataset_missing_column`, naming the columns that are there.
    """
    known = {role.name for role in roles}
    strange = sorted(set(named) - known)
    if strange:
        raise UserError(
            Code.SPEC_INVALID,
            f"This task has no column role {strange[0]!r}; it has {', '.join(sorted(known))}.",
        )
    columns = {}
    for role in roles:
        column = named.get(role.name, role.name)
        lacking = [source for source in sources if column not in source.columns]
        if not lacking:
            columns[role.name] = column
        elif role.required or role.name in named:
            raise _missing_column(role, column, lacking[0])
    return columns


def _missing_column(role: Role, column: str, source: Source) -> UserError:
    found = ", ".join(source.columns[:50]) or "none"
    return UserError(
        Code.MISSING_COLUMN,
        f"The data has no column {column!r}, which the task needs as its {role.name}. "
        f"Columns of {source.path.name}: {found}.",
        column=column,
        role=role.name,
        found=list(source.columns[:50]),
    )


def _item_ids(table: pa.Table) -> tuple[str, ...]:
    """Ids as text; the row number where the data has none."""
    if ID_ROLE not in table.column_names:
        return tuple(str(number) for number in range(table.num_rows))
    column = table.column(ID_ROLE)
    if not (pa.types.is_integer(column.type) or _is_text(column.type)):
        raise UserError(Code.BROKEN_ROW, f"item_id holds {column.type}, not text or integers.")
    if column.null_count:
        raise UserError(Code.BROKEN_ROW, f"{column.null_count} rows have no item_id.")
    item_ids = tuple(str(value) for value in column.to_pylist())
    if len(set(item_ids)) != len(item_ids):
        seen: set[str] = set()
        twice = next(i for i in item_ids if i in seen or seen.add(i))  # type: ignore[func-returns-value]
        raise UserError(
            Code.DUPLICATE_ID, f"The item_id {twice!r} appears more than once.", item_id=twice
        )
    return item_ids


def _check_column(
    role: Role, values: pa.ChunkedArray, column: str, item_ids: tuple[str, ...]
) -> None:
    if role.kind == "text":
        if not _is_text(values.type):
            raise UserError(
                Code.BROKEN_ROW,
                f"The column {column!r} holds {values.type}, not text.",
                column=column,
            )
        refuse_rows(pc.is_null(values), item_ids, f"have no text in the column {column!r}")
    if role.kind == "texts":
        _check_texts(values, column, item_ids)
    if role.kind == "image":
        data = image_bytes(values, column)
        empty = pc.equal(pc.fill_null(pc.binary_length(data), 0), 0)
        refuse_rows(empty, item_ids, f"have no image in the column {column!r}")


def _check_texts(values: pa.ChunkedArray, column: str, item_ids: tuple[str, ...]) -> None:
    """Each row a list of one text or more, none of them null or empty."""
    kind = values.type
    if not (pa.types.is_list(kind) or pa.types.is_large_list(kind)) or not _is_text(
        kind.value_type
    ):
        raise UserError(
            Code.BROKEN_ROW,
            f"The column {column!r} holds {kind}, not a list of texts in each row.",
            column=column,
        )
    empty = pc.less(pc.fill_null(pc.list_value_length(values), 0), 1)
    refuse_rows(empty, item_ids, f"have no texts in the column {column!r}")
    rows = values.combine_chunks()
    texts = pc.list_flatten(rows)
    blank = pc.equal(pc.fill_null(pc.utf8_length(texts), 0), 0)
    broken = np.zeros(len(item_ids), dtype=np.bool_)
    broken[pc.list_parent_indices(rows).to_numpy()[blank.to_numpy(zero_copy_only=False)]] = True
    refuse_rows(pa.array(broken), item_ids, f"have an empty text in the column {column!r}")


def refuse_rows(mask: pa.ChunkedArray | pa.Array, item_ids: Sequence[str], problem: str) -> None:
    """Raise `dataset_broken_row` naming the first items for which `mask` is true."""
    rows = pc.indices_nonzero(mask).to_pylist()
    if rows:
        shown = [item_ids[row] for row in rows[:MAX_SHOWN]]
        raise UserError(
            Code.BROKEN_ROW,
            f"{len(rows)} of {len(item_ids)} rows {problem}; the first: {', '.join(shown)}.",
            n_rows=len(rows),
            item_ids=shown,
        )


def image_bytes(values: pa.ChunkedArray, column: str = "image") -> pa.ChunkedArray:
    """The encoded images of a column: plain bytes, or the `{bytes, path}` of `datasets`.

    Raises:
        UserError: `dataset_broken_row` where the column holds something else.
    """
    if pa.types.is_struct(values.type) and values.type.get_field_index("bytes") >= 0:
        data = pc.struct_field(values, "bytes")
        return data if isinstance(data, pa.ChunkedArray) else pa.chunked_array([data])
    if pa.types.is_binary(values.type) or pa.types.is_large_binary(values.type):
        return values
    raise UserError(
        Code.BROKEN_ROW,
        f"The column {column!r} holds {values.type}; images must be in the table as bytes.",
        column=column,
    )


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))
