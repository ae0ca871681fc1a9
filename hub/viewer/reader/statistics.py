"""What the values of each column are like: histograms, counts, extremes.

Source: the shape of `statistics` of the Hub's data set viewer, ten bins as there. Rows beyond the
budget are not looked at; the answer says so.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from hub.viewer.reader import matching
from hub.viewer.reader.features import Feature, label_names, media_kind
from hub.viewer.reader.jobs import Job
from hub.viewer.reader.source import Files
from hub.viewer.reader.tables import Table
from hub.viewer.reader.values import to_json

Numpy = Any  # an array of numbers; pyarrow, which makes them, ships no types

BINS = 10
MAX_LABELS = 30
MAX_VALUES = 20_000_000
"""Values of all columns together that are held in memory."""


def read_statistics(
    job: Job, table: Table, features: dict[str, Feature], files: Files
) -> dict[str, Any]:
    """Statistics of the columns that `job` names, or of all."""
    names = [name for name in table.schema.names if job.columns is None or name in job.columns]
    columns = {name: column_for(table.schema.field(name), features[name]) for name in names}
    max_rows = MAX_VALUES // max(1, len(names))
    n_rows, is_complete = 0, True
    for start, rows in table.batches(names):
        for name, column in columns.items():
            column.add(rows.column(name))
        n_rows = start + len(rows)
        if files.budget.is_spent() or n_rows >= max_rows:
            is_complete = table.num_rows == n_rows
            break
    summaries = {name: column.summary() for name, column in columns.items()}
    found = [
        {"column_name": name, "column_type": columns[name].kind, "column_statistics": summary}
        for name, summary in summaries.items()
    ]
    return {
        "num_examples": n_rows,
        "statistics": found,
        "partial": not is_complete,
        "scanned_bytes": files.budget.bytes_read,
    }


def column_for(field: pa.Field, feature: Feature) -> Column:
    """The accumulator that suits a column."""
    kind = field.type.value_type if pt.is_dictionary(field.type) else field.type
    names = label_names(feature)
    if names is not None and pt.is_integer(kind):
        return Labels(names)
    if media := media_kind(feature):
        return Column(media)
    if pt.is_boolean(kind):
        return Booleans()
    if matching.is_text(kind):
        return Texts()
    if pt.is_integer(kind) or pt.is_floating(kind) or pt.is_decimal(kind):
        return Numbers("int" if pt.is_integer(kind) else "float")
    if pt.is_timestamp(kind) or pt.is_date(kind):
        return Times()
    if pt.is_list(kind) or pt.is_large_list(kind):
        return Lists()
    return Column("other")


class Column:
    """Counts nulls; the kinds below also look at values."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.n = self.n_null = 0

    def add(self, values: pa.Array) -> None:
        self.n += len(values)
        self.n_null += values.null_count
        self.look(matching.plain(values.drop_null()))

    def look(self, values: pa.Array) -> None:
        """Takes note of values, none of them null."""

    def summary(self) -> dict[str, Any]:
        share = round(self.n_null / self.n, 5) if self.n else 0.0
        return {"nan_count": self.n_null, "nan_proportion": share, **self.facts()}

    def facts(self) -> dict[str, Any]:
        return {}


