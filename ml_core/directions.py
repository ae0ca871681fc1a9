"""Which way is better."""

from typing import Literal

Direction = Literal["higher", "lower"]
