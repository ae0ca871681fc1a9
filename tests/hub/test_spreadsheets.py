"""Text that a spreadsheet must not compute."""

from __future__ import annotations

import pytest

from hub.spreadsheets import plain_text

pytestmark = pytest.mark.pure


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("=1+1", "'=1+1"),
        ("  @SUM(A1)", "'  @SUM(A1)"),
        ("+49 1", "'+49 1"),
        ("-x", "'-x"),
        ("a;=b", "a;'=b"),
        ("a\n=b", "a\n'=b"),
        ("\t=b", "'\t=b"),
        ("a-b=c+d@e", "a-b=c+d@e"),
        ("", ""),
    ],
)
def test_formulas_become_text(text: str, plain: str) -> None:
    assert plain_text(text) == plain
