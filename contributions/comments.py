"""Comments as readers see them.

Reading markup takes up to seconds for the longest texts, so HTML is made when somebody writes and
kept beside the text (`contributions.actions.rendering`).
"""

from __future__ import annotations

import hashlib

from django.utils.html import linebreaks

from contributions.models import DiscussionEvent
from contributions.models.event import Written
from hub.actions.repos import DEFAULT_BRANCH
from hub.cards import RENDERER, render_markdown
from hub.site import own_hosts

HIDDEN = "This comment has been hidden"


def comment_text(event: DiscussionEvent) -> str:
    """Markdown of a comment; of a hidden one the words that stand in its place."""
    return HIDDEN if event.is_hidden else event.text


def kept_html(written: Written, *, repo_path: str) -> str:
    """The text as HTML that needs no further escaping; made now if what is kept is not of it."""
    if has_html(written, repo_path=repo_path):
        return written.html
    return html_of(written.text, repo_path=repo_path)


def has_html(written: Written, *, repo_path: str) -> bool:
    """Whether the HTML that is kept is that of the text, at the repository's present address."""
    return written.html_of == html_key(written.text, repo_path=repo_path)


def html_key(text: str, *, repo_path: str) -> str:
    """What the HTML of a text depends on."""
    hosts = " ".join(sorted(own_hosts()))
    return hashlib.sha256(f"{RENDERER}\n{hosts}\n{repo_path}\n{text}".encode()).hexdigest()


def html_of(text: str, *, repo_path: str) -> str:
    """Markdown that somebody wrote about a repository as HTML that needs no further escaping.

    Relative addresses lead to `main`.
    """
    return render_markdown(
        text, repo_path=repo_path, revision=DEFAULT_BRANCH, own_hosts=own_hosts()
    )


def as_written(text: str) -> str:
    """The text itself as HTML, its markup unread."""
    return linebreaks(text, autoescape=True)
