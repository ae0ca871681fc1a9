"""What differs between two versions of a checkpoint, told from its headers alone.

Names, dtypes and shapes are compared. Values are not: a tensor that keeps all three may still hold
other numbers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from ml_core.formats.errors import FormatError
from ml_core.formats.safetensors import ParameterSummary, SafetensorsHeader, TensorInfo, summarize
from ml_core.formats.shards import ShardIndex, summarize_sharded

Kind = Literal["added", "removed", "changed"]


@dataclass(frozen=True)
class TensorSet:
    """The tensors of one checkpoint by name, whether it lies in one file or in several."""

    tensors: Mapping[str, TensorInfo]
    parameters: ParameterSummary

    @property
    def size_bytes(self) -> int:
        return sum(tensor.size_bytes for tensor in self.tensors.values())


EMPTY = TensorSet({}, ParameterSummary({}, 0))


@dataclass(frozen=True)
class TensorChange:
    """One tensor that differs; `old` is None where it was added, `new` where it was removed."""

    name: str
    old: TensorInfo | None
    new: TensorInfo | None

    @property
    def kind(self) -> Kind:
        if self.old is None:
            return "added"
        return "removed" if self.new is None else "changed"

    @property
    def has_new_dtype(self) -> bool:
        return bool(self.old and self.new and self.old.dtype != self.new.dtype)

    @property
    def has_new_shape(self) -> bool:
        return bool(self.old and self.new and self.old.shape != self.new.shape)

    @property
    def size_change_bytes(self) -> int:
        old, new = (side.size_bytes if side else 0 for side in (self.old, self.new))
        return new - old


@dataclass(frozen=True)
class DtypeChange:
    """How many elements of one dtype there were and are."""

    dtype: str
    old: int
    new: int

    @property
    def change(self) -> int:
        return self.new - self.old


@dataclass(frozen=True)
class TensorDiff:
    """All differences, sorted by name; `n_same` tensors kept their dtype and shape."""

    old: TensorSet
    new: TensorSet
    changes: tuple[TensorChange, ...]
    n_same: int

    @property
    def dtypes(self) -> list[DtypeChange]:
        """Numbers of elements by dtype, for each dtype of either version."""
        old, new = self.old.parameters.parameters, self.new.parameters.parameters
        names = sorted(old.keys() | new.keys())
        return [DtypeChange(name, old.get(name, 0), new.get(name, 0)) for name in names]

    @property
    def total(self) -> DtypeChange:
        return DtypeChange("", self.old.parameters.total, self.new.parameters.total)

    def count(self, kind: Kind) -> int:
        return sum(change.kind == kind for change in self.changes)


def whole_file(header: SafetensorsHeader) -> TensorSet:
    """The tensors of a checkpoint that is one file."""
    return TensorSet({tensor.name: tensor for tensor in header.tensors}, summarize([header]))


def sharded(index: ShardIndex, headers: Mapping[str, SafetensorsHeader]) -> TensorSet:
    """The tensors of a checkpoint split over the files that `index` names.

    Args:
        headers: header of each shard by file name.

    Raises:
        FormatError: as `summarize_sharded`; `duplicate-tensor` where two shards hold one name.
    """
    summary = summarize_sharded(index, headers)
    tensors: dict[str, TensorInfo] = {}
    for shard in index.shards:
        for tensor in headers[shard].tensors:
            if tensor.name in tensors:
                raise FormatError(
                    "duplicate-tensor", "Two shards hold a tensor of one name.", name=tensor.name
                )
            tensors[tensor.name] = tensor
    return TensorSet(tensors, summary)


def diff_tensors(old: TensorSet, new: TensorSet) -> TensorDiff:
    """What was added, removed, or has another dtype or shape."""
    changes = [
        TensorChange(name, old.tensors.get(name), new.tensors.get(name))
        for name in old.tensors.keys() | new.tensors.keys()
        if not _is_same(old.tensors.get(name), new.tensors.get(name))
    ]
    changes.sort(key=lambda change: _natural(change.name))
    n_same = len(new.tensors) - sum(change.new is not None for change in changes)
    return TensorDiff(old, new, tuple(changes), n_same)


def _is_same(old: TensorInfo | None, new: TensorInfo | None) -> bool:
    if old is None or new is None:
        return False
    return (old.dtype, old.shape) == (new.dtype, new.shape)


def _natural(name: str) -> tuple[list[tuple[int, str]], str]:
    """Sorts `layer.2` before `layer.10`: runs of digits compare by length, then by digit."""
    parts = re.split(r"([0-9]+)", name)  # every second part is a number
    keys = [_number_key(part) if at % 2 else (0, part) for at, part in enumerate(parts)]
    return keys, name


def _number_key(digits: str) -> tuple[int, str]:
    plain = digits.lstrip("0")
    return len(plain), plain
