"""Port to applications that keep bytes in the store beside the contents of repositories."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class OtherStored:
    """What one application keeps: how many objects, and their size."""

    label: str
    count: int
    size_bytes: int


_tellers: list[Callable[[], OtherStored]] = []


def tell_stored(teller: Callable[[], OtherStored]) -> None:
    """Adds to the storage report; called while the process starts."""
    if teller not in _tellers:
        _tellers.append(teller)


def other_stored() -> list[OtherStored]:
    return [tell() for tell in _tellers]
