"""What the columns of a table hold, in the words of the `datasets` library.

A feature comes from the card, else from what the library wrote into the file, else from the type.
"""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pyarrow.types as pt

Feature = Any
"""A JSON value: a mapping with `_type`, or a mapping of names to features for a struct."""

MAX_METADATA_BYTES = 4 * 1024 * 1024
_KNOWN = frozenset({"Value", "ClassLabel", "Image", "Audio", "List", "LargeList", "Sequence"})


def features_of(schema: pa.Schema, declared: dict[str, Any]) -> dict[str, Feature]:
    """The feature of each column, in order."""
    written = _written_features(schema)
    return {
        field.name: _proper(declared.get(field.name))
        or _proper(written.get(field.name))
        or feature_of(field.type)
        for field in schema
    }


def feature_of(kind: pa.DataType) -> Feature:
    """What the library would call an Arrow type."""
    if pt.is_struct(kind):
        return {field.name: feature_of(field.type) for field in kind}
    if pt.is_list(kind) or pt.is_large_list(kind) or pt.is_fixed_size_list(kind):
        return {"feature": feature_of(kind.value_type), "_type": "List"}
    if pt.is_dictionary(kind):
        return feature_of(kind.value_type)
    return {"dtype": _dtype(kind), "_type": "Value"}


def media_kind(feature: Feature) -> str | None:
    """ "image" or "audio" for a column of such."""
    kind = feature.get("_type") if isinstance(feature, dict) else None
    return {"Image": "image", "Audio": "audio"}.get(kind) if isinstance(kind, str) else None


def label_names(feature: Feature) -> list[str] | None:
    """The names of a column of class labels."""
    if isinstance(feature, dict) and feature.get("_type") == "ClassLabel":
        names = feature.get("names")
        if isinstance(names, list):
            return [str(name) for name in names]
    return None


def _dtype(kind: pa.DataType) -> str:
    names = {"double": "float64", "float": "float32", "halffloat": "float16"}
    return names.get(str(kind), str(kind))


def _written_features(schema: pa.Schema) -> dict[str, Any]:
    raw = (schema.metadata or {}).get(b"huggingface", b"")
    if not raw or len(raw) > MAX_METADATA_BYTES:
        return {}
    try:
        found = json.loads(raw)["info"]["features"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _proper(feature: Any) -> Feature | None:
    """A feature that we know how to show; structs and the rest are described by their type."""
    if not isinstance(feature, dict) or feature.get("_type") not in _KNOWN:
        return None
    if feature["_type"] == "ClassLabel":
        names = feature.get("names")
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            return None
    return feature
