"""Code of a card as HTML with classes, coloured while that is cheap."""

from __future__ import annotations

from html import escape

from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name
from pygments.token import STANDARD_TYPES
from pygments.util import ClassNotFound

MAX_BLOCK_CHARS = 20_000
MAX_TOTAL_CHARS = 100_000
CODE_CLASSES = frozenset(name for name in STANDARD_TYPES.values() if name)


class CodeBlocks:
    """The code blocks of one text; once many characters are coloured, the rest stays plain.

    Lexers are regular expressions over a stranger's text: a limit keeps a page quick to make.
    """

    def __init__(self) -> None:
        self._n_chars = 0

    def html(self, code: str, language: str) -> str:
        """One block; an unknown language is shown without colours."""
        self._n_chars += len(code)
        is_cheap = len(code) <= MAX_BLOCK_CHARS and self._n_chars <= MAX_TOTAL_CHARS
        coloured = _coloured(code, language) if language and is_cheap else None
        inner = coloured if coloured is not None else escape(code)
        return f'<pre tabindex="0"><code>{inner}</code></pre>\n'


def _coloured(code: str, language: str) -> str | None:
    try:
        lexer = get_lexer_by_name(language.lower().strip("{}."), stripnl=False)
    except ClassNotFound:
        return None
    return str(highlight(code, lexer, HtmlFormatter(nowrap=True)))
