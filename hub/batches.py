"""Long lists in parts that fit into one query."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")


def in_batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """The items in lists of up to `size`, read as they are asked for."""
    rest = iter(items)
    while some := list(islice(rest, size)):
        yield some
