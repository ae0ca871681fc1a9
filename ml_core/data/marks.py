"""Which items belong together, and to whom they belong: columns that no model sees."""

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from ml_core.data.roles import CLUSTER_ROLE, GROUP_ROLE
from ml_core.errors import Code, UserError

MAX_GROUPS = 100

Names = tuple[str | None, ...]


@dataclass(frozen=True)
class Marks:
    """The cluster and the group of each item, None where an item has none.

    A whole field is None where the data has no such column.
    """

    clusters: Names | None = None
    groups: Names | None = None

    def beside(self, samples: pa.Table) -> pa.Table:
        """`samples`, one row an item, with the columns that there are."""
        for role, names in ((CLUSTER_ROLE, self.clusters), (GROUP_ROLE, self.groups)):
            if names is not None and role not in samples.column_names:
                samples = samples.append_column(role, pa.array(names, pa.string()))
        return samples


def read_marks(
    table: pa.Table,
    named: Mapping[str, str],
    label_names: Mapping[str, tuple[str, ...]] | None = None,
) -> Marks:
    """The marks in a table whose columns are called by their roles.

    A column that nobody named, and that happens to be called like a role, is left alone where it
    cannot be one.

    Args:
        named: column by role, as far as the benchmark names them.
        label_names: by role, what the data file calls the integers of a column.

    Raises:
        UserError: `dataset_broken_row` where a named column cannot be used.
    """
    clusters = _names(table, CLUSTER_ROLE, is_named=CLUSTER_ROLE in named)
    groups = _names(table, GROUP_ROLE, is_named=GROUP_ROLE in named)
    spoken = (label_names or {}).get(GROUP_ROLE)
    if groups and spoken and pa.types.is_integer(table.column(GROUP_ROLE).type):
        words = {str(at): name for at, name in enumerate(spoken)}
        groups = tuple(None if g is None else words.get(g, g) for g in groups)
    n_groups = len(set(groups or ()) - {None})
    if n_groups > MAX_GROUPS:
        if GROUP_ROLE in named:
            raise UserError(
                Code.BROKEN_ROW,
                f"The column {named[GROUP_ROLE]!r} names {n_groups} groups; scores by group are "
                f"for at most {MAX_GROUPS}.",
                column=named[GROUP_ROLE],
            )
        groups = None
    return Marks(clusters, groups)


def _names(table: pa.Table, role: str, *, is_named: bool) -> Names | None:
    """The values as text; empty ones are none."""
    if role not in table.column_names:
        return None
    column = table.column(role)
    kind = column.type
    is_text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    if not (is_text or pa.types.is_integer(kind) or pa.types.is_boolean(kind)):
        if not is_named:
            return None
        raise UserError(
            Code.BROKEN_ROW, f"The column for {role} holds {kind}, not text or integers.", role=role
        )
    names = tuple(value or None for value in pc.cast(column, pa.string()).to_pylist())
    return names if any(name is not None for name in names) else None
