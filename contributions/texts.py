"""What titles and comments may be."""

from __future__ import annotations

from contributions.models.discussion import MAX_TITLE_CHARS
from hub.errors import InvalidInput, TooLarge
from hub.storable import storable_text

MAX_COMMENT_CHARS = 65_536
_SHORTENED = "…"


def checked_title(title: str) -> str:
    """The title as it is stored: one line without outer space. Raises `InvalidInput`."""
    title = " ".join(_text(title, "The title").split())
    if not title:
        raise InvalidInput("A title is needed.")
    if len(title) > MAX_TITLE_CHARS:
        raise InvalidInput(f"A title may have at most {MAX_TITLE_CHARS} characters.")
    return title


def checked_comment(text: str, *, may_be_empty: bool = False) -> str:
    """The comment as it is stored. Raises `InvalidInput`, `TooLarge`."""
    text = _text(text, "The comment").strip()
    if not text and not may_be_empty:
        raise InvalidInput("The comment is empty.")
    if len(text) > MAX_COMMENT_CHARS:
        raise TooLarge(f"A comment may have at most {MAX_COMMENT_CHARS} characters.")
    return text


def title_of_commit(summary: str) -> str:
    """The first line of a commit message as a title, shortened where it must be."""
    title = " ".join(storable_text(summary).split()) or "Update files"
    if len(title) <= MAX_TITLE_CHARS:
        return title
    return title[: MAX_TITLE_CHARS - len(_SHORTENED)].rstrip() + _SHORTENED


def _text(text: str, what: str) -> str:
    if text != storable_text(text):
        raise InvalidInput(f"{what} contains characters that are no text.")
    return text
