"""Strangers' values fit for every database: PostgreSQL stores no NUL, none a lone surrogate."""

from __future__ import annotations

from typing import Any


def storable_text(text: str) -> str:
    """The text without NUL, lone surrogates replaced by `?`."""
    return text.replace("\x00", "").encode("utf-8", "replace").decode()


def storable(value: Any) -> Any:
    """A JSON value whose texts, keys included, are storable."""
    if isinstance(value, str):
        return storable_text(value)
    if isinstance(value, dict):
        return {storable_text(str(key)): storable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [storable(item) for item in value]
    return value
