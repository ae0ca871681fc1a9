"""Ranges of numbers of parameters, as the Hub's clients write them. Pure."""

from __future__ import annotations

import re
from typing import NamedTuple

from hub.errors import InvalidInput

_SIZE = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,3})?)([KMBT]?)", re.IGNORECASE)
_UNITS = {"": 1, "K": 10**3, "M": 10**6, "B": 10**9, "T": 10**12}


class SizeRange(NamedTuple):
    """Both ends belong to it; None is no end."""

    least: int | None = None
    most: int | None = None


def parse_sizes(text: str) -> SizeRange:
    """`min:1B,max:7B` as numbers of parameters. Raises `InvalidInput`."""
    ends: dict[str, int] = {}
    for part in filter(None, text.split(",")):
        end, _, value = part.strip().partition(":")
        match = _SIZE.fullmatch(value)
        if end not in {"min", "max"} or match is None:
            raise InvalidInput("“num_parameters” must look like min:1B,max:7B.")
        ends[end] = int(float(match[1]) * _UNITS[match[2].upper()])
    return SizeRange(ends.get("min"), ends.get("max"))
