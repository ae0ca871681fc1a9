"""Text for tables that people open in a spreadsheet. Pure."""

from __future__ import annotations

import re

_FORMULA = re.compile(r"(^|[;\t\r\n])(\s*[=+\-@])")
"""What a spreadsheet takes for a formula; in some countries `;` begins a new cell."""


def plain_text(text: str) -> str:
    """`text`, with a mark before whatever a spreadsheet would compute."""
    return _FORMULA.sub(r"\1'\2", text)
