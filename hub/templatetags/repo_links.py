"""Addresses of a repository's pages and files, in templates."""

from __future__ import annotations

from urllib.parse import quote

from django import template

from hub.models import Repo
from hub.portal.tabs import repo_page_url

register = template.Library()


@register.simple_tag
def repo_url(url_name: str, repo: Repo, **kwargs: str) -> str:
    """Address of a page: `{% repo_url "blob" repo revision=rev path=path %}`."""
    return repo_page_url(url_name, repo, **kwargs)


@register.simple_tag
def resolve_url(repo: Repo, revision: str, path: str) -> str:
    """Address of a file's bytes."""
    return f"{repo.url_path}/resolve/{quote(revision, safe='')}/{quote(path)}"


@register.simple_tag
def raw_url(repo: Repo, revision: str, path: str) -> str:
    """Address of a text file as plain text."""
    return f"{repo.url_path}/raw/{quote(revision, safe='')}/{quote(path)}"


@register.simple_tag
def diff_class(line: str) -> str:
    """CSS class of one line of a unified difference."""
    if line.startswith("@@"):
        return "diff-hunk"
    return {"+": "diff-added", "-": "diff-removed"}.get(line[:1], "diff-context")