class _Measured(Column, ABC):
    """A column of which each value gives a number."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self._parts: list[Numpy] = []

    @abstractmethod
    def measure(self, values: pa.Array) -> Numpy: ...

    def look(self, values: pa.Array) -> None:
        self._parts.append(self.measure(values))

    def facts(self) -> dict[str, Any]:
        numbers = np.concatenate(self._parts) if self._parts else np.array([])
        return describe_numbers(numbers)


class Numbers(_Measured):
    """NaN counts as missing, as on the Hub."""

    def measure(self, values: pa.Array) -> Numpy:
        if self.kind == "int" and not pt.is_uint64(values.type):
            return values.cast(pa.int64()).to_numpy(zero_copy_only=False)
        numbers = values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
        is_number = np.isfinite(numbers)
        self.n_null += int(np.isnan(numbers).sum())
        return numbers[is_number]


class Times(_Measured):
    """Measured in microseconds, told as dates."""

    def __init__(self) -> None:
        super().__init__("datetime")
        self._type: pa.DataType = pa.timestamp("us")

    def measure(self, values: pa.Array) -> Numpy:
        zone = values.type.tz if pt.is_timestamp(values.type) else None
        self._type = pa.timestamp("us", zone)
        return values.cast(self._type, safe=False).cast(pa.int64()).to_numpy(zero_copy_only=False)

    def facts(self) -> dict[str, Any]:
        facts = super().facts()
        facts.pop("std", None)
        for name in ("min", "max", "mean", "median"):
            facts[name] = self._told(facts.get(name))
        if histogram := facts.get("histogram"):
            histogram["bin_edges"] = [self._told(edge) for edge in histogram["bin_edges"]]
        return facts

    def _told(self, value: float | None) -> str | None:
        if value is None:
            return None
        text = pc.cast(pa.scalar(int(value), pa.int64()).cast(self._type), pa.string())
        return str(text.as_py()).removesuffix(".000000")


class Lists(_Measured):
    def __init__(self) -> None:
        super().__init__("list")

    def measure(self, values: pa.Array) -> Numpy:
        return pc.list_value_length(values).to_numpy(zero_copy_only=False)


class Texts(_Measured):
    """Few different texts are counted; of many the lengths are described."""

    def __init__(self) -> None:
        super().__init__("string_text")
        self._counts: Counter[str] | None = Counter()

    def measure(self, values: pa.Array) -> Numpy:
        if self._counts is not None:
            for item in pc.value_counts(values):
                self._counts[item["values"].as_py()] += item["counts"].as_py()
                if len(self._counts) > MAX_LABELS:
                    self._counts = None
                    break
        return pc.utf8_length(values).to_numpy(zero_copy_only=False).astype(np.int64)

    def facts(self) -> dict[str, Any]:
        n_values = sum(map(len, self._parts))
        if self._counts and len(self._counts) < n_values:
            self.kind = "string_label"
            counts = {text[:200]: count for text, count in self._counts.most_common()}
            return {
                "no_label_count": 0,
                "no_label_proportion": 0.0,
                "n_unique": len(self._counts),
                "frequencies": counts,
            }
        return super().facts()


class Labels(Column):
    """Class labels; -1 and numbers beyond the names stand for none."""

    def __init__(self, names: list[str]) -> None:
        super().__init__("class_label")
        self._names = names
        self._counts: Counter[int] = Counter()

    def look(self, values: pa.Array) -> None:
        for item in pc.value_counts(values):
            self._counts[item["values"].as_py()] += item["counts"].as_py()

    def facts(self) -> dict[str, Any]:
        known = {i: n for i, n in self._counts.items() if 0 <= i < len(self._names)}
        n_none = sum(self._counts.values()) - sum(known.values())
        return {
            "no_label_count": n_none,
            "no_label_proportion": round(n_none / self.n, 5) if self.n else 0.0,
            "n_unique": len(known),
            "frequencies": {self._names[i]: known[i] for i in sorted(known)},
        }


class Booleans(Column):
    def __init__(self) -> None:
        super().__init__("bool")
        self._n_true = 0

    def look(self, values: pa.Array) -> None:
        self._n_true += values.true_count

    def facts(self) -> dict[str, Any]:
        n_false = self.n - self.n_null - self._n_true
        return {"frequencies": {"True": self._n_true, "False": n_false}}


def describe_numbers(numbers: Numpy) -> dict[str, Any]:
    """Extremes, mean, median, standard deviation and a histogram; nothing of no numbers."""
    if not len(numbers):
        empty = dict.fromkeys(("min", "max", "mean", "median", "std"))
        return {**empty, "histogram": None}
    low, high = numbers.min().item(), numbers.max().item()
    edges = bin_edges(low, high)
    counts, _ = np.histogram(numbers, bins=np.array(edges if low < high else [low, low + 1]))
    spread = float(numbers.std(ddof=1)) if len(numbers) > 1 else 0.0
    return {
        "min": low,
        "max": high,
        "mean": _rounded(float(numbers.mean())),
        "median": _rounded(float(np.median(numbers))),
        "std": _rounded(spread),
        "histogram": {"hist": [int(count) for count in counts], "bin_edges": edges},
    }


def bin_edges(low: float, high: float) -> list[float]:
    """Edges of up to ten equal bins; those of whole numbers are whole, the last one narrower."""
    if low == high:
        return [low, high]
    if isinstance(low, int) and isinstance(high, int):
        step = math.ceil((high - low + 1) / BINS)
        return [*range(low, high, step), high]
    width = high / BINS - low / BINS
    edges = [low + i * width for i in range(BINS)]
    rising = [edge for i, edge in enumerate(edges) if i == 0 or edges[i - 1] < edge < high]
    return [*rising, high]


def _rounded(value: float) -> Any:
    return round(value, 5) if math.isfinite(value) else to_json(value)
