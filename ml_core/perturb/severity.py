"""How strong a change is."""

from typing import Literal, TypeVar

Severity = Literal[1, 2, 3, 4, 5]

T = TypeVar("T")


def at_severity(levels: tuple[T, T, T, T, T], severity: Severity) -> T:
    """The entry of `levels` for `severity`. Raises ValueError for one outside 1 .. 5."""
    if severity not in range(1, 6):
        raise ValueError(f"severity is from 1 to 5, not {severity!r}")
    return levels[severity - 1]
