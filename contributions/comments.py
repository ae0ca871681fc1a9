"""Comments as readers see them."""

from __future__ import annotations

from contributions.models import DiscussionEvent
from hub.actions.repos import DEFAULT_BRANCH
from hub.cards import render_markdown

HIDDEN = "This comment has been hidden"


def comment_text(event: DiscussionEvent) -> str:
    """Markdown of a comment; of a hidden one the words that stand in its place."""
    return HIDDEN if event.is_hidden else event.text


def comment_html(event: DiscussionEvent) -> str:
    """A comment as HTML that needs no further escaping; relative addresses lead to `main`."""
    return html_of(comment_text(event), repo_path=event.discussion.repo.url_path)


def html_of(text: str, *, repo_path: str) -> str:
    """Markdown that somebody wrote about a repository as HTML that needs no further escaping."""
    return render_markdown(text, repo_path=repo_path, revision=DEFAULT_BRANCH)
