"""Source text as HTML with classes; the colours are in static/css/code.css."""

from __future__ import annotations

from pygments import highlight as pygments_highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import TextLexer, get_lexer_for_filename
from pygments.util import ClassNotFound


def highlight(text: str, path: str) -> str:
    """`text` as an HTML table with numbered, linkable lines (`#L12`)."""
    try:
        lexer = get_lexer_for_filename(path.rsplit("/", 1)[-1], stripnl=False)
    except ClassNotFound:
        lexer = TextLexer(stripnl=False)
    formatter = HtmlFormatter(
        cssclass="code", linenos="table", lineanchors="L", anchorlinenos=True, wrapcode=True
    )
    return pygments_highlight(text, lexer, formatter)
